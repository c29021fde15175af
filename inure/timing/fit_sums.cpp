#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>

#include "inure/base/error.hpp"
#include "inure/base/random.hpp"
#include "inure/errors/sum_class.hpp"
#include "inure/timing/fit.hpp"
#include "inure/timing/lane_simulator.hpp"

namespace inure::timing {
namespace {

constexpr std::uint64_t kSeed = 0x73756D73u;
constexpr int kSkipped = 8;  // cycles until all registers hold something of the operands
constexpr int kMaxDeltas = 32;
constexpr double kTold = 0.98;  // of the errors, by the deltas that are kept
constexpr std::uint64_t kFewTrials = 300;

constexpr std::size_t index(int i) { return static_cast<std::size_t>(i); }

// A sequence of numbers from which many readers take pieces, each beginning elsewhere.
class Pool {
 public:
  Pool(std::uint32_t id, double deviation, double mean, double correlation, bool relu) {
    RandomStream random(kSeed, RandomPurpose::kErrors, id, 1);
    double z = random.gaussian();
    const double fresh = std::sqrt(1 - correlation * correlation);
    for (std::int8_t& value : values_) {
      z = correlation * z + fresh * random.gaussian();
      const double x = std::clamp(std::round((z + mean) * deviation), -128.0, 127.0);
      value = static_cast<std::int8_t>(relu ? std::max(x, 0.0) : x);
    }
  }

  std::int8_t at(std::uint32_t position) const { return values_[position % kLength]; }

 private:
  static constexpr std::uint32_t kLength = 65536;
  std::array<std::int8_t, kLength> values_;
};

// Synthetic operands of many sequences; each is a mix of its own.
class OperandMix {
 public:
  OperandMix(int sequences, bool negative_activations) {
    std::uint32_t id = 0;
    for (const double deviation : {15, 30, 45}) {
      for (const double correlation : {0.0, 0.7}) {
        activations_.emplace_back(id++, deviation, 0, correlation, true);
        if (negative_activations) activations_.emplace_back(id++, deviation, 0, correlation, false);
      }
    }
    for (const double deviation : {20, 30}) {
      for (const double mean : {-0.1, 0.0, 0.1})
        weights_.emplace_back(id++, deviation, mean, 0, false);
    }
    for (int s = 0; s < sequences; ++s) sequences_.push_back(sequence(s));
  }

  void begin(int s, int cycle) {
    Sequence& what = sequences_[index(s)];
    what.first = (cycle + what.phase) % what.steps == 0;
  }
  bool first(int s) const { return sequences_[index(s)].first; }
  std::int8_t activation(int s, int element, int cycle) const {
    return activations_[sequences_[index(s)].activations].at(offset(s, element, 0, cycle));
  }
  std::int8_t weight(int s, int element, int cycle) const {
    return weights_[sequences_[index(s)].weights].at(offset(s, element, 1, cycle));
  }

 private:
  struct Sequence {
    std::size_t activations, weights;
    int steps, phase;
    std::uint32_t offset;
    bool first = false;
  };

  Sequence sequence(int s) const {
    static constexpr std::array kSteps = {25, 50, 100, 150, 300, 600};
    const PhiloxBlock random = philox(
        {static_cast<std::uint32_t>(s), static_cast<std::uint32_t>(RandomPurpose::kErrors), 0, 0},
        philox_key(kSeed));
    const auto of = [](std::uint32_t word, std::size_t count) { return word % count; };
    const int steps = kSteps[of(random[2] >> 8, kSteps.size())];
    return {of(random[0], activations_.size()), of(random[1], weights_.size()), steps,
            static_cast<int>(of(random[3], index(steps))), random[0] >> 8};
  }

  // Readers far apart: a multiplier has its own pieces of both pools.
  std::uint32_t offset(int s, int element, std::uint32_t side, int cycle) const {
    return sequences_[index(s)].offset +
           (2 * static_cast<std::uint32_t>(element) + side) * 0x9E37u +
           static_cast<std::uint32_t>(cycle);
  }

  std::vector<Pool> activations_, weights_;
  std::vector<Sequence> sequences_;
};

// The operands of real traces: each sequence begins elsewhere in one of them, at an output.
class TraceOperands {
 public:
  TraceOperands(int sequences, std::span<const OperandTrace> traces) : traces_(traces) {
    const auto count = static_cast<std::int64_t>(traces.size());
    for (std::int64_t s = 0; s < sequences; ++s) {
      const OperandTrace& trace = traces[static_cast<std::size_t>(s % count)];
      std::int64_t at = s * trace.steps() / sequences;
      while (at > 0 && !trace.first[static_cast<std::size_t>(at)]) --at;
      begin_.push_back(at);
      at_.push_back(at);
    }
  }

