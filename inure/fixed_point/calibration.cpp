#include "inure/fixed_point/calibration.hpp"

#include <algorithm>
#include <cmath>

#include "inure/base/clones.hpp"

namespace inure {
namespace {

// Sum of (value - format(value))^2, in float over short runs so that it vectorises, in double over
// all.
INURE_CLONES
float squared_error(const float* values, std::int64_t count, float scale, float step) {
  float lanes[16] = {};
  for (std::int64_t i = 0; i + 16 <= count; i += 16) {
    for (int l = 0; l < 16; ++l) {
      const float clamped = std::max(-128.0f, std::min(127.0f, values[i + l] * scale));
      // Adding and taking away 1.5 * 2^23 rounds to a whole number; halves do not matter here.
      const float whole = (clamped + 12582912.0f) - 12582912.0f;
      const float error = values[i + l] - whole * step;
      lanes[l] += error * error;
    }
  }
  float sum = 0;
  for (const float lane : lanes) sum += lane;
  return sum;
}

constexpr std::int64_t kRun = 4096;

}  // namespace

void FractionCalibrator::observe(std::span<const float> values) {
  float padded[16];
  for (std::size_t begin = 0; begin < values.size(); begin += kRun) {
    auto run = values.subspan(begin, std::min<std::size_t>(kRun, values.size() - begin));
    double squares = 0;
    for (const float v : run) {
      squares += double{v} * v;
      largest_ = std::max(largest_, std::fabs(v));
    }
    squares_ += squares;
    const auto whole = static_cast<std::int64_t>(run.size() / 16 * 16);
    std::fill(std::begin(padded), std::end(padded), 0.0f);
    std::copy(run.begin() + whole, run.end(), padded);
    for (int f = kLowest; f <= kHighest; ++f) {
      const float scale = std::ldexp(1.0f, f), step = std::ldexp(1.0f, -f);
      squared_error_[f - kLowest] +=
          squared_error(run.data(), whole, scale, step) + squared_error(padded, 16, scale, step);
    }
  }
}

int FractionCalibrator::best_fraction(int headroom) const {
  if (largest_ == 0) return 7 - headroom;
  const auto best = std::min_element(squared_error_.begin(), squared_error_.end());
  return kLowest + static_cast<int>(best - squared_error_.begin()) - headroom;
}

double FractionCalibrator::relative_error(int fraction) const {
  if (squares_ == 0) return 0;
  return std::sqrt(squared_error_[std::clamp(fraction, kLowest, kHighest) - kLowest] / squares_);
}

}  // namespace inure
