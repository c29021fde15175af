#include <algorithm>
#include <cfloat>
#include <cmath>

#include "inure/base/error.hpp"
#include "inure/network/families.hpp"
#include "inure/network/labels.hpp"

namespace inure {
namespace {

// x and y: [outer][classes][inner]; the probabilities of each of outer * inner places.
void softmax(const float* x, float* y, const ClassAxis& axis) {
  parallel_for(axis.outer, [&](std::int64_t o) {
    for (std::int64_t i = 0; i < axis.inner; ++i) {
      const std::int64_t at = o * axis.classes * axis.inner + i;
      float greatest = x[at], sum = 0;
      for (std::int64_t c = 1; c < axis.classes; ++c) {
        greatest = std::max(greatest, x[at + c * axis.inner]);
      }
      for (std::int64_t c = 0; c < axis.classes; ++c) {
        sum += y[at + c * axis.inner] = std::exp(x[at + c * axis.inner] - greatest);
      }
      for (std::int64_t c = 0; c < axis.classes; ++c) y[at + c * axis.inner] /= sum;
    }
  });
}

class Softmax : public Layer {
 public:
  using Layer::Layer;

  std::vector<Shape> set_up(const Values& bottoms, std::uint64_t) override {
    check_counts(*this, bottoms, 1, 1, 1, 1);
    axis_ = class_axis(*this, bottoms[0]->shape, parameter_.softmax_param().axis());
    return {bottoms[0]->shape};
  }

  void forward(const Values& bottoms, const Values& tops, const PassContext&) override {
    softmax(bottoms[0]->floats(), tops[0]->output(), axis_);
  }

  void backward(const Values& tops, const Values& bottoms, const PassContext&) override {
    if (!bottoms[0]->needs_gradient) return;
    const float* y = tops[0]->floats();
    const float* dy = tops[0]->gradient.data_ptr<float>();
    at::Tensor gradient = bottoms[0]->fresh_gradient();
    float* dx = gradient.data_ptr<float>();
    parallel_for(axis_.outer * axis_.inner, [&](std::int64_t place) {
      const std::int64_t begin = axis_.at(place), end = begin + axis_.classes * axis_.inner;
      float dot = 0;
      for (std::int64_t i = begin; i < end; i += axis_.inner) dot += y[i] * dy[i];
      for (std::int64_t i = begin; i < end; i += axis_.inner) dx[i] = y[i] * (dy[i] - dot);
    });
    bottoms[0]->add_gradient(gradient);
  }

 private:
  ClassAxis axis_;
};

// The mean over the labelled places of -log(probability of the label).
class SoftmaxWithLoss : public Layer {
 public:
  using Layer::Layer;

  std::vector<Shape> set_up(const Values& bottoms, std::uint64_t) override {
    check_counts(*this, bottoms, 2, 2, 1, 2);
    axis_ = class_axis(*this, bottoms[0]->shape, parameter_.softmax_param().axis());
    check_labels(*this, axis_, *bottoms[0], *bottoms[1]);
    const auto& p = parameter_.loss_param();
    mode_ = !p.has_normalization() && p.has_normalize()
                ? (p.normalize() ? caffe::LossParameter::VALID : caffe::LossParameter::BATCH_SIZE)
                : p.normalization();
    if (p.has_ignore_label()) ignore_ = p.ignore_label();
    std::vector<Shape> tops{{}};
    if (parameter_.top_size() == 2) tops.push_back(bottoms[0]->shape);
    return tops;
  }

  void forward(const Values& bottoms, const Values& tops, const PassContext&) override {
    const float* probabilities = compute(*bottoms[0]);
    if (tops.size() == 2) {
      std::copy(probabilities, probabilities + bottoms[0]->count(), tops[1]->output());
    }
    const float* labels = bottoms[1]->floats();
    double loss = 0;
    std::int64_t valid = 0;
    for (std::int64_t place = 0; place < axis_.outer * axis_.inner; ++place) {
      if (ignored(labels[place])) continue;
      const std::int64_t label = checked_label(*this, labels[place], axis_.classes);
      const float p = probabilities[axis_.at(place) + label * axis_.inner];
      loss -= std::log(std::max(p, FLT_MIN));
      ++valid;
    }
    *tops[0]->output() = static_cast<float>(loss / normaliser(valid));
  }

  void backward(const Values& tops, const Values& bottoms, const PassContext&) override {
    if (!bottoms[0]->needs_gradient) return;
    const float* labels = bottoms[1]->floats();
    std::int64_t valid = 0;
    for (std::int64_t i = 0; i < axis_.outer * axis_.inner; ++i) valid += !ignored(labels[i]);
    at::Tensor gradient = bottoms[0]->fresh_gradient();
    float* dx = gradient.data_ptr<float>();
    softmax(bottoms[0]->floats(), dx, axis_);
    const float scale =
        static_cast<float>(tops[0]->gradient.data_ptr<float>()[0] / normaliser(valid));
    for (std::int64_t place = 0; place < axis_.outer * axis_.inner; ++place) {
      const std::int64_t at = axis_.at(place);
      const bool skip = ignored(labels[place]);
      if (!skip) dx[at + checked_label(*this, labels[place], axis_.classes) * axis_.inner] -= 1;
      for (std::int64_t c = 0; c < axis_.classes; ++c) {
        dx[at + c * axis_.inner] *= skip ? 0.0f : scale;
      }
    }
    bottoms[0]->add_gradient(gradient);
  }

 private:
  const float* compute(Value& bottom) {
    probabilities_.resize(bottom.count());
    softmax(bottom.floats(), probabilities_.data(), axis_);
    return probabilities_.data();
  }

  bool ignored(float label) const { return ignore_ && is_label(label, *ignore_); }

  double normaliser(std::int64_t valid) const {
    double count = 1;
    switch (mode_) {
      case caffe::LossParameter::FULL:
        count = static_cast<double>(axis_.outer * axis_.inner);
        break;
      case caffe::LossParameter::VALID:
        count = static_cast<double>(valid);
        break;
      case caffe::LossParameter::BATCH_SIZE:
        count = static_cast<double>(axis_.outer);
        break;
      case caffe::LossParameter::NONE:
        break;
    }
    return std::max(count, 1.0);
  }

  ClassAxis axis_;
  caffe::LossParameter::NormalizationMode mode_ = caffe::LossParameter::VALID;
  std::optional<int> ignore_;
  std::vector<float> probabilities_;
};

}  // namespace

std::unique_ptr<Layer> make_softmax(const caffe::LayerParameter& parameter) {
  return std::make_unique<Softmax>(parameter);
}

std::unique_ptr<Layer> make_softmax_loss(const caffe::LayerParameter& parameter) {
  return std::make_unique<SoftmaxWithLoss>(parameter);
}

}  // namespace inure
