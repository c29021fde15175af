#pragma once

#include <cstdint>
#include <string_view>

namespace inure {

// A number that changes for certain when a single byte, or eight in a row from a multiple of eight
// on, change. Not for secrets.
std::uint64_t checksum(std::string_view bytes);

}  // namespace inure
