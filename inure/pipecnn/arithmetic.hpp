#pragma once

#include <algorithm>
#include <cstdint>

// PipeCNN's output arithmetic for one value, as the reference and the tests use it. An accumulator
// is a 32-bit two's complement sum of products with frac_w + frac_in fraction bits.
namespace inure::pipecnn {

// floor(a / 2^n + 1/2), without overflow.
constexpr std::int32_t round_half_up(std::int32_t a, int n) {
  return n == 0 ? a : ((a >> (n - 1)) + 1) >> 1;
}

// The default: the bias has the accumulator's precision, and the sum saturates once.
constexpr std::int8_t finish_wide_bias(std::uint32_t sum, std::int32_t bias, int shift, bool relu) {
  const auto total = static_cast<std::int32_t>(sum + static_cast<std::uint32_t>(bias));
  const std::int32_t rounded = round_half_up(total, shift);
  return static_cast<std::int8_t>(std::clamp(rounded, relu ? 0 : -128, 127));
}

// PipeCNN v1.3's 8-bit bias at the output's fraction.
constexpr std::int32_t round_bias_2018(std::int8_t bias, int bias_shift) {
  return bias_shift > 31 ? 0 : round_half_up(bias, bias_shift);
}

// PipeCNN v1.3: the 8-bit bias is rounded to the output's fraction and added after the saturation
// has been decided; the sum wraps modulo 256. shift = frac_w + frac_in - frac_out, bias_shift =
// frac_w - frac_out.
constexpr std::int8_t finish_2018(std::uint32_t sum, std::int8_t bias, int shift, int bias_shift,
                                  bool relu) {
  const std::int32_t rounded = round_half_up(static_cast<std::int32_t>(sum), shift);
  const std::int32_t b = round_bias_2018(bias, bias_shift);
  const std::int8_t out = rounded > 127    ? std::int8_t{127}
                          : rounded < -128 ? std::int8_t{-128}
                                           : static_cast<std::int8_t>(rounded + b);
  return relu && out < 0 ? std::int8_t{0} : out;
}

}  // namespace inure::pipecnn
