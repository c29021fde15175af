#pragma once

#include <cstdint>
#include <span>

// Int8 numbers with a power-of-two scale: value = q * 2^-fraction. A negative fraction means that
// the last bit is worth 2^|fraction|.
namespace inure {

// q = value * 2^fraction rounded to nearest, halves away from zero, clamped to [-128, 127];
// not-a-number gives 0. Sizes must agree.
void quantize(std::span<const float> values, int fraction, std::span<std::int8_t> out);

// The same for a bias of 32 bits, clamped to the int32 range.
void quantize(std::span<const float> values, int fraction, std::span<std::int32_t> out);

void dequantize(std::span<const std::int8_t> values, int fraction, std::span<float> out);

// Between Caffe's [C][H*W] floats and an accelerator's [H*W][C] int8, one image.
void quantize_to_channels_last(const float* values, int channels, int pixels, int fraction,
                               std::int8_t* out);
void dequantize_from_channels_last(const std::int8_t* values, int channels, int pixels,
                                   int fraction, float* out);

}  // namespace inure
