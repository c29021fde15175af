#include "inure/data/transform.hpp"

#include <algorithm>
#include <cmath>

#include "inure/base/error.hpp"
#include "inure/caffe/files.hpp"

namespace inure::data {
namespace {

// One row: plain loops that the compiler turns into vector code.
template <typename Value>
void subtract_and_scale(const Value* values, const float* means, float scale, int count,
                        float* output) {
  for (int i = 0; i < count; ++i) output[i] = (static_cast<float>(values[i]) - means[i]) * scale;
}

template <typename Value>
void subtract_and_scale(const Value* values, float mean, float scale, int count, float* output) {
  for (int i = 0; i < count; ++i) output[i] = (static_cast<float>(values[i]) - mean) * scale;
}

void check_finite(const std::vector<float>& values, const std::string& name) {
  const auto bad = std::find_if_not(values.begin(), values.end(),
                                    [](float value) { return std::isfinite(value); });
  if (bad == values.end()) return;
  fail("{}: value {} is {}; a mean has finite numbers", name, bad - values.begin(), *bad);
}

}  // namespace

Transform::Transform(const caffe::TransformationParameter& param, caffe::Phase phase,
                     std::string where)
    : where_(std::move(where)),
      phase_(phase),
      crop_size_(static_cast<int>(param.crop_size())),
      mirror_(param.mirror()),
      scale_(param.scale()),
      mean_values_(param.mean_value().begin(), param.mean_value().end()) {
  if (crop_size_ < 0) fail("{}: crop_size {} is no size", where_, param.crop_size());
  if (!std::isfinite(scale_)) fail("{}: scale is {}; a number is needed", where_, scale_);
  check_finite(mean_values_, where_ + ": mean_value");
  if (!param.has_mean_file()) return;
  if (!mean_values_.empty()) fail("{}: has both mean_file and mean_value", where_);
  try {
    const auto mean = caffe::read_mean(param.mean_file());
    mean_shape_ = caffe::blob_shape(mean);
    mean_shape_.erase(mean_shape_.begin());
    mean_image_.assign(mean.data().begin(), mean.data().end());
    check_finite(mean_image_, param.mean_file());
  } catch (const Error& error) {
    fail("{}: mean_file: {}", where_, error.what());
  }
}

std::vector<std::int64_t> Transform::result_shape(const Record& record, std::int64_t number) const {
  const std::vector<std::int64_t> shape = {record.channels, record.height, record.width};
  const char* const hint = record.encoded && record.channels == 1
                               ? "; it is gray: force_color in transform_param makes it color"
                               : "";
  if (crop_size_ > std::min(record.height, record.width)) {
    fail("{}: record {}: crop_size {} is larger than the image of {} x {}", where_, number,
         crop_size_, record.height, record.width);
  }
  if (!mean_shape_.empty() && mean_shape_ != shape) {
    fail("{}: record {}: the mean file has {} values, an image has {}{}", where_, number,
         fmt::join(mean_shape_, " x "), fmt::join(shape, " x "), mean_shape_[0] > 1 ? hint : "");
  }
  if (mean_values_.size() > 1 && std::ssize(mean_values_) != record.channels) {
    fail("{}: record {}: {} mean_value for {} channels; one for all or one for each is needed{}",
         where_, number, mean_values_.size(), record.channels, hint);
  }
  if (crop_size_ == 0) return shape;
  return {record.channels, crop_size_, crop_size_};
}

template <typename Value>
void Transform::apply_to(const Value* values, const Record& record, RandomStream& random,
                         float* output) const {
  const int height = crop_size_ > 0 ? crop_size_ : record.height;
  const int width = crop_size_ > 0 ? crop_size_ : record.width;
  int top = (record.height - height) / 2, left = (record.width - width) / 2;
  if (crop_size_ > 0 && phase_ == caffe::TRAIN) {
    top = static_cast<int>(random.below(static_cast<std::uint32_t>(record.height - height + 1)));
    left = static_cast<int>(random.below(static_cast<std::uint32_t>(record.width - width + 1)));
  }
  const bool mirrored = mirror_ && random.below(2) == 1;
  for (int c = 0; c < record.channels; ++c) {
    const float mean = mean_values_.empty()       ? 0.0f
                       : mean_values_.size() == 1 ? mean_values_[0]
                                                  : mean_values_[static_cast<std::size_t>(c)];
    for (int h = 0; h < height; ++h, output += width) {
      const std::int64_t at = (std::int64_t{c} * record.height + top + h) * record.width + left;
      if (mean_image_.empty()) {
        subtract_and_scale(values + at, mean, scale_, width, output);
      } else {
        subtract_and_scale(values + at, mean_image_.data() + at, scale_, width, output);
      }
      if (mirrored) std::reverse(output, output + width);
    }
  }
}

void Transform::apply(const Record& record, RandomStream random, float* output) const {
  if (!record.bytes.empty()) {
    apply_to(record.bytes.data(), record, random, output);
  } else {
    apply_to(record.floats.data(), record, random, output);
  }
}

}  // namespace inure::data
