#include <algorithm>

#include "inure/base/error.hpp"
#include "inure/network/families.hpp"

namespace inure {
namespace {

// Split, Flatten and Reshape: the same numbers under other names or shapes.
class Copy : public Layer {
 public:
  using Layer::Layer;

  std::vector<Shape> set_up(const Values& bottoms, std::uint64_t) override {
    const bool split = type() == "Split";
    check_counts(*this, bottoms, 1, 1, 1, split ? -1 : 1);
    const Shape& shape = bottoms[0]->shape;
    if (split) return std::vector<Shape>(parameter_.top_size(), shape);
    return {type() == "Flatten" ? flattened(shape) : reshaped(shape)};
  }

  void forward(const Values& bottoms, const Values& tops, const PassContext&) override {
    const float* x = bottoms[0]->floats();
    for (Value* top : tops) std::copy(x, x + top->count(), top->output());
  }

  void backward(const Values& tops, const Values& bottoms, const PassContext&) override {
    if (!bottoms[0]->needs_gradient) return;
    for (Value* top : tops) bottoms[0]->add_gradient(top->gradient);
  }

 private:
  Shape flattened(const Shape& shape) const {
    const auto& p = parameter_.flatten_param();
    const int first = canonical_axis(*this, p.axis(), shape, "axis");
    const int last = canonical_axis(*this, p.end_axis(), shape, "end_axis");
    if (last < first) fail("layer \"{}\": end_axis {} lies before axis {}", name(), last, first);
    Shape top(shape.begin(), shape.begin() + first);
    top.push_back(product(shape, first, last + 1));
    top.insert(top.end(), shape.begin() + last + 1, shape.end());
    return top;
  }

  // dim: 0 copies the bottom's, -1 is what is left over.
  Shape reshaped(const Shape& shape) const {
    const auto& p = parameter_.reshape_param();
    const auto axes = static_cast<std::int64_t>(shape.size());
    const std::int64_t first = p.axis() < 0 ? axes + 1 + p.axis() : p.axis();
    const std::int64_t last = p.num_axes() < 0 ? axes : first + p.num_axes();
    if (first < 0 || first > axes || last > axes) {
      fail("layer \"{}\": axis {} and num_axes {} are outside the bottom's shape {}", name(),
           p.axis(), p.num_axes(), shape_text(shape));
    }
    Shape top(shape.begin(), shape.begin() + first);
    int free = -1;
    for (int i = 0; i < p.shape().dim_size(); ++i) {
      const std::int64_t dim = p.shape().dim(i);
      if (dim < -1 || (dim == -1 && free >= 0) || (dim == 0 && first + i >= axes)) {
        fail("layer \"{}\": dim {} of shape: 0 copies the bottom's, one -1 takes the rest", name(),
             i);
      }
      if (dim == -1) free = static_cast<int>(top.size());
      top.push_back(dim == 0 ? shape[first + i] : dim == -1 ? 1 : dim);
    }
    top.insert(top.end(), shape.begin() + last, shape.end());
    const std::int64_t have = product(shape, 0, shape.size()), rest = product(top, 0, top.size());
    if (free >= 0 && rest > 0) top[free] = have / rest;
    if (product(top, 0, top.size()) != have) {
      fail("layer \"{}\": cannot give {} the shape {}: the counts differ", name(),
           shape_text(shape), shape_text(top));
    }
    return top;
  }
};

// Silence takes any blobs so that they are not printed as outputs. ImageOutput is the origin's
// layer that wrote images to files: on the host it does nothing, and has its bottom's shape where
// it has a top.
class Sink : public Layer {
 public:
  using Layer::Layer;

  std::vector<Shape> set_up(const Values& bottoms, std::uint64_t) override {
    const bool silence = type() == "Silence";
    check_counts(*this, bottoms, silence ? 1 : 0, -1, 0,
                 silence ? 0 : static_cast<int>(bottoms.size()));
    std::vector<Shape> tops;
    for (int t = 0; t < parameter_.top_size(); ++t) tops.push_back(bottoms[t]->shape);
    return tops;
  }

  void forward(const Values& bottoms, const Values& tops, const PassContext&) override {
    for (std::size_t t = 0; t < tops.size(); ++t) {
      const float* x = bottoms[t]->floats();
      std::copy(x, x + tops[t]->count(), tops[t]->output());
    }
  }

  void backward(const Values& tops, const Values& bottoms, const PassContext&) override {
    for (std::size_t t = 0; t < tops.size(); ++t) {
      if (bottoms[t]->needs_gradient) bottoms[t]->add_gradient(tops[t]->gradient);
    }
  }
};

}  // namespace

std::unique_ptr<Layer> make_copy(const caffe::LayerParameter& parameter) {
  return std::make_unique<Copy>(parameter);
}

std::unique_ptr<Layer> make_sink(const caffe::LayerParameter& parameter) {
  return std::make_unique<Sink>(parameter);
}

}  // namespace inure
