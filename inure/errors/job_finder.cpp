#include "inure/errors/job_finder.hpp"

#include <algorithm>
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

#include "inure/base/clones.hpp"
#include "inure/base/processor.hpp"

// A wrong product needs a pair of activations that meets a pair of weights. In each job (all taps
// of an input channel with the same step before, tap_jobs.hpp) a pair of activations meets the
// weights of all taps and output channels. So, job by job:
//   1. the positions of the batch whose pair of activations has exceptions, and these pairs;
//   2. each pair goes through its patches of exceptions (exception_set.hpp). The job's weights lie
//      by place (WeightUses), in the first cache: what a patch meets is next to each other, sixteen
//      uses looked at by one vector. Patches of weights that no job has are left out beforehand;
//   3. at every position the errors of its pair are added to the outputs around it (JobErrors).
// Lookups grow with the positions, and the rest with the number of errors. Where exceptions are
// nowhere alike, so that each is a patch, most of these meet no weight of a job, and cost more than
// the errors do.
namespace inure {
namespace {

using Candidate = JobFinder::Candidate;

constexpr std::size_t kAhead = 6;  // lists that are fetched ahead

// The first lines of a list; the processor sees what follows.
void prefetch(const ExceptionSet::List& list) {
  constexpr std::size_t kLine = 64 / sizeof(ExceptionSet::Patch), kLines = 4;
  const std::size_t end = std::min(list.size, kLines * kLine);
  for (std::size_t i = 0; i < end; i += kLine) __builtin_prefetch(&list.patches[i]);
}

// Those of the used weights. Writes behind the end, and without branches, which would be guessed
// wrong.
INURE_CLONES
std::size_t find_used(const ExceptionSet::List& list, unsigned activations,
                      const std::uint64_t* used, const std::uint16_t* numbers, Candidate* to) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < list.size; ++i) {
    const ExceptionSet::Patch& patch = list.patches[i];
    const std::int32_t delta =
        ExceptionSet::signed_delta(activations, ExceptionSet::weight_now(patch.place), patch.delta);
    to[count] = {patch.mask(), static_cast<std::uint32_t>(delta) << OutputRange::kBits,
                 numbers[patch.place]};
    count += (used[patch.place] & patch.mask()) != 0;
  }
  return count;
}

// Candidates of one pair of activations in one job. `entries` has room for all the job's uses, and
// for WeightUses::kReadBehind more.
struct Meeting {
  std::span<const Candidate> candidates;
  WeightUses::Job job;
  std::uint32_t* entries;
};

// The uses that err; returns how many. The plain way.
std::size_t meet_plain(const Meeting& m) {
  std::size_t found = 0;
  for (const Candidate& c : m.candidates) {
    for (std::uint32_t i = m.job.first[c.number]; i < m.job.first[c.number + 1]; ++i) {
      m.entries[found] = c.delta | (m.job.uses[i] & OutputRange::kOutput);
      found += c.mask >> (m.job.uses[i] >> WeightUses::kLower) & 1;
    }
  }
  return found;
}

