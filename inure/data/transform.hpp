#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "inure/base/random.hpp"
#include "inure/caffe/caffe.pb.h"
#include "inure/data/record.hpp"

namespace inure::data {

// Caffe's transform_param on one record: crop (TRAIN: at random; TEST: the centre), mirror (at
// random, in both phases, as in Caffe), then (value - mean) * scale. A mean file has the size of
// the whole record.
class Transform {
 public:
  // Reads the mean file. `where` begins every error.
  Transform(const caffe::TransformationParameter& param, caffe::Phase phase, std::string where);

  // C, H, W of the result. Throws Error where the record does not fit crop or mean; its number in
  // the set is for the error.
  std::vector<std::int64_t> result_shape(const Record& record, std::int64_t number) const;

  // output: as many floats as result_shape says. Draws from `random` what it needs.
  void apply(const Record& record, RandomStream random, float* output) const;

 private:
  template <typename Value>
  void apply_to(const Value* values, const Record& record, RandomStream& random,
                float* output) const;

  std::string where_;
  caffe::Phase phase_;
  int crop_size_;
  bool mirror_;
  float scale_;
  std::vector<float> mean_values_;  // none, one, or one a channel
  std::vector<float> mean_image_;
  std::vector<std::int64_t> mean_shape_;  // C, H, W
};

}  // namespace inure::data
