#include "inure/errors/product_errors.hpp"

#include <algorithm>
#include <limits>

#include "inure/base/error.hpp"
#include "inure/base/parallel.hpp"
#include "inure/errors/vector_product_errors.hpp"

// A wrong product needs a pair of activations that meets a pair of weights. Neighbouring taps of a
// convolution see the same pairs of activations: (a[y][x-1], a[y][x]) of one input channel meets
// the weights of all taps (ky, kx > 0) and all output channels. So for each input channel
//   1. the pairs of activations that occur in the batch are marked;
//   2. the exceptions of every weight pair of the channel are gone through; those whose activations
//      occur become a list for each pair of activations: which output, how much;
//   3. every position of every image looks its pair up and adds its list.
// Lookups grow with positions, not with products; the rest with the number of errors.
namespace inure {
namespace {

constexpr unsigned kPairs = ProductTable::kPairs;
constexpr unsigned kSignBits = 0x8080;  // of a pair of activations

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

// What is looked up by pair of activations.
class Join {
 public:
  Join() : state_(kPairs), first_(kPairs), count_(kPairs) {}

  void build(const TimingLanes& lanes, const std::string& layer, const BatchOperands& batch,
             const Work& work);
  void apply(int image, std::uint32_t* sums) const;

 private:
  enum State : std::uint8_t { kAbsent, kOccurs, kErrs };
  struct Entry {
    std::int32_t offset;  // of the sum, from the position's
    std::int32_t packed;  // delta * 256 + ky * 16 + kx, these in strides
    std::int32_t delta() const { return packed >> 8; }
    int ky() const { return packed >> 4 & 15; }
    int kx() const { return packed & 15; }
  };

  void lay_out(const BatchOperands& batch);
  void collect_keys(const BatchOperands& batch);
  void keys_of_image(const BatchOperands& batch, int image, std::uint16_t* keys) const;
  void check_signs(const std::string& layer) const;
  void find_exceptions(const TimingLanes& lanes, const BatchOperands& batch);
  void of_tap(const TimingLanes& lanes, const BatchOperands& batch, int ky, int kx);
  void sort_entries();
  void add_at_edge(int y, int x, unsigned key, std::uint32_t* sums) const;

