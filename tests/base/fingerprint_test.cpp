#include "inure/base/fingerprint.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>

namespace inure {
namespace {

std::uint64_t number_of(const std::string& bytes) { return Fingerprint().add(bytes).number(); }

TEST(Fingerprint, EveryBitCounts) {
  std::mt19937 random(3);
  for (const std::size_t size : {1u, 7u, 8u, 9u, 64u, 201u}) {
    std::string bytes;
    for (std::size_t i = 0; i < size; ++i) bytes.push_back(static_cast<char>(random()));
    std::set<std::uint64_t> seen{number_of(bytes)};
    for (std::size_t bit = 0; bit < 8 * size; ++bit) {
      std::string flipped = bytes;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
      EXPECT_TRUE(seen.insert(number_of(flipped)).second) << "bit " << bit << " of " << size;
    }
  }
}

TEST(Fingerprint, ZerosAtTheEndCount) {
  std::set<std::uint64_t> seen;
  for (std::size_t size = 0; size < 40; ++size) {
    EXPECT_TRUE(seen.insert(number_of(std::string(size, '\0'))).second) << size;
  }
}

}  // namespace
}  // namespace inure
