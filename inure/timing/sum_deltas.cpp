#include "inure/timing/sum_deltas.hpp"

#include <algorithm>

#include "inure/base/error.hpp"

namespace inure::timing {

SumDeltas::SumDeltas(const LaneSimulator& lane, int sequences, bool lasting)
    : lane_(lane),
      settled_(lasting && !lane.keeps_state()),
      deltas_(at(sequences)),
      captured_(at(sequences)),
      held_(at(sequences)) {
  if (lane.cycles_to(lane.accumulator()) >= kHistory) {
    fail("lane: {} register stages between operands and result; expected less than {}",
         lane.cycles_to(lane.accumulator()), kHistory);
  }
  for (Step& step : steps_) {
    step.first.resize(at(sequences));
    step.products.resize(at(sequences));
  }
}

bool SumDeltas::follow(const LaneSimulator::Run& run) {
  for (int e = 0; e < lane_.vec_size(); ++e) {
    const std::int64_t behind = cycle_ - lane_.cycles_to(e);
    if (behind < 0) continue;
    run.captured(lane_.product(e), captured_);
    auto& products = step(behind).products;
    for (std::size_t s = 0; s < products.size(); ++s) {
      products[s] += static_cast<std::uint32_t>(captured_[s]);
    }
  }
  const std::int64_t behind = cycle_ - lane_.cycles_to(lane_.accumulator());
  ++cycle_;
  if (behind >= 0) {
    const Step& done = step(behind);
    if (settled_) {
      run.settled(lane_.accumulator(), captured_);
    } else {
      run.captured(lane_.accumulator(), captured_);
      run.held(lane_.accumulator(), held_);
    }
    for (std::size_t s = 0; s < deltas_.size(); ++s) {
      const std::uint32_t before = done.first[s] ? 0 : static_cast<std::uint32_t>(held_[s]);
      deltas_[s] = static_cast<std::int32_t>(static_cast<std::uint32_t>(captured_[s]) - before -
                                             done.products[s]);
    }
    if (settled_) held_ = captured_;
  }
  // Of the next cycle's step: what its place held was of a step long done.
  std::fill(step(cycle_).products.begin(), step(cycle_).products.end(), 0);
  return behind >= 0;
}

}  // namespace inure::timing
