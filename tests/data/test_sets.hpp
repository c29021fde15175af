#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "inure/caffe/files.hpp"
#include "inure/data/lmdb.hpp"
#include "inure/data/source.hpp"
#include "tests/common.hpp"

namespace inure::data {

inline const std::filesystem::path kShared = INURE_SHARED_DATA;

#define SKIP_WITHOUT_SHARED_DATA() \
  if (!std::filesystem::exists(kShared)) GTEST_SKIP() << "no shared data at " << kShared

// A raw record whose bytes tell where they are: different in every channel, row, column and record.
inline caffe::Datum patterned_datum(int index, int channels, int height, int width) {
  caffe::Datum datum;
  datum.set_channels(channels);
  datum.set_height(height);
  datum.set_width(width);
  datum.set_label(index % 10);
  std::string bytes;
  for (int k = 0; k < channels * height * width; ++k) {
    bytes += static_cast<char>((index * 41 + k * 7 + k / 13) % 256);
  }
  datum.set_data(bytes);
  return datum;
}

inline void write_lmdb(const std::string& folder, const std::vector<std::string>& values) {
  LmdbWriter writer(folder);
  for (std::size_t i = 0; i < values.size(); ++i) writer.append(fmt::format("{:08}", i), values[i]);
  writer.finish();
}

inline std::vector<caffe::Datum> write_patterned(const std::string& folder, int count, int channels,
                                                 int height, int width) {
  std::vector<caffe::Datum> data;
  std::vector<std::string> values;
  for (int i = 0; i < count; ++i) {
    data.push_back(patterned_datum(i, channels, height, width));
    values.push_back(data.back().SerializeAsString());
  }
  write_lmdb(folder, values);
  return data;
}

// The one layer of a prototxt.
inline caffe::LayerParameter parse_layer(const std::string& fields) {
  return caffe::parse_net("layer { name: 'input' " + fields + " }", "test").layer(0);
}

inline caffe::LayerParameter data_layer(const std::string& source, int batch_size,
                                        const std::string& transform = "") {
  return parse_layer(
      fmt::format("type: 'Data' top: 'data' top: 'label' transform_param {{ {} }} "
                  "data_param {{ source: '{}' batch_size: {} backend: LMDB }}",
                  transform, source, batch_size));
}

}  // namespace inure::data
