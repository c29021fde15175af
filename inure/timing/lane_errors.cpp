#include "inure/timing/lane_errors.hpp"

#include <algorithm>
#include <cmath>

#include "inure/base/error.hpp"
#include "inure/base/parallel.hpp"
#include "inure/base/progress.hpp"
#include "inure/base/random.hpp"
#include "inure/timing/sum_deltas.hpp"

namespace inure::timing {
namespace {

constexpr int kProductBits = 16;
constexpr std::int64_t kPart = 1 << 16;  // steps that one thread predicts at once

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

std::int32_t wrapped(std::int64_t value) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(value));
}

std::int32_t product(const OperandTrace& trace, std::int64_t step, int element) {
  const std::size_t at = index(step * trace.vec_size + element);
  return trace.activations[at] * trace.weights[at];
}

// A trace cut into pieces: piece p is the outputs' steps [begin[p], begin[p + 1]), and is led in
// from lead_in[p] on.
struct Pieces {
  std::vector<std::int64_t> begin, lead_in;

  std::int64_t count() const { return static_cast<std::int64_t>(lead_in.size()); }
};

Pieces cut(const OperandTrace& trace, std::int64_t side_by_side) {
  std::vector<std::int64_t> outputs = {0};
  for (std::int64_t step = 1; step < trace.steps(); ++step) {
    if (trace.first[index(step)]) outputs.push_back(step);
  }
  // At least four outputs a piece, where there are enough: the lead-in is work thrown away.
  const auto count = static_cast<std::int64_t>(outputs.size());
  const std::int64_t rounds = std::max<std::int64_t>(1, count / 4 / side_by_side);
  const std::int64_t pieces = std::clamp<std::int64_t>(count / 4, 1, rounds * side_by_side);
  Pieces result;
  for (std::int64_t p = 0; p < pieces; ++p) {
    const std::int64_t first = p * count / pieces;
    result.begin.push_back(outputs[index(first)]);
    result.lead_in.push_back(outputs[index(std::max<std::int64_t>(first - 1, 0))]);
  }
  result.begin.push_back(trace.steps());
  return result;
}

// Some pieces through one simulator.
class PieceRun {
 public:
  PieceRun(const LaneSimulator& lane, const OperandTrace& trace, const Pieces& pieces,
           std::int64_t first, int count)
      : lane_(lane),
        trace_(trace),
        pieces_(pieces),
        first_(first),
        run_(lane, count),
        deltas_(lane, count) {
    errors_.products.resize(index(lane.vec_size()));
  }

  LaneErrors run() {
    std::int64_t cycles = 0;
    for (int s = 0; s < run_.sequences(); ++s) {
      const std::int64_t piece = first_ + s;
      cycles = std::max(cycles, pieces_.begin[index(piece + 1)] - pieces_.lead_in[index(piece)]);
    }
    cycles += lane_.cycles_to(lane_.accumulator());
    for (std::int64_t cycle = 0; cycle < cycles; ++cycle) {
      set_operands(cycle);
      run_.cycle();
      for (int e = 0; e < lane_.vec_size(); ++e) collect_products(e, cycle);
      if (deltas_.follow(run_)) collect_sums(cycle);
    }
    return std::move(errors_);
  }

 private:
  void set_operands(std::int64_t cycle) {
    const auto vec = index(trace_.vec_size);
    for (int s = 0; s < run_.sequences(); ++s) {
      const std::int64_t step = pieces_.lead_in[index(first_ + s)] + cycle;
      if (step < trace_.steps()) {
        std::copy_n(trace_.activations.data() + index(step) * vec, vec, run_.activations(s));
        std::copy_n(trace_.weights.data() + index(step) * vec, vec, run_.weights(s));
        const bool first = trace_.first[index(step)] || cycle == 0;
        run_.set_first(s, first);
        deltas_.set_first(s, first);
      } else {
        std::fill_n(run_.activations(s), vec, 0);
        std::fill_n(run_.weights(s), vec, 0);
      }
    }
  }

