#pragma once

#include <cstdint>

namespace inure {

// Which exceptions of a list have a key whose bit is set in `bits` (key k: bit k % 32 of word
// k / 32): each as key + delta * 65536, in order. Returns how many. `kept` must have room for
// count + 16.
std::uint32_t filter_pairs(const std::uint16_t* keys, const std::uint16_t* deltas,
                           std::uint32_t count, const std::uint32_t* bits, std::uint32_t* kept);

// Its plain twin.
std::uint32_t filter_pairs_plain(const std::uint16_t* keys, const std::uint16_t* deltas,
                                 std::uint32_t count, const std::uint32_t* bits,
                                 std::uint32_t* kept);

}  // namespace inure
