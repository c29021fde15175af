#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace inure {

// Chooses the fraction of an int8 format from data. Observes values over any number of batches and
// keeps, for every fraction in question, the sum of squared rounding and clipping errors.
class FractionCalibrator {
 public:
  static constexpr int kLowest = -8, kHighest = 16;

  void observe(std::span<const float> values);

  float largest() const { return largest_; }  // largest magnitude seen
  // The fraction with the least squared error, lowered by `headroom` bits (room for values that
  // an erring or a retrained network makes larger). 7 where only zeros were seen.
  int best_fraction(int headroom = 0) const;
  // sqrt(sum of squared errors / sum of squares) at a fraction: the relative error of the format.
  double relative_error(int fraction) const;

 private:
  std::array<double, kHighest - kLowest + 1> squared_error_{};
  double squares_ = 0;
  float largest_ = 0;
};

}  // namespace inure