  // The step whose number was captured in this cycle; -1 where it is not of the piece itself.
  std::int64_t step_of(int sequence, int word, std::int64_t cycle) const {
    const std::int64_t piece = first_ + sequence;
    const std::int64_t step = pieces_.lead_in[index(piece)] + cycle - lane_.cycles_to(word);
    return step >= pieces_.begin[index(piece)] && step < pieces_.begin[index(piece + 1)] ? step
                                                                                         : -1;
  }

  // Errors of registers between operands and product count as the product's.
  void collect_products(int element, std::int64_t cycle) {
    captured_.resize(index(run_.sequences()));
    run_.captured(element, captured_);
    for (int s = 0; s < run_.sequences(); ++s) {
      const std::int64_t step = step_of(s, element, cycle);
      if (step < 0) continue;
      const std::int32_t right = product(trace_, step, element);
      const std::int32_t delta = captured_[index(s)] - right;
      if (delta) errors_.products[index(element)].push_back({step, right, delta});
    }
  }

  void collect_sums(std::int64_t cycle) {
    for (int s = 0; s < run_.sequences(); ++s) {
      const std::int32_t delta = deltas_.deltas()[index(s)];
      const std::int64_t step = delta ? step_of(s, lane_.accumulator(), cycle) : -1;
      if (step < 0) continue;
      errors_.accumulator.push_back(
          {step, wrapped(std::int64_t{deltas_.captured()[index(s)]} - delta), delta});
    }
  }

  const LaneSimulator& lane_;
  const OperandTrace& trace_;
  const Pieces& pieces_;
  const std::int64_t first_;
  LaneSimulator::Run run_;
  SumDeltas deltas_;
  LaneErrors errors_;
  std::vector<std::int32_t> captured_;
};

void append(std::vector<StepError>& list, const std::vector<StepError>& more) {
  list.insert(list.end(), more.begin(), more.end());
}

// Lists of parts as one.
LaneErrors joined(const std::vector<LaneErrors>& parts) {
  LaneErrors all;
  for (const LaneErrors& part : parts) {
    all.products.resize(part.products.size());
    for (std::size_t i = 0; i < part.products.size(); ++i) {
      append(all.products[i], part.products[i]);
    }
    append(all.accumulator, part.accumulator);
  }
  return all;
}

void sort(LaneErrors& errors) {
  const auto by_step = [](std::vector<StepError>& list) {
    std::sort(list.begin(), list.end(),
              [](const StepError& a, const StepError& b) { return a.step < b.step; });
  };
  for (auto& list : errors.products) by_step(list);
  by_step(errors.accumulator);
}

void check_vec_size(const OperandTrace& trace, std::size_t vec_size) {
  if (index(trace.vec_size) == vec_size) return;
  fail("operand trace of {}: vec_size {}; expected {}, as the lane has", trace.layer,
       trace.vec_size, vec_size);
}

}  // namespace

std::int32_t sum_of_products(const OperandTrace& trace, std::int64_t step) {
  std::int32_t sum = 0;
  for (int element = 0; element < trace.vec_size; ++element) sum += product(trace, step, element);
  return sum;
}

std::uint32_t signs_of_products(const OperandTrace& trace, std::int64_t step) {
  ProductSigns signs;
  for (int element = 0; element < trace.vec_size; ++element) {
    signs.add(product(trace, step, element));
  }
  return signs.bits;
}

