#include "inure/errors/job_errors.hpp"

#include <algorithm>

namespace inure {
namespace {

constexpr std::size_t kAhead = 24;  // segments that are fetched ahead, and half of them whole
constexpr std::size_t kLine = 16;   // words

}  // namespace

void JobErrors::reset(int images, int positions) {
  positions_ = static_cast<std::size_t>(positions);
  size_ = 1;  // no segment is 0: a read of it finds no entries
  hits_ = 0;
  if (words_.empty()) words_.resize(1);
  ends_.assign(static_cast<std::size_t>(images) * positions_ + 1, 0);
}

void JobErrors::add_hits(std::span<const At> at, const std::uint32_t* segments) {
  if (unsorted_.size() < hits_ + at.size()) unsorted_.resize(2 * (hits_ + at.size()));
  Hit* const hits = unsorted_.data();
  for (const auto& [position, key] : at) {
    const std::uint32_t segment = segments[key];
    hits[hits_] = {segment, position};
    hits_ += segment != 0;
    ends_[position + 1] += segment != 0;
  }
}

void JobErrors::sort_hits() {
  for (std::size_t i = 1; i < ends_.size(); ++i) ends_[i] += ends_[i - 1];
  segments_.resize(hits_ + kAhead);
  std::fill(segments_.end() - kAhead, segments_.end(), 0);
  for (std::size_t i = 0; i < hits_; ++i) {
    segments_[ends_[unsorted_[i].position]++] = unsorted_[i].segment;
  }
}

void JobErrors::apply(std::span<const JobErrors> all, const Surroundings& around, int image,
                      std::uint32_t* sums) {
  const std::size_t positions = all[0].positions_;
  const int channel_bits = around.range().channel_bits, columns = around.columns();
  const std::uint32_t channel_mask = (1u << channel_bits) - 1;
  std::vector<std::uint32_t> nowhere(static_cast<std::size_t>(around.range().channels));
  std::vector<std::uint32_t*> outputs(static_cast<std::size_t>(around.range().distances()));
  std::uint32_t* const* const to = outputs.data();
  for (std::size_t i = 0; i < positions; ++i) {
    const std::size_t position = image * positions + i;
    const auto is_hit = [&](const JobErrors& e) { return !e.segments(position).empty(); };
    if (std::none_of(all.begin(), all.end(), is_hit)) continue;
    around.find(static_cast<int>(i) / columns, static_cast<int>(i) % columns, sums, nowhere.data(),
                outputs.data());
    for (const JobErrors& errors : all) {
      const std::uint32_t* const words = errors.words_.data();
      for (const std::uint32_t& segment : errors.segments(position)) {
        __builtin_prefetch(&words[(&segment)[kAhead]]);
        const std::uint32_t* const soon = &words[(&segment)[kAhead / 2]];
        for (std::size_t n = kLine; n <= *soon; n += kLine) __builtin_prefetch(soon + n);
        const std::uint32_t* entry = &words[segment] + 1;
        for (const std::uint32_t* const last = entry + words[segment]; entry != last; ++entry) {
          to[(*entry & OutputRange::kOutput) >> channel_bits][*entry & channel_mask] +=
              static_cast<std::uint32_t>(static_cast<std::int32_t>(*entry) >> OutputRange::kBits);
        }
      }
    }
  }
}

}  // namespace inure
