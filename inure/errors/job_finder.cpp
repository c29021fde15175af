#include "inure/errors/job_finder.hpp"

#include <algorithm>
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

#include "inure/base/clones.hpp"
#include "inure/base/processor.hpp"

// A wrong product needs a pair of activations that meets a pair of weights. In each job (all taps
// of an input channel with the same step before, tap_jobs.hpp) a pair of activations meets the
// weights of all taps and output channels. So for up to 256 jobs of a multiplier at a time
//   1. for each pair of activations, which jobs have it: a set of bits;
//   2. for each pair of weights, its uses: job and output, by job; pairs that may be in one patch
//   of
//      exceptions (exception_set.hpp) lie side by side (WeightUses);
//   3. each pair of activations goes through its patches; of the uses of a patch's weights, those
//   in
//      a job of the set are errors, sixteen uses looked at by one vector;
//   4. errors are sorted by job, where those of a pair of activations then lie together, and at
//      every position of every image all jobs' are added to the outputs around it (JobErrors).
// Lookups grow with the positions, patches are gone through once for 256 jobs, and the rest
// grows with the number of errors.
namespace inure {
namespace {

using JobSet = WeightUses::JobSet;
using Span = WeightUses::Span;

void mark(std::span<const std::uint16_t> keys, std::uint8_t* marks) {
  for (const std::uint16_t key : keys) marks[key] = 0xFF;
}

// Of the marks of one job, a byte each, the job's bit. `first`: of those that share the bytes.
INURE_CLONES
void take_marks(std::uint8_t* marks, std::size_t keys, std::uint8_t bit, bool first,
                std::uint8_t* jobs) {
  const std::uint8_t keep = first ? 0 : 0xFF;
  for (std::size_t key = 0; key < keys; ++key) {
    jobs[key] = static_cast<std::uint8_t>((jobs[key] & keep) | (marks[key] & bit));
    marks[key] = 0;
  }
}

INURE_CLONES
void join_sets(const std::uint8_t* jobs, std::size_t keys, std::uint8_t* any) {
  for (std::size_t key = 0; key < keys; ++key) any[key] |= jobs[key];
}

// Writes behind the end, and without branches, which would be guessed wrong.
INURE_CLONES
std::size_t find_used(const ExceptionSet::List& list, const std::uint64_t* used,
                      ExceptionSet::Patch* to) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < list.size; ++i) {
    to[count] = list.patches[i];
    count += (used[list.patches[i].place] & list.patches[i].mask()) != 0;
  }
  return count;
}

// The first lines of a list; the processor sees what follows.
void prefetch(const ExceptionSet::List& list) {
  constexpr std::size_t kLine = 64 / sizeof(ExceptionSet::Patch), kLines = 4;
  const std::size_t end = std::min(list.size, kLines * kLine);
  for (std::size_t i = 0; i < end; i += kLine) __builtin_prefetch(&list.patches[i]);
}

// Returns how many uses.
INURE_CLONES
std::size_t find_spans(const WeightUses& uses, const ExceptionSet::Patch* candidates,
                       std::size_t count, Span* spans) {
  std::size_t total = 0;
  for (std::size_t i = 0; i < count; ++i) {
    spans[i] = uses.span(candidates[i].place, candidates[i].mask());
    total += spans[i].end - spans[i].first;
  }
  return total;
}

// Candidates of one pair of activations. `entries` and `jobs` have room for all uses, and for
// WeightUses::kReadBehind more; so many spans more may be read, too.
struct Meeting {
  const std::uint32_t* uses;
  const ExceptionSet::Patch* candidates;
  const Span* spans;
  std::size_t count;
  unsigned activations;
  const JobSet& has;  // the activations
  std::uint32_t* entries;
  std::uint8_t* jobs;

  std::uint32_t delta(std::size_t i) const {
    const unsigned weight = ExceptionSet::weight_now(candidates[i].place);
    const auto delta = ExceptionSet::signed_delta(activations, weight, candidates[i].delta);
    return static_cast<std::uint32_t>(delta) << OutputRange::kBits;
  }
};

