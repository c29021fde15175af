#pragma once

#include "inure/errors/error_model.hpp"

namespace inure {

// Independent flips, the baseline of all published tools: each bit in [low_bit, high_bit] of each
// value flips with probability `rate`. `model` tells several flips on one stage apart. An
// accumulator's flip is taken on the register as the exact products and the chain's earlier flips
// left it. What it is not: timing errors, whose rate and size depend on the operands.
std::unique_ptr<ErrorModel> make_bit_flip(BitFlipDescription::Where where, double rate, int low_bit,
                                          int high_bit, std::uint32_t model);

}  // namespace inure
