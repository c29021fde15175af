#include "inure/errors/weight_uses.hpp"

#include <algorithm>
#include <bit>
#include <numeric>

#include "inure/base/error.hpp"
#include "inure/base/memory.hpp"
#include "inure/errors/exception_set.hpp"

namespace inure {
namespace {

struct Use {
  std::uint16_t place;
  std::uint16_t lower;  // bits of the weight before
  std::uint32_t output;
};

// Adds all uses in a job.
void find_uses(const LaneGeometry& g, const std::int8_t* weights, const TapJob& job,
               const OutputRange& range, const std::vector<int>& channels,
               std::vector<Use>& found) {
  struct At {
    std::int64_t now, before;  // from the channel's first weight
    unsigned output;
  };
  const int k = g.kernel;
  const std::int64_t plane = std::int64_t{k} * k, channel = plane * g.group_channels;
  std::vector<At> taps;
  for (const TapJob::Tap& tap : job.taps(g)) {
    const int distance = tap.ky / g.stride * range.sides + tap.kx / g.stride;
    taps.push_back({job.c * plane + tap.ky * k + tap.kx,
                    job.c_before * plane + tap.ky_before * k + tap.kx_before,
                    static_cast<unsigned>(distance) << range.channel_bits});
  }
  const bool any_now = job.c < g.group_channels, any_before = job.c_before < g.group_channels;
  for (const int m : channels) {
    if (m / g.out_per_group != job.group) continue;
    const std::int8_t* of_channel = weights + m * channel;
    for (const At& at : taps) {
      const unsigned before = any_before ? static_cast<std::uint8_t>(of_channel[at.before]) : 0;
      const unsigned now = any_now ? static_cast<std::uint8_t>(of_channel[at.now]) : 0;
      found.push_back({static_cast<std::uint16_t>(ExceptionSet::place(before, now)),
                       static_cast<std::uint16_t>(before & 63),
                       at.output | static_cast<unsigned>(m - range.first)});
    }
  }
}

}  // namespace

std::vector<OutputRange> OutputRange::split(const LaneGeometry& g) {
  OutputRange range;
  range.sides = (g.kernel - 1) / g.stride + 1;
  const int most = (1 << kBits) / range.distances();
  if (most == 0) {
    fail(
        "errors: timing: a kernel of {} at stride {} is too large for wrong products; at most 181 "
        "strides",
        g.kernel, g.stride);
  }
  range.channel_bits = std::min(std::bit_width(static_cast<unsigned>(most)) - 1,
                                std::bit_width(static_cast<unsigned>(g.channels - 1)));
  std::vector<OutputRange> all;
  for (; range.first < g.channels; range.first += range.channels) {
    range.channels = std::min(1 << range.channel_bits, g.channels - range.first);
    all.push_back(range);
  }
  return all;
}

void WeightUses::build(const LaneGeometry& g, const std::int8_t* weights,
                       std::span<const TapJob> jobs, const OutputRange& range,
                       const std::function<bool(int channel)>& counts) {
  std::vector<int> channels;
  for (int m = range.first; m < range.first + range.channels; ++m) {
    if (counts(m)) channels.push_back(m);
  }
  std::vector<Use> all;
  begins_.assign(1, 0);
  for (const TapJob& job : jobs) {
    find_uses(g, weights, job, range, channels, all);
    begins_.push_back(static_cast<std::uint32_t>(all.size()));
  }
  used_.assign(ExceptionSet::kPlaces, 0);
  for (const Use& use : all) used_[use.place] |= std::uint64_t{1} << use.lower;
  number_places();
  used_of_jobs_.assign(jobs.size() * places_, 0);
  firsts_.assign(jobs.size() * (places_ + 1), 0);
  uses_.resize(all.size() + kReadBehind);
  std::vector<std::uint16_t> at(places_);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const std::span of_job(all.data() + begins_[i], begins_[i + 1] - begins_[i]);
    std::uint64_t* const used = used_of_jobs_.data() + i * places_;
    std::uint16_t* const first = firsts_.data() + i * (places_ + 1);
    for (const Use& use : of_job) {
      used[numbers_[use.place]] |= std::uint64_t{1} << use.lower;
      ++first[numbers_[use.place] + 1];
    }
    std::partial_sum(first, first + places_ + 1, first);
    std::copy_n(first, places_, at.begin());
    for (const Use& use : of_job) {
      uses_[begins_[i] + at[numbers_[use.place]]++] =
          static_cast<std::uint32_t>(use.lower) << kLower | use.output;
    }
  }
}

void WeightUses::number_places() {
  numbers_.resize(ExceptionSet::kPlaces);
  places_ = 0;
  largest_ = 0;
  const auto enlarge = [&](unsigned byte) {
    const int weight = static_cast<std::int8_t>(byte);
    largest_ = std::max(largest_, weight ^ weight >> 31);
  };
  for (unsigned place = 0; place < ExceptionSet::kPlaces; ++place) {
    if (used_[place] == 0) continue;
    numbers_[place] = static_cast<std::uint16_t>(places_++);
    enlarge(ExceptionSet::weight_now(place));
    for (unsigned lower = 0; lower < 64; ++lower) {
      if (used_[place] >> lower & 1) enlarge(place >> 8 << 6 | lower);
    }
  }
}

WeightUses::Job WeightUses::job(std::size_t i) const {
  return {used_of_jobs_.data() + i * places_, firsts_.data() + i * (places_ + 1),
          uses_.data() + begins_[i], begins_[i + 1] - begins_[i]};
}

void WeightUses::prefetch(std::size_t job) const {
  const Job next = this->job(job);
  fetch_lines(next.used, places_ * sizeof *next.used);
  fetch_lines(next.first, places_ * sizeof *next.first);
  fetch_lines(next.uses, next.count * sizeof *next.uses);
}

}  // namespace inure
