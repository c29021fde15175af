#include "inure/errors/product_errors.hpp"

#include <algorithm>
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

#include "inure/base/clones.hpp"
#include "inure/base/parallel.hpp"
#include "inure/errors/activation_planes.hpp"
#include "inure/errors/job_errors.hpp"
#include "inure/errors/vector_product_errors.hpp"

// A wrong product needs a pair of activations that meets a pair of weights. In each job (all taps
// of an input channel with the same step before, tap_jobs.hpp) a pair of activations meets the
// weights of all taps and output channels. So for up to 256 jobs of a multiplier at a time
//   1. for each pair of activations, which jobs have it: a set of bits;
//   2. for each pair of weights, its uses: job and output, by job (WeightUses);
//   3. each pair of activations goes through its exceptions; of the uses of each one's weights,
//      those in a job of the set are errors, sixteen uses looked at by one vector;
//   4. errors are sorted by job, where those of a pair of activations then lie together, and at
//      every position of every image all jobs' are added to the outputs around it (JobErrors).
// Lookups grow with the positions, exceptions are gone through once for 256 jobs, and the rest
// grows with the number of errors.
namespace inure {
namespace {

using JobSet = WeightUses::JobSet;

// The uses of weights that an exception is of.
struct Span {
  std::uint32_t first, end;
};

// Finds the errors of a block of jobs.
class Finder {
 public:
  void run(const TimingLanes& lanes, const ActivationPlanes& planes, int images, int multiplier,
           const std::vector<TapJob>& jobs, const std::vector<WeightUses>& uses, JobErrors& errors);

 private:
  // Of candidates, errors, or both: where those of a pair of activations end.
  using Key = JobErrors::Key;

  void mark_pairs(const ActivationPlanes& planes, const std::vector<TapJob>& jobs);
  void find_candidates(const ExceptionSet& set, unsigned activations, std::uint16_t key,
                       const WeightUses& uses);
  void find_errors(const ActivationPlanes& planes, const WeightUses& uses, JobErrors& errors);
  void deliver(JobErrors& errors);

  std::vector<std::uint16_t> keys_;
  std::vector<std::uint8_t> seen_;  // by key
  std::vector<JobSet> jobs_of_;     // by key
  std::vector<std::uint16_t> distinct_;
  std::vector<ExceptionSet::Exception> candidates_;  // of weights that are used
  std::vector<Span> spans_;
  std::size_t candidate_count_ = 0;
  std::vector<Key> candidate_keys_;
  std::vector<std::uint32_t> error_entries_;
  std::vector<std::uint8_t> error_jobs_;
  std::size_t error_count_ = 0;
  std::vector<Key> error_keys_;
};

// Returns how many. seen: by key, all zeros before.
std::size_t find_distinct(const std::uint16_t* keys, std::size_t size, std::uint8_t* seen,
                          std::uint16_t* distinct) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const std::uint16_t key = keys[i];
    distinct[count] = key;
    count += seen[key] == 0;
    seen[key] = 1;
  }
  return count;
}

void Finder::mark_pairs(const ActivationPlanes& planes, const std::vector<TapJob>& jobs) {
  seen_.resize(ProductTable::kPairs);
  jobs_of_.assign(ProductTable::kPairs, {});
  for (std::size_t job = 0; job < jobs.size(); ++job) {
    planes.pairs(jobs[job], keys_);
    distinct_.resize(keys_.size() + 1);
    const std::size_t count =
        find_distinct(keys_.data(), keys_.size(), seen_.data(), distinct_.data());
    for (std::size_t i = 0; i < count; ++i) {
      seen_[distinct_[i]] = 0;
      jobs_of_[distinct_[i]][job / 32] |= 1u << job % 32;
    }
  }
}

// These write behind the end, and without branches, which would be guessed wrong.
INURE_CLONES
std::size_t find_used(const ExceptionSet::Exception* list, std::size_t size,
                      const std::uint64_t* used, ExceptionSet::Exception* to) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const std::uint32_t weights = list[i].weights;
    to[count] = list[i];
    count += used[weights / 64] >> weights % 64 & 1;
  }
  return count;
}

