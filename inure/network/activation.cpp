#include <cmath>

#include "inure/base/clones.hpp"
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

void sigmoid(const float* x, float* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = 0.5f * std::tanh(0.5f * x[i]) + 0.5f;
}

void hyperbolic_tangent(const float* x, float* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = std::tanh(x[i]);
}

class Activation : public Layer {
 public:
  using Layer::Layer;

  std::vector<Shape> set_up(const Values& bottoms, std::uint64_t) override {
    check_counts(*this, bottoms, 1, 1, 1, 1);
    kind_ = type() == "ReLU" ? Kind::kRelu : type() == "Sigmoid" ? Kind::kSigmoid : Kind::kTanh;
    slope_ = parameter_.relu_param().negative_slope();
    return {bottoms[0]->shape};
  }

  void forward(const Values& bottoms, const Values& tops, const PassContext&) override {
    const float* x = bottoms[0]->floats();
    float* y = tops[0]->output();
    for_pieces(bottoms[0]->count(), kElements, [&](std::int64_t begin, std::int64_t end) {
      switch (kind_) {
        case Kind::kRelu:
          return relu(x + begin, y + begin, slope_, end - begin);
        case Kind::kSigmoid:
          return sigmoid(x + begin, y + begin, end - begin);
        case Kind::kTanh:
          return hyperbolic_tangent(x + begin, y + begin, end - begin);
      }
    });
  }

  // ReLU looks at the top where it can: an accelerator that fuses it does not return the bottom.
  // (A positive top has a positive bottom while the slope is not negative.)
  void backward(const Values& tops, const Values& bottoms, const PassContext&) override {
    if (!bottoms[0]->needs_gradient) return;
    const float* y = kind_ == Kind::kRelu && slope_ < 0 ? bottoms[0]->floats() : tops[0]->floats();
    const float* dy = tops[0]->gradient.data_ptr<float>();
    at::Tensor gradient = bottoms[0]->fresh_gradient();
    float* dx = gradient.data_ptr<float>();
    for_pieces(bottoms[0]->count(), kElements, [&](std::int64_t begin, std::int64_t end) {
      if (kind_ == Kind::kRelu) {
        return relu_backward(y + begin, dy + begin, dx + begin, slope_, end - begin);
      }
      for (std::int64_t i = begin; i < end; ++i) {
        dx[i] = dy[i] * (kind_ == Kind::kSigmoid ? y[i] * (1 - y[i]) : 1 - y[i] * y[i]);
      }
    });
    bottoms[0]->add_gradient(gradient);
  }

 private:
  enum class Kind { kRelu, kSigmoid, kTanh };
  Kind kind_ = Kind::kRelu;
  float slope_ = 0;
};

}  // namespace

std::unique_ptr<Layer> make_activation(const caffe::LayerParameter& parameter) {
  return std::make_unique<Activation>(parameter);
}

}  // namespace inure
