#include "inure/base/error.hpp"
#include "inure/network/labels.hpp"

namespace inure {

ClassAxis class_axis(const Layer& layer, const Shape& shape, std::int64_t axis) {
  const int at = canonical_axis(layer, axis, shape, "axis");
  return {product(shape, 0, at), shape[at], product(shape, at + 1, shape.size())};
}

void check_labels(const Layer& layer, const ClassAxis& axis, const Value& scores,
                  const Value& labels) {
  if (labels.count() == axis.outer * axis.inner) return;
  fail(
      "layer \"{}\": {} labels in \"{}\" ({}) for the scores \"{}\" ({}): one for each of {} "
      "places "
      "is needed",
      layer.name(), labels.count(), labels.name, shape_text(labels.shape), scores.name,
      shape_text(scores.shape), axis.outer * axis.inner);
}

std::int64_t checked_label(const Layer& layer, float label, std::int64_t classes) {
  if (!(label > -1 && label < static_cast<float>(classes))) {
    fail("layer \"{}\": label {} is not one of the {} classes (0 to {})", layer.name(), label,
         classes, classes - 1);
  }
  return static_cast<std::int64_t>(label);
}

namespace {

// The share of places whose label is among the top_k scores. A tie counts against the label, as in
// Caffe: it is right if fewer than top_k other classes have at least its score. (The int8 scores of
// an accelerator often tie.) A second top gets the accuracy of each class.
class Accuracy : public Layer {
 public:
  using Layer::Layer;

  std::vector<Shape> set_up(const Values& bottoms, std::uint64_t) override {
    check_counts(*this, bottoms, 2, 2, 1, 2);
    const auto& p = parameter_.accuracy_param();
    axis_ = class_axis(*this, bottoms[0]->shape, p.axis());
    check_labels(*this, axis_, *bottoms[0], *bottoms[1]);
    if (p.top_k() < 1 || p.top_k() > axis_.classes) {
      fail("layer \"{}\": top_k {} must be 1 to {}, the number of classes", name(), p.top_k(),
           axis_.classes);
    }
    if (p.has_ignore_label()) ignore_ = p.ignore_label();
    std::vector<Shape> tops{{}};
    if (parameter_.top_size() == 2) tops.push_back({axis_.classes});
    return tops;
  }

  void forward(const Values& bottoms, const Values& tops, const PassContext&) override {
    const float* scores = bottoms[0]->floats();
    const float* labels = bottoms[1]->floats();
    std::vector<std::int64_t> right(axis_.classes), total(axis_.classes);
    std::int64_t all_right = 0, all = 0;
    for (std::int64_t place = 0; place < axis_.outer * axis_.inner; ++place) {
      if (ignore_ && is_label(labels[place], *ignore_)) continue;
      const std::int64_t label = checked_label(*this, labels[place], axis_.classes);
      const bool hit = is_right(scores + axis_.at(place), label);
      right[label] += hit, ++total[label];
      all_right += hit, ++all;
    }
    *tops[0]->output() = share(all_right, all);
    if (tops.size() < 2) return;
    float* out = tops[1]->output();
    for (std::int64_t c = 0; c < axis_.classes; ++c) out[c] = share(right[c], total[c]);
  }

  void backward(const Values&, const Values&, const PassContext&) override {}

 private:
  // (not <, rather than >=, so that a score that is not a number makes the answer wrong.)
  bool is_right(const float* scores, std::int64_t label) const {
    const float own = scores[label * axis_.inner];
    std::int64_t better = 0;
    for (std::int64_t c = 0; c < axis_.classes; ++c) {
      better += c != label && !(scores[c * axis_.inner] < own);
    }
    return better < parameter_.accuracy_param().top_k();
  }

  static float share(std::int64_t right, std::int64_t all) {
    return all == 0 ? 0.0f : static_cast<float>(static_cast<double>(right) / all);
  }

  ClassAxis axis_;
  std::optional<int> ignore_;
};

}  // namespace

std::unique_ptr<Layer> make_accuracy(const caffe::LayerParameter& parameter) {
  return std::make_unique<Accuracy>(parameter);
}

}  // namespace inure