#if defined(__x86_64__) && defined(__GNUC__)
#pragma GCC diagnostic push  // GCC 12 finds its own header's undefined values (its bug 105593)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
// Sixteen uses at a time: a permutation looks up the half of the mask that a use's weight before is
// in (of whose number it takes as many bits as it has words), a rotation (modulo 32) the bit.
[[gnu::target("avx512f,avx512vl,popcnt")]] std::size_t meet_avx512(const Meeting& meeting) {
  static_assert(WeightUses::kReadBehind >= 16);
  const WeightUses::Job job = meeting.job;
  std::uint32_t* const entries = meeting.entries;
  const __m512i one = _mm512_set1_epi32(1), output = _mm512_set1_epi32(OutputRange::kOutput);
  std::size_t found = 0;
  for (const Candidate& c : meeting.candidates) {
    if ((job.used[c.number] & c.mask) == 0) continue;
    const __m512i delta = _mm512_set1_epi32(static_cast<int>(c.delta));
    const __m512i mask = _mm512_set1_epi64(static_cast<std::int64_t>(c.mask));
    const std::uint32_t end = job.first[c.number + 1];
    for (std::uint32_t i = job.first[c.number]; i < end; i += 16) {
      const __m512i use = _mm512_loadu_si512(job.uses + i);
      const __m512i lower = _mm512_srli_epi32(use, WeightUses::kLower);
      const __m512i weights = _mm512_permutexvar_epi32(_mm512_srli_epi32(lower, 5), mask);
      const unsigned valid = end - i < 16 ? (1u << (end - i)) - 1 : 0xFFFF;
      const __mmask16 errs = _mm512_mask_test_epi32_mask(static_cast<__mmask16>(valid),
                                                         _mm512_rorv_epi32(weights, lower), one);
      const __m512i met = _mm512_maskz_compress_epi32(errs, use);
      // delta | (met & output)
      _mm512_storeu_si512(entries + found, _mm512_ternarylogic_epi32(delta, met, output, 0xF8));
      found += static_cast<std::size_t>(__builtin_popcount(errs));
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

void JobFinder::begin(const TimingLanes& lanes, const ActivationPlanes& planes, int multiplier,
                      const std::vector<WeightUses>& uses) {
  const std::size_t keys = planes.keys();
  listed_.assign(keys, 0);
  known_.assign(keys, 0);
  seen_.assign(keys, 0);
  segments_.assign(keys, 0);
  kinds_.resize(uses.size());
  for (std::size_t i = 0; i < uses.size(); ++i) {
    Kind& kind = kinds_[i];
    kind.set = lanes.lanes[i].products[static_cast<std::size_t>(multiplier)].get();
    kind.uses = &uses[i];
    kind.spans.resize(keys);
    kind.count = 0;
    for (unsigned key = 0; key < keys; ++key) listed_[key] |= kind.list(planes, key).size > 0;
  }
}

// Without branches, for those on activations are often guessed wrong.
void JobFinder::find_keys(const ActivationPlanes& planes, int images, const TapJob& job) {
  const auto positions = static_cast<std::size_t>(planes.positions());
  const int columns = planes.columns();
  at_.resize(static_cast<std::size_t>(images) * positions + 1);
  std::size_t count = 0;
  ActivationPlanes::Pairs pairs(planes, job);
  for (int n = 0; n < images; ++n) {
    auto position = static_cast<std::uint32_t>(static_cast<std::size_t>(n) * positions);
    for (const std::uint32_t key : pairs.of_image(n)) {
      at_[count] = {position++, key};
      count += listed_[key];
    }
  }
  if (listed_[0] != 0) {  // perhaps only for want of a step before
    const auto none_before = [&](const JobErrors::At& at) {
      const auto in_image = static_cast<int>(at.position % positions);
      return at.key == 0 && !job.has_before(in_image / columns, in_image % columns);
    };
    JobErrors::At* const at = at_.data();
    count = static_cast<std::size_t>(std::remove_if(at, at + count, none_before) - at);
  }
  at_count_ = count;
  keys_.resize(planes.keys() + 1);
  count = 0;
  for (std::size_t i = 0; i < at_count_; ++i) {
    const std::uint32_t key = at_[i].key;
    keys_[count] = key;
    count += seen_[key] ^ 1;
    seen_[key] = 1;
  }
  key_count_ = count;
  for (std::size_t i = 0; i < key_count_; ++i) seen_[keys_[i]] = 0;
}

// The candidates of all the job's keys. Keys without any are listed no more.
void JobFinder::find_candidates(const ActivationPlanes& planes) {
  unknown_.resize(key_count_ + 1);
  std::size_t unknown = 0;
  for (std::size_t i = 0; i < key_count_; ++i) {
    unknown_[unknown] = keys_[i];
    unknown += known_[keys_[i]] ^ 1;
  }
  for (std::size_t i = 0; i < unknown; ++i) {
    const std::uint32_t key = unknown_[i];
    known_[key] = 1;
    listed_[key] = 0;
    for (Kind& kind : kinds_) {
      if (i + kAhead < unknown) prefetch(kind.list(planes, unknown_[i + kAhead]));
      const ExceptionSet::List list = kind.list(planes, key);
      const std::size_t room = kind.count + list.size + 1;
      if (kind.candidates.size() < room) kind.candidates.resize(2 * room);
      const std::size_t count =
          find_used(list, planes.activations(key), kind.uses->used(), kind.uses->numbers(),
                    kind.candidates.data() + kind.count);
      kind.spans[key] = {static_cast<std::uint32_t>(kind.count), static_cast<std::uint32_t>(count)};
      kind.count += count;
      listed_[key] |= count > 0;
    }
  }
}

void JobFinder::run(const TimingLanes& lanes, const ActivationPlanes& planes, int images,
                    int multiplier, const std::vector<TapJob>& jobs,
                    const std::vector<WeightUses>& uses, JobErrors& errors) {
  errors.reset(images, planes.positions());
  begin(lanes, planes, multiplier, uses);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    std::size_t most = 0;  // errors of a key, each use at most once
    for (const WeightUses& of_kind : uses) {
      most += of_kind.job(i).count + WeightUses::kReadBehind;
      if (i + 1 < jobs.size()) of_kind.prefetch(i + 1);
    }
    find_keys(planes, images, jobs[i]);
    find_candidates(planes);
    for (std::size_t k = 0; k < key_count_; ++k) {
      std::uint32_t* const room = errors.room(most);
      std::size_t found = 0;
      for (const Kind& kind : kinds_) {
        if (k + kAhead < key_count_) __builtin_prefetch(kind.of(keys_[k + kAhead]).data());
        found += meet({kind.of(keys_[k]), kind.uses->job(i), room + found});
      }
      segments_[keys_[k]] = found > 0 ? errors.add(found) : 0;
    }
    errors.add_hits({at_.data(), at_count_}, segments_.data());
  }
  errors.sort_hits();
}

}  // namespace inure
