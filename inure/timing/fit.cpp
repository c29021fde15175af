#include "inure/timing/fit.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "inure/base/parallel.hpp"
#include "inure/base/random.hpp"
#include "inure/errors/product_tree.hpp"
#include "inure/timing/growing_tree.hpp"

namespace inure::timing {
namespace {

constexpr int kProductBits = Multiplier::kProductBits, kOperandBits = Multiplier::kOperandBits;
constexpr int kLanesOfPair = 256;  // changes of activations for a pair of weights
constexpr int kPairsOfRun = MultiplierStep::kLanes / kLanesOfPair;
constexpr int kRunsOfTask = 32;
constexpr std::uint32_t kRightKept =
    32;  // of so many right products one is kept, and counts as all

std::size_t index(int i) { return static_cast<std::size_t>(i); }

struct Sample {
  ProductTree::Tests tests;
  std::int32_t delta = 0;  // 0: right

  bool test(int test) const { return tests[test]; }
};
using Samples = std::vector<Sample>;

// Runs of the multiplier on operands as networks have them.
class Sampler {
 public:
  Sampler(const MultiplierStep& step, bool negative_activations, std::uint32_t task)
      : step_(step),
        run_(step),
        negative_(negative_activations),
        random_(kSeed, RandomPurpose::kErrors, task, 0) {}

  // Appends to the samples of each period.
  void sample(std::vector<Samples>& samples) {
    draw_operands();
    for (int bit = 0; bit < kOperandBits; ++bit) {
      for (const auto operand : {MultiplierStep::kPreviousActivation, MultiplierStep::kActivation,
                                 MultiplierStep::kPreviousWeight, MultiplierStep::kWeight}) {
        MultiplierStep::Block& lanes = run_.input(operand, bit);
        lanes.fill(0);
        for (std::size_t lane = 0; lane < operands_.size(); ++lane) {
          lanes[lane / 64] |= static_cast<std::uint64_t>(operands_[lane][operand] >> bit & 1)
                              << lane % 64;
        }
      }
    }
    run_.run();
    for (int p = 0; p < step_.periods(); ++p) collect(p, samples[index(p)]);
  }

 private:
  static constexpr std::uint64_t kSeed = 0x70726F64756374u;

  int drawn(double deviation) {
    return static_cast<int>(
        std::clamp(std::nearbyint(random_.gaussian() * deviation), -128.0, 127.0));
  }
  int anything() { return static_cast<int>(random_.below(256)) - 128; }

  void draw_operands() {
    for (int pair = 0; pair < kPairsOfRun; ++pair) {
      const double of_activations = 8 + random_.below(50), of_weights = 10 + random_.below(35);
      const bool relu = !negative_ || random_.below(3) > 0, near = random_.below(2) > 0;
      const int b_before = random_.below(8) ? drawn(of_weights) : anything();
      const int b = random_.below(8) ? drawn(of_weights) : anything();
      for (int i = 0; i < kLanesOfPair; ++i) {
        int a_before = drawn(of_activations);
        int a = near ? std::clamp(a_before * 4 / 5 + drawn(of_activations / 2), -128, 127)
                     : drawn(of_activations);
        if (random_.below(16) == 0) a_before = anything();
        if (random_.below(16) == 0) a = anything();
        if (relu) a_before = std::max(a_before, 0), a = std::max(a, 0);
        auto& lane = operands_[index(pair * kLanesOfPair + i)];
        lane[MultiplierStep::kPreviousActivation] = a_before;
        lane[MultiplierStep::kActivation] = a;
        lane[MultiplierStep::kPreviousWeight] = b_before;
        lane[MultiplierStep::kWeight] = b;
      }
    }
    for (bool& kept : right_kept_) kept = random_.below(kRightKept) == 0;
  }

  void collect(int period, Samples& samples) {
    const MultiplierStep::Block wrong = run_.wrong(period);
    for (std::size_t lane = 0; lane < operands_.size(); ++lane) {
      const bool errs = wrong[lane / 64] >> lane % 64 & 1;
      if (!errs && !right_kept_[lane]) continue;
      const auto& operands = operands_[lane];
      const int a = operands[MultiplierStep::kActivation], b = operands[MultiplierStep::kWeight];
      int captured = 0;
      for (int bit = 0; errs && bit < kProductBits; ++bit) {
        captured |= static_cast<int>(run_.captured(period, bit)[lane / 64] >> lane % 64 & 1) << bit;
      }
      samples.push_back({ProductTree::tests(operands[MultiplierStep::kPreviousActivation],
                                            operands[MultiplierStep::kPreviousWeight], a, b),
                         errs ? static_cast<std::int16_t>(captured) - a * b : 0});
    }
  }