// Returns how many uses.
INURE_CLONES
std::size_t find_spans(const WeightUses& uses, const ExceptionSet::Exception* candidates,
                       std::size_t count, Span* spans) {
  std::size_t total = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const unsigned number = uses.number(candidates[i].weights);
    spans[i] = {uses.firsts()[number], uses.firsts()[number + 1]};
    total += spans[i].end - spans[i].first;
  }
  return total;
}

// Candidates of one pair of activations. `entries` and `jobs` have room for all uses, and for
// WeightUses::kReadBehind more; so many spans more may be read, too.
struct Meeting {
  const std::uint32_t* uses;
  const ExceptionSet::Exception* candidates;
  const Span* spans;
  std::size_t count;
  unsigned activations;
  const JobSet& has;  // the activations
  std::uint32_t* entries;
  std::uint8_t* jobs;

  std::uint32_t delta(std::size_t i) const {
    const auto [weights, delta] = candidates[i];
    return static_cast<std::uint32_t>(ExceptionSet::signed_delta(activations, weights, delta))
           << OutputRange::kBits;
  }
};

// The uses by jobs that have the activations; returns how many. The plain way.
std::size_t meet_plain(const Meeting& m) {
  std::size_t found = 0;
  for (std::size_t n = 0; n < m.count; ++n) {
    const std::uint32_t delta = m.delta(n);
    for (std::uint32_t i = m.spans[n].first; i < m.spans[n].end; ++i) {
      const std::uint32_t job = m.uses[i] >> OutputRange::kBits;
      m.entries[found] = delta | (m.uses[i] & OutputRange::kOutput);
      m.jobs[found] = static_cast<std::uint8_t>(job);
      found += m.has[job / 32] >> job % 32 & 1;
    }
  }
  return found;
}

#if defined(__x86_64__) && defined(__GNUC__)
#pragma GCC diagnostic push  // GCC 12 finds its own header's undefined values (its bug 105593)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
// Sixteen uses at a time: a permutation looks their jobs' words up, a rotation (modulo 32) their
// bits.
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
    const std::uint32_t end = m.spans[n].end;
    for (std::uint32_t i = m.spans[n].first; i < end; i += 16) {
      const __m512i use = _mm512_loadu_si512(m.uses + i);
      const __m512i job = _mm512_srli_epi32(use, OutputRange::kBits);
      const __m512i word = _mm512_permutexvar_epi32(_mm512_srli_epi32(job, 5), set);
      const unsigned valid = end - i < 16 ? (1u << (end - i)) - 1 : 0xFFFF;
      const __mmask16 has = _mm512_mask_test_epi32_mask(static_cast<__mmask16>(valid),
                                                        _mm512_rorv_epi32(word, job), one);
      // delta | (use & output)
      const __m512i entry = _mm512_ternarylogic_epi32(delta, use, output, 0xF8);
      _mm512_storeu_si512(m.entries + found, _mm512_maskz_compress_epi32(has, entry));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(m.jobs + found),
                       _mm512_cvtepi32_epi8(_mm512_maskz_compress_epi32(has, job)));
      found += static_cast<std::size_t>(__builtin_popcount(has));
    }
  }
  return found;
}
#pragma GCC diagnostic pop
const bool kHasAvx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl");
#endif

std::size_t meet(const Meeting& m) {
#if defined(__x86_64__) && defined(__GNUC__)
  if (kHasAvx512) return meet_avx512(m);
#endif
  return meet_plain(m);
}

void Finder::find_candidates(const ExceptionSet& set, unsigned activations, std::uint16_t key,
                             const WeightUses& uses) {
  const auto list = set.of_activations(activations, uses.largest());
  if (candidates_.size() <= candidate_count_ + list.size()) {
    candidates_.resize(2 * (candidate_count_ + list.size() + 1));
  }
  candidate_count_ +=
      find_used(list.data(), list.size(), uses.used(), candidates_.data() + candidate_count_);
  candidate_keys_.push_back({key, static_cast<std::uint32_t>(candidate_count_)});
}

