#include "inure/errors/product_errors.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "inure/base/clones.hpp"
#include "inure/base/parallel.hpp"
#include "inure/errors/pair_filter.hpp"
#include "inure/errors/stage_taps.hpp"
#include "inure/errors/vector_product_errors.hpp"

// A wrong product needs a pair of activations that meets a pair of weights. Neighbouring taps of a
// convolution see the same pairs of activations: (a[y][x-1], a[y][x]) of one input channel meets
// the weights of all taps (ky, kx > 0) and all output channels. So for each input channel
//   1. the pairs of activations that occur in the batch are marked;
//   2. the exceptions of every weight pair of the channel are gone through; those whose activations
//      occur become a list for each pair of activations: which output, how much;
//   3. every position of every image whose pair has a list adds it.
// Lookups grow with positions, not with products; the rest with the number of errors.
namespace inure {
namespace {

// How a tap's previous step lies to it. A "channel" may be one of the padding behind the last.
enum class Before {
  kLeft,      // kx > 0: one to the left
  kRowAbove,  // kx = 0, ky > 0: the end of the kernel's row above
  kVector,    // the first tap of a vector of channels: the last one of the vector before
  kPixel,     // the first step: the last one of the previous pixel
};

struct Work {
  int group = 0, c = 0;
  Before before = Before::kLeft;
  int phase_y = 0, phase_x = 0;  // input rows and columns modulo the stride
};

int vectors(const LaneGeometry& g) { return g.steps / (g.kernel * g.kernel); }

INURE_CLONES
void join_pairs(const std::uint8_t* before, const std::uint8_t* now, int count, int stride,
                int shift, std::uint16_t* keys) {
  if (stride == 1) {
    for (int x = 0; x < count; ++x) {
      keys[x] = static_cast<std::uint16_t>(before[x] << shift | now[x]);
    }
    return;
  }
  for (int x = 0; x < count; ++x) {
    keys[x] = static_cast<std::uint16_t>(before[x * stride] << shift | now[x * stride]);
  }
}

// One kind of taps of one input channel: what is wrong at each position.
class Join {
 public:
  // Row `row` of an image's positions; sums: the image's. Nothing where there is no such row.
  void apply(int image, int row, std::uint32_t* sums) const;
  std::size_t bytes() const { return hits_.size() * sizeof(Hit) + entries_.size() * sizeof(Entry); }

 private:
  friend class JoinBuilder;
  struct Entry {
    std::int32_t offset;  // of the sum, from the position's
    std::int32_t packed;  // delta * 256 + ky * 16 + kx, these in strides
    std::int32_t delta() const { return packed >> 8; }
    int ky() const { return packed >> 4 & 15; }
    int kx() const { return packed & 15; }
  };
  struct Hit {  // a position whose pair of activations has entries
    std::int32_t x;
    std::uint32_t first, count;
  };

  void add_at_edge(int y, const Hit& hit, std::uint32_t* sums) const;

  const LaneGeometry* g_ = nullptr;
  int rows_ = 0;                   // positions of one image
  int last_ky_ = 0, last_kx_ = 0;  // the largest of the taps, in strides
  std::vector<Entry> entries_;
  std::vector<Hit> hits_;
  std::vector<std::uint32_t> row_hits_;  // [images][rows], and one more: where a row's begin
};

// Pairs of activations are ExceptionSet's keys.
class JoinBuilder {
 public:
  void build(const TimingLanes& lanes, const BatchOperands& batch, const StageTaps& taps,
             const Work& work, Join& to);

 private:
  struct List {  // of one output channel at one tap
    std::int32_t offset;
    std::uint16_t weights;
    std::uint8_t tap;  // ky * 16 + kx, in strides
    ExceptionSet::List exceptions;
    std::uint32_t kept_end;  // those whose activations occur end here in kept_
  };
  struct Range {
    std::uint32_t first = 0, count = 0;
  };

