#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "inure/errors/error_model.hpp"
#include "inure/errors/sites.hpp"
#include "inure/errors/timing_lanes.hpp"

namespace inure {

// Errors of sums and accumulators, drawn step by step, in two parts: an output's first two steps,
// which differ much from all others, and the others. A strip's sites in a part are (x * channels +
// channel) * steps of the part + step. Each site is a candidate with the largest rate of the part's
// classes. A candidate has one random word, by its number among the strip's: it errs where the word
// is below its class's rate over the largest, and the word, uniform up to there, says with which of
// the class's deltas. (Rates are so rounded to the 2^32nd part of the largest.)
class SumErrors {
 public:
  enum Part { kStart, kLater };
  static constexpr int kParts = 2, kStartSteps = kSumPhases - 1;

  explicit SumErrors(const TimingLanes& lanes);

  bool any() const { return largest_[kStart] > 0 || largest_[kLater] > 0; }

  static Part part(int step) { return step < kStartSteps ? kStart : kLater; }
  static int first_step(Part part) { return part == kStart ? 0 : kStartSteps; }
  static int steps(const LaneGeometry& g, Part part) {
    const int start = g.steps < kStartSteps ? g.steps : kStartSteps;
    return part == kStart ? start : g.steps - start;
  }
  static std::int64_t sites(const LaneGeometry& g, int channels, Part part) {
    return std::int64_t{g.width} * channels * steps(g, part);
  }
  static std::int64_t site(const LaneGeometry& g, int channels, int x, int channel, int step) {
    const Part of = part(step);
    return (std::int64_t{x} * channels + channel) * steps(g, of) + step - first_step(of);
  }
  const SiteSampler& candidates(Part part) const { return candidates_[part]; }
  // The word of the strip's candidate number k.
  static std::uint32_t word(const ErrorKey& key, Part part, std::uint32_t strip, std::size_t k);

  // What a candidate adds: 0 where it does not err. of_step: its class.
  std::int32_t delta(std::uint32_t word, int lane, int of_step) const;

  // The fast path.
  void add_deltas(const ErrorKey& key, const LaneOperands& operands, std::uint32_t* sums,
                  std::int64_t stride) const;

 private:
  struct Lane {
    // By class: ascending, a candidate with a word below `first` adds `second`.
    std::vector<std::vector<std::pair<std::uint32_t, std::int32_t>>> deltas;
    std::vector<std::uint32_t> erring;  // by class: words below this one err
    // The largest of those of the classes that a step may have of which all is known but the
    // accumulator. By phase, signs and whether the sum is negative.
    std::array<std::uint32_t, kSumClasses / kSumChains * 2> may_err;
  };
  struct Strip;

  static Lane make_lane(const std::vector<SumClass>& sums,
                        const std::array<double, kParts>& largest);
  const Lane& lane(int number) const {
    return lanes_[static_cast<std::size_t>(number) % lanes_.size()];
  }
  void add_part(const ErrorKey& key, const LaneOperands& operands, Part part, std::uint32_t* sums,
                std::int64_t stride) const;

  std::array<double, kParts> largest_;
  std::array<SiteSampler, kParts> candidates_;
  std::vector<Lane> lanes_;
};

}  // namespace inure
