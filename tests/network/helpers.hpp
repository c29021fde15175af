#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "inure/base/error.hpp"
#include "inure/base/random.hpp"
#include "inure/caffe/files.hpp"
#include "inure/network/network.hpp"

namespace inure::test {

inline const std::string kShared = INURE_SHARED_DATA;

inline bool has(const std::string& file) { return std::filesystem::exists(kShared + "/" + file); }

#define NEEDS_SHARED(file)                                                                     \
  if (!::inure::test::has(file)) {                                                             \
    GTEST_SKIP() << "shared test data is absent: " << ::inure::test::kShared << "/" << (file); \
  }

// Shapes of Input layers as they say; those of other data layers as given here.
inline Network::InputShapes shapes_or(Network::Shapes data) {
  return [data](const caffe::LayerParameter& layer) {
    if (layer.type() != "Input") return data;
    Network::Shapes shapes;
    for (int t = 0; t < layer.top_size(); ++t) {
      const auto& shape = layer.input_param().shape(layer.input_param().shape_size() > 1 ? t : 0);
      shapes.emplace_back(shape.dim().begin(), shape.dim().end());
    }
    return shapes;
  };
}

inline std::unique_ptr<Network> parse(const std::string& text, caffe::Phase phase = caffe::TRAIN,
                                      Network::Shapes data = {}, std::uint64_t seed = 1) {
  return std::make_unique<Network>(caffe::parse_net(text, "test.prototxt"), phase, seed,
                                   shapes_or(std::move(data)));
}

inline std::string read_bytes(const std::string& file) {
  std::ifstream in(kShared + "/" + file, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

inline std::vector<float> read_floats(const std::string& file) {
  const std::string bytes = read_bytes(file);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(values.data()));
  return values;
}

inline std::string read_gzip(const std::string& file) {
  std::string bytes;
  FILE* pipe = popen(("gzip -dc '" + kShared + "/" + file + "'").c_str(), "r");
  if (!pipe) return bytes;
  char buffer[65536];
  for (std::size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) bytes.append(buffer, n);
  pclose(pipe);
  return bytes;
}

inline std::vector<float> random_values(std::int64_t count, std::uint32_t which) {
  RandomStream random(99, RandomPurpose::kDummyData, which, 0);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random.gaussian());
  return values;
}

// The greatest difference, relative to the greatest magnitude of the expected values.
inline double relative_error(const std::vector<float>& expected, const at::Tensor& tensor) {
  const at::Tensor actual = tensor.contiguous();
  if (actual.numel() != static_cast<std::int64_t>(expected.size())) return 1e9;
  double worst = 0, greatest = 1e-30;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    worst = std::max(worst, std::abs(double{expected[i]} - actual.data_ptr<float>()[i]));
    greatest = std::max(greatest, std::abs(double{expected[i]}));
  }
  return worst / greatest;
}

}  // namespace inure::test
