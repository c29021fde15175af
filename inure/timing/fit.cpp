#include "inure/timing/fit.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <unordered_map>

#include "inure/base/parallel.hpp"
#include "inure/base/random.hpp"

namespace inure::timing {
namespace {

constexpr int kProductBits = Multiplier::kProductBits, kOperandBits = Multiplier::kOperandBits;
constexpr int kLanesOfPair = StepSimulator::kLanes;  // changes of activations for a pair of weights
constexpr int kPairsOfRun = MultiplierStep::kLanes / kLanesOfPair;

std::size_t index(int i) { return static_cast<std::size_t>(i); }

// Draws values of one bin by operand_density, from the bits of a random word.
class BinDraw {
 public:
  BinDraw(int lowest, int highest) {
    std::vector<double> up_to;
    double sum = 0;
    for (int value = lowest; value <= highest; ++value) up_to.push_back(sum += density(value));
    int value = lowest;
    for (std::size_t i = 0; i < values_.size(); ++i) {
      const double part = (static_cast<double>(i) + 0.5) / kSteps * sum;
      while (value < highest && up_to[index(value - lowest)] < part) ++value;
      values_[i] = static_cast<std::int8_t>(value);
    }
  }

  int draw(std::uint32_t random16) const { return values_[random16 & 0xFFFF]; }

 private:
  static constexpr int kSteps = 65536;
  static double density(int value) { return operand_density(value); }
  std::array<std::int8_t, kSteps> values_;
};

std::vector<BinDraw> bin_draws(const std::vector<int>& bins) {
  std::vector<BinDraw> draws;
  for (std::size_t i = 0; i < bins.size(); ++i) {
    draws.emplace_back(bins[i], i + 1 < bins.size() ? bins[i + 1] - 1 : 127);
  }
  return draws;
}

// What was seen of a pair of weight bins: by period and pair of activation bins.
struct Seen {
  using Deltas = std::unordered_map<std::int32_t, std::uint32_t>;
  std::vector<std::uint64_t> trials;        // by pair of activation bins
  std::vector<std::vector<Deltas>> deltas;  // [period][pair of activation bins]
};

class Sampler {
 public:
  Sampler(const MultiplierStep& step, const ProductFit& fit)
      : step_(step),
        fit_(fit),
        activations_(bin_draws(fit.activation_bins)),
        weights_(bin_draws(fit.weight_bins)),
        classes_(activations_.size() * activations_.size()) {
    for (std::size_t lane = 0; lane < kLanesOfPair; ++lane) {
      class_of_lane_.push_back(lane * classes_ / kLanesOfPair);
    }
  }

  Seen sample(std::size_t weight_bins) const {
    Seen seen{std::vector<std::uint64_t>(classes_),
              std::vector(index(step_.periods()), std::vector<Seen::Deltas>(classes_))};
    MultiplierStep::Run run(step_);
    RandomStream random(kSeed, RandomPurpose::kErrors, static_cast<std::uint32_t>(weight_bins), 0);
    for (int pair = 0; pair < fit_.weight_pairs; pair += kPairsOfRun) {
      std::array<int, kPairsOfRun> b{};
      for (int part = 0; part < kPairsOfRun; ++part) {
        b[index(part)] = set_operands(run, part, weight_bins, random);
      }
      run.run();
      for (const std::size_t c : class_of_lane_) seen.trials[c] += kPairsOfRun;
      for (int p = 0; p < step_.periods(); ++p) collect(run, p, seen.deltas[index(p)]);
    }
    return seen;
  }

 private:
  static constexpr std::uint64_t kSeed = 0x70726F64756374u;

  // The lanes of one pair of weights.
  int set_operands(MultiplierStep::Run& run, int part, std::size_t weight_bins,
                   RandomStream& random) const {
    const int b_before = weights_[weight_bins / weights_.size()].draw(random.next() >> 16);
    const int b = weights_[weight_bins % weights_.size()].draw(random.next() >> 16);
    const std::size_t first = index(part) * kLanesOfPair / 64;
    for (std::size_t word = 0; word < kLanesOfPair / 64; ++word) {
      std::uint64_t before[kOperandBits] = {}, now[kOperandBits] = {};
      for (std::size_t i = 0; i < 64; ++i) {
        const std::size_t c = class_of_lane_[word * 64 + i];
        const std::uint32_t drawn = random.next();
        const int a_before = activations_[c / activations_.size()].draw(drawn >> 16);
        const int a = activations_[c % activations_.size()].draw(drawn);
        for (std::size_t bit = 0; bit < kOperandBits; ++bit) {
          before[bit] |= static_cast<std::uint64_t>(a_before >> bit & 1) << i;
          now[bit] |= static_cast<std::uint64_t>(a >> bit & 1) << i;
        }
      }
      for (int bit = 0; bit < kOperandBits; ++bit) {
        const auto all = [&](int value) { return -static_cast<std::uint64_t>(value >> bit & 1); };
        run.input(MultiplierStep::kPreviousActivation, bit)[first + word] = before[bit];
        run.input(MultiplierStep::kActivation, bit)[first + word] = now[bit];
        run.input(MultiplierStep::kPreviousWeight, bit)[first + word] = all(b_before);
        run.input(MultiplierStep::kWeight, bit)[first + word] = all(b);
      }
    }
    return b;
  }

