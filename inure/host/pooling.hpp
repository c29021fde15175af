#pragma once

#include <algorithm>
#include <cstdint>

// Pooling on the host, on plain memory. Shapes are those of BVLC Caffe's Pooling layer.
namespace inure {

// One axis of a pooling window. Output o looks at the places [o * stride - pad, ... + kernel) of
// the map, as far as the map has them: begin(o) and end(o) lie within [0, size] for every o.
struct PoolingAxis {
  std::int64_t size = 0, kernel = 0, stride = 1, pad = 0, outputs = 0;

  std::int64_t begin(std::int64_t o) const {
    return std::clamp<std::int64_t>(o * stride - pad, 0, size);
  }
  std::int64_t end(std::int64_t o) const {
    return std::clamp<std::int64_t>(o * stride - pad + kernel, 0, size);
  }
  bool is_empty(std::int64_t o) const { return begin(o) >= end(o); }
  // An average divides by places of the map and of its padding, but by none beyond the padding.
  std::int64_t counted(std::int64_t o) const {
    const std::int64_t first = o * stride - pad;
    return std::min(first + kernel, size + pad) - first;
  }
};

struct PoolingWindow {
  PoolingAxis high, wide;

  // Sets the outputs of both axes from size, kernel, stride and pad, each below 2^31 and stride
  // at least 1. (size + 2 pad - kernel) / stride is rounded up (Caffe's default) or down
  // (round_mode: FLOOR); where one axis has padding, outputs that begin behind the map are dropped
  // in both. A window larger than the padded map may give no output or fewer.
  void count_outputs(bool round_up);
  // A window lies wholly outside the map: only without padding, and only the last of an axis.
  bool has_empty_window() const;
};

// Pooling of one map x [high.size][wide.size] to y [high.outputs][wide.outputs]; row has room for
// wide.size values. The maximum of an empty window is the lowest float, its average 0.
void max_pool(const float* x, float* y, const PoolingWindow& window, float* row);
void average_pool(const float* x, float* y, const PoolingWindow& window, float* row);

// The gradients dx of the map from those of the outputs, dy. That of a maximum goes to the first
// of the greatest, as in Caffe; the maximum is searched in x, for y may have been computed
// elsewhere. An empty window has no gradient.
void max_pool_backward(const float* x, const float* dy, float* dx, const PoolingWindow& window);
void average_pool_backward(const float* dy, float* dx, const PoolingWindow& window);

}  // namespace inure
