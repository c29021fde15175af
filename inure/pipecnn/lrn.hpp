#pragma once

#include <cstdint>

namespace inure::pipecnn {

// PipeCNN's local response normalisation over 5 channels: a piecewise linear approximation of
// x * (1 + 2e-5 * sum of squares)^-0.75 (alpha = 1e-4, beta = 0.75, k = 1), in single precision in
// this order of operations. in, out: [pixels][channels]; fraction <= 0 is the input's, the output's
// is 0. Sums of 2^24 and more, where the table ends, give 0.
void lrn(const std::int8_t* in, std::int64_t pixels, int channels, int fraction, std::int8_t* out);

// One value, from itself and the sum of squares of its neighbourhood.
std::int8_t lrn_value(float x, float sum_of_squares);

}  // namespace inure::pipecnn
