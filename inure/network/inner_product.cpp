#include <algorithm>

#include "inure/base/error.hpp"
#include "inure/network/blas.hpp"
#include "inure/network/families.hpp"

namespace inure {
namespace {

// Outputs or inputs in a piece: about 1/16 of them, whole vectors, never so few that a product is
// all overhead. Each piece is one single-threaded product of its own.
std::int64_t piece_of(std::int64_t count) {
  return std::max<std::int64_t>(64, (count / 16 + 63) / 64 * 64);
}

// top [N][outputs] = bottom [N][inputs] * weights [outputs][inputs]^T + bias
class InnerProduct : public Layer {
 public:
  using Layer::Layer;

  std::vector<Shape> set_up(const Values& bottoms, std::uint64_t seed) override {
    check_counts(*this, bottoms, 1, 1, 1, 1);
    const auto& p = parameter_.inner_product_param();
    const Shape& shape = bottoms[0]->shape;
    if (p.num_output() == 0) fail("layer \"{}\": num_output is 0; give the outputs", name());
    const int axis = canonical_axis(*this, p.axis(), shape, "axis");
    rows_ = product(shape, 0, axis);
    inputs_ = product(shape, axis, shape.size());
    outputs_ = p.num_output();
    transpose_ = p.transpose();
    bias_ = p.bias_term();
    add_parameter(*this, transpose_ ? Shape{inputs_, outputs_} : Shape{outputs_, inputs_},
                  p.weight_filler(), seed);
    if (bias_) add_parameter(*this, {outputs_}, p.bias_filler(), seed);
    Shape top(shape.begin(), shape.begin() + axis);
    top.push_back(outputs_);
    return {top};
  }

  void forward(const Values& bottoms, const Values& tops, const PassContext&) override {
    const at::Tensor x = bottoms[0]->data().view({rows_, inputs_});
    const at::Tensor w = weights(parameters[0]->data);
    tops[0]->output();
    const at::Tensor y = tops[0]->data().view({rows_, outputs_});
    for_pieces(outputs_, piece_of(outputs_), [&](std::int64_t begin, std::int64_t end) {
      const SingleThreaded single;
      const c10::InferenceMode no_autograd;
      at::Tensor out = y.narrow(1, begin, end - begin);
      const at::Tensor part = w.narrow(0, begin, end - begin).t();
      if (bias_) {
        at::addmm_out(out, parameters[1]->data.narrow(0, begin, end - begin), x, part);
      } else {
        at::mm_out(out, x, part);
      }
    });
  }

  void backward(const Values& tops, const Values& bottoms, const PassContext&) override {
    const at::Tensor dy = tops[0]->gradient.view({rows_, outputs_});
    if (wants_gradient(0)) {
      const at::Tensor x = bottoms[0]->data().view({rows_, inputs_});
      const at::Tensor dw = weights(parameters[0]->gradient);
      for_pieces(outputs_, piece_of(outputs_), [&](std::int64_t begin, std::int64_t end) {
        const SingleThreaded single;
        const c10::InferenceMode no_autograd;
        dw.narrow(0, begin, end - begin).addmm_(dy.narrow(1, begin, end - begin).t(), x);
      });
    }
    if (bias_ && wants_gradient(1)) parameters[1]->gradient.add_(dy.sum(0));
    if (!bottoms[0]->needs_gradient) return;
    const at::Tensor gradient = bottoms[0]->fresh_gradient();
    const at::Tensor dx = gradient.view({rows_, inputs_});
    const at::Tensor w = weights(parameters[0]->data);
    for_pieces(inputs_, piece_of(inputs_), [&](std::int64_t begin, std::int64_t end) {
      const SingleThreaded single;
      const c10::InferenceMode no_autograd;
      at::Tensor out = dx.narrow(1, begin, end - begin);
      at::mm_out(out, dy, w.narrow(1, begin, end - begin));
    });
    bottoms[0]->add_gradient(gradient);
  }

 private:
  // As [outputs][inputs], whatever the file's order or the shape of a sharer's parameter.
  at::Tensor weights(const at::Tensor& tensor) const {
    return transpose_ ? tensor.view({inputs_, outputs_}).t() : tensor.view({outputs_, inputs_});
  }

  std::int64_t rows_ = 0, inputs_ = 0, outputs_ = 0;
  bool bias_ = true, transpose_ = false;
};

}  // namespace

std::unique_ptr<Layer> make_inner_product(const caffe::LayerParameter& parameter) {
  return std::make_unique<InnerProduct>(parameter);
}

}  // namespace inure
