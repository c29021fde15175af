#include "inure/network/filler.hpp"

#include <cmath>

#include "inure/base/error.hpp"
#include "inure/base/random.hpp"

namespace inure {
namespace {

struct Target {
  float* values;
  std::int64_t count, rows;  // rows: outputs
  RandomStream random;
};

void fill_uniform(Target& to, double min, double max) {
  for (std::int64_t i = 0; i < to.count; ++i) {
    to.values[i] = static_cast<float>(min + (max - min) * to.random.uniform());
  }
}

void fill_gaussian(Target& to, double mean, double deviation) {
  for (std::int64_t i = 0; i < to.count; ++i) {
    to.values[i] = static_cast<float>(mean + deviation * to.random.gaussian());
  }
}

// `sparse` is how many inputs of an output are not zero, on average.
void thin_out(Target& to, int sparse) {
  const double keep = static_cast<double>(sparse) / static_cast<double>(to.rows);
  for (std::int64_t i = 0; i < to.count; ++i) {
    if (to.random.uniform() >= keep) to.values[i] = 0;
  }
}

// Glorot and Bengio 2010, He et al. 2015, with Caffe's idea of a fan.
double fan(const Target& to, const at::Tensor& data, const caffe::FillerParameter& filler) {
  const double in = static_cast<double>(to.count) / static_cast<double>(to.rows);
  const double out = data.dim() > 1 ? static_cast<double>(to.count) / data.size(1) : to.count;
  switch (filler.variance_norm()) {
    case caffe::FillerParameter::FAN_OUT:
      return out;
    case caffe::FillerParameter::AVERAGE:
      return (in + out) / 2;
    default:
      return in;
  }
}

void fill_positive_unitball(Target& to) {
  fill_uniform(to, 0, 1);
  const std::int64_t size = to.count / to.rows;
  for (std::int64_t row = 0; row < to.rows; ++row) {
    double sum = 0;
    for (std::int64_t i = 0; i < size; ++i) sum += to.values[row * size + i];
    for (std::int64_t i = 0; i < size; ++i) {
      to.values[row * size + i] = static_cast<float>(to.values[row * size + i] / sum);
    }
  }
}

void fill_bilinear(Target& to, const at::Tensor& data, const std::string& layer) {
  if (data.dim() != 4 || data.size(2) != data.size(3)) {
    fail("layer \"{}\": a bilinear filler needs square kernels", layer);
  }
  const std::int64_t width = data.size(3);
  const double half = std::ceil(width / 2.0);
  const double centre = (2 * half - 1 - std::fmod(half, 2)) / (2 * half);
  for (std::int64_t i = 0; i < to.count; ++i) {
    const double x = static_cast<double>(i % width), y = static_cast<double>(i / width % width);
    to.values[i] =
        static_cast<float>((1 - std::fabs(x / half - centre)) * (1 - std::fabs(y / half - centre)));
  }
}

}  // namespace

std::uint32_t name_key(const std::string& name) {
  std::uint32_t key = 2166136261u;
  for (const char c : name) key = (key ^ static_cast<unsigned char>(c)) * 16777619u;
  return key;
}

void fill(at::Tensor& data, const caffe::FillerParameter& filler, std::uint64_t seed,
          const std::string& layer, int index) {
  Target to{data.data_ptr<float>(), data.numel(), data.dim() > 0 ? data.size(0) : 1,
            RandomStream(seed, RandomPurpose::kFiller, name_key(layer), index)};
  const std::string& type = filler.type();
  if (type != "gaussian" && filler.sparse() != -1) {
    fail("layer \"{}\": only a gaussian filler can be sparse, not {}", layer, type);
  }
  if (type == "constant") {
    data.fill_(filler.value());
  } else if (type == "uniform") {
    fill_uniform(to, filler.min(), filler.max());
  } else if (type == "gaussian") {
    fill_gaussian(to, filler.mean(), filler.std());
    if (filler.sparse() >= 0) thin_out(to, filler.sparse());
  } else if (type == "xavier") {
    const double limit = std::sqrt(3.0 / fan(to, data, filler));
    fill_uniform(to, -limit, limit);
  } else if (type == "msra") {
    fill_gaussian(to, 0, std::sqrt(2.0 / fan(to, data, filler)));
  } else if (type == "positive_unitball") {
    fill_positive_unitball(to);
  } else if (type == "bilinear") {
    fill_bilinear(to, data, layer);
  } else {
    fail(
        "layer \"{}\": filler \"{}\" is not known; known: constant, uniform, gaussian, xavier, "
        "msra, "
        "positive_unitball, bilinear",
        layer, type);
  }
}

}  // namespace inure
