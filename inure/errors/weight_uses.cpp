#include "inure/errors/weight_uses.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "inure/base/error.hpp"
#include "inure/errors/product_table.hpp"

namespace inure {
namespace {

// visit(job, pair of weights, output) of all uses, by job.
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
        const int a = any_before ? of_channel[at.before] : 0;
        const int b = any_now ? of_channel[at.now] : 0;
        visit(i, static_cast<unsigned>(ProductTable::pair(a, b)),
              at.output | static_cast<unsigned>(m - range.first));
      }
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
  thread_local std::vector<std::uint32_t> at;  // by pair
  at.assign(ProductTable::kPairs, 0);
  for_each_use(g, weights, jobs, range, channels,
               [&](std::size_t, unsigned pair, unsigned) { ++at[pair]; });
  number_pairs(at);
  std::uint32_t first = 0;
  for (std::uint32_t& count : at) first += std::exchange(count, first);
  uses_.resize(first + kReadBehind);
  for_each_use(g, weights, jobs, range, channels,
               [&](std::size_t job, unsigned pair, unsigned output) {
                 uses_[at[pair]++] = static_cast<std::uint32_t>(job) << OutputRange::kBits | output;
               });
}

// counts: how often each pair is used.
void WeightUses::number_pairs(const std::vector<std::uint32_t>& counts) {
  used_.assign(ProductTable::kPairs / 64, 0);
  ranks_.resize(ProductTable::kPairs / 64);
  firsts_.assign(1, 0);
  largest_ = 0;
  for (unsigned pair = 0; pair < ProductTable::kPairs; ++pair) {
    if (pair % 64 == 0) ranks_[pair / 64] = static_cast<std::uint16_t>(firsts_.size() - 1);
    if (counts[pair] == 0) continue;
    used_[pair / 64] |= std::uint64_t{1} << pair % 64;
    firsts_.push_back(firsts_.back() + counts[pair]);
    const int a = static_cast<std::int8_t>(pair >> 8), b = static_cast<std::int8_t>(pair);
    largest_ = std::max({largest_, a ^ a >> 31, b ^ b >> 31});
  }
}

}  // namespace inure