LaneErrors simulate_errors(const LaneSimulator& lane, const OperandTrace& trace) {
  check_vec_size(trace, index(lane.vec_size()));
  const Pieces pieces = cut(trace, lane.side_by_side());
  const std::int64_t runs = (pieces.count() + lane.side_by_side() - 1) / lane.side_by_side();
  std::vector<LaneErrors> parts(index(runs));
  Progress progress("simulating", "parts", runs);
  for (std::int64_t first = 0; first < runs; first += threads()) {
    const std::int64_t count = std::min<std::int64_t>(threads(), runs - first);
    parallel_for(count, [&](std::int64_t i) {
      const std::int64_t begin = (first + i) * lane.side_by_side();
      const std::int64_t many = std::min<std::int64_t>(lane.side_by_side(), pieces.count() - begin);
      parts[index(first + i)] = PieceRun(lane, trace, pieces, begin, static_cast<int>(many)).run();
    });
    progress.advance(count);
  }
  LaneErrors errors = joined(parts);
  sort(errors);
  return errors;
}

namespace {

// What to add to a product; 0 where it is right.
std::int32_t table_delta(const ProductTable::Clock& clock, int a_before, int b_before, int a,
                         int b) {
  if (a == a_before && b == b_before) return 0;  // nothing toggles
  const auto pair = index(ProductTable::pair(b_before, b));
  const auto operands = static_cast<std::uint16_t>(ProductTable::pair(a_before, a));
  const auto* begin = clock.exceptions.data() + clock.first[pair];
  const auto* end = clock.exceptions.data() + clock.first[pair + 1];
  const auto* found =
      std::lower_bound(begin, end, operands,
                       [](const auto& e, std::uint16_t wanted) { return e.operands < wanted; });
  if (found == end || found->operands != operands) return 0;
  return static_cast<std::int16_t>(a * b + found->delta) - a * b;
}

std::int32_t draw_delta(const SumTree::Leaf& leaf, std::int64_t step, std::uint64_t seed) {
  if (leaf.rate <= 0) return 0;
  const PhiloxBlock random =
      philox({static_cast<std::uint32_t>(RandomPurpose::kErrors), static_cast<std::uint32_t>(step),
              static_cast<std::uint32_t>(step >> 32), 0},
             philox_key(seed));
  if (uniform32(random[0]) >= leaf.rate) return 0;
  const double u = uniform32(random[1]);
  for (const auto& [delta, up_to] : leaf.deltas) {
    if (u <= up_to) return delta;
  }
  return leaf.deltas.back().first;
}

LaneErrors predict_products(const LaneModel& model, const OperandTrace& trace, std::int64_t begin,
                            std::int64_t end) {
  LaneErrors errors;
  errors.products.resize(model.products.size());
  for (std::int64_t step = begin; step < end; ++step) {
    for (int element = 0; element < trace.vec_size; ++element) {
      const std::size_t now = index(step * trace.vec_size + element);
      const std::size_t before = now - index(trace.vec_size);
      const int a = trace.activations[now], b = trace.weights[now];
      const int a_before = step ? trace.activations[before] : 0;
      const int b_before = step ? trace.weights[before] : 0;
      if (!model.negative_activations && a < 0) {
        fail("operand trace of {}: an activation of {}; the model knows 0 to 127 only", trace.layer,
             a);
      }
      const std::int32_t delta =
          table_delta(model.products[index(element)], a_before, b_before, a, b);
      if (delta) errors.products[index(element)].push_back({step, a * b, delta});
    }
  }
  return errors;
}

void predict_sums(const LaneModel& model, const OperandTrace& trace, std::uint64_t seed,
                  std::vector<StepError>& errors) {
  if (!model.sums.any()) return;
  SumState state;
  for (std::int64_t step = 0; step < trace.steps(); ++step) {
    state.step(trace.first[index(step)] || step == 0, sum_of_products(trace, step),
               signs_of_products(trace, step));
    const int leaf = model.sums.leaf(state.tests(trace.vec_size));
    const std::int32_t delta = draw_delta(model.sums.leaves()[index(leaf)], step, seed);
    if (delta == 0) continue;
    errors.push_back({step, state.after(), delta});
    state.add_error(delta);
  }
}

}  // namespace

