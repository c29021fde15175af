#pragma once

#include <array>
#include <cstdint>

namespace inure {

// Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random
// numbers: as easy as 1, 2, 3" (SC 2011). A pure function: the same counter and key give the same
// four words on every machine, in any order, on any thread.
using PhiloxCounter = std::array<std::uint32_t, 4>;
using PhiloxKey = std::array<std::uint32_t, 2>;
using PhiloxBlock = std::array<std::uint32_t, 4>;

constexpr PhiloxBlock philox(PhiloxCounter counter, PhiloxKey key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {
        static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(p1),
        static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(p0)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

constexpr PhiloxKey philox_key(std::uint64_t seed) {
  return {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
}

// A uniform number in [0, 1) with 24 bits, and one in (0, 1) with 32 (safe for a logarithm).
constexpr float uniform24(std::uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }
constexpr double uniform32(std::uint32_t word) { return (word + 0.5) * 0x1p-32; }

// Who draws: the first counter word names the purpose, so that no two purposes share numbers.
enum class RandomPurpose : std::uint32_t {
  kFiller = 1,
  kDropout = 2,
  kTransform = 3,
  kShuffle = 4,
  kDummyData = 5,
  kErrors = 16,  // and above: inure/errors
};

// Numbers drawn in sequence under one (seed, purpose, a, b): the convenient form where one place
// draws many numbers in order (a filler, a dropout mask, a crop).
class RandomStream {
 public:
  RandomStream(std::uint64_t seed, RandomPurpose purpose, std::uint32_t a, std::uint32_t b)
      : key_(philox_key(seed)), counter_{static_cast<std::uint32_t>(purpose), a, b, 0} {}

  std::uint32_t next();
  double uniform() { return uniform32(next()); }
  double gaussian();                         // mean 0, deviation 1 (Box-Muller)
  std::uint32_t below(std::uint32_t bound);  // uniform in [0, bound)

 private:
  PhiloxKey key_;
  PhiloxCounter counter_;  // counter_[3] counts blocks
  PhiloxBlock block_{};
  int used_ = 4;
};

}  // namespace inure