// The uses by jobs that have the activations; returns how many. The plain way.
std::size_t meet_plain(const Meeting& m) {
  std::size_t found = 0;
  for (std::size_t n = 0; n < m.count; ++n) {
    const std::uint32_t delta = m.delta(n);
    const std::uint64_t mask = m.candidates[n].mask();
    for (std::uint32_t i = m.spans[n].first; i < m.spans[n].end; ++i) {
      const auto job = static_cast<std::uint8_t>(m.uses[i] >> WeightUses::kJob);
      m.entries[found] = delta | (m.uses[i] & OutputRange::kOutput);
      m.jobs[found] = job;
      found += (m.has[job / 32] >> job % 32 & 1) & (mask >> (m.uses[i] >> WeightUses::kLower) & 1);
    }
  }
  return found;
}

#if defined(__x86_64__) && defined(__GNUC__)
#pragma GCC diagnostic push  // GCC 12 finds its own header's undefined values (its bug 105593)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
// Sixteen uses at a time: permutations look up the words of their jobs and of their weights before
// (of whose numbers they take as many bits as the set and the mask have words), rotations (modulo
// 32) the bits.
[[gnu::target("avx512f,avx512vl,popcnt")]] std::size_t meet_avx512(const Meeting& meeting) {
  static_assert(WeightUses::kReadBehind >= 16 && sizeof(JobSet) == 32);
  const Meeting m = meeting;
  const __m512i one = _mm512_set1_epi32(1), output = _mm512_set1_epi32(OutputRange::kOutput);
  const __m512i set =
      _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(m.has.data())));
  constexpr std::size_t kAhead = 12;
  static_assert(kAhead <= WeightUses::kReadBehind);
  std::size_t found = 0;
  for (std::size_t n = 0; n < m.count; ++n) {
    __builtin_prefetch(m.uses + m.spans[n + kAhead].first);
    __builtin_prefetch(m.uses + m.spans[n + kAhead].end);
    const __m512i delta = _mm512_set1_epi32(static_cast<int>(m.delta(n)));
    const __m512i mask = _mm512_set1_epi64(static_cast<std::int64_t>(m.candidates[n].mask()));
    const std::uint32_t end = m.spans[n].end;
    for (std::uint32_t i = m.spans[n].first; i < end; i += 16) {
      const __m512i use = _mm512_loadu_si512(m.uses + i);
      const __m512i job = _mm512_srli_epi32(use, WeightUses::kJob);
      const __m512i lower = _mm512_srli_epi32(use, WeightUses::kLower);
      const __m512i jobs = _mm512_permutexvar_epi32(_mm512_srli_epi32(job, 5), set);
      const __m512i weights = _mm512_permutexvar_epi32(_mm512_srli_epi32(lower, 5), mask);
      const __m512i both =
          _mm512_and_si512(_mm512_rorv_epi32(jobs, job), _mm512_rorv_epi32(weights, lower));
      const unsigned valid = end - i < 16 ? (1u << (end - i)) - 1 : 0xFFFF;
      const __mmask16 has = _mm512_mask_test_epi32_mask(static_cast<__mmask16>(valid), both, one);
      const __m512i met = _mm512_maskz_compress_epi32(has, use);
      // delta | (met & output)
      _mm512_storeu_si512(m.entries + found, _mm512_ternarylogic_epi32(delta, met, output, 0xF8));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(m.jobs + found),
                       _mm512_cvtepi32_epi8(_mm512_srli_epi32(met, WeightUses::kJob)));
      found += static_cast<std::size_t>(__builtin_popcount(has));
    }
  }
  return found;
}
#pragma GCC diagnostic pop
const bool kHasAvx512 = vector_kernels_allowed() && __builtin_cpu_supports("avx512f") &&
                        __builtin_cpu_supports("avx512vl");
#endif

std::size_t meet(const Meeting& m) {
#if defined(__x86_64__) && defined(__GNUC__)
  if (kHasAvx512) return meet_avx512(m);
#endif
  return meet_plain(m);
}

}  // namespace