LaneErrors predict_errors(const LaneModel& model, const OperandTrace& trace, std::uint64_t seed) {
  check_vec_size(trace, model.products.size());
  const std::int64_t count = (trace.steps() + kPart - 1) / kPart;
  std::vector<LaneErrors> parts(index(count));
  parallel_for(count, [&](std::int64_t part) {
    const std::int64_t end = std::min(trace.steps(), (part + 1) * kPart);
    parts[index(part)] = predict_products(model, trace, part * kPart, end);
  });
  LaneErrors errors = joined(parts);
  predict_sums(model, trace, seed, errors.accumulator);
  return errors;
}

std::vector<double> flip_rates(const std::vector<StepError>& errors, int bits, std::int64_t steps) {
  std::vector<double> rates(index(bits));
  for (const StepError& error : errors) {
    const auto right = static_cast<std::uint32_t>(error.right);
    const std::uint32_t flips = right ^ (right + static_cast<std::uint32_t>(error.delta));
    for (int bit = 0; bit < bits; ++bit) rates[index(bit)] += flips >> bit & 1;
  }
  for (double& rate : rates) rate /= static_cast<double>(steps);
  return rates;
}

namespace {

// Bits of one register that flip on their own; `right` gives its right value in a step.
template <typename Right>
std::vector<StepError> flip(const std::vector<double>& rates, std::int64_t steps,
                            std::uint64_t seed, int word, Right&& right) {
  struct Flip {
    std::int64_t step;
    std::uint32_t bit;
  };
  std::vector<Flip> flips;
  for (std::size_t bit = 0; bit < rates.size(); ++bit) {
    if (rates[bit] <= 0) continue;
    RandomStream random(seed, RandomPurpose::kErrors, 1 + static_cast<std::uint32_t>(word),
                        static_cast<std::uint32_t>(bit));
    const double scale = rates[bit] < 1 ? 1 / std::log1p(-rates[bit]) : 0;
    const auto gap = [&] { return std::floor(std::log(random.uniform()) * scale); };
    for (double step = gap(); step < static_cast<double>(steps); step += 1 + gap()) {
      flips.push_back({static_cast<std::int64_t>(step), std::uint32_t{1} << bit});
    }
  }
  std::sort(flips.begin(), flips.end(), [](const Flip& a, const Flip& b) {
    return a.step != b.step ? a.step < b.step : a.bit < b.bit;
  });
  std::vector<StepError> errors;
  const int unused = 32 - static_cast<int>(rates.size());
  for (std::size_t i = 0; i < flips.size();) {
    const std::int64_t step = flips[i].step;
    std::uint32_t mask = 0;
    for (; i < flips.size() && flips[i].step == step; ++i) mask |= flips[i].bit;
    const std::int32_t value = right(step);
    const std::uint32_t flipped = static_cast<std::uint32_t>(value) ^ mask;
    const std::int32_t captured = static_cast<std::int32_t>(flipped << unused) >> unused;
    errors.push_back({step, value, wrapped(std::int64_t{captured} - value)});
  }
  return errors;
}

}  // namespace

LaneErrors flip_independently(const LaneErrors& truth, const OperandTrace& trace,
                              std::uint64_t seed) {
  const std::int64_t steps = trace.steps();
  LaneErrors errors;
  for (int element = 0; element < trace.vec_size; ++element) {
    errors.products.push_back(
        flip(flip_rates(truth.products[index(element)], kProductBits, steps), steps, seed, element,
             [&](std::int64_t step) { return product(trace, step, element); }));
  }
  std::vector<std::int32_t> after;
  std::uint32_t value = 0;
  for (std::int64_t step = 0; step < steps; ++step) {
    if (trace.first[index(step)]) value = 0;
    value += static_cast<std::uint32_t>(sum_of_products(trace, step));
    after.push_back(static_cast<std::int32_t>(value));
  }
  errors.accumulator =
      flip(flip_rates(truth.accumulator, 32, steps), steps, seed, trace.vec_size + 1,
           [&](std::int64_t step) { return after[index(step)]; });
  return errors;
}

}  // namespace inure::timing