void Finder::find_errors(const ActivationPlanes& planes, const WeightUses& uses,
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
    error_count_ += meet({uses.uses(), candidates_.data() + first, spans_.data() + first,
                          key.end - first, planes.activations(key.key), jobs_of_[key.key],
                          error_entries_.data() + error_count_, error_jobs_.data() + error_count_});
    first = key.end;
    error_keys_.push_back({key.key, static_cast<std::uint32_t>(error_count_)});
  }
  candidate_count_ = 0;
  candidate_keys_.clear();
  if (error_count_ >= kEnough) deliver(errors);
}

void Finder::deliver(JobErrors& errors) {
  errors.add(error_keys_, {error_entries_.data(), error_jobs_.data(), error_count_});
  error_count_ = 0;
  error_keys_.clear();
}

void Finder::run(const TimingLanes& lanes, const ActivationPlanes& planes, int images,
                 int multiplier, const std::vector<TapJob>& jobs,
                 const std::vector<WeightUses>& uses, JobErrors& errors) {
  constexpr std::size_t kEnough = 1024;  // candidates at a time, so that misses overlap
  mark_pairs(planes, jobs);
  errors.reset(jobs.size());
  for (std::size_t kind = 0; kind < uses.size(); ++kind) {
    const ExceptionSet& set = *lanes.lanes[kind].products[static_cast<std::size_t>(multiplier)];
    for (unsigned key = 0; key < planes.keys() && set.size() > 0; ++key) {
      if (jobs_of_[key] == JobSet{}) continue;
      find_candidates(set, planes.activations(key), static_cast<std::uint16_t>(key), uses[kind]);
      if (candidate_count_ >= kEnough) find_errors(planes, uses[kind], errors);
    }
    find_errors(planes, uses[kind], errors);
    deliver(errors);
  }
  errors.find_hits(planes, jobs, images);
}

bool errs(const TimingLanes& lanes, int multiplier) {
  return std::any_of(lanes.lanes.begin(), lanes.lanes.end(), [&](const TimingLanes::Lane& lane) {
    return lane.products[static_cast<std::size_t>(multiplier)]->size() > 0;
  });
}

// Errors are added to an image at a time, as many as fit the cache beside the image's sums.
constexpr std::size_t kErrorBytes = 4 << 20;

// The first pixel of a block of output channels: the lane's last step was of another channel.
void add_at_first_pixels(const TimingLanes& lanes, const BatchOperands& batch, int image,
                         std::uint32_t* sums) {
  const LaneGeometry& g = *batch.geometry;
  const int end = g.kernel - 1;
  const std::int64_t row = std::int64_t{batch.width} * g.group_channels;
  const std::int64_t last_pixel =
      ((g.height - 1) * g.stride + end) * row + ((g.width - 1) * g.stride + end) * g.group_channels;
  const bool vector = g.width == 1 && g.height == 1;
  for (int m = 0; m < g.channels; ++m) {
    // Of vectors a group's first block only: add_vector_product_errors does the others.
    if (vector && m % g.out_per_group == g.lane_num) m += g.out_per_group - g.lane_num;
    if (m == g.channels) break;
    const TimingLanes::Lane& lane = lanes.of(g.lane(m));
    const int before = m - g.lane_num;
    for (int v = 0; v < g.vec_size; ++v) {
      unsigned activations = 0, weights = 0;
      // A lane's channel before may be one of the padding: the same activations, weights of 0.
      const bool streamed = m + g.pad_offset >= g.lane_num;
      const int c = (channel_vectors(g) - 1) * g.vec_size + v;
      if (streamed && c < g.group_channels) {
        const int group = std::max(before, 0) / g.out_per_group;
        activations = batch.plane(image, group)[last_pixel + c] ^ 128u;
        if (before >= 0) weights = static_cast<std::uint8_t>(batch.weight(before, c, end, end));
      }
      activations <<= 8, weights <<= 8;
      if (v < g.group_channels) {
        activations |= batch.plane(image, m / g.out_per_group)[v] ^ 128u;
        weights |= static_cast<std::uint8_t>(batch.weight(m, v, 0, 0));
      }
      sums[m] += static_cast<std::uint32_t>(lane.products[v]->delta(activations, weights));
    }
  }
}

}  // namespace

