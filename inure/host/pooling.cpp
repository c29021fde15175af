#include "inure/host/pooling.hpp"

#include <cmath>
#include <limits>

#include "inure/base/clones.hpp"

namespace inure {
namespace {

// Caffe divides in float.
std::int64_t steps(const PoolingAxis& axis, bool round_up) {
  const auto room = static_cast<float>(axis.size + 2 * axis.pad - axis.kernel);
  const float quotient = room / static_cast<float>(axis.stride);
  return static_cast<std::int64_t>(round_up ? std::ceil(quotient) : std::floor(quotient));
}

INURE_CLONES
void max_rows(const float* x, std::int64_t rows, std::int64_t width, float* row) {
  std::copy(x, x + width, row);
  for (std::int64_t r = 1; r < rows; ++r) {
    const float* next = x + r * width;
    for (std::int64_t i = 0; i < width; ++i) row[i] = next[i] > row[i] ? next[i] : row[i];
  }
}

INURE_CLONES
void sum_rows(const float* x, std::int64_t rows, std::int64_t width, float* row) {
  std::copy(x, x + width, row);
  for (std::int64_t r = 1; r < rows; ++r) {
    for (std::int64_t i = 0; i < width; ++i) row[i] += x[r * width + i];
  }
}

}  // namespace

void PoolingWindow::count_outputs(bool round_up) {
  const bool padded = high.pad > 0 || wide.pad > 0;
  for (PoolingAxis* axis : {&high, &wide}) {
    axis->outputs = steps(*axis, round_up) + 1;
    if (padded && (axis->outputs - 1) * axis->stride >= axis->size + axis->pad) --axis->outputs;
  }
}

bool PoolingWindow::has_empty_window() const {
  return high.is_empty(high.outputs - 1) || wide.is_empty(wide.outputs - 1);
}

void max_pool(const float* x, float* y, const PoolingWindow& window, float* row) {
  const auto& [high, wide] = window;
  for (std::int64_t oy = 0; oy < high.outputs; ++oy) {
    const std::int64_t top = high.begin(oy), rows = high.end(oy) - top;
    if (rows > 0) max_rows(x + top * wide.size, rows, wide.size, row);
    for (std::int64_t ox = 0; ox < wide.outputs; ++ox) {
      const std::int64_t begin = wide.begin(ox), end = wide.end(ox);
      if (rows <= 0 || begin >= end) {
        *y++ = std::numeric_limits<float>::lowest();
        continue;
      }
      float best = row[begin];
      for (std::int64_t i = begin + 1; i < end; ++i) best = row[i] > best ? row[i] : best;
      *y++ = best;
    }
  }
}

void average_pool(const float* x, float* y, const PoolingWindow& window, float* row) {
  const auto& [high, wide] = window;
  for (std::int64_t oy = 0; oy < high.outputs; ++oy) {
    const std::int64_t top = high.begin(oy), rows = high.end(oy) - top;
    if (rows > 0) sum_rows(x + top * wide.size, rows, wide.size, row);
    for (std::int64_t ox = 0; ox < wide.outputs; ++ox) {
      if (rows <= 0 || wide.is_empty(ox)) {
        *y++ = 0;
        continue;
      }
      float sum = 0;
      for (std::int64_t i = wide.begin(ox); i < wide.end(ox); ++i) sum += row[i];
      *y++ = sum / static_cast<float>(high.counted(oy) * wide.counted(ox));
    }
  }
}

void max_pool_backward(const float* x, const float* dy, float* dx, const PoolingWindow& window) {
  const auto& [high, wide] = window;
  std::fill(dx, dx + high.size * wide.size, 0.0f);
  for (std::int64_t oy = 0; oy < high.outputs; ++oy) {
    for (std::int64_t ox = 0; ox < wide.outputs; ++ox, ++dy) {
      if (high.is_empty(oy) || wide.is_empty(ox)) continue;
      std::int64_t at = high.begin(oy) * wide.size + wide.begin(ox);
      float best = x[at];
      for (std::int64_t iy = high.begin(oy); iy < high.end(oy); ++iy) {
        for (std::int64_t i = iy * wide.size + wide.begin(ox), end = iy * wide.size + wide.end(ox);
             i < end; ++i) {
          const bool greater = x[i] > best;
          best = greater ? x[i] : best;
          at = greater ? i : at;
        }
      }
      dx[at] += *dy;
    }
  }
}

void average_pool_backward(const float* dy, float* dx, const PoolingWindow& window) {
  const auto& [high, wide] = window;
  std::fill(dx, dx + high.size * wide.size, 0.0f);
  for (std::int64_t oy = 0; oy < high.outputs; ++oy) {
    for (std::int64_t ox = 0; ox < wide.outputs; ++ox, ++dy) {
      if (high.is_empty(oy) || wide.is_empty(ox)) continue;
      const float share = *dy / static_cast<float>(high.counted(oy) * wide.counted(ox));
      for (std::int64_t iy = high.begin(oy); iy < high.end(oy); ++iy) {
        float* row = dx + iy * wide.size;
        for (std::int64_t i = wide.begin(ox); i < wide.end(ox); ++i) row[i] += share;
      }
    }
  }
}

}  // namespace inure
