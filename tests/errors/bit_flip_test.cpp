// Flips happen at the rate, in the bits and in the layers that the description says, and nowhere
// else.

#include "inure/errors/bit_flip.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "inure/accelerator/accelerator.hpp"

namespace inure {
namespace {

ErrorModels models_of(const std::string& flips, const std::string& layer = "conv1") {
  const auto description = parse_description("errors { " + flips + " }", "test");
  return ErrorSources(description.errors()).models(layer, 4);
}

std::string flip(const std::string& where, double rate, const std::string& more = "") {
  return "bit_flip { where: " + where + " rate: " + std::to_string(rate) + " " + more + " }";
}

// Flips of each bit, and how many values had the chance.
struct Count {
  std::array<double, 32> flips{};
  double values = 0;

  void add(std::uint32_t mask, int bits) {
    ++values;
    for (int bit = 0; bit < bits; ++bit) flips[bit] += mask >> bit & 1;
  }
};

// The rate in the bits low..high within five standard deviations, elsewhere exactly nothing.
void expect_rate(const Count& count, double rate, int low, int high, const std::string& what) {
  for (int bit = 0; bit < 32; ++bit) {
    const double expected = bit >= low && bit <= high ? rate * count.values : 0;
    EXPECT_NEAR(count.flips[bit], expected, 5 * std::sqrt(expected * (1 - rate)))
        << what << ", bit " << bit << " of " << count.values << " values at " << rate;
  }
}

// Bytes of many images before and after.
Count count_bytes(const std::string& where, const ErrorModel& model) {
  Count count;
  std::vector<std::int8_t> values(20'000), original(values.size());
  for (std::size_t i = 0; i < original.size(); ++i) original[i] = static_cast<std::int8_t>(i * 7);
  for (std::uint32_t image = 0; image < 20; ++image) {
    const ErrorKey key{5, 6, true, 7, image};
    values = original;
    if (where == "WEIGHTS") model.corrupt_weights(key, values);
    if (where == "ACTIVATIONS") model.corrupt_activations(key, values);
    if (where == "OUTPUTS") model.corrupt_outputs(key, 3, values);
    for (std::size_t i = 0; i < values.size(); ++i) {
      count.add(static_cast<std::uint8_t>(values[i] ^ original[i]), 8);
    }
  }
  return count;
}

TEST(BitFlip, BytesFlipAtTheRateInTheBits) {
  for (const std::string where : {"WEIGHTS", "ACTIVATIONS", "OUTPUTS"}) {
    for (const double rate : {0.5, 0.02, 0.001}) {
      for (const auto& [low, high] : {std::pair{0, 7}, {7, 7}, {2, 5}}) {
        const std::string bits =
            "low_bit: " + std::to_string(low) + " high_bit: " + std::to_string(high);
        const ErrorModels models = models_of(flip(where, rate, bits));
        ASSERT_EQ(models.size(), 1u);
        expect_rate(count_bytes(where, *models[0]), rate, low, high, where + " " + bits);
      }
    }
  }
}

TEST(BitFlip, RateOneFlipsEveryBitAndZeroIsNoModel) {
  for (const std::string where : {"WEIGHTS", "ACTIVATIONS", "OUTPUTS"}) {
    const ErrorModels models = models_of(flip(where, 1));
    const Count count = count_bytes(where, *models.at(0));
    for (int bit = 0; bit < 8; ++bit) EXPECT_EQ(count.flips[bit], count.values) << where;
    EXPECT_TRUE(models_of(flip(where, 0)).empty());
  }
}

TEST(BitFlip, TouchesOnlyItsPlace) {
  const auto touches = [](const std::string& where) {
    const ErrorModels models = models_of(flip(where, 0.1));
    const ErrorModel& m = *models.at(0);
    return std::array{m.corrupts_weights(), m.corrupts_activations(), m.corrupts_sums(),
                      m.corrupts_outputs()};
  };
  EXPECT_EQ(touches("WEIGHTS"), (std::array{true, false, false, false}));
  EXPECT_EQ(touches("ACTIVATIONS"), (std::array{false, true, false, false}));
  EXPECT_EQ(touches("PRODUCTS"), (std::array{false, false, true, false}));
  EXPECT_EQ(touches("ACCUMULATORS"), (std::array{false, false, true, false}));
  EXPECT_EQ(touches("OUTPUTS"), (std::array{false, false, false, true}));
}

LaneGeometry some_geometry() {
  LaneGeometry g;
  g.width = 9, g.height = 7, g.channels = 100;
  g.group_channels = 8, g.out_per_group = 100, g.vec_size = 4, g.lane_num = 16;
  g.steps = 18;
  return g;
}

// In hardware order; body(cycle).
void for_cycles(const LaneGeometry& g, const std::function<void(const CycleErrors::Cycle&)>& body) {
  for (int y = 0; y < g.height; ++y) {
    for (int x = 0; x < g.width; ++x) {
      for (int channel = 0; channel < g.channels; ++channel) {
        for (int step = 0; step < g.steps; ++step) body({y, x, channel, step});
      }
    }
  }
}

TEST(BitFlip, ProductRegistersFlipAtTheRateInTheBits) {
  const LaneGeometry g = some_geometry();
  for (const auto& [rate, low, high] : {std::tuple{0.01, 0, 15}, {0.2, 11, 15}, {1.0, 3, 3}}) {
    const ErrorModels models =
        models_of(flip("PRODUCTS", rate,
                       "low_bit: " + std::to_string(low) + " high_bit: " + std::to_string(high)));
    const auto cycles = models.at(0)->cycles({1, 2, true, 3, 4}, g);
    Count count;
    for_cycles(g, [&](const CycleErrors::Cycle& at) {
      for (int multiplier = 0; multiplier < g.vec_size; ++multiplier) {
        const int activation = (at.x * 31 + at.step * 17) % 256 - 128;
        const int weight = (at.channel * 13 + multiplier * 71) % 256 - 128;
        const int product = activation * weight;
        const int read = product + cycles->product_delta(at, multiplier, activation, weight);
        ASSERT_GE(read, -32768);
        ASSERT_LE(read, 32767);
        count.add(static_cast<std::uint16_t>(read ^ product), 16);
      }
    });
    expect_rate(count, rate, low, high, "PRODUCTS");
  }
}

TEST(BitFlip, AccumulatorsFlipAtTheRateInTheBits) {
  const LaneGeometry g = some_geometry();
  for (const auto& [rate, low, high] : {std::tuple{0.01, 0, 31}, {0.3, 20, 30}}) {
    const ErrorModels models =
        models_of(flip("ACCUMULATORS", rate,
                       "low_bit: " + std::to_string(low) + " high_bit: " + std::to_string(high)));
    const auto cycles = models.at(0)->cycles({1, 2, true, 3, 4}, g);
    Count count;
    std::array<std::uint32_t, 6> registers{};
    for_cycles(g, [&](const CycleErrors::Cycle& at) {
      if (at.step == 0) registers = {};
      const int sum = at.channel * 1001 - at.step * 777;
      std::uint32_t& reg = registers[at.step % 6];
      reg += static_cast<std::uint32_t>(sum);
      const std::uint32_t exact = reg;
      reg += static_cast<std::uint32_t>(cycles->accumulator_delta(at, at.step % 6, sum));
      count.add(reg ^ exact, 32);
    });
    expect_rate(count, rate, low, high, "ACCUMULATORS");
  }
}

TEST(BitFlip, OnlyTheLayersThatAreNamed) {
  const std::string flips = flip("WEIGHTS", 0.1, "layer: 'conv1' layer: 'fc6'") +
                            flip("OUTPUTS", 0.1, "layer: 'fc6'") + flip("PRODUCTS", 0.1);
  EXPECT_EQ(models_of(flips, "conv1").size(), 2u);
  EXPECT_EQ(models_of(flips, "fc6").size(), 3u);
  EXPECT_EQ(models_of(flips, "conv2").size(), 1u);
  EXPECT_TRUE(models_of(flips, "conv2").at(0)->corrupts_sums());
}

// Two flips on one place are two sources of errors, not the same one twice.
TEST(BitFlip, SeveralOnesAreIndependent) {
  const ErrorModels models = models_of(flip("OUTPUTS", 0.1, "low_bit: 0 high_bit: 3") +
                                       flip("OUTPUTS", 0.1, "low_bit: 4 high_bit: 7"));
  std::vector<std::int8_t> once(50'000), twice(50'000);
  models.at(0)->corrupt_outputs({}, 0, once);
  models.at(1)->corrupt_outputs({}, 0, twice);
  double both = 0;
  for (std::size_t i = 0; i < once.size(); ++i) both += once[i] & twice[i] >> 4 & 1;
  EXPECT_NEAR(both, 500, 5 * std::sqrt(500));
}

// A fault is one fault, however often it is listed.
TEST(StuckAt, CountsOnce) {
  const std::string fault = "stuck_at { lane: 1 multiplier: 2 bit: 3 value: 1 } ";
  const std::string other = "stuck_at { lane: 1 multiplier: 2 bit: 4 value: 1 } ";
  EXPECT_EQ(models_of(fault).size(), 1u);
  EXPECT_EQ(models_of(fault + fault).size(), 1u);
  EXPECT_EQ(models_of(fault + other + fault).size(), 2u);
}

}  // namespace
}  // namespace inure