  const MultiplierStep& step_;
  MultiplierStep::Run run_;
  const bool negative_;
  RandomStream random_;
  std::array<std::array<int, 4>, MultiplierStep::kLanes> operands_{};  // by lane and Operand
  std::array<bool, MultiplierStep::kLanes> right_kept_{};
};

// What a set of samples says.
struct Sums {
  std::int64_t trials = 0, errors = 0, deltas = 0;

  void add(const Sample& sample) {
    trials += sample.delta ? 1 : kRightKept;
    errors += sample.delta != 0;
    deltas += sample.delta;
  }
  Sums operator-(const Sums& other) const {
    return {trials - other.trials, errors - other.errors, deltas - other.deltas};
  }
};

class Growth {
 public:
  Growth(Samples samples, const ProductFit& fit)
      : tree_(std::move(samples), {kRightKept, fit.max_deltas}) {
    double squares = 0, errors = 0;
    for (const Sample& sample : tree_.samples()) {
      squares += static_cast<double>(sample.delta) * sample.delta;
      errors += sample.delta != 0;
    }
    if (errors == 0) return;
    mean_square_ = squares / errors;
    offer_best(0);
    for (int classes = 1; classes < fit.max_classes; ++classes) {
      const auto best = tree_.best();
      if (!best) break;
      const int zero = tree_.divide(best->node, best->test);
      offer_best(zero);
      offer_best(zero + 1);
    }
  }

  RegisterProfile profile() const {
    RegisterProfile profile;
    if (mean_square_ > 0) tree_.write(profile);
    return profile;
  }

 private:
  // A leaf has so many trials at least; a division tells so many times more than one by chance.
  static constexpr std::int64_t kFewestTrials = 48;
  static constexpr double kSignificance = 10;

  // The part of the errors and of the deltas' squares that the mean of a class accounts for.
  double told(const Sums& sums) const {
    const auto errors = static_cast<double>(sums.errors), deltas = static_cast<double>(sums.deltas);
    return (errors * errors + deltas * deltas / mean_square_) / static_cast<double>(sums.trials);
  }

  void offer_best(int leaf) {
    Sums all;
    std::array<Sums, ProductTree::kTests> ones{};
    for (const Sample& sample : tree_.samples(leaf)) {
      all.add(sample);
      for (std::uint64_t left = sample.tests.operands; left; left &= left - 1) {
        ones[index(std::countr_zero(left))].add(sample);
      }
      for (std::uint32_t left = sample.tests.products; left; left &= left - 1) {
        ones[index(ProductTree::kProduct + std::countr_zero(left))].add(sample);
      }
    }
    if (all.errors == 0) return;
    // Chance tells about the rate, of errors and of deltas.
    const double rate = static_cast<double>(all.errors) / static_cast<double>(all.trials);
    GrowingTree<Sample>::Division best{kSignificance * 2 * rate, leaf, -1};
    for (int test = 0; test < ProductTree::kTests; ++test) {
      const Sums &one = ones[index(test)], zero = all - one;
      if (std::min(one.trials, zero.trials) < kFewestTrials) continue;
      const double gain = told(one) + told(zero) - told(all);
      if (gain > best.gain) best = {gain, leaf, test};
    }
    if (best.test >= 0) tree_.offer(best);
  }

  GrowingTree<Sample> tree_;
  double mean_square_ = 0;  // of the deltas of errors; 0: there are none
};

}  // namespace

std::vector<RegisterProfile> fit_products(const Netlist& netlist, const Multiplier& multiplier,
                                          const ProductFit& fit) {
  const MultiplierStep step(netlist, multiplier, fit.periods_ps);
  const std::size_t periods = fit.periods_ps.size();
  constexpr std::int64_t kOfTask = std::int64_t{kRunsOfTask} * MultiplierStep::kLanes;
  std::vector<std::vector<Samples>> parts(
      static_cast<std::size_t>((fit.transitions + kOfTask - 1) / kOfTask));
  parallel_for(static_cast<std::int64_t>(parts.size()), [&](std::int64_t task) {
    auto& part = parts[static_cast<std::size_t>(task)];
    part.resize(periods);
    Sampler sampler(step, fit.negative_activations, static_cast<std::uint32_t>(task));
    for (int run = 0; run < kRunsOfTask; ++run) sampler.sample(part);
  });
  std::vector<RegisterProfile> profiles(periods);
  parallel_for(static_cast<std::int64_t>(periods), [&](std::int64_t period) {
    const auto p = static_cast<std::size_t>(period);
    Samples samples;
    for (auto& part : parts) {
      samples.insert(samples.end(), part[p].begin(), part[p].end());
      part[p] = {};
    }
    profiles[p] = Growth(std::move(samples), fit).profile();
  });
  return profiles;
}

}  // namespace inure::timing
