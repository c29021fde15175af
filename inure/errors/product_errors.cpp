#include "inure/errors/product_errors.hpp"

#include <algorithm>

#include "inure/base/clones.hpp"
#include "inure/base/parallel.hpp"
#include "inure/errors/activation_planes.hpp"
#include "inure/errors/job_errors.hpp"
#include "inure/errors/vector_product_errors.hpp"

// A wrong product needs a pair of activations that meets a pair of weights. In each job (all taps
// of an input channel with the same step before, tap_jobs.hpp) a pair of activations meets the
// weights of all taps and output channels. So for 64 jobs of a multiplier at a time
//   1. for each pair of activations, which jobs have it: a word of bits;
//   2. for each pair of weights, which jobs use it: another (WeightUses);
//   3. each pair of activations goes through its exceptions: where the two words meet, the job gets
//      entries, which output and how much, that lie together by pair of activations;
//   4. every position of every image whose pair has entries in its job adds them.
// Lookups grow with the positions, exceptions are gone through once for 64 jobs, and the rest grows
// with the number of errors.
namespace inure {
namespace {

// An exception of a pair of activations that occurs, of weights that are used.
struct Candidate {
  ExceptionSet::Exception exception;
  std::uint16_t key, unused;  // of the activations
};
// One that some job has: its pair of activations and of weights.
struct Met {
  std::uint64_t jobs;   // which have it
  std::uint64_t users;  // which use the weights
  std::uint32_t first;  // in WeightUses::firsts(), of the first of the users
  Candidate candidate;
};
// The same in one job.
struct MetInJob {
  std::uint32_t uses;  // in WeightUses::firsts()
  std::uint16_t job, key;
  std::int32_t delta;
};

// Finds the errors of a block of jobs.
class Finder {
 public:
  void run(const TimingLanes& lanes, const ActivationPlanes& planes, int images, int multiplier,
           const std::vector<TapJob>& jobs, const std::vector<WeightUses>& uses,
           std::vector<JobErrors>& errors);

 private:
  void mark_pairs(const ActivationPlanes& planes, const std::vector<TapJob>& jobs);
  void find_entries(const ActivationPlanes& planes, const WeightUses& uses,
                    std::vector<JobErrors>& errors);

  std::vector<std::uint16_t> keys_;
  std::vector<std::uint8_t> seen_;      // by key
  std::vector<std::uint64_t> jobs_of_;  // by key
  std::vector<std::uint16_t> distinct_;
  std::vector<std::uint32_t> heads_;
  std::vector<Met> met_;
  std::vector<MetInJob> met_in_jobs_;
  std::vector<Candidate> candidates_;
  std::size_t candidate_count_ = 0;
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
  heads_.resize(ProductTable::kPairs);
  jobs_of_.assign(ProductTable::kPairs, 0);
  for (std::size_t job = 0; job < jobs.size(); ++job) {
    planes.pairs(jobs[job], keys_);
    distinct_.resize(keys_.size() + 1);
    const std::size_t count =
        find_distinct(keys_.data(), keys_.size(), seen_.data(), distinct_.data());
    for (std::size_t i = 0; i < count; ++i) {
      seen_[distinct_[i]] = 0;
      jobs_of_[distinct_[i]] |= std::uint64_t{1} << job;
    }
  }
}

// These three write behind the end, and without branches, which would be guessed wrong.
INURE_CLONES
std::size_t find_used(const ExceptionSet::Exception* list, std::size_t size,
                      const std::uint32_t* used, std::uint16_t key, Candidate* to) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const std::uint32_t weights = list[i].weights;
    to[count] = {list[i], key, 0};
    count += used[weights >> 5] >> (weights & 31) & 1;
  }
  return count;
}

INURE_CLONES
std::size_t find_met(const Candidate* candidates, std::size_t size, const WeightUses& uses,
                     const std::uint64_t* jobs_of, Met* met) {
  constexpr std::size_t kAhead = 16;
  const std::uint16_t* const numbers = uses.numbers();
  const WeightUses::Pair* const pairs = uses.pairs();
  std::size_t count = 0;
  for (std::size_t i = 0; i < size; ++i) {
    if (i + kAhead < size)
      __builtin_prefetch(&pairs[numbers[candidates[i + kAhead].exception.weights]]);
    const WeightUses::Pair& pair = pairs[numbers[candidates[i].exception.weights]];
    const std::uint64_t both = jobs_of[candidates[i].key] & pair.jobs;
    met[count] = {both, pair.jobs, pair.first, candidates[i]};
    count += both != 0;
  }
  return count;
}

INURE_CLONES
std::size_t spread(const ActivationPlanes& planes, const Met* met, std::size_t size,
                   const std::uint32_t* firsts, MetInJob* to) {
  const MetInJob* const begin = to;
  for (const Met* m = met; m != met + size; ++m) {
    const auto [exception, key, unused] = m->candidate;
    const std::int32_t delta =
        ExceptionSet::signed_delta(planes.activations(key), exception.weights, exception.delta);
    for (std::uint64_t left = m->jobs; left != 0; left &= left - 1) {
      const std::uint64_t below = m->users & ((left & (~left + 1)) - 1);
      const std::uint32_t at = m->first + static_cast<std::uint32_t>(std::popcount(below));
      __builtin_prefetch(&firsts[at]);
      *to++ = {at, static_cast<std::uint16_t>(std::countr_zero(left)), key, delta};
    }
  }
  return static_cast<std::size_t>(to - begin);
}