void JobFinder::mark_pairs(const ActivationPlanes& planes, int images,
                           const std::vector<TapJob>& jobs) {
  const std::size_t keys = planes.keys();
  stride_ = keys + 64;  // or the bytes of a key would meet in one set of the cache
  bytes_ = (jobs.size() + 7) / 8;
  marks_.resize(ProductTable::kPairs);
  jobs_of_.resize(bytes_ * stride_);
  any_job_.assign(keys, 0);
  for (std::size_t job = 0; job < jobs.size(); ++job) {
    ActivationPlanes::Pairs pairs(planes, jobs[job]);
    for (int n = 0; n < images; ++n) mark(pairs.of_image(n), marks_.data());
    std::uint8_t* const bytes = jobs_of_.data() + job / 8 * stride_;
    take_marks(marks_.data(), keys, static_cast<std::uint8_t>(1 << job % 8), job % 8 == 0, bytes);
    if (job % 8 == 7 || job + 1 == jobs.size()) join_sets(bytes, keys, any_job_.data());
  }
  marked_.clear();
  for (std::size_t key = 0; key < keys; ++key) {
    if (any_job_[key] != 0) marked_.push_back(static_cast<std::uint16_t>(key));
  }
}

JobFinder::JobSet JobFinder::jobs_of(std::uint16_t key) const {
  JobSet set = {};
  for (std::size_t i = 0; i < bytes_; ++i) {
    set[i / 4] |= std::uint32_t{jobs_of_[i * stride_ + key]} << i % 4 * 8;
  }
  return set;
}

void JobFinder::find_candidates(const ExceptionSet& set, unsigned activations, std::uint16_t key,
                                const WeightUses& uses) {
  const ExceptionSet::List list = set.of_activations(activations, uses.largest());
  if (list.size == 0) return;
  if (candidates_.size() <= candidate_count_ + list.size) {
    candidates_.resize(2 * (candidate_count_ + list.size + 1));
  }
  candidate_count_ += find_used(list, uses.used(), candidates_.data() + candidate_count_);
  candidate_keys_.push_back({key, static_cast<std::uint32_t>(candidate_count_)});
}

void JobFinder::find_errors(const ActivationPlanes& planes, const WeightUses& uses,
                            JobErrors& errors) {
  constexpr std::size_t kEnough = 4096;
  if (spans_.size() < candidate_count_ + WeightUses::kReadBehind) {
    spans_.resize(2 * (candidate_count_ + WeightUses::kReadBehind));
  }
  const std::size_t most = find_spans(uses, candidates_.data(), candidate_count_, spans_.data());
  const std::size_t room = error_count_ + most + WeightUses::kReadBehind;
  if (error_entries_.size() < room) error_entries_.resize(2 * room), error_jobs_.resize(2 * room);
  std::size_t first = 0;
  for (const Key& key : candidate_keys_) {
    const JobSet set = jobs_of(key.key);
    error_count_ += meet({uses.uses(), candidates_.data() + first, spans_.data() + first,
                          key.end - first, planes.activations(key.key), set,
                          error_entries_.data() + error_count_, error_jobs_.data() + error_count_});
    first = key.end;
    error_keys_.push_back({key.key, static_cast<std::uint32_t>(error_count_)});
  }
  candidate_count_ = 0;
  candidate_keys_.clear();
  if (error_count_ >= kEnough) deliver(errors);
}

void JobFinder::deliver(JobErrors& errors) {
  errors.add(error_keys_, {error_entries_.data(), error_jobs_.data(), error_count_});
  error_count_ = 0;
  error_keys_.clear();
}

void JobFinder::run(const TimingLanes& lanes, const ActivationPlanes& planes, int images,
                    int multiplier, const std::vector<TapJob>& jobs,
                    const std::vector<WeightUses>& uses, JobErrors& errors) {
  constexpr std::size_t kAhead = 4;      // lists that are fetched ahead
  constexpr std::size_t kEnough = 1024;  // candidates at a time, so that misses overlap
  mark_pairs(planes, images, jobs);
  errors.reset(jobs.size());
  for (std::size_t kind = 0; kind < uses.size(); ++kind) {
    const ExceptionSet& set = *lanes.lanes[kind].products[static_cast<std::size_t>(multiplier)];
    if (set.size() == 0) continue;
    for (std::size_t i = 0; i < marked_.size(); ++i) {
      if (i + kAhead < marked_.size()) {
        prefetch(set.of_activations(planes.activations(marked_[i + kAhead]), uses[kind].largest()));
      }
      find_candidates(set, planes.activations(marked_[i]), marked_[i], uses[kind]);
      if (candidate_count_ >= kEnough) find_errors(planes, uses[kind], errors);
    }
    find_errors(planes, uses[kind], errors);
    deliver(errors);
  }
  errors.find_hits(planes, jobs, images);
}

}  // namespace inure