  const LaneGeometry* g_ = nullptr;
  Work work_;
  int rows_ = 0, columns_ = 0;            // positions of one image
  int first_row_ = 0, first_column_ = 0;  // those before have no step before
  int last_ky_ = 0, last_kx_ = 0;         // the largest of the phase, in strides
  int c_before_ = 0, dy_ = 0, dx_ = 0;  // the step before: its channel, and where from the position
  std::vector<std::uint16_t> keys_;     // [images][rows][columns]
  std::vector<std::uint8_t> state_;
  std::vector<std::uint32_t> first_, count_;
  std::vector<std::uint16_t> touched_;  // keys with entries
  std::vector<std::pair<std::uint16_t, Entry>> found_;
  std::vector<Entry> entries_;  // by key
};

int vectors(const LaneGeometry& g) { return g.steps / (g.kernel * g.kernel); }

void Join::build(const TimingLanes& lanes, const std::string& layer, const BatchOperands& batch,
                 const Work& work) {
  g_ = batch.geometry;
  work_ = work;
  lay_out(batch);
  for (const std::uint16_t key : touched_) count_[key] = 0;  // of the work before
  touched_.clear();
  found_.clear();
  std::fill(state_.begin(), state_.end(), kAbsent);
  collect_keys(batch);
  if (!lanes.negative_activations) check_signs(layer);
  find_exceptions(lanes, batch);
  sort_entries();
}

void Join::lay_out(const BatchOperands& batch) {
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

void Join::keys_of_image(const BatchOperands& batch, int image, std::uint16_t* keys) const {
  const LaneGeometry& g = *g_;
  const std::uint8_t* plane = batch.plane(image, work_.group);
  const std::int64_t pixel = g.group_channels, row = std::int64_t{batch.width} * pixel;
  const bool now_real = work_.c < g.group_channels, before_real = c_before_ < g.group_channels;
  for (int r = first_row_; r < rows_; ++r) {
    const int y = work_.phase_y + r * g.stride;
    const std::uint8_t* now = plane + y * row + work_.phase_x * pixel + work_.c;
    const std::uint8_t* before =
        plane + (y + dy_) * row + (work_.phase_x + dx_) * pixel + c_before_;
    const std::int64_t step = g.stride * pixel;
    for (int x = first_column_; x < columns_; ++x) {
      const std::uint8_t* b = before + x * step;
      if (work_.before == Before::kPixel && x == 0) {
        if (r == 0) continue;
        // The last pixel of the row above.
        b = plane + (y - g.stride + g.kernel - 1) * row +
            ((g.width - 1) * g.stride + g.kernel - 1) * pixel + c_before_;
      }
      const unsigned previous = before_real ? *b : 128u, current = now_real ? now[x * step] : 128u;
      keys[r * columns_ + x] = static_cast<std::uint16_t>((previous << 8 | current) ^ kSignBits);
    }
  }
}

void Join::collect_keys(const BatchOperands& batch) {
  const std::size_t size = static_cast<std::size_t>(rows_) * columns_;
  keys_.assign(size * batch.images, 0);
  for (int n = 0; n < batch.images; ++n) keys_of_image(batch, n, keys_.data() + n * size);
  // Positions without a step before count as (0, 0) here: harmless, they are not looked up.
  for (const std::uint16_t key : keys_) state_[key] = kOccurs;
}

void Join::check_signs(const std::string& layer) const {
  unsigned all = 0;
  for (const std::uint16_t key : keys_) all |= key;
  if ((all & kSignBits) != 0) {
    fail(
        "errors: timing: layer \"{}\" has negative activations, and the profile or its tables "
        "know only 0 to 127; make them without --relu",
        layer);
  }
}

void Join::find_exceptions(const TimingLanes& lanes, const BatchOperands& batch) {
  const int s = g_->stride;
  for (int ky = work_.phase_y; ky <= work_.phase_y + last_ky_ * s; ky += s) {
    if (work_.before == Before::kRowAbove && ky == 0) continue;
    for (int kx = work_.phase_x; kx <= work_.phase_x + last_kx_ * s; kx += s) {
      if (work_.before == Before::kLeft && kx == 0) continue;
      of_tap(lanes, batch, ky, kx);
    }
  }
}

void Join::of_tap(const TimingLanes& lanes, const BatchOperands& batch, int ky, int kx) {
  const LaneGeometry& g = *g_;
  const int v = work_.c % g.vec_size;
  const bool now_real = work_.c < g.group_channels, before_real = c_before_ < g.group_channels;
  int ky_before = g.kernel - 1, kx_before = g.kernel - 1;
  if (work_.before == Before::kLeft) ky_before = ky, kx_before = kx - 1;
  if (work_.before == Before::kRowAbove) ky_before = ky - 1;
  const int down = ky / g.stride, right = kx / g.stride;
  for (int i = 0; i < g.out_per_group; ++i) {
    const int m = work_.group * g.out_per_group + i;
    const int before = before_real ? batch.weight(m, c_before_, ky_before, kx_before) : 0;
    const int now = now_real ? batch.weight(m, work_.c, ky, kx) : 0;
    const auto pair = static_cast<unsigned>(ProductTable::pair(before, now));
    const TimingLanes::Lane& lane = lanes.lanes[g.lane(m) % lanes.lanes.size()];
    for (const auto& exception : lane.products[v]->of_weights(pair)) {
      if (state_[exception.operands] == kAbsent) continue;
      const int delta = ExceptionSet::signed_delta(exception.operands, pair, exception.delta);
      found_.push_back(
          {exception.operands,
           {m - (down * g.width + right) * g.channels, delta * 256 + down * 16 + right}});
    }
  }
}

void Join::sort_entries() {
  for (const auto& [key, entry] : found_) {
    if (count_[key]++ == 0) touched_.push_back(key);
  }
  std::uint32_t next = 0;
  for (const std::uint16_t key : touched_) {
    first_[key] = next;
    next += count_[key];
    state_[key] = kErrs;
  }
  entries_.resize(found_.size());
  for (const auto& [key, entry] : found_) entries_[first_[key]++] = entry;
  for (const std::uint16_t key : touched_) first_[key] -= count_[key];
}

void Join::add_at_edge(int y, int x, unsigned key, std::uint32_t* sums) const {
  for (std::uint32_t i = first_[key]; i < first_[key] + count_[key]; ++i) {
    const Entry& e = entries_[i];
    const int out_y = y - e.ky(), out_x = x - e.kx();
    if (out_y < 0 || out_y >= g_->height || out_x < 0 || out_x >= g_->width) continue;
    sums[(std::int64_t{y} * g_->width + x) * g_->channels + e.offset] +=
        static_cast<std::uint32_t>(e.delta());
  }
}

void Join::apply(int image, std::uint32_t* sums) const {
  if (touched_.empty()) return;
  const LaneGeometry& g = *g_;
  const std::uint16_t* keys = keys_.data() + std::int64_t{image} * rows_ * columns_;
  for (int y = first_row_; y < rows_; ++y) {
    const std::uint16_t* row = keys + std::int64_t{y} * columns_;
    const bool inside_row = y >= last_ky_ && y < g.height;
    const int first = work_.before == Before::kPixel && y == 0 ? 1 : first_column_;
    for (int x = first; x < columns_; ++x) {
      const unsigned key = row[x];
      if (state_[key] != kErrs) continue;
      if (!inside_row || x < last_kx_ || x >= g.width) {
        add_at_edge(y, x, key, sums);
        continue;
      }
      std::uint32_t* at = sums + (std::int64_t{y} * g.width + x) * g.channels;
      const Entry* entry = entries_.data() + first_[key];
      for (std::uint32_t left = count_[key]; left > 0; --left, ++entry) {
        at[entry->offset] += static_cast<std::uint32_t>(entry->delta());
      }
    }
  }
}

std::vector<Work> plan(const BatchOperands& batch) {
  const LaneGeometry& g = *batch.geometry;
  std::vector<Work> all;
  for (int group = 0; group < batch.groups(); ++group) {
    for (int c = 0; c < vectors(g) * g.vec_size; ++c) {
      all.push_back({group, c, c < g.vec_size ? Before::kPixel : Before::kVector, 0, 0});
      if (c >= g.group_channels) continue;  // zeros follow zeros
      const int phases = std::min(g.stride, g.kernel);
      for (int y = 0; y < phases; ++y) {
        if (g.kernel > (y == 0 ? g.stride : y)) all.push_back({group, c, Before::kRowAbove, y, 0});
        for (int x = 0; x < phases; ++x) {
          if (g.kernel > (x == 0 ? g.stride : x)) all.push_back({group, c, Before::kLeft, y, x});
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
  for (int m = 0; m < g.channels; ++m) {
    const TimingLanes::Lane& lane = lanes.lanes[g.lane(m) % lanes.lanes.size()];
    const int before = m - g.lane_num;
    for (int v = 0; v < g.vec_size; ++v) {
      unsigned activations = 0, weights = 0;
      if (const int c = (vectors(g) - 1) * g.vec_size + v; before >= 0 && c < g.group_channels) {
        activations = batch.plane(image, before / g.out_per_group)[last_pixel + c] ^ 128u;
        weights = static_cast<std::uint8_t>(batch.weight(before, c, end, end));
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

constexpr std::size_t kJoinsAtOnce = 8;

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
  const std::vector<Work> all = plan(batch);
  thread_local std::vector<Join> kept;
  std::vector<Join>& joins = kept;  // the caller's, in whichever thread
  joins.resize(kJoinsAtOnce);
  for (std::size_t first = 0; first < all.size(); first += kJoinsAtOnce) {
    const std::size_t count = std::min(kJoinsAtOnce, all.size() - first);
    parallel_for(static_cast<std::int64_t>(count),
                 [&](std::int64_t i) { joins[i].build(lanes, layer, batch, all[first + i]); });
    parallel_for(batch.images, [&](std::int64_t n) {
      for (std::size_t i = 0; i < count; ++i) {
        joins[i].apply(static_cast<int>(n), sums + n * image_size);
      }
    });
  }
}

}  // namespace inure
