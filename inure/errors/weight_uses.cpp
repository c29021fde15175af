#include "inure/errors/weight_uses.hpp"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

#include "inure/base/error.hpp"
#include "inure/errors/exception_set.hpp"

namespace inure {
namespace {

// visit(job, weight before, weight now, output) of all uses, by job; weights are bytes.
template <typename Visit>
void for_each_use(const LaneGeometry& g, const std::int8_t* weights, std::span<const TapJob> jobs,
                  const OutputRange& range, const std::vector<int>& channels, Visit visit) {
  struct At {
    std::int64_t now, before;  // from the channel's first weight
    unsigned output;
  };
  const int k = g.kernel;
  const std::int64_t plane = std::int64_t{k} * k, channel = plane * g.group_channels;
  std::vector<At> taps;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const TapJob& job = jobs[i];
    taps.clear();
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
        const unsigned a = any_before ? static_cast<std::uint8_t>(of_channel[at.before]) : 0;
        const unsigned b = any_now ? static_cast<std::uint8_t>(of_channel[at.now]) : 0;
        visit(i, a, b, at.output | static_cast<unsigned>(m - range.first));
      }
    }
  }
}

unsigned number(unsigned before, unsigned now) {
  return ExceptionSet::place(before, now) << 6 | (before & 63);
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
  thread_local std::vector<std::uint32_t> at;  // by place and lower bits
  at.assign(ProductTable::kPairs, 0);
  for_each_use(
      g, weights, jobs, range, channels,
      [&](std::size_t, unsigned before, unsigned now, unsigned) { ++at[number(before, now)]; });
  number_pairs(at);
  std::uint32_t first = 0;
  for (std::uint32_t& count : at) first += std::exchange(count, first);
  uses_.resize(first + kReadBehind);
  for_each_use(g, weights, jobs, range, channels,
               [&](std::size_t job, unsigned before, unsigned now, unsigned output) {
                 uses_[at[number(before, now)]++] =
                     (before & 63) << kLower | static_cast<std::uint32_t>(job) << kJob | output;
               });
}

// counts: how often each pair is used.
void WeightUses::number_pairs(const std::vector<std::uint32_t>& counts) {
  used_.assign(ExceptionSet::kPlaces, 0);
  ranks_.resize(ExceptionSet::kPlaces);
  firsts_.assign(1, 0);
  largest_ = 0;
  const auto enlarge = [&](unsigned byte) {
    const int weight = static_cast<std::int8_t>(byte);
    largest_ = std::max(largest_, weight ^ weight >> 31);
  };
  for (unsigned place = 0; place < ExceptionSet::kPlaces; ++place) {
    ranks_[place] = static_cast<std::uint16_t>(firsts_.size() - 1);
    const std::uint32_t* const of_place = counts.data() + place * 64;
    if (std::accumulate(of_place, of_place + 64, 0u, std::bit_or<>()) == 0) continue;
    for (unsigned lower = 0; lower < 64; ++lower) {
      const std::uint32_t count = of_place[lower];
      if (count == 0) continue;
      used_[place] |= std::uint64_t{1} << lower;
      firsts_.push_back(firsts_.back() + count);
      enlarge(place >> 8 << 6 | lower);
      enlarge(ExceptionSet::weight_now(place));
    }
  }
}

}  // namespace inure
