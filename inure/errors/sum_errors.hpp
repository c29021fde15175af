#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "inure/base/random.hpp"
#include "inure/errors/error_model.hpp"
#include "inure/errors/sites.hpp"
#include "inure/errors/timing_lanes.hpp"

namespace inure {

// Errors of sums and accumulators, drawn step by step, in two parts: an output's first two steps,
// which differ much from all others, and the others. In each part every site is a candidate with
// the largest rate of its classes, and a candidate errs with its own class's rate over that. A
// strip's sites are (x * channels + channel) * steps of the part + step.
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

  // What a candidate adds: 0 where it does not err. pass: pass_key() of the error key and the part;
  // of_step: its class.
  std::int32_t delta(const PhiloxKey& pass, const ErrorKey& key, std::uint32_t strip,
                     std::int64_t site, int lane, int of_step) const;
  static PhiloxKey pass_key(const ErrorKey& key, Part part);

  // The fast path.
  void add_deltas(const ErrorKey& key, const LaneOperands& operands, std::uint32_t* sums,
                  std::int64_t stride) const;

 private:
  void add_start(const ErrorKey& key, const LaneOperands& operands, std::uint32_t* sums,
                 std::int64_t stride) const;
  void add_later(const ErrorKey& key, const LaneOperands& operands, std::uint32_t* sums,
                 std::int64_t stride) const;

  std::int32_t delta_of(std::uint32_t thinning, std::uint32_t choice, int lane, int of_step) const;

  const TimingLanes& lanes_;
  std::array<double, kParts> largest_;
  std::array<SiteSampler, kParts> candidates_;
  // By profile and the levels of a class: above this random word none of its later steps errs.
  std::vector<std::array<std::uint32_t, kNegativeLevels * kNegativeLevels>> later_bounds_;
};

}  // namespace inure
