#include "inure/network/layer.hpp"

#include <fmt/ranges.h>

#include <limits>
#include <map>

#include "inure/base/error.hpp"
#include "inure/base/finite.hpp"
#include "inure/base/memory_limit.hpp"
#include "inure/network/families.hpp"
#include "inure/network/filler.hpp"

namespace inure {
namespace {

constexpr std::int64_t kOverflow = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kCaffesMost = std::numeric_limits<std::int32_t>::max();

using Maker = std::unique_ptr<Layer> (*)(const caffe::LayerParameter&);

const std::map<std::string, Maker>& makers() {
  static const std::map<std::string, Maker> table = {
      {"Accuracy", make_accuracy},
      {"BatchNorm", make_batch_norm},
      {"Clip", make_activation},
      {"Concat", make_concat},
      {"Convolution", make_convolution},
      {"ConvolutionFloat", make_convolution},  // the origin's 8-bit layers: plain ones on the host
      {"Dropout", make_dropout},
      {"Eltwise", make_eltwise},
      {"Flatten", make_copy},
      {"ImageOutput", make_sink},
      {"InnerProduct", make_inner_product},
      {"InnerProductFloat", make_inner_product},
      {"LRN", make_lrn},
      {"Pooling", make_pooling},
      {"PoolingFloat", make_pooling},
      {"ReLU", make_activation},
      {"Reshape", make_copy},
      {"Scale", make_scale},
      {"Sigmoid", make_activation},
      {"Silence", make_sink},
      {"Softmax", make_softmax},
      {"SoftmaxWithLoss", make_softmax_loss},
      {"Split", make_copy},
      {"Swish", make_activation},
      {"TanH", make_activation},
  };
  return table;
}

void check_count(const Layer& layer, const char* what, int count, int min, int max) {
  if (count >= min && (max < 0 || count <= max)) return;
  const std::string wanted = min == max ? fmt::format("{}", min)
                             : max < 0  ? fmt::format("at least {}", min)
                                        : fmt::format("{} to {}", min, max);
  fail("layer \"{}\": has {} {}, but {} takes {}", layer.name(), count, what, layer.type(), wanted);
}

void check_finite(const Layer& layer, int index, const Parameter& parameter) {
  for (const auto& [what, value] :
       {std::pair{"lr_mult", parameter.lr_mult}, std::pair{"decay_mult", parameter.decay_mult}}) {
    if (is_finite(value)) continue;
    fail("layer \"{}\": {} of parameter {} is {}; a finite number is needed", layer.name(), what,
         index, value);
  }
  const float* values = parameter.data.data_ptr<float>();
  const auto bad = find_not_finite({values, static_cast<std::size_t>(parameter.data.numel())});
  if (!bad) return;
  fail("layer \"{}\": the filler of parameter {} gives {}; a finite number is needed", layer.name(),
       index, values[*bad]);
}

}  // namespace

std::unique_ptr<Layer> make_layer(const caffe::LayerParameter& parameter) {
  const auto found = makers().find(parameter.type());
  if (found != makers().end()) return found->second(parameter);
  std::vector<std::string> known;
  for (const auto& [type, maker] : makers()) known.push_back(type);
  fail("layer \"{}\": type \"{}\" is not known here; known: {}", parameter.name(), parameter.type(),
       fmt::join(known, ", "));
}

std::string shape_text(const Shape& shape) {
  return shape.empty() ? "(a scalar)" : fmt::format("{}", fmt::join(shape, " x "));
}

std::int64_t product(const Shape& shape, std::size_t first, std::size_t last) {
  std::int64_t result = 1;
  for (std::size_t i = first; i < last; ++i) {
    if (__builtin_mul_overflow(result, shape[i], &result)) return kOverflow;
  }
  return result;
}

void check_number(const Layer& layer, std::int64_t number, const char* what) {
  if (number <= kCaffesMost) return;
  fail("layer \"{}\": {} {} is more than {}, the most that Caffe takes", layer.name(), what, number,
       kCaffesMost);
}

void check_size(const std::string& layer, const Shape& shape, const std::string& what) {
  if (product(shape, 0, shape.size()) <= kCaffesMost) return;
  fail("layer \"{}\": {} would be {}, more than {} values, the most that Caffe takes", layer, what,
       shape_text(shape), kCaffesMost);
}

void check_counts(const Layer& layer, const Layer::Values& bottoms, int min_bottoms,
                  int max_bottoms, int min_tops, int max_tops) {
  check_count(layer, "bottoms", static_cast<int>(bottoms.size()), min_bottoms, max_bottoms);
  check_count(layer, "tops", layer.parameter().top_size(), min_tops, max_tops);
}

int canonical_axis(const Layer& layer, std::int64_t axis, const Shape& shape, const char* what) {
  const auto axes = static_cast<std::int64_t>(shape.size());
  if (axis < -axes || axis >= axes) {
    fail("layer \"{}\": {} {} is outside the bottom's shape {}", layer.name(), what, axis,
         shape_text(shape));
  }
  return static_cast<int>(axis < 0 ? axis + axes : axis);
}

void add_parameter(Layer& layer, const Shape& shape, const caffe::FillerParameter& filler,
                   std::uint64_t seed) {
  const int index = static_cast<int>(layer.parameters.size());
  auto parameter = std::make_shared<Parameter>();
  parameter->name = fmt::format("{}[{}]", layer.name(), index);
  if (index < layer.parameter().param_size()) {
    const caffe::ParamSpec& spec = layer.parameter().param(index);
    if (!spec.name().empty()) parameter->name = spec.name();
    parameter->lr_mult = spec.lr_mult();
    parameter->decay_mult = spec.decay_mult();
  }
  check_size(layer.name(), shape, fmt::format("parameter {}", index));
  Shape with_gradient = shape;
  with_gradient.push_back(2);
  check_memory(float_bytes(with_gradient), [&] {
    return fmt::format("layer \"{}\": its parameter {} of {} with its gradient", layer.name(),
                       index, shape_text(shape));
  });
  parameter->data = at::empty(shape, at::kFloat);
  fill(parameter->data, filler, seed, layer.name(), index);
  check_finite(layer, index, *parameter);
  parameter->gradient = at::zeros(shape, at::kFloat);
  layer.parameters.push_back(std::move(parameter));
}

}  // namespace inure
