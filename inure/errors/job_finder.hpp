#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "inure/errors/activation_planes.hpp"
#include "inure/errors/job_errors.hpp"
#include "inure/errors/tap_jobs.hpp"
#include "inure/errors/timing_lanes.hpp"
#include "inure/errors/weight_uses.hpp"

namespace inure {

// Finds the wrong products of a block of jobs (tap_jobs.hpp). One for each thread.
class JobFinder {
 public:
  // Of a multiplier. uses: of the jobs, for each kind of lane; errors: what was found, and where
  // it is in the batch.
  void run(const TimingLanes& lanes, const ActivationPlanes& planes, int images, int multiplier,
           const std::vector<TapJob>& jobs, const std::vector<WeightUses>& uses, JobErrors& errors);

 private:
  // Of candidates, errors, or both: where those of a pair of activations end.
  using Key = JobErrors::Key;
  using JobSet = WeightUses::JobSet;
  using Span = WeightUses::Span;

  void mark_pairs(const ActivationPlanes& planes, int images, const std::vector<TapJob>& jobs);
  JobSet jobs_of(std::uint16_t key) const;
  void find_candidates(const ExceptionSet& set, unsigned activations, std::uint16_t key,
                       const WeightUses& uses);
  void find_errors(const ActivationPlanes& planes, const WeightUses& uses, JobErrors& errors);
  void deliver(JobErrors& errors);

  std::vector<std::uint8_t> marks_;  // by key: of one job
  std::size_t bytes_ = 0, stride_ = 0;
  std::vector<std::uint8_t> jobs_of_;            // [bytes_][stride_], by key: which jobs have it
  std::vector<std::uint8_t> any_job_;            // by key: not 0 if any has
  std::vector<std::uint16_t> marked_;            // keys that some job has
  std::vector<ExceptionSet::Patch> candidates_;  // of weights that are used
  std::vector<Span> spans_;                      // of the candidates
  std::size_t candidate_count_ = 0;
  std::vector<Key> candidate_keys_;
  std::vector<std::uint32_t> error_entries_;
  std::vector<std::uint8_t> error_jobs_;
  std::size_t error_count_ = 0;
  std::vector<Key> error_keys_;
};

}  // namespace inure
