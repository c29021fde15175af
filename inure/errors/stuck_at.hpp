#pragma once

#include "inure/errors/error_model.hpp"

namespace inure {

// A permanent fault: bit `bit` of the product register of one multiplier of one lane always reads
// `value`.
std::unique_ptr<ErrorModel> make_stuck_at(int lane, int multiplier, int bit, bool value);

}  // namespace inure
