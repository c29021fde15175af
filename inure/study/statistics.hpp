#pragma once

#include <optional>
#include <span>

namespace inure {

// Student's t: the t with P(|T| <= t) = p for this many degrees of freedom (1 or more), p in
// (0, 1). By bisection of the finite series of Abramowitz and Stegun, Handbook of Mathematical
// Functions (1964), 26.7.3 and 26.7.4.
double student_t(double p, int degrees);

// A mean over runs with independent seeds and its 95 % confidence interval by Student's t:
// mean +- half_width. One run has no interval.
struct Interval {
  double mean = 0;
  std::optional<double> half_width;
  int n = 0;
};

Interval confidence_95(std::span<const double> values);  // one value or more

}  // namespace inure
