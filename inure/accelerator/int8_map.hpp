#pragma once

#include <cstdint>
#include <vector>

namespace inure {

// A batch of int8 feature maps, channels last: [images][height][width][channels]; value = q *
// 2^-fraction. A fully connected layer's vector has height = width = 1.
struct Int8Map {
  int images = 0, height = 0, width = 0, channels = 0;
  int fraction = 0;
  std::vector<std::int8_t> values;

  std::int64_t image_size() const { return std::int64_t{height} * width * channels; }
  std::int64_t size() const { return images * image_size(); }
  const std::int8_t* image(int i) const { return values.data() + i * image_size(); }
  std::int8_t* image(int i) { return values.data() + i * image_size(); }

  void reshape(int n, int h, int w, int c) {
    images = n, height = h, width = w, channels = c;
    values.resize(size());
  }
};

}  // namespace inure
