#include "inure/base/error.hpp"
#include "inure/network/families.hpp"

namespace inure {
namespace {

// y = x * scale (+ bias), the parameters spread over the axes that they do not have.
class Scale : public Layer {
 public:
  using Layer::Layer;

  std::vector<Shape> set_up(const Values& bottoms, std::uint64_t seed) override {
    if (bottoms.size() == 2) {
      fail("layer \"{}\": a Scale of two bottoms, as Caffe has it, is not supported here", name());
    }
    check_counts(*this, bottoms, 1, 1, 1, 1);
    const auto& p = parameter_.scale_param();
    const Shape& shape = bottoms[0]->shape;
    const int first = p.num_axes() == 0 ? 0 : canonical_axis(*this, p.axis(), shape, "axis");
    const auto axes = static_cast<std::int64_t>(shape.size());
    const std::int64_t last = p.num_axes() < 0 ? axes : std::int64_t{first} + p.num_axes();
    if (last > axes) {
      fail("layer \"{}\": axis {} and num_axes {} are outside the bottom's shape {}", name(),
           p.axis(), p.num_axes(), shape_text(shape));
    }
    outer_ = product(shape, 0, first);
    width_ = product(shape, first, last);
    inner_ = product(shape, last, axes);
    const Shape own(shape.begin() + first, shape.begin() + last);
    caffe::FillerParameter one;
    one.set_value(1);
    add_parameter(*this, own, p.has_filler() ? p.filler() : one, seed);
    if (p.bias_term()) add_parameter(*this, own, p.bias_filler(), seed);
    return {shape};
  }

  void forward(const Values& bottoms, const Values& tops, const PassContext&) override {
    const float* x = bottoms[0]->floats();
    float* y = tops[0]->output();
    const float* scale = parameters[0]->data.data_ptr<float>();
    const float* bias = parameters.size() > 1 ? parameters[1]->data.data_ptr<float>() : nullptr;
    for_rows([&](std::int64_t c, std::int64_t at) {
      const float factor = scale[c], shift = bias ? bias[c] : 0;
      for (std::int64_t i = at; i < at + inner_; ++i) y[i] = x[i] * factor + shift;
    });
  }

  void backward(const Values& tops, const Values& bottoms, const PassContext&) override {
    const float* dy = tops[0]->gradient.data_ptr<float>();
    if (wants_gradient(0)) {
      const float* x = bottoms[0]->floats();
      add_sums(*parameters[0], [&](std::int64_t i) { return double{dy[i]} * x[i]; });
    }
    if (parameters.size() > 1 && wants_gradient(1)) {
      add_sums(*parameters[1], [&](std::int64_t i) { return double{dy[i]}; });
    }
    if (!bottoms[0]->needs_gradient) return;
    at::Tensor gradient = bottoms[0]->fresh_gradient();
    float* dx = gradient.data_ptr<float>();
    const float* scale = parameters[0]->data.data_ptr<float>();
    for_rows([&](std::int64_t c, std::int64_t at) {
      for (std::int64_t i = at; i < at + inner_; ++i) dx[i] = dy[i] * scale[c];
    });
    bottoms[0]->add_gradient(gradient);
  }

 private:
  template <typename Body>
  void for_rows(const Body& body) const {
    parallel_for(outer_, [&](std::int64_t o) {
      for (std::int64_t c = 0; c < width_; ++c) body(c, (o * width_ + c) * inner_);
    });
  }

  template <typename Term>
  void add_sums(Parameter& parameter, const Term& term) const {
    float* gradient = parameter.gradient.data_ptr<float>();
    for_pieces(width_, 8, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t c = begin; c < end; ++c) {
        double sum = 0;
        for (std::int64_t o = 0; o < outer_; ++o) {
          const std::int64_t at = (o * width_ + c) * inner_;
          for (std::int64_t i = at; i < at + inner_; ++i) sum += term(i);
        }
        gradient[c] += static_cast<float>(sum);
      }
    });
  }

  std::int64_t outer_ = 1, width_ = 1, inner_ = 1;
};

}  // namespace

std::unique_ptr<Layer> make_scale(const caffe::LayerParameter& parameter) {
  return std::make_unique<Scale>(parameter);
}

}  // namespace inure
