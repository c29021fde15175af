#include <algorithm>

#include "inure/base/error.hpp"
#include "inure/network/families.hpp"

namespace inure {
namespace {

class Concat : public Layer {
 public:
  using Layer::Layer;

  std::vector<Shape> set_up(const Values& bottoms, std::uint64_t) override {
    check_counts(*this, bottoms, 1, -1, 1, 1);
    const auto& p = parameter_.concat_param();
    Shape top = bottoms[0]->shape;
    if (p.has_axis() && p.has_concat_dim()) {
      fail("layer \"{}\": has both axis and the older concat_dim; keep axis", name());
    }
    const std::int64_t given = p.has_concat_dim() ? std::int64_t{p.concat_dim()} : p.axis();
    const int axis = canonical_axis(*this, given, top, "axis");
    outer_ = product(top, 0, axis);
    inner_ = product(top, axis + 1, top.size());
    top[axis] = 0;
    for (const Value* bottom : bottoms) {
      Shape expected = bottom->shape;
      if (expected.size() == top.size()) expected[axis] = top[axis];
      if (expected != top) {
        fail("layer \"{}\": cannot join {} and {} along axis {}: the other axes must agree", name(),
             shape_text(bottoms[0]->shape), shape_text(bottom->shape), axis);
      }
      widths_.push_back(bottom->shape[axis] * inner_);
      top[axis] += bottom->shape[axis];
    }
    width_ = top[axis] * inner_;
    return {top};
  }

  void forward(const Values& bottoms, const Values& tops, const PassContext&) override {
    float* y = tops[0]->output();
    for (std::size_t b = 0; b < bottoms.size(); y += widths_[b++]) {
      const float* x = bottoms[b]->floats();
      parallel_for(outer_, [&](std::int64_t n) {
        std::copy(x + n * widths_[b], x + (n + 1) * widths_[b], y + n * width_);
      });
    }
  }

  void backward(const Values& tops, const Values& bottoms, const PassContext&) override {
    const float* dy = tops[0]->gradient.data_ptr<float>();
    for (std::size_t b = 0; b < bottoms.size(); dy += widths_[b++]) {
      if (!bottoms[b]->needs_gradient) continue;
      at::Tensor gradient = bottoms[b]->fresh_gradient();
      float* dx = gradient.data_ptr<float>();
      parallel_for(outer_, [&](std::int64_t n) {
        const float* from = dy + n * width_;
        std::copy(from, from + widths_[b], dx + n * widths_[b]);
      });
      bottoms[b]->add_gradient(gradient);
    }
  }

 private:
  std::int64_t outer_ = 1, inner_ = 1, width_ = 0;
  std::vector<std::int64_t> widths_;  // of a bottom's part in a row of the top
};

}  // namespace

std::unique_ptr<Layer> make_concat(const caffe::LayerParameter& parameter) {
  return std::make_unique<Concat>(parameter);
}

}  // namespace inure
