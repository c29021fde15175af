// A set's patches hold the wrong products that it is made of.

#include "inure/errors/exception_set.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <utility>

namespace inure {
namespace {

using Deltas = std::map<unsigned, std::uint16_t>;  // by pair of weights

// By pair of activations: in rectangles of pairs, as circuits have them, and some, or all, that
// stand alone.
std::map<unsigned, Deltas> random_deltas(std::mt19937& random, bool negative, bool alone) {
  std::map<unsigned, Deltas> delta_of;
  const auto byte = [&](bool any) { return static_cast<int>(random() % (any ? 256 : 128)); };
  for (int i = 0; i < (alone ? 20'000 : 300); ++i) {
    const int a_before = byte(negative), a = byte(negative), now = byte(true);
    const int before = byte(true), size = alone || i % 3 == 0 ? 1 : byte(true);
    const auto delta = static_cast<std::uint16_t>(1u << random() % 16);
    if (a == a_before) continue;
    for (int b = before; b < std::min(before + size, 256); ++b) {
      delta_of[a_before << 8 | a][b << 8 | now] = delta;
    }
  }
  return delta_of;
}

ProductTable::Clock clock_of(const std::map<unsigned, Deltas>& delta_of) {
  std::vector<std::vector<ProductTable::Exception>> by_weights(ProductTable::kPairs);
  for (const auto& [activations, deltas] : delta_of) {
    for (const auto& [weights, delta] : deltas) {
      by_weights[weights].push_back({static_cast<std::uint16_t>(activations), delta});
    }
  }
  ProductTable::Clock clock;
  clock.first.push_back(0);
  for (const auto& list : by_weights) {
    clock.exceptions.insert(clock.exceptions.end(), list.begin(), list.end());
    clock.first.push_back(clock.exceptions.size());
  }
  return clock;
}

bool within(unsigned weights, int largest) {
  const auto fits = [&](int w) { return -largest - 1 <= w && w <= largest; };
  return fits(static_cast<std::int8_t>(weights >> 8)) && fits(static_cast<std::int8_t>(weights));
}

Deltas of_patches(const ExceptionSet::List& list) {
  Deltas deltas;
  for (std::size_t i = 0; i < list.size; ++i) {
    const ExceptionSet::Patch& patch = list.patches[i];
    EXPECT_EQ(list.places[i], patch.place);
    for (unsigned low = 0; low < 64; ++low) {
      if ((patch.mask() >> low & 1) == 0) continue;
      const unsigned before = patch.place >> 8 << 6 | low;
      EXPECT_TRUE(deltas.emplace(before << 8 | (patch.place & 255u), patch.delta).second);
    }
  }
  return deltas;
}

TEST(ExceptionSet, PatchesHoldWhatItIsMadeOf) {
  std::mt19937 random(5);
  for (const auto& [negative, alone] : {std::pair(true, false), {false, false}, {true, true}}) {
    const std::map<unsigned, Deltas> delta_of = random_deltas(random, negative, alone);
    const ExceptionSet set(clock_of(delta_of), negative);
    ASSERT_GT(set.size(), 5000u);
    std::size_t patches = 0, exceptions = 0;
    for (unsigned pair = 0; pair < ProductTable::kPairs; ++pair) {
      if (!negative && (pair & 0x8080) != 0) continue;
      const auto found = delta_of.find(pair);
      const Deltas expected = found == delta_of.end() ? Deltas() : found->second;
      const ExceptionSet::List all = set.of_activations(pair, 127);
      ASSERT_EQ(of_patches(all), expected) << "activations " << pair;
      std::set<std::pair<unsigned, unsigned>> kinds;  // exceptions that are alike are together
      for (std::size_t i = 0; i < all.size; ++i) {
        ASSERT_TRUE(kinds.emplace(all.places[i], all.patches[i].delta).second)
            << "activations " << pair;
      }
      patches += all.size;
      exceptions += expected.size();
      for (const int largest : {0, 20, 63, 100}) {
        const Deltas some = of_patches(set.of_activations(pair, largest));
        for (const auto& [weights, delta] : expected) {
          if (!within(weights, largest)) continue;
          ASSERT_EQ(some.count(weights), 1u) << "activations " << pair << ", weights " << weights;
        }
      }
    }
    EXPECT_EQ(exceptions, set.size());
    if (!alone) {
      EXPECT_LT(patches * 10, set.size());
    }
  }
}

TEST(ExceptionSet, DeltaIsCapturedLessRight) {
  std::mt19937 random(6);
  const std::map<unsigned, Deltas> delta_of = random_deltas(random, true, false);
  const ExceptionSet set(clock_of(delta_of), true);
  for (const auto& [activations, deltas] : delta_of) {
    const int a = static_cast<std::int8_t>(activations);
    for (unsigned weights = 0; weights < ProductTable::kPairs; weights += 1 + random() % 64) {
      const int right = a * static_cast<std::int8_t>(weights);
      const auto found = deltas.find(weights);
      const int wrong = found == deltas.end() ? 0 : found->second;
      const int captured = static_cast<std::int16_t>(right + wrong);
      ASSERT_EQ(set.delta(activations, weights), captured - right)
          << "activations " << activations << ", weights " << weights;
    }
  }
}

TEST(ExceptionSet, UnchangedOperandsAreRight) {
  const ExceptionSet set(clock_of({{0x0505, {{0x0707, 1}, {0x0708, 2}}}}), true);
  EXPECT_EQ(set.size(), 1u);
  EXPECT_EQ(set.delta(0x0505, 0x0707), 0);
  EXPECT_EQ(set.delta(0x0505, 0x0708), 2);
}

}  // namespace
}  // namespace inure