void Finder::find_entries(const ActivationPlanes& planes, const WeightUses& uses,
                          std::vector<JobErrors>& errors) {
  constexpr std::size_t kPart = 512, kAhead = 12;
  met_.resize(candidates_.size() + 1);
  met_in_jobs_.resize(kPart * WeightUses::kJobs);
  const std::uint32_t* const firsts = uses.firsts();
  const std::size_t met =
      find_met(candidates_.data(), candidate_count_, uses, jobs_of_.data(), met_.data());
  for (std::size_t first = 0; first < met; first += kPart) {
    const std::size_t count = spread(planes, met_.data() + first, std::min(kPart, met - first),
                                     firsts, met_in_jobs_.data());
    for (std::size_t i = 0; i < count; ++i) {
      if (i + kAhead < count) {
        __builtin_prefetch(&uses.uses()[firsts[met_in_jobs_[i + kAhead].uses]]);
      }
      const MetInJob& m = met_in_jobs_[i];
      errors[m.job].add(m.key, {uses.uses() + firsts[m.uses], uses.uses() + firsts[m.uses + 1]},
                        m.delta);
    }
  }
  candidate_count_ = 0;
}

void Finder::run(const TimingLanes& lanes, const ActivationPlanes& planes, int images,
                 int multiplier, const std::vector<TapJob>& jobs,
                 const std::vector<WeightUses>& uses, std::vector<JobErrors>& errors) {
  constexpr std::size_t kEnough = 4096;  // candidates at a time, so that misses overlap
  mark_pairs(planes, jobs);
  errors.resize(jobs.size());
  for (JobErrors& e : errors) e.clear();
  for (std::size_t kind = 0; kind < uses.size(); ++kind) {
    const ExceptionSet& set = *lanes.lanes[kind].products[static_cast<std::size_t>(multiplier)];
    for (unsigned key = 0; key < planes.keys() && set.size() > 0; ++key) {
      if (jobs_of_[key] == 0) continue;
      const auto list = set.of_activations(planes.activations(key), uses[kind].largest());
      if (candidates_.size() <= candidate_count_ + list.size()) {
        candidates_.resize(2 * (candidate_count_ + list.size() + 1));
      }
      candidate_count_ +=
          find_used(list.data(), list.size(), uses[kind].used(), static_cast<std::uint16_t>(key),
                    candidates_.data() + candidate_count_);
      if (candidate_count_ >= kEnough) find_entries(planes, uses[kind], errors);
    }
    find_entries(planes, uses[kind], errors);
  }
  for (std::size_t job = 0; job < jobs.size(); ++job) {
    planes.pairs(jobs[job], keys_);
    errors[job].find_hits(keys_, images, heads_);
  }
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
      const std::size_t blocks = (jobs.size() + WeightUses::kJobs - 1) / WeightUses::kJobs;
      for (std::size_t i = 0; i < blocks; ++i) {
        const auto first = jobs.begin() + static_cast<std::ptrdiff_t>(i * jobs.size() / blocks);
        const auto last =
            jobs.begin() + static_cast<std::ptrdiff_t>((i + 1) * jobs.size() / blocks);
        blocks_.push_back({v, {first, last}, {}});
      }
    }
  }
  if (weights_version_ == batch.weights_version) return;
  weights_version_ = batch.weights_version;
  const std::size_t kinds = lanes_.lanes.size();
  for (Block& block : blocks_) block.uses.resize(kinds);
  parallel_for(static_cast<std::int64_t>(blocks_.size() * kinds), [&](std::int64_t work) {
    Block& block = blocks_[static_cast<std::size_t>(work) / kinds];
    const std::size_t kind = static_cast<std::size_t>(work) % kinds;
    block.uses[kind].build(g, batch.weights, block.jobs, [&](int channel) {
      return static_cast<std::size_t>(g.lane(channel)) % kinds == kind;
    });
  });
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
  thread_local std::vector<std::vector<JobErrors>> kept_errors;
  ActivationPlanes& planes = kept_planes;  // the caller's, in whichever thread
  std::vector<std::vector<JobErrors>>& errors = kept_errors;
  plan(batch);
  planes.arrange(batch, layer_, lanes_.negative_activations);
  const auto at_once = static_cast<std::size_t>(threads());
  errors.resize(blocks_.size());
  for (std::size_t first = 0, last = 0; first < blocks_.size(); first = last) {
    for (std::size_t bytes = 0; last < blocks_.size() && bytes < kErrorBytes;) {
      const std::size_t count = std::min(at_once, blocks_.size() - last);
      parallel_for(static_cast<std::int64_t>(count), [&](std::int64_t i) {
        thread_local Finder finder;
        const Block& b = blocks_[last + i];
        finder.run(lanes_, planes, batch.images, b.multiplier, b.jobs, b.uses,
                   errors[last - first + i]);
      });
      for (std::size_t i = 0; i < count; ++i, ++last) {
        for (const JobErrors& e : errors[last - first]) bytes += e.bytes();
      }
    }
    parallel_for(batch.images, [&](std::int64_t n) {
      for (std::size_t i = first; i < last; ++i) {
        for (std::size_t job = 0; job < blocks_[i].jobs.size(); ++job) {
          errors[i - first][job].apply(g, blocks_[i].jobs[job], planes.columns(),
                                       static_cast<int>(n), sums + n * image_size);
        }
      }
    });
  }
}

}  // namespace inure
