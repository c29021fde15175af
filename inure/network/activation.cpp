#include <algorithm>
#include <cmath>

#include "inure/base/clones.hpp"
#include "inure/base/error.hpp"
#include "inure/network/families.hpp"

namespace inure {
namespace {

INURE_CLONES
void relu(const float* x, float* y, float slope, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = x[i] > 0 ? x[i] : slope * x[i];
}

INURE_CLONES
void relu_backward(const float* x, const float* dy, float* dx, float slope, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) dx[i] = x[i] > 0 ? dy[i] : slope * dy[i];
}

INURE_CLONES
void clip(const float* x, float* y, float min, float max, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = x[i] < min ? min : x[i] > max ? max : x[i];
}

INURE_CLONES
void clip_backward(const float* x, const float* dy, float* dx, float min, float max,
                   std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) dx[i] = x[i] < min || x[i] > max ? 0 : dy[i];
}

float sigmoid(float x) { return 0.5f * std::tanh(0.5f * x) + 0.5f; }

// y = f(x) for each value. ReLU: x, or slope * x below zero. Swish: x * sigmoid(beta * x).
class Activation : public Layer {
 public:
  using Layer::Layer;

  std::vector<Shape> set_up(const Values& bottoms, std::uint64_t) override {
    check_counts(*this, bottoms, 1, 1, 1, 1);
    kind_ = type() == "ReLU"      ? Kind::kRelu
            : type() == "Sigmoid" ? Kind::kSigmoid
            : type() == "TanH"    ? Kind::kTanh
            : type() == "Swish"   ? Kind::kSwish
                                  : Kind::kClip;
    slope_ = parameter_.relu_param().negative_slope();
    beta_ = parameter_.swish_param().beta();
    const auto& p = parameter_.clip_param();
    min_ = p.min(), max_ = p.max();
    if (kind_ == Kind::kClip && !(p.has_min() && p.has_max() && min_ <= max_)) {
      fail("layer \"{}\": clip_param needs a min and a max that is not smaller", name());
    }
    return {bottoms[0]->shape};
  }

  void forward(const Values& bottoms, const Values& tops, const PassContext&) override {
    const float* x = bottoms[0]->floats();
    float* y = tops[0]->output();
    for_pieces(bottoms[0]->count(), kElements, [&](std::int64_t begin, std::int64_t end) {
      forward(x + begin, y + begin, end - begin);
    });
  }

  // ReLU looks at the top where it can: an accelerator that fuses it does not return the bottom.
  // (A positive top has a positive bottom while the slope is not negative.)
  void backward(const Values& tops, const Values& bottoms, const PassContext&) override {
    if (!bottoms[0]->needs_gradient) return;
    // In place Caffe's Clip finds no value outside its range any more: all gradients pass.
    const bool in_place = bottoms[0]->name == tops[0]->name;
    const bool by_bottom = kind_ == Kind::kRelu   ? slope_ < 0
                           : kind_ == Kind::kClip ? !in_place
                                                  : kind_ == Kind::kSwish;
    const float* values = by_bottom ? bottoms[0]->floats() : tops[0]->floats();
    const float* dy = tops[0]->gradient.data_ptr<float>();
    at::Tensor gradient = bottoms[0]->fresh_gradient();
    float* dx = gradient.data_ptr<float>();
    for_pieces(bottoms[0]->count(), kElements, [&](std::int64_t begin, std::int64_t end) {
      backward(values + begin, dy + begin, dx + begin, end - begin);
    });
    bottoms[0]->add_gradient(gradient);
  }

 private:
  enum class Kind { kRelu, kSigmoid, kTanh, kSwish, kClip };

  void forward(const float* x, float* y, std::int64_t count) const {
    switch (kind_) {
      case Kind::kRelu:
        return relu(x, y, slope_, count);
      case Kind::kClip:
        return clip(x, y, min_, max_, count);
      case Kind::kSigmoid:
        for (std::int64_t i = 0; i < count; ++i) y[i] = sigmoid(x[i]);
        return;
      case Kind::kTanh:
        for (std::int64_t i = 0; i < count; ++i) y[i] = std::tanh(x[i]);
        return;
      case Kind::kSwish:
        for (std::int64_t i = 0; i < count; ++i) y[i] = x[i] * sigmoid(beta_ * x[i]);
        return;
    }
  }

  // v: the tops, or the bottoms of those that need them.
  void backward(const float* v, const float* dy, float* dx, std::int64_t count) const {
    switch (kind_) {
      case Kind::kRelu:
        return relu_backward(v, dy, dx, slope_, count);
      case Kind::kClip:
        return clip_backward(v, dy, dx, min_, max_, count);
      case Kind::kSigmoid:
        for (std::int64_t i = 0; i < count; ++i) dx[i] = dy[i] * (v[i] * (1 - v[i]));
        return;
      case Kind::kTanh:
        for (std::int64_t i = 0; i < count; ++i) dx[i] = dy[i] * (1 - v[i] * v[i]);
        return;
      case Kind::kSwish:
        for (std::int64_t i = 0; i < count; ++i) {
          const float s = sigmoid(beta_ * v[i]);
          dx[i] = dy[i] * (s + beta_ * v[i] * s * (1 - s));
        }
        return;
    }
  }

  Kind kind_ = Kind::kRelu;
  float slope_ = 0, beta_ = 1, min_ = 0, max_ = 0;
};

}  // namespace

std::unique_ptr<Layer> make_activation(const caffe::LayerParameter& parameter) {
  return std::make_unique<Activation>(parameter);
}

}  // namespace inure
