#include "inure/errors/weight_uses.hpp"

#include <algorithm>

namespace inure {

void WeightUses::build(const LaneGeometry& g, const std::int8_t* weights,
                       std::span<const TapJob> jobs,
                       const std::function<bool(int channel)>& counts) {
  used_.assign(ProductTable::kPairs / 32, 0);
  thread_local std::vector<Found> found;
  found.clear();
  std::vector<int> channels;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    channels.clear();
    const int first = jobs[i].group * g.out_per_group;
    for (int m = first; m < first + g.out_per_group; ++m) {
      if (counts(m)) channels.push_back(m);
    }
    find(g, weights, jobs[i], static_cast<std::uint32_t>(i), channels, found);
  }
  number_pairs(found);
  sort(found);
}

void WeightUses::find(const LaneGeometry& g, const std::int8_t* weights, const TapJob& job,
                      std::uint32_t number, const std::vector<int>& channels,
                      std::vector<Found>& found) {
  const int k = g.kernel;
  const std::int64_t plane = std::int64_t{k} * k, channel = plane * g.group_channels;
  for (const TapJob::Tap& tap : job.taps(g)) {
    const int down = tap.ky / g.stride, right = tap.kx / g.stride;
    const std::int32_t offset = -(down * g.width + right) * g.channels;
    const std::int64_t now = job.c * plane + tap.ky * k + tap.kx;
    const std::int64_t before = job.c_before * plane + tap.ky_before * k + tap.kx_before;
    const bool any_now = job.c < g.group_channels, any_before = job.c_before < g.group_channels;
    for (const int m : channels) {
      const int a = any_before ? weights[m * channel + before] : 0;
      const int b = any_now ? weights[m * channel + now] : 0;
      const auto pair = static_cast<std::uint32_t>(ProductTable::pair(a, b));
      used_[pair / 32] |= 1u << pair % 32;
      found.push_back({pair, number, {offset + m, down * 16 + right}});
    }
  }
}

// In the order in which lists of exceptions are gone through.
void WeightUses::number_pairs(std::vector<Found>& found) {
  numbers_.resize(ProductTable::kPairs);
  pairs_.clear();
  largest_ = 0;
  for (unsigned pair = 0; pair < ProductTable::kPairs; ++pair) {
    if ((used_[pair / 32] >> pair % 32 & 1) == 0) continue;
    numbers_[pair] = static_cast<std::uint16_t>(pairs_.size());
    pairs_.emplace_back();
    const int a = static_cast<std::int8_t>(pair >> 8), b = static_cast<std::int8_t>(pair);
    largest_ = std::max({largest_, a ^ a >> 31, b ^ b >> 31});
  }
  for (Found& f : found) f.number = numbers_[f.number];
}

// By pair, and within a pair by job: they were found in the order of the jobs.
void WeightUses::sort(const std::vector<Found>& found) {
  std::vector<std::uint32_t> next(pairs_.size() + 1, 0);
  for (const Found& f : found) ++next[f.number + 1];
  for (std::size_t n = 1; n < next.size(); ++n) next[n] += next[n - 1];
  thread_local std::vector<Found> sorted;
  sorted.resize(found.size());
  for (const Found& f : found) sorted[next[f.number]++] = f;
  uses_.clear();
  firsts_.clear();
  for (const Found& f : sorted) {
    Pair& pair = pairs_[f.number];
    const std::uint64_t bit = std::uint64_t{1} << f.job;
    if (pair.jobs == 0) pair.first = static_cast<std::uint32_t>(firsts_.size());
    if ((pair.jobs & bit) == 0) firsts_.push_back(static_cast<std::uint32_t>(uses_.size()));
    pair.jobs |= bit;
    uses_.push_back(f.use);
  }
  firsts_.push_back(static_cast<std::uint32_t>(uses_.size()));
}

}  // namespace inure
