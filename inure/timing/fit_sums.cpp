#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <span>
#include <utility>

#include "inure/base/error.hpp"
#include "inure/base/random.hpp"
#include "inure/timing/fit.hpp"
#include "inure/timing/lane_simulator.hpp"
#include "inure/timing/sum_deltas.hpp"
#include "inure/timing/sum_growth.hpp"

namespace inure::timing {
namespace {

constexpr std::uint64_t kSeed = 0x73756D73u;
constexpr int kSkipped = 8;  // cycles until all registers hold something of the operands
constexpr int kMostClasses = 2048;
constexpr std::array kSteps = {25, 50, 100, 150, 300, 600};  // of synthetic outputs
// An output's first steps are few: shorter outputs, for the classes of these alone.
constexpr std::array kShortSteps = {2, 3, 4, 6, 12, 40};

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
  OperandMix(int sequences, bool negative_activations, const std::array<int, 6>& steps = kSteps) {
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
    for (int s = 0; s < sequences; ++s) sequences_.push_back(sequence(s, steps));
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

  Sequence sequence(int s, const std::array<int, 6>& of_outputs) const {
    const PhiloxBlock random = philox(
        {static_cast<std::uint32_t>(s), static_cast<std::uint32_t>(RandomPurpose::kErrors), 0, 0},
        philox_key(kSeed));
    const auto of = [](std::uint32_t word, std::size_t count) { return word % count; };
    const int steps = of_outputs[of(random[2] >> 8, of_outputs.size())];
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

enum class Steps { kNone, kStart, kLater, kAll };  // start: an output's first two

// One lane under way: what its sums add wrongly, by the steps' classes as injection finds them:
// with right products and an accumulator that sums' errors before have changed.
template <typename Source>
class LaneRun {
 public:
  LaneRun(const LaneSimulator& lane, Source source, Steps sampled)
      : lane_(lane),
        run_(lane, lane.side_by_side()),
        source_(std::move(source)),
        sampled_(sampled),
        random_(kSeed, RandomPurpose::kErrors, 0, 2),
        deltas_(lane, run_.sequences(), true),
        states_(index(run_.sequences())),
        wrong_products_(index(lane.vec_size())) {}

  // The rates of all steps; samples of some are added to these.
  LaneFit run(int cycles, std::vector<SumSample>& samples) {
    samples_ = &samples;
    for (int cycle = 0; cycle < cycles; ++cycle) {
      set_operands(cycle);
      run_.cycle();
      follow(cycle);
      if (cycle < kSkipped) continue;
      for (int e = 0; e < lane_.vec_size(); ++e) wrong_products_[index(e)] += wrong(e);
    }
    LaneFit fit;
    const double trials = static_cast<double>(std::max(cycles - kSkipped, 1)) * run_.sequences();
    fit.wrong_steps = static_cast<double>(wrong_sums_) / trials;
    fit.accumulator.set_rate(fit.wrong_steps);
    for (const std::int64_t wrong : wrong_products_) {
      fit.products.push_back(static_cast<double>(wrong) / trials);
      fit.wrong_steps += fit.products.back();
    }
    return fit;
  }

 private:
  static constexpr int kHistory = 32;  // more cycles than from the ports to an accumulator

  struct Operands {  // of a sequence in a cycle: right products
    bool first = false;
    std::int32_t sum = 0;
    std::uint32_t signs = 0;
  };
  std::vector<Operands>& operands(int cycle) { return history_[index(cycle % kHistory)]; }

  void set_operands(int cycle) {
    auto& now = operands(cycle);
    now.resize(states_.size());
    for (int s = 0; s < run_.sequences(); ++s) {
      source_.begin(s, cycle);
      const bool first = cycle == 0 || source_.first(s);
      run_.set_first(s, first);
      deltas_.set_first(s, first);
      std::int32_t sum = 0;
      ProductSigns signs;
      for (int e = 0; e < lane_.vec_size(); ++e) {
        const std::int8_t a = source_.activation(s, e, cycle), b = source_.weight(s, e, cycle);
        run_.activations(s)[e] = a;
        run_.weights(s)[e] = b;
        sum += a * b;
        signs.add(a * b);
      }
      now[index(s)] = {first, sum, signs.bits};
    }
  }

  // The step that the accumulators include at the end of this cycle.
  void follow(int cycle) {
    if (!deltas_.follow(run_)) return;
    const std::vector<Operands>& step = operands(cycle - lane_.cycles_to(lane_.accumulator()));
    for (std::size_t s = 0; s < states_.size(); ++s) {
      const std::int32_t delta = deltas_.deltas()[s];
      states_[s].step(step[s].first, step[s].sum, step[s].signs);
      if (cycle >= kSkipped) sample(s, delta);
      states_[s].add_error(delta);
    }
  }

  void sample(std::size_t s, std::int32_t delta) {
    wrong_sums_ += delta != 0;
    if (sampled_ == Steps::kNone) return;
    if (sampled_ != Steps::kAll && states_[s].at_start() != (sampled_ == Steps::kStart)) return;
    if (delta == 0 && random_.below(kRightKept) != 0) return;
    samples_->push_back({states_[s].tests(lane_.vec_size()), delta});
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
  const Steps sampled_;
  RandomStream random_;
  SumDeltas deltas_;
  std::vector<SumState> states_;  // by sequence: as injection knows them
  std::array<std::vector<Operands>, kHistory> history_;
  std::vector<SumSample>* samples_ = nullptr;
  std::int64_t wrong_sums_ = 0;
  std::vector<std::int64_t> wrong_products_;
};

void check(std::span<const OperandTrace> traces, int vec_size, bool negative_activations) {
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
}

}  // namespace

void check_sums(const Netlist& netlist, int vec_size, int critical_ps) {
  constexpr int kCycles = 60;
  const LaneSimulator lane(netlist, vec_size, critical_ps);
  LaneSimulator::Run run(lane, 64);
  SumDeltas deltas(lane, 64);
  OperandMix mix(64, true);
  std::vector<std::vector<std::uint32_t>> right;  // [cycle][sequence]
  for (int cycle = 0; cycle < kCycles; ++cycle) {
    auto& sums = right.emplace_back(64);
    for (int s = 0; s < 64; ++s) {
      mix.begin(s, cycle);
      const bool first = cycle == 0 || mix.first(s);
      run.set_first(s, first);
      deltas.set_first(s, first);
      sums[index(s)] = first ? 0 : right[index(cycle - 1)][index(s)];
      for (int e = 0; e < vec_size; ++e) {
        run.activations(s)[e] = mix.activation(s, e, cycle);
        run.weights(s)[e] = mix.weight(s, e, cycle);
        sums[index(s)] += static_cast<std::uint32_t>(run.activations(s)[e] * run.weights(s)[e]);
      }
    }
    run.cycle();
    if (!deltas.follow(run)) continue;
    const int step = cycle - lane.cycles_to(lane.accumulator());
    for (int s = 0; s < 64; ++s) {
      const auto expected = static_cast<std::int32_t>(right[index(step)][index(s)]);
      const std::int32_t captured = deltas.captured()[index(s)];
      if (captured != expected) {
        fail(
            "design: at a safe clock its accumulator holds {} in step {}; expected {}, the sum of "
            "products since `first`",
            captured, step, expected);
      }
      if (deltas.deltas()[index(s)] != 0) {
        fail(
            "design: in step {} the registers product hold other products than the accumulator "
            "adds, by {}; expected those that it adds",
            step, deltas.deltas()[index(s)]);
      }
    }
  }
}

LaneFit fit_sums(const Netlist& netlist, int vec_size, int period_ps, bool negative_activations,
                 int cycles, std::span<const OperandTrace> traces, bool tree) {
  const LaneSimulator lane(netlist, vec_size, period_ps);
  const int sequences = lane.side_by_side();
  std::vector<SumSample> samples;
  LaneFit fit;
  if (traces.empty()) {
    fit = LaneRun(lane, OperandMix(sequences, negative_activations),
                  tree ? Steps::kLater : Steps::kNone)
              .run(cycles, samples);
    if (tree) {
      LaneRun(lane, OperandMix(sequences, negative_activations, kShortSteps), Steps::kStart)
          .run(cycles, samples);
    }
  } else {
    check(traces, vec_size, negative_activations);
    fit = LaneRun(lane, TraceOperands(sequences, traces), tree ? Steps::kAll : Steps::kNone)
              .run(cycles, samples);
  }
  if (tree) {
    const double rate = fit.accumulator.rate();
    fit.accumulator = grow_sum_tree(std::move(samples), kMostClasses);
    if (fit.accumulator.error_class_size() > 0) fit.accumulator.set_rate(rate);
  }
  return fit;
}

}  // namespace inure::timing