  void begin(int s, int cycle) { at_[index(s)] = (begin_[index(s)] + cycle) % trace(s).steps(); }
  bool first(int s) const { return trace(s).first[static_cast<std::size_t>(at_[index(s)])] != 0; }
  std::int8_t activation(int s, int element, int) const {
    return trace(s).activations_at(at_[index(s)])[index(element)];
  }
  std::int8_t weight(int s, int element, int) const {
    return trace(s).weights_at(at_[index(s)])[index(element)];
  }

 private:
  const OperandTrace& trace(int s) const { return traces_[index(s) % traces_.size()]; }

  std::span<const OperandTrace> traces_;
  std::vector<std::int64_t> begin_, at_;
};

using Deltas = std::unordered_map<std::int32_t, std::uint32_t>;

struct Counts {
  std::vector<std::uint64_t> trials = std::vector<std::uint64_t>(kSumClasses);
  std::vector<Deltas> deltas = std::vector<Deltas>(kSumClasses);
};

void add(ErrorClass& what, const Deltas& deltas, std::uint64_t trials) {
  std::vector<std::pair<std::int32_t, std::uint32_t>> list(deltas.begin(), deltas.end());
  std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  double errors = 0;
  for (const auto& [delta, count] : list) errors += count;
  what.set_rate(errors / static_cast<double>(trials));
  what.set_trials(trials);
  list.resize(std::min<std::size_t>(list.size(), kMaxDeltas));
  double left = kTold * errors;  // rare deltas cost more room than they tell
  for (const auto& [delta, count] : list) {
    if (left <= 0) break;
    left -= count;
    what.add_delta(delta);
    what.add_count(count);
  }
}

// Wider classes stand for thin ones: without the products that are 0, then without any signs.
constexpr int kWidths = kWideSums;
constexpr int without_zeros(int signs) {
  int level = 0;
  while (first_signs(level + 1) <= signs) ++level;
  return first_signs(kSignLevels) + signs - first_signs(level);
}
constexpr std::size_t wider_class(std::size_t c, int width) {
  const auto of = [&](int signs) { return width == 0 ? without_zeros(signs) : 0; };
  const int chain = static_cast<int>(c) % kSumChains, rest = static_cast<int>(c) / kSumChains;
  const int before = of(rest / kSigns % kSigns), now = of(rest % kSigns);
  return index(((rest / kSigns / kSigns * kSigns + before) * kSigns + now) * kSumChains + chain);
}

Counts widened(const Counts& counts, int width) {
  Counts wide;
  for (std::size_t c = 0; c < kSumClasses; ++c) {
    const std::size_t to = wider_class(c, width);
    wide.trials[to] += counts.trials[c];
    for (const auto& [delta, count] : counts.deltas[c]) wide.deltas[to][delta] += count;
  }
  return wide;
}

RegisterProfile profile_of(const Counts& counts) {
  const std::array<Counts, kWidths> wide = {widened(counts, 0), widened(counts, 1)};
  RegisterProfile profile;
  std::set<std::size_t> written;
  const auto write = [&](std::size_t id, const Counts& from, std::size_t c) {
    if (!written.insert(id).second) return;
    ErrorClass& what = *profile.add_error_class();
    what.set_id(static_cast<std::uint32_t>(id));
    add(what, from.deltas[c], from.trials[c]);
  };
  double errors = 0, trials = 0;
  for (std::size_t c = 0; c < kSumClasses; ++c) {
    for (const auto& [delta, count] : counts.deltas[c]) errors += count;
    trials += static_cast<double>(counts.trials[c]);
    if (counts.trials[c] >= kFewTrials) {
      if (!counts.deltas[c].empty()) write(c, counts, c);
      continue;
    }
    const int width = wide[0].trials[wider_class(c, 0)] < kFewTrials;
    const Counts& from = wide[index(width)];
    const std::size_t of = wider_class(c, width), id = of + index((1 + width) * kSumClasses);
    if (from.deltas[of].empty()) continue;
    write(id, from, of);
    profile.add_like(static_cast<std::uint32_t>(c));
    profile.add_like(static_cast<std::uint32_t>(id));
  }
  profile.set_rate(trials > 0 ? errors / trials : 0);
  return profile;
}

// One lane under way.
template <typename Source>
class LaneRun {
 public:
  LaneRun(const LaneSimulator& lane, Source source)
      : lane_(lane),
        run_(lane, lane.side_by_side()),
        source_(std::move(source)),
        sums_(index(run_.sequences())),
        wrong_products_(index(lane.vec_size())) {}

  LaneFit run(int cycles) {
    for (int cycle = 0; cycle < cycles; ++cycle) {
      set_operands(cycle);
      run_.cycle();
      if (cycle < kSkipped) continue;
      if (lane_.sum() >= 0) count(lane_.sum(), cycle, sum_);
      count(lane_.accumulator(), cycle, accumulator_);
      for (int e = 0; e < lane_.vec_size(); ++e) wrong_products_[index(e)] += wrong(e);
    }
    LaneFit fit{profile_of(sum_), profile_of(accumulator_), {}, 0};
    fit.wrong_steps = fit.sum.rate() + fit.accumulator.rate();
    const double trials = static_cast<double>(std::max(cycles - kSkipped, 1)) * run_.sequences();
    for (const std::int64_t wrong : wrong_products_) {
      fit.products.push_back(static_cast<double>(wrong) / trials);
      fit.wrong_steps += fit.products.back();
    }
    return fit;
  }

