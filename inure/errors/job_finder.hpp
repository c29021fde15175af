#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "inure/errors/activation_planes.hpp"
#include "inure/errors/exception_set.hpp"
#include "inure/errors/job_errors.hpp"
#include "inure/errors/tap_jobs.hpp"
#include "inure/errors/timing_lanes.hpp"
#include "inure/errors/weight_uses.hpp"

namespace inure {

// Finds the wrong products of a block of jobs (tap_jobs.hpp). One for each thread.
class JobFinder {
 public:
  // A patch of exceptions (exception_set.hpp) with a weight that some job of the block uses.
  struct Candidate {
    std::uint64_t mask;
    std::uint32_t delta;   // << OutputRange::kBits
    std::uint32_t number;  // of its place (WeightUses)
  };

  // Of a multiplier. uses: of the jobs, for each kind of lane; errors: what was found, and where
  // it is in the batch.
  void run(const TimingLanes& lanes, const ActivationPlanes& planes, int images, int multiplier,
           const std::vector<TapJob>& jobs, const std::vector<WeightUses>& uses, JobErrors& errors);

 private:
  struct Kind {  // of lane
    const ExceptionSet* set;
    const WeightUses* uses;
    std::vector<Candidate> candidates;  // the first `count`
    std::size_t count = 0;
    struct Span {
      std::uint32_t first, count;
    };
    std::vector<Span> spans;  // by key, where known_: of its candidates

    ExceptionSet::List list(const ActivationPlanes& planes, unsigned key) const {
      return set->of_activations(planes.activations(key), uses->largest());
    }
    std::span<const Candidate> of(std::uint32_t key) const {
      return {candidates.data() + spans[key].first, spans[key].count};
    }
  };

  void begin(const TimingLanes& lanes, const ActivationPlanes& planes, int multiplier,
             const std::vector<WeightUses>& uses);
  void find_keys(const ActivationPlanes& planes, int images, const TapJob& job);
  void find_candidates(const ActivationPlanes& planes);

  std::vector<Kind> kinds_;
  // By key: whether any kind has exceptions, or candidates where these are known.
  std::vector<std::uint8_t> listed_, known_;
  // Of one job.
  std::vector<JobErrors::At> at_;  // positions whose key is listed; the first at_count_
  std::size_t at_count_ = 0;
  std::vector<std::uint32_t> keys_;  // theirs, each once; the first key_count_
  std::size_t key_count_ = 0;
  std::vector<std::uint32_t> unknown_;   // of these, whose candidates are not known
  std::vector<std::uint32_t> segments_;  // by key: of the errors, or 0
  std::vector<std::uint8_t> seen_;       // by key
};

}  // namespace inure