  void lay_out(const BatchOperands& batch);
  void collect_keys(const BatchOperands& batch, const StageTaps& taps);
  void mark_keys();
  void find_lists(const TimingLanes& lanes, const StageTaps& taps);
  void add_lists(const TimingLanes& lanes, const StageTaps& taps, int ky, int kx);
  void keep_exceptions();
  void sort_entries(Join& to);
  void find_hits(int images, Join& to);

  const LaneGeometry* g_ = nullptr;
  Work work_;
  bool negative_ = true;
  int rows_ = 0, columns_ = 0;            // positions of one image
  int first_row_ = 0, first_column_ = 0;  // those before have no step before
  int last_ky_ = 0, last_kx_ = 0;
  int c_before_ = 0, dy_ = 0, dx_ = 0;  // the step before: channel, and where from the position

  std::vector<std::uint16_t> keys_;  // [images][rows][columns]
  std::vector<std::uint8_t> seen_;   // by key; then: has entries
  std::vector<std::uint32_t> bits_;  // seen_ as bits
  std::vector<List> lists_;
  std::vector<std::uint32_t> kept_;  // key + delta * 65536
  std::vector<Range> ranges_;        // by key: in the entries
  std::vector<std::uint16_t> touched_;
  std::vector<std::int32_t> columns_hit_;
};

void JoinBuilder::build(const TimingLanes& lanes, const BatchOperands& batch, const StageTaps& taps,
                        const Work& work, Join& to) {
  g_ = batch.geometry;
  work_ = work;
  negative_ = lanes.negative_activations;
  lay_out(batch);
  collect_keys(batch, taps);
  find_lists(lanes, taps);
  to.g_ = g_;
  to.rows_ = rows_;
  to.last_ky_ = last_ky_, to.last_kx_ = last_kx_;
  to.hits_.clear();
  to.entries_.clear();
  if (lists_.empty()) return;
  mark_keys();
  keep_exceptions();
  sort_entries(to);
  find_hits(batch.images, to);
}

void JoinBuilder::lay_out(const BatchOperands& batch) {
  const LaneGeometry& g = *g_;
  const int k = g.kernel, s = g.stride;
  const int height = std::min(batch.height, (g.height - 1) * s + k);
  const int width = std::min(batch.width, (g.width - 1) * s + k);
  rows_ = (height - work_.phase_y + s - 1) / s;
  columns_ = (width - work_.phase_x + s - 1) / s;
  first_row_ = first_column_ = 0;
  last_ky_ = (k - 1 - work_.phase_y) / s;
  last_kx_ = (k - 1 - work_.phase_x) / s;
  c_before_ = work_.c;
  dy_ = dx_ = k - 1;
  switch (work_.before) {
    case Before::kLeft:
      dy_ = 0, dx_ = -1;
      first_column_ = work_.phase_x == 0;
      break;
    case Before::kRowAbove:
      dy_ = -1;
      first_row_ = work_.phase_y == 0;
      columns_ = g.width;
      last_kx_ = 0;
      break;
    case Before::kVector:
      c_before_ -= g.vec_size;
      rows_ = g.height, columns_ = g.width;
      last_ky_ = last_kx_ = 0;
      break;
    case Before::kPixel:
      c_before_ += (vectors(g) - 1) * g.vec_size;
      dx_ -= s;
      rows_ = g.height, columns_ = g.width;
      last_ky_ = last_kx_ = 0;
      break;
  }
}

void JoinBuilder::collect_keys(const BatchOperands& batch, const StageTaps& taps) {
  const LaneGeometry& g = *g_;
  const int s = g.stride, shift = negative_ ? 8 : 7;
  const std::int64_t image_size = std::int64_t{batch.height} * batch.width;
  const std::uint8_t* plane = taps.plane(work_.group, work_.c);
  const std::uint8_t* plane_before = taps.plane(work_.group, c_before_);
  // Positions without a step before count as (0, 0): harmless, they are not looked up.
  keys_.assign(std::size_t(rows_) * columns_ * batch.images, 0);
  std::uint16_t* keys = keys_.data();
  for (int n = 0; n < batch.images; ++n, plane += image_size, plane_before += image_size) {
    for (int r = 0; r < rows_; ++r, keys += columns_) {
      if (r < first_row_) continue;
      const int y = work_.phase_y + r * s, x = work_.phase_x + first_column_ * s;
      const std::uint8_t* now = plane + std::int64_t{y} * batch.width + x;
      const std::uint8_t* before = plane_before + std::int64_t{y + dy_} * batch.width + x + dx_;
      if (work_.before != Before::kPixel) {
        join_pairs(before, now, columns_ - first_column_, s, shift, keys + first_column_);
        continue;
      }
      join_pairs(before + s, now + s, columns_ - 1, s, shift, keys + 1);
      if (r == 0) continue;
      // The last pixel of the row above comes before the first one.
      const std::int64_t above =
          std::int64_t{y - s + g.kernel - 1} * batch.width + (g.width - 1) * s + g.kernel - 1;
      join_pairs(plane_before + above, now, 1, s, shift, keys);
    }
  }
}

void JoinBuilder::mark_keys() {
  const std::size_t pairs = negative_ ? ProductTable::kPairs : ExceptionSet::kCompactPairs;
  seen_.assign(pairs, 0);
  for (const std::uint16_t key : keys_) seen_[key] = 1;
  bits_.resize(pairs / 32);
  for (std::size_t word = 0; word < bits_.size(); ++word) {
    std::uint32_t all = 0;
    for (std::size_t i = 0; i < 4; ++i) {  // eight bytes, each 0 or 1, become eight bits
      std::uint64_t bytes;
      std::memcpy(&bytes, &seen_[word * 32 + i * 8], 8);
      all |= static_cast<std::uint32_t>(bytes * 0x0102040810204080u >> 56) << i * 8;
    }
    bits_[word] = all;
  }
}

void JoinBuilder::find_lists(const TimingLanes& lanes, const StageTaps& taps) {
  lists_.clear();
  const int s = g_->stride;
  for (int ky = work_.phase_y; ky <= work_.phase_y + last_ky_ * s; ky += s) {
    if (work_.before == Before::kRowAbove && ky == 0) continue;
    for (int kx = work_.phase_x; kx <= work_.phase_x + last_kx_ * s; kx += s) {
      if (work_.before == Before::kLeft && kx == 0) continue;
      add_lists(lanes, taps, ky, kx);
    }
  }
}

void JoinBuilder::add_lists(const TimingLanes& lanes, const StageTaps& taps, int ky, int kx) {
  const LaneGeometry& g = *g_;
  int ky_before = g.kernel - 1, kx_before = g.kernel - 1;
  if (work_.before == Before::kLeft) ky_before = ky, kx_before = kx - 1;
  if (work_.before == Before::kRowAbove) ky_before = ky - 1;
  const std::int8_t* before = taps.weights(work_.group, c_before_, ky_before, kx_before);
  const std::int8_t* now = taps.weights(work_.group, work_.c, ky, kx);
  const int v = work_.c % g.vec_size, first = work_.group * g.out_per_group;
  const int down = ky / g.stride, right = kx / g.stride;
  const std::int32_t offset = first - (down * g.width + right) * g.channels;
  const auto tap = static_cast<std::uint8_t>(down * 16 + right);
  const std::size_t kinds = lanes.lanes.size();
  for (int i = 0; i < g.out_per_group; ++i) {
    const auto pair = static_cast<unsigned>(ProductTable::pair(before[i], now[i]));
    const std::size_t lane = kinds == 1 ? 0 : g.lane(first + i) % kinds;
    const ExceptionSet::List list = lanes.lanes[lane].products[v]->of_weights(pair);
    if (list.count == 0) continue;
    lists_.push_back({offset + i, static_cast<std::uint16_t>(pair), tap, list, 0});
  }
}

void JoinBuilder::keep_exceptions() {
  constexpr std::size_t kAhead = 24;  // lists that are on their way from memory
  std::uint32_t kept = 0;
  for (std::size_t i = 0; i < lists_.size(); ++i) {
    if (i + kAhead < lists_.size()) {
      const ExceptionSet::List& later = lists_[i + kAhead].exceptions;
      __builtin_prefetch(later.keys);
      __builtin_prefetch(later.deltas);
    }
    const ExceptionSet::List& list = lists_[i].exceptions;
    if (kept_.size() < kept + list.count + 16) kept_.resize(2 * (kept + list.count) + 1024);
    kept += filter_pairs(list.keys, list.deltas, list.count, bits_.data(), kept_.data() + kept);
    lists_[i].kept_end = kept;
  }
}

void JoinBuilder::sort_entries(Join& to) {
  ranges_.resize(seen_.size());
  for (const std::uint16_t key : touched_) ranges_[key] = {};  // of the work before
  touched_.clear();
  const std::uint32_t kept = lists_.back().kept_end;
  for (std::uint32_t i = 0; i < kept; ++i) {
    const auto key = static_cast<std::uint16_t>(kept_[i]);
    if (ranges_[key].count++ == 0) touched_.push_back(key);
  }
  std::uint32_t next = 0;
  for (const std::uint16_t key : touched_) {
    ranges_[key].first = next;
    next += ranges_[key].count;
    ranges_[key].count = 0;
  }
  to.entries_.resize(kept);
  std::uint32_t i = 0;
  for (const List& list : lists_) {
    for (; i < list.kept_end; ++i) {
      Range& range = ranges_[kept_[i] & 0xFFFF];
      const unsigned key = kept_[i] & 0xFFFF, activation = negative_ ? key : key & 127;
      const int delta = ExceptionSet::signed_delta(activation, list.weights,
                                                   static_cast<std::uint16_t>(kept_[i] >> 16));
      to.entries_[range.first + range.count++] = {list.offset, delta * 256 + list.tap};
    }
  }
}

void JoinBuilder::find_hits(int images, Join& to) {
  std::fill(seen_.begin(), seen_.end(), 0);
  for (const std::uint16_t key : touched_) seen_[key] = 1;
  to.row_hits_.resize(std::size_t(images) * rows_ + 1);
  columns_hit_.resize(columns_ + 1);
  const std::uint16_t* keys = keys_.data();
  for (std::size_t row = 0; row + 1 < to.row_hits_.size(); ++row, keys += columns_) {
    to.row_hits_[row] = static_cast<std::uint32_t>(to.hits_.size());
    const int y = static_cast<int>(row) % rows_;
    if (y < first_row_) continue;
    int count = 0;
    for (int x = work_.before == Before::kPixel && y == 0 ? 1 : first_column_; x < columns_; ++x) {
      columns_hit_[count] = x;
      count += seen_[keys[x]];
    }
    for (int i = 0; i < count; ++i) {
      const Range& range = ranges_[keys[columns_hit_[i]]];
      to.hits_.push_back({columns_hit_[i], range.first, range.count});
    }
  }
  to.row_hits_.back() = static_cast<std::uint32_t>(to.hits_.size());
}

void Join::add_at_edge(int y, const Hit& hit, std::uint32_t* sums) const {
  for (std::uint32_t i = hit.first; i < hit.first + hit.count; ++i) {
    const Entry& e = entries_[i];
    const int out_y = y - e.ky(), out_x = hit.x - e.kx();
    if (out_y < 0 || out_y >= g_->height || out_x < 0 || out_x >= g_->width) continue;
    sums[(std::int64_t{y} * g_->width + hit.x) * g_->channels + e.offset] +=
        static_cast<std::uint32_t>(e.delta());
  }
}

void Join::apply(int image, int y, std::uint32_t* sums) const {
  if (hits_.empty() || y >= rows_) return;
  const LaneGeometry& g = *g_;
  const std::size_t row = std::size_t(image) * rows_ + y;
  const bool inside_row = y >= last_ky_ && y < g.height;
  for (std::uint32_t i = row_hits_[row]; i < row_hits_[row + 1]; ++i) {
    const Hit& hit = hits_[i];
    if (!inside_row || hit.x < last_kx_ || hit.x >= g.width) {
      add_at_edge(y, hit, sums);
      continue;
    }
    std::uint32_t* at = sums + (std::int64_t{y} * g.width + hit.x) * g.channels;
    const Entry* entry = entries_.data() + hit.first;
    for (std::uint32_t left = hit.count; left > 0; --left, ++entry) {
      at[entry->offset] += static_cast<std::uint32_t>(entry->delta());
    }
  }
}

// Those of one multiplier together: they share its exceptions.
std::vector<Work> plan(const BatchOperands& batch) {
  const LaneGeometry& g = *batch.geometry;
  const int channels = vectors(g) * g.vec_size, phases = std::min(g.stride, g.kernel);
  const auto has_taps = [&](int phase) { return g.kernel > (phase == 0 ? g.stride : phase); };
  std::vector<Work> all;
  for (int v = 0; v < g.vec_size; ++v) {
    for (int group = 0; group < batch.groups(); ++group) {
      for (int c = v; c < channels; c += g.vec_size) {
        all.push_back({group, c, c == v ? Before::kPixel : Before::kVector, 0, 0});
        if (c >= g.group_channels) continue;  // zeros follow zeros
        for (int y = 0; y < phases; ++y) {
          if (has_taps(y)) all.push_back({group, c, Before::kRowAbove, y, 0});
          for (int x = 0; x < phases; ++x) {
            if (has_taps(x)) all.push_back({group, c, Before::kLeft, y, x});
          }
        }
      }
    }
  }
  return all;
}

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
    if (vector && m % g.out_per_group >= g.lane_num) continue;  // add_vector_product_errors does
    const TimingLanes::Lane& lane = lanes.of(g.lane(m));
    const int before = m - g.lane_num;
    for (int v = 0; v < g.vec_size; ++v) {
      unsigned activations = 0, weights = 0;
      // A lane's channel before may be one of the padding: the same activations, weights of 0.
      const bool streamed = m + g.pad_offset >= g.lane_num;
      if (const int c = (vectors(g) - 1) * g.vec_size + v; streamed && c < g.group_channels) {
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

// Joins are applied to an image at a time, as many as fit the cache beside the image's sums; but
// not fewer than a few.
constexpr std::size_t kJoinBytes = 4 << 20, kLeastJoins = 8;

}  // namespace

void add_product_errors(const TimingLanes& lanes, const std::string& layer,
                        const BatchOperands& batch, std::uint32_t* sums) {
  const LaneGeometry& g = *batch.geometry;
  const std::int64_t image_size = std::int64_t{g.height} * g.width * g.channels;
  parallel_for(batch.images, [&](std::int64_t n) {
    add_at_first_pixels(lanes, batch, static_cast<int>(n), sums + n * image_size);
  });
  if (g.width == 1 && g.height == 1) {
    add_vector_product_errors(lanes, layer, batch, sums);
    return;
  }
  thread_local std::vector<Join> kept_joins;
  thread_local StageTaps kept_taps;
  std::vector<Join>& joins = kept_joins;  // the caller's, in whichever thread
  StageTaps& taps = kept_taps;
  taps.arrange(batch, layer, lanes.negative_activations);
  const std::vector<Work> all = plan(batch);
  const int rows = (batch.height + g.stride - 1) / g.stride;
  if (joins.size() < all.size()) joins.resize(all.size());
  for (std::size_t first = 0, last = 0; first < all.size(); first = last) {
    for (std::size_t bytes = 0; last < all.size() && bytes < kJoinBytes;) {
      const std::size_t count = std::min(kLeastJoins, all.size() - last);
      parallel_for(static_cast<std::int64_t>(count), [&](std::int64_t i) {
        thread_local JoinBuilder builder;
        builder.build(lanes, batch, taps, all[last + i], joins[last - first + i]);
      });
      for (std::size_t i = 0; i < count; ++i) bytes += joins[last - first + i].bytes();
      last += count;
    }
    parallel_for(batch.images, [&](std::int64_t n) {
      for (int row = 0; row < rows; ++row) {  // row by row: those of the sums stay in the cache
        for (std::size_t i = 0; i < last - first; ++i) {
          joins[i].apply(static_cast<int>(n), row, sums + n * image_size);
        }
      }
    });
  }
}

}  // namespace inure
