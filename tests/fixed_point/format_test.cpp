#include "inure/fixed_point/format.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "inure/base/random.hpp"
#include "inure/fixed_point/calibration.hpp"

namespace inure {
namespace {

std::int8_t plain(float value, int fraction) {
  if (std::isnan(value)) return 0;
  const double rounded = std::round(std::ldexp(static_cast<double>(value), fraction));
  return static_cast<std::int8_t>(std::fmin(127.0, std::fmax(-128.0, rounded)));
}

TEST(Quantize, RoundsHalvesAwayFromZeroAndSaturates) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> values = {0.5f,   -0.5f,  1.5f,          -1.5f,    0.49999997f,
                                     126.5f, 127.4f, 127.5f,        -128,     -128.5,
                                     1e30f,  -1e30f, std::nanf(""), infinity, -infinity};
  std::vector<std::int8_t> out(values.size());
  quantize(values, 0, std::span<std::int8_t>(out));
  const std::vector<std::int8_t> expected = {1,    -1,   2,   -2,   0, 127, 127, 127,
                                             -128, -128, 127, -128, 0, 127, -128};
  EXPECT_EQ(out, expected);
}

TEST(Quantize, EqualsPlainOnRandomValues) {
  RandomStream random(1, RandomPurpose::kDummyData, 0, 0);
  std::vector<float> values(1003);
  for (auto& v : values) v = static_cast<float>(random.gaussian() * 3);
  for (int fraction = -3; fraction <= 8; ++fraction) {
    std::vector<std::int8_t> out(values.size());
    quantize(values, fraction, std::span<std::int8_t>(out));
    for (std::size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(out[i], plain(values[i], fraction)) << values[i] << " at " << fraction;
    }
    std::vector<float> back(values.size());
    dequantize(out, fraction, back);
    for (std::size_t i = 0; i < values.size(); ++i)
      ASSERT_EQ(back[i], std::ldexp(out[i], -fraction));
  }
}

TEST(Quantize, TurnsLayoutsOver) {
  RandomStream random(2, RandomPurpose::kDummyData, 0, 0);
  for (const auto& [channels, pixels] : {std::pair{3, 70}, {130, 1}, {1, 9}, {65, 129}, {96, 64}}) {
    std::vector<float> values(channels * pixels);
    for (auto& v : values) v = static_cast<float>(random.gaussian());
    std::vector<std::int8_t> out(values.size());
    quantize_to_channels_last(values.data(), channels, pixels, 5, out.data());
    std::vector<float> back(values.size());
    dequantize_from_channels_last(out.data(), channels, pixels, 5, back.data());
    for (int c = 0; c < channels; ++c) {
      for (int p = 0; p < pixels; ++p) {
        const std::int8_t expected = plain(values[c * pixels + p], 5);
        ASSERT_EQ(out[p * channels + c], expected);
        ASSERT_EQ(back[c * pixels + p], std::ldexp(expected, -5));
      }
    }
  }
}

TEST(FractionCalibrator, ChoosesTheLeastError) {
  RandomStream random(3, RandomPurpose::kDummyData, 0, 0);
  std::vector<float> values(5003);
  for (auto& v : values) v = static_cast<float>(random.gaussian());
  values[17] = 9;  // an outlier worth clipping
  FractionCalibrator calibrator;
  calibrator.observe(values);
  EXPECT_EQ(calibrator.largest(), 9);
  int best = 0;
  double least = 1e9;
  for (int f = -8; f <= 16; ++f) {
    double error = 0;
    for (const float v : values) error += std::pow(v - std::ldexp(plain(v, f), -f), 2);
    if (error < least) least = error, best = f;
  }
  EXPECT_EQ(calibrator.best_fraction(), best);
  EXPECT_EQ(calibrator.best_fraction(2), best - 2);
  double squares = 0;
  for (const float v : values) squares += double{v} * v;
  EXPECT_NEAR(calibrator.relative_error(best), std::sqrt(least / squares), 1e-6);
}

}  // namespace
}  // namespace inure
