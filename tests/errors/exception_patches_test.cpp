// Patches hold the same wrong products as the set that they are made of.

#include "inure/errors/exception_patches.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace inure {
namespace {

// Exceptions in rectangles of pairs, as circuits have them, and some that stand alone.
ProductTable::Clock random_clock(std::mt19937& random, bool negative) {
  std::map<std::pair<int, int>, std::uint16_t> delta_of;  // by weights and activations
  const auto byte = [&](bool any) { return static_cast<int>(random() % (any ? 256 : 128)); };
  for (int i = 0; i < 300; ++i) {
    const int activations = byte(negative) << 8 | byte(negative), now = byte(true);
    const int before = byte(true), size = i % 3 == 0 ? 1 : byte(true);
    const auto delta = static_cast<std::uint16_t>(1u << random() % 16);
    for (int b = before; b < std::min(before + size, 256); ++b) {
      delta_of[{b << 8 | now, activations}] = delta;
    }
  }
  ProductTable::Clock clock;
  clock.first.assign(ProductTable::kPairs + 1, 0);
  for (const auto& [operands, delta] : delta_of) {
    ++clock.first[static_cast<std::size_t>(operands.first) + 1];
    clock.exceptions.push_back({static_cast<std::uint16_t>(operands.second), delta});
  }
  for (int i = 0; i < ProductTable::kPairs; ++i) clock.first[i + 1] += clock.first[i];
  return clock;
}

using Deltas = std::map<unsigned, std::uint16_t>;  // by pair of weights

bool within(unsigned weights, int largest) {
  const auto fits = [&](int w) { return -largest - 1 <= w && w <= largest; };
  return fits(static_cast<std::int8_t>(weights >> 8)) && fits(static_cast<std::int8_t>(weights));
}

Deltas of_patches(const ExceptionPatches::List& list) {
  Deltas deltas;
  for (std::size_t i = 0; i < list.size; ++i) {
    const ExceptionPatches::Patch& patch = list.patches[i];
    EXPECT_EQ(list.places[i], patch.place);
    for (unsigned low = 0; low < 64; ++low) {
      if ((patch.mask() >> low & 1) == 0) continue;
      const unsigned before = patch.place >> 8 << 6 | low;
      EXPECT_TRUE(deltas.emplace(before << 8 | (patch.place & 255u), patch.delta).second);
    }
  }
  return deltas;
}

TEST(ExceptionPatches, SameAsTheSet) {
  std::mt19937 random(5);
  for (const bool negative : {true, false}) {
    const ExceptionSet set(random_clock(random, negative), negative);
    ASSERT_GT(set.size(), 5000u);
    std::size_t patches = 0;
    for (unsigned pair = 0; pair < ProductTable::kPairs; ++pair) {
      if (!negative && (pair & 0x8080) != 0) continue;
      Deltas expected;
      for (const auto& e : set.of_activations(pair, 127)) expected[e.weights] = e.delta;
      const auto all = set.patches().of_activations(pair, 127);
      ASSERT_EQ(of_patches(all), expected) << "activations " << pair;
      patches += all.size;
      for (const int largest : {0, 20, 63, 100}) {
        const Deltas some = of_patches(set.patches().of_activations(pair, largest));
        for (const auto& [weights, delta] : expected) {
          if (!within(weights, largest)) continue;
          ASSERT_EQ(some.count(weights), 1u) << "activations " << pair << ", weights " << weights;
        }
      }
    }
    EXPECT_LT(patches * 10, set.size());
  }
}

}  // namespace
}  // namespace inure