  void collect(const MultiplierStep::Run& run, int period,
               std::vector<Seen::Deltas>& deltas) const {
    const MultiplierStep::Block wrong = run.wrong(period);
    for (std::size_t word = 0; word < wrong.size(); ++word) {
      for (std::uint64_t left = wrong[word]; left; left &= left - 1) {
        const int at = std::countr_zero(left);
        int captured = 0, right = 0;
        for (int bit = 0; bit < kProductBits; ++bit) {
          captured |= static_cast<int>(run.captured(period, bit)[word] >> at & 1) << bit;
          right |= static_cast<int>(run.right(bit)[word] >> at & 1) << bit;
        }
        const std::size_t lane = (word * 64 + index(at)) % kLanesOfPair;
        ++deltas[class_of_lane_[lane]]
                [static_cast<std::int16_t>(captured) - static_cast<std::int16_t>(right)];
      }
    }
  }

  const MultiplierStep& step_;
  const ProductFit& fit_;
  const std::vector<BinDraw> activations_, weights_;
  const std::size_t classes_;  // pairs of activation bins
  std::vector<std::size_t> class_of_lane_;
};

// The most frequent deltas, in this order (the smaller first among equals).
void set_deltas(ErrorClass& what, const Seen::Deltas& deltas, int most) {
  std::vector<std::pair<std::int32_t, std::uint32_t>> list(deltas.begin(), deltas.end());
  std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  if (list.size() > index(most)) list.resize(index(most));
  for (const auto& [delta, count] : list) {
    what.add_delta(delta);
    what.add_count(count);
  }
}

}  // namespace

std::vector<int> default_activation_bins(bool negative_activations) {
  if (!negative_activations) return {0, 1, 6, 20, 48};
  return {-128, -47, -19, -5, 0, 1, 6, 20, 48};
}

std::vector<int> default_weight_bins() { return default_activation_bins(true); }

double operand_density(int value) {
  const auto normal = [&](double deviation) {
    return std::exp(-0.5 * value * value / (deviation * deviation)) / deviation;
  };
  return normal(16) + normal(48);
}

std::vector<RegisterProfile> fit_products(const Netlist& netlist, const Multiplier& multiplier,
                                          const ProductFit& fit) {
  const MultiplierStep step(netlist, multiplier, fit.periods_ps);
  const Sampler sampler(step, fit);
  const std::size_t weight_bins = fit.weight_bins.size(), bins = fit.activation_bins.size();
  std::vector<Seen> seen(weight_bins * weight_bins);
  parallel_for(static_cast<std::int64_t>(seen.size()), [&](std::int64_t i) {
    seen[static_cast<std::size_t>(i)] = sampler.sample(static_cast<std::size_t>(i));
  });
  const ProductBins classes(fit.activation_bins, fit.weight_bins);
  std::vector<RegisterProfile> profiles(fit.periods_ps.size());
  for (std::size_t p = 0; p < profiles.size(); ++p) {
    for (std::size_t w = 0; w < seen.size(); ++w) {
      for (std::size_t a = 0; a < bins * bins; ++a) {
        const auto& deltas = seen[w].deltas[p][a];
        if (deltas.empty()) continue;
        ErrorClass& what = *profiles[p].add_error_class();
        what.set_id(
            classes.id_of_bins(static_cast<int>(a / bins), static_cast<int>(w / weight_bins),
                               static_cast<int>(a % bins), static_cast<int>(w % weight_bins)));
        double errors = 0;
        for (const auto& [delta, count] : deltas) errors += count;
        what.set_rate(errors / static_cast<double>(seen[w].trials[a]));
        what.set_trials(seen[w].trials[a]);
        set_deltas(what, deltas, fit.max_deltas);
      }
    }
  }
  return profiles;
}

}  // namespace inure::timing
