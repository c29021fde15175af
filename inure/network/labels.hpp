#pragma once

#include <cmath>
#include <cstdint>
#include <optional>

#include "inure/network/families.hpp"

// What SoftmaxWithLoss and Accuracy have in common.
namespace inure {

// Scores [outer][classes][inner], one label for each of the outer * inner places.
struct ClassAxis {
  std::int64_t outer = 1, classes = 1, inner = 1;
  // The index of class 0's score of a place; the next class is `inner` further.
  std::int64_t at(std::int64_t place) const {
    return place / inner * classes * inner + place % inner;
  }
};

ClassAxis class_axis(const Layer& layer, const Shape& shape, std::int64_t axis);
void check_labels(const Layer& layer, const ClassAxis& axis, const Value& scores,
                  const Value& labels);
// As an integer, like Caffe's; NaN and what no int holds are none.
inline bool is_label(float value, int label) {
  return std::trunc(value) == static_cast<float>(label);
}
// Throws Error for a label that is no class.
std::int64_t checked_label(const Layer& layer, float label, std::int64_t classes);

}  // namespace inure
