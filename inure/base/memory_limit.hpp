#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace inure {

// Bytes of memory that this process may still take: the least of what the machine has free, what
// its control group leaves and what its limit of address space leaves.
std::uint64_t available_memory();

// Bytes that the limit of address space (ulimit -v) leaves; the largest number where there is none.
std::uint64_t address_space_left();

// To be asked before memory is taken of a size that a file asks for. Throws Error, one line that
// begins with what `who` returns (the file, the layer), where `bytes` are more than there are.
void check_memory(std::uint64_t bytes, const std::function<std::string()>& who);

// The bytes of so many values of 4 bytes; the largest number where the product is larger than that.
template <typename Shape>
std::uint64_t float_bytes(const Shape& shape) {
  std::uint64_t bytes = sizeof(float);
  for (const auto size : shape) {
    if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(size), &bytes)) return UINT64_MAX;
  }
  return bytes;
}

}  // namespace inure
