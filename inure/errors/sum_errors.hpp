#pragma once

#include <cstdint>

#include "inure/base/random.hpp"
#include "inure/errors/error_model.hpp"
#include "inure/errors/sites.hpp"
#include "inure/errors/timing_lanes.hpp"

namespace inure {

// Errors of sums and accumulators, drawn step by step. A strip's sites are
// (x * channels + channel) * steps + step; each is a candidate with the largest rate of all
// classes, and a candidate errs with its own class's rate over that.
class SumErrors {
 public:
  explicit SumErrors(const TimingLanes& lanes);

  bool any() const { return largest_ > 0; }

  static std::int64_t sites(const LaneGeometry& g, int channels) {
    return std::int64_t{g.width} * channels * g.steps;
  }
  const SiteSampler& candidates() const { return candidates_; }

  // What a candidate adds: 0 where it does not err. pass: pass_key() of the error key; of_step: its
  // class.
  std::int32_t delta(const PhiloxKey& pass, const ErrorKey& key, std::uint32_t strip,
                     std::int64_t site, int lane, int of_step) const;
  static PhiloxKey pass_key(const ErrorKey& key);

  // The fast path.
  void add_deltas(const ErrorKey& key, const LaneOperands& operands, std::uint32_t* sums,
                  std::int64_t stride) const;

 private:
  const TimingLanes& lanes_;
  double largest_;
  SiteSampler candidates_;
};

}  // namespace inure
