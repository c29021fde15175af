#include "inure/fixed_point/format.hpp"

#include <algorithm>
#include <cmath>

#include "inure/base/clones.hpp"
#include "inure/base/error.hpp"

namespace inure {
namespace {

// Without branches, so that it vectorises. What is added is the largest number below a half: with a
// half, the largest number below a half would become 1. (Equal to std::round for every float.)
inline std::int8_t round_to_int8(float scaled) {
  const float number = scaled == scaled ? scaled : 0.0f;
  const float clamped = std::max(-128.0f, std::min(127.0f, number));
  return static_cast<std::int8_t>(static_cast<int>(clamped + std::copysign(0.49999997f, clamped)));
}

INURE_CLONES
void quantize_run(const float* in, std::int64_t count, float scale, std::int8_t* out) {
  for (std::int64_t i = 0; i < count; ++i) out[i] = round_to_int8(in[i] * scale);
}

INURE_CLONES
void dequantize_run(const std::int8_t* in, std::int64_t count, float step, float* out) {
  for (std::int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(in[i]) * step;
}

// Blocks of this many pixels and channels stay in the first-level cache while they are turned over.
constexpr int kBlock = 64;

// out[c][r] = in[r][c] for one block.
template <typename T>
void transpose_block(const T* in, std::int64_t in_stride, int rows, int columns, T* out,
                     std::int64_t out_stride) {
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < columns; ++c) out[c * out_stride + r] = in[r * in_stride + c];
  }
}

}  // namespace

void quantize(std::span<const float> values, int fraction, std::span<std::int8_t> out) {
  if (values.size() != out.size()) fail("quantize: {} values into {}", values.size(), out.size());
  quantize_run(values.data(), static_cast<std::int64_t>(values.size()), std::ldexp(1.0f, fraction),
               out.data());
}

void quantize(std::span<const float> values, int fraction, std::span<std::int32_t> out) {
  if (values.size() != out.size()) fail("quantize: {} values into {}", values.size(), out.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double scaled = std::ldexp(static_cast<double>(values[i]), fraction);
    const double clamped = std::clamp(std::round(scaled), -2147483648.0, 2147483647.0);
    out[i] = scaled == scaled ? static_cast<std::int32_t>(clamped) : 0;
  }
}

void dequantize(std::span<const std::int8_t> values, int fraction, std::span<float> out) {
  if (values.size() != out.size()) fail("dequantize: {} values into {}", values.size(), out.size());
  dequantize_run(values.data(), static_cast<std::int64_t>(values.size()),
                 std::ldexp(1.0f, -fraction), out.data());
}

void quantize_to_channels_last(const float* values, int channels, int pixels, int fraction,
                               std::int8_t* out) {
  const float scale = std::ldexp(1.0f, fraction);
  if (pixels == 1 || channels == 1) {
    quantize_run(values, std::int64_t{channels} * pixels, scale, out);
    return;
  }
  std::int8_t block[kBlock * kBlock];
  for (int c0 = 0; c0 < channels; c0 += kBlock) {
    const int rows = std::min(kBlock, channels - c0);
    for (int p0 = 0; p0 < pixels; p0 += kBlock) {
      const int columns = std::min(kBlock, pixels - p0);
      for (int c = 0; c < rows; ++c) {
        quantize_run(values + std::int64_t{c0 + c} * pixels + p0, columns, scale,
                     block + c * kBlock);
      }
      transpose_block(block, kBlock, rows, columns, out + std::int64_t{p0} * channels + c0,
                      channels);
    }
  }
}

void dequantize_from_channels_last(const std::int8_t* values, int channels, int pixels,
                                   int fraction, float* out) {
  const float step = std::ldexp(1.0f, -fraction);
  if (pixels == 1 || channels == 1) {
    dequantize_run(values, std::int64_t{channels} * pixels, step, out);
    return;
  }
  std::int8_t block[kBlock * kBlock];
  for (int p0 = 0; p0 < pixels; p0 += kBlock) {
    const int rows = std::min(kBlock, pixels - p0);
    for (int c0 = 0; c0 < channels; c0 += kBlock) {
      const int columns = std::min(kBlock, channels - c0);
      transpose_block(values + std::int64_t{p0} * channels + c0, channels, rows, columns, block,
                      kBlock);
      for (int c = 0; c < columns; ++c) {
        dequantize_run(block + c * kBlock, rows, step, out + std::int64_t{c0 + c} * pixels + p0);
      }
    }
  }
}

}  // namespace inure