void ProductErrors::plan(const BatchOperands& batch) {
  const LaneGeometry& g = *batch.geometry;
  if (height_ != batch.height || width_ != batch.width) {
    height_ = batch.height, width_ = batch.width;
    blocks_.clear();
    weights_version_ = 0;
    for (int v = 0; v < g.vec_size; ++v) {
      if (!errs(lanes_, v)) continue;
      const std::vector<TapJob> jobs = tap_jobs(g, batch.groups(), v, height_, width_);
      for (const OutputRange& range : OutputRange::split(g)) add_blocks(v, jobs, range);
    }
  }
  if (weights_version_ == batch.weights_version) return;
  weights_version_ = batch.weights_version;
  const std::size_t kinds = lanes_.lanes.size();
  for (Block& block : blocks_) block.uses.resize(kinds);
  parallel_for(static_cast<std::int64_t>(blocks_.size() * kinds), [&](std::int64_t work) {
    Block& block = blocks_[static_cast<std::size_t>(work) / kinds];
    const std::size_t kind = static_cast<std::size_t>(work) % kinds;
    block.uses[kind].build(g, batch.weights, block.jobs, block.range, [&](int channel) {
      return static_cast<std::size_t>(g.lane(channel)) % kinds == kind;
    });
  });
}

void ProductErrors::add_blocks(int multiplier, const std::vector<TapJob>& jobs,
                               const OutputRange& range) {
  const std::size_t blocks = (jobs.size() + WeightUses::kJobs - 1) / WeightUses::kJobs;
  for (std::size_t i = 0; i < blocks; ++i) {
    const auto first = jobs.begin() + static_cast<std::ptrdiff_t>(i * jobs.size() / blocks);
    const auto last = jobs.begin() + static_cast<std::ptrdiff_t>((i + 1) * jobs.size() / blocks);
    blocks_.push_back({multiplier, range, {first, last}, {}});
  }
}

void ProductErrors::add_deltas(const BatchOperands& batch, std::uint32_t* sums) {
  const LaneGeometry& g = *batch.geometry;
  const std::int64_t image_size = std::int64_t{g.height} * g.width * g.channels;
  parallel_for(batch.images, [&](std::int64_t n) {
    add_at_first_pixels(lanes_, batch, static_cast<int>(n), sums + n * image_size);
  });
  if (g.width == 1 && g.height == 1) {
    add_vector_product_errors(lanes_, layer_, batch, sums);
    return;
  }
  thread_local ActivationPlanes kept_planes;
  thread_local std::vector<JobErrors> kept_errors;
  ActivationPlanes& planes = kept_planes;  // the caller's, in whichever thread
  std::vector<JobErrors>& errors = kept_errors;
  plan(batch);
  planes.arrange(batch, layer_, lanes_.negative_activations);
  const auto at_once = static_cast<std::size_t>(threads());
  errors.resize(std::max(errors.size(), blocks_.size()));
  for (std::size_t first = 0, last = 0; first < blocks_.size(); first = last) {
    for (std::size_t bytes = 0; last < blocks_.size() && bytes < kErrorBytes;) {
      const std::size_t count = std::min(at_once, blocks_.size() - last);
      parallel_for(static_cast<std::int64_t>(count), [&](std::int64_t i) {
        thread_local Finder finder;
        const Block& b = blocks_[last + i];
        finder.run(lanes_, planes, batch.images, b.multiplier, b.jobs, b.uses,
                   errors[last - first + i]);
      });
      for (std::size_t i = 0; i < count; ++i, ++last) bytes += errors[last - first].bytes();
    }
    parallel_for(batch.images, [&](std::int64_t n) {
      for (std::size_t i = first; i < last; ++i) {
        errors[i - first].apply(g, blocks_[i].range, static_cast<int>(n), sums + n * image_size);
      }
    });
  }
}

}  // namespace inure
