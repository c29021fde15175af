#include "inure/errors/job_errors.hpp"

#include <array>
#include <utility>

#include "inure/base/clones.hpp"

namespace inure {
namespace {

// Which keys have a head; `found` has room for one more.
INURE_CLONES
std::size_t find_marked(const std::uint16_t* keys, std::size_t size, const std::uint32_t* heads,
                        std::uint32_t* found) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < size; ++i) {
    found[count] = static_cast<std::uint32_t>(i);
    count += heads[keys[i]] != 0;
  }
  return count;
}

// Sums that wait for their delta while they come into the cache.
class PendingSums {
 public:
  ~PendingSums() { add_all(); }
  void add(std::uint32_t* sum, std::int32_t delta) {
    __builtin_prefetch(sum, 1);
    pending_[count_++] = {sum, static_cast<std::uint32_t>(delta)};
    if (count_ == pending_.size()) add_all();
  }

 private:
  void add_all() {
    for (std::size_t i = 0; i < count_; ++i) *pending_[i].sum += pending_[i].delta;
    count_ = 0;
  }
  struct Pending {
    std::uint32_t* sum;
    std::uint32_t delta;
  };
  std::array<Pending, 64> pending_;
  std::size_t count_ = 0;
};

}  // namespace

void JobErrors::find_hits(const std::vector<std::uint16_t>& keys, int images,
                          std::vector<std::uint32_t>& heads) {
  image_hits_.assign(static_cast<std::size_t>(images) + 1, 0);
  if (segments_.empty()) return;
  thread_local std::vector<std::uint32_t> found;
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    std::uint32_t& head = heads[segments_[i].key];
    segments_[i].next = std::exchange(head, static_cast<std::uint32_t>(i + 1));
  }
  segments_.push_back({0, static_cast<std::uint32_t>(size_)});  // where the last one ends
  const std::size_t positions = keys.size() / static_cast<std::size_t>(images);
  found.resize(positions + 1);
  for (int n = 0; n < images; ++n) {
    const std::uint16_t* const of_image = keys.data() + static_cast<std::size_t>(n) * positions;
    const std::size_t count = find_marked(of_image, positions, heads.data(), found.data());
    for (std::size_t i = 0; i < count; ++i) {
      for (std::uint32_t s = heads[of_image[found[i]]]; s != 0; s = segments_[s - 1].next) {
        hits_.push_back({found[i], segments_[s - 1].first, segments_[s].first});
      }
    }
    image_hits_[static_cast<std::size_t>(n) + 1] = static_cast<std::uint32_t>(hits_.size());
  }
  segments_.pop_back();
  for (const Segment& s : segments_) heads[s.key] = 0;
}

void JobErrors::apply(const LaneGeometry& g, const TapJob& job, int columns, int image,
                      std::uint32_t* sums) const {
  if (hits_.empty()) return;
  constexpr std::uint32_t kAhead = 8;
  PendingSums pending;
  for (std::uint32_t i = image_hits_[image]; i < image_hits_[image + 1]; ++i) {
    if (i + kAhead < hits_.size()) __builtin_prefetch(&entries_[hits_[i + kAhead].first]);
    const Hit& hit = hits_[i];
    const int row = static_cast<int>(hit.position) / columns;
    const int column = static_cast<int>(hit.position) - row * columns;
    if (!job.has_before(row, column)) continue;
    std::uint32_t* at = sums + (std::int64_t{row} * g.width + column) * g.channels;
    const Entry* entry = entries_.data() + hit.first;
    const Entry* end = entries_.data() + hit.end;
    const bool inside =
        row >= job.last_down && row < g.height && column >= job.last_right && column < g.width;
    for (; entry != end; ++entry) {
      if (!inside) {
        const int y = row - entry->down(), x = column - entry->right();
        if (y < 0 || y >= g.height || x < 0 || x >= g.width) continue;
      }
      pending.add(at + entry->offset, entry->delta());
    }
  }
}

}  // namespace inure
