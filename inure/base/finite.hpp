#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <span>

namespace inure {

// Neither NaN nor infinity. (Free of branches, so that loops with it vectorise.)
inline bool is_finite(float value) {
  constexpr std::uint32_t kExponent = 0x7F800000;
  return (std::bit_cast<std::uint32_t>(value) & kExponent) != kExponent;
}

// The index of the first NaN or infinity; empty where all values are numbers.
std::optional<std::int64_t> find_not_finite(std::span<const float> values);

}  // namespace inure