 private:
  static constexpr int kHistory = 16;  // more cycles than from the ports to an accumulator

  std::vector<std::uint16_t>& classes(int cycle) { return history_[index(cycle % kHistory)]; }

  void set_operands(int cycle) {
    auto& now = classes(cycle);
    now.resize(sums_.size());
    for (int s = 0; s < run_.sequences(); ++s) {
      source_.begin(s, cycle);
      run_.set_first(s, source_.first(s));
      int products = 0;
      ProductSigns signs;
      for (int e = 0; e < lane_.vec_size(); ++e) {
        const std::int8_t a = source_.activation(s, e, cycle), b = source_.weight(s, e, cycle);
        run_.activations(s)[e] = a;
        run_.weights(s)[e] = b;
        products += a * b;
        signs.add(a * b);
      }
      sums_[index(s)].step(cycle == 0 || source_.first(s), products, signs, lane_.vec_size());
      now[index(s)] = static_cast<std::uint16_t>(sums_[index(s)].sum_class());
    }
  }

  void count(int word, int cycle, Counts& counts) {
    const auto& of_step = classes(cycle - lane_.cycles_to(word));
    for (const std::uint16_t c : of_step) ++counts.trials[c];
    run_.find_errors(word, errors_);
    for (const auto& error : errors_) {
      if (error.sequence >= run_.sequences()) break;
      ++counts.deltas[of_step[index(error.sequence)]][error.delta];
    }
  }

  std::int64_t wrong(int element) const {
    const LaneSimulator::Block lanes = run_.wrong(lane_.product(element));
    std::int64_t count = 0;
    for (int word = 0; word < run_.sequences() / 64; ++word) {
      count += std::popcount(lanes[index(word)]);
    }
    return count;
  }

  const LaneSimulator& lane_;
  LaneSimulator::Run run_;
  Source source_;
  std::vector<SumState> sums_;
  std::array<std::vector<std::uint16_t>, kHistory> history_;
  std::vector<LaneSimulator::Run::Error> errors_;
  Counts sum_, accumulator_;
  std::vector<std::int64_t> wrong_products_;
};

}  // namespace

void check_sums(const Netlist& netlist, int vec_size, int critical_ps) {
  constexpr int kCycles = 60;
  const LaneSimulator lane(netlist, vec_size, critical_ps);
  LaneSimulator::Run run(lane, 64);
  OperandMix mix(64, true);
  std::vector<std::vector<std::uint32_t>> right;  // [cycle][sequence]
  for (int cycle = 0; cycle < kCycles; ++cycle) {
    auto& sums = right.emplace_back(64);
    for (int s = 0; s < 64; ++s) {
      mix.begin(s, cycle);
      const bool first = cycle == 0 || mix.first(s);
      run.set_first(s, first);
      sums[index(s)] = first ? 0 : right[index(cycle - 1)][index(s)];
      for (int e = 0; e < vec_size; ++e) {
        run.activations(s)[e] = mix.activation(s, e, cycle);
        run.weights(s)[e] = mix.weight(s, e, cycle);
        sums[index(s)] += static_cast<std::uint32_t>(run.activations(s)[e] * run.weights(s)[e]);
      }
    }
    run.cycle();
    const int step = cycle - lane.cycles_to(lane.accumulator());
    if (step < 0) continue;
    for (int s = 0; s < 64; ++s) {
      const auto expected = static_cast<std::int32_t>(right[index(step)][index(s)]);
      const std::int32_t captured = run.captured(lane.accumulator(), s);
      if (captured != expected) {
        fail(
            "design: at a safe clock its accumulator holds {} in step {}; expected {}, the sum of "
            "products since `first`",
            captured, step, expected);
      }
    }
  }
}

LaneFit fit_sums(const Netlist& netlist, int vec_size, int period_ps, bool negative_activations,
                 int cycles, std::span<const OperandTrace> traces) {
  const LaneSimulator lane(netlist, vec_size, period_ps);
  if (traces.empty()) {
    return LaneRun(lane, OperandMix(lane.side_by_side(), negative_activations)).run(cycles);
  }
  for (const OperandTrace& trace : traces) {
    if (trace.vec_size != vec_size || trace.steps() == 0) {
      fail("trace of {}: {} steps of {} products; expected steps of {}", trace.layer, trace.steps(),
           trace.vec_size, vec_size);
    }
    if (!negative_activations && std::any_of(trace.activations.begin(), trace.activations.end(),
                                             [](int a) { return a < 0; })) {
      fail("trace of {}: it has negative activations; expected 0 to 127", trace.layer);
    }
  }
  return LaneRun(lane, TraceOperands(lane.side_by_side(), traces)).run(cycles);
}

}  // namespace inure::timing
