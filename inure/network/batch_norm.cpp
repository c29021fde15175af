#include <cmath>

#include "inure/base/error.hpp"
#include "inure/network/families.hpp"

namespace inure {
namespace {

// Ioffe and Szegedy 2015 without scale and shift (Caffe's Scale layer does those). Parameters as in
// Caffe: the sums of means and of variances, and the factor by which to divide them; training moves
// them.
class BatchNorm : public Layer {
 public:
  using Layer::Layer;

  std::vector<Shape> set_up(const Values& bottoms, std::uint64_t seed) override {
    check_counts(*this, bottoms, 1, 1, 1, 1);
    const Shape& shape = bottoms[0]->shape;
    images_ = shape.empty() ? 1 : shape[0];
    channels_ = shape.size() > 1 ? shape[1] : 1;
    inner_ = shape.size() > 2 ? product(shape, 2, shape.size()) : 1;
    for (const Shape& size : {Shape{channels_}, Shape{channels_}, Shape{1}}) {
      add_parameter(*this, size, caffe::FillerParameter(), seed);
      Parameter& parameter = *parameters.back();
      const int index = static_cast<int>(parameters.size()) - 1;
      if (index < parameter_.param_size() && parameter.lr_mult != 0) {
        fail("layer \"{}\": lr_mult {} of a running mean or variance; it must be 0", name(),
             parameter.lr_mult);
      }
      parameter.lr_mult = 0;
    }
    return {shape};
  }

  void forward(const Values& bottoms, const Values& tops, const PassContext& pass) override {
    const float* x = bottoms[0]->floats();
    float* y = tops[0]->output();
    const std::vector<Moments> moments = use_global(pass) ? stored() : measure(x);
    if (!use_global(pass)) update(moments);
    parallel_for(channels_, [&](std::int64_t c) {
      const float mean = static_cast<float>(moments[c].mean), scale = inverse_deviation(moments[c]);
      for_rows(c, [&](std::int64_t at) {
        for (std::int64_t i = at; i < at + inner_; ++i) y[i] = (x[i] - mean) * scale;
      });
    });
  }

  void backward(const Values& tops, const Values& bottoms, const PassContext& pass) override {
    if (!bottoms[0]->needs_gradient) return;
    const float* x = bottoms[0]->floats();
    const float* dy = tops[0]->gradient.data_ptr<float>();
    const bool global = use_global(pass);
    const std::vector<Moments> moments = global ? stored() : measure(x);
    at::Tensor gradient = bottoms[0]->fresh_gradient();
    float* dx = gradient.data_ptr<float>();
    parallel_for(channels_, [&](std::int64_t c) {
      const float mean = static_cast<float>(moments[c].mean), scale = inverse_deviation(moments[c]);
      double sum = 0, dot = 0;  // of dy, and of dy times the normalised value
      if (!global) {
        for_rows(c, [&](std::int64_t at) {
          for (std::int64_t i = at; i < at + inner_; ++i) {
            sum += dy[i];
            dot += dy[i] * ((x[i] - mean) * scale);
          }
        });
      }
      const double count = static_cast<double>(images_ * inner_);
      const float mean_dy = static_cast<float>(sum / count);
      const float mean_dot = static_cast<float>(dot / count);
      for_rows(c, [&](std::int64_t at) {
        for (std::int64_t i = at; i < at + inner_; ++i) {
          dx[i] = scale * (dy[i] - mean_dy - (x[i] - mean) * scale * mean_dot);
        }
      });
    });
    bottoms[0]->add_gradient(gradient);
  }

 private:
  struct Moments {
    double mean = 0, variance = 0;
  };

  bool use_global(const PassContext& pass) const {
    const auto& p = parameter_.batch_norm_param();
    return p.has_use_global_stats() ? p.use_global_stats() : pass.phase == caffe::TEST;
  }

  float inverse_deviation(const Moments& m) const {
    return static_cast<float>(1 / std::sqrt(m.variance + parameter_.batch_norm_param().eps()));
  }

  template <typename Body>
  void for_rows(std::int64_t channel, const Body& body) const {
    for (std::int64_t n = 0; n < images_; ++n) body((n * channels_ + channel) * inner_);
  }

  std::vector<Moments> stored() const {
    const double factor = parameters[2]->data.data_ptr<float>()[0];
    const double scale = factor == 0 ? 0 : 1 / factor;
    std::vector<Moments> result(channels_);
    for (std::int64_t c = 0; c < channels_; ++c) {
      result[c] = {parameters[0]->data.data_ptr<float>()[c] * scale,
                   parameters[1]->data.data_ptr<float>()[c] * scale};
    }
    return result;
  }

  std::vector<Moments> measure(const float* x) const {
    std::vector<Moments> result(channels_);
    parallel_for(channels_, [&](std::int64_t c) {
      const double count = static_cast<double>(images_ * inner_);
      double sum = 0, squares = 0;
      for_rows(c, [&](std::int64_t at) {
        for (std::int64_t i = at; i < at + inner_; ++i) sum += x[i];
      });
      const double mean = sum / count;
      for_rows(c, [&](std::int64_t at) {
        for (std::int64_t i = at; i < at + inner_; ++i) squares += (x[i] - mean) * (x[i] - mean);
      });
      result[c] = {mean, squares / count};
    });
    return result;
  }

  void update(const std::vector<Moments>& moments) {
    const double keep = parameter_.batch_norm_param().moving_average_fraction();
    const double count = static_cast<double>(images_ * inner_);
    const double unbiased = count > 1 ? count / (count - 1) : 1;
    const auto move = [keep](float& value, double more) {
      value = static_cast<float>(keep * value + more);
    };
    for (std::int64_t c = 0; c < channels_; ++c) {
      move(parameters[0]->data.data_ptr<float>()[c], moments[c].mean);
      move(parameters[1]->data.data_ptr<float>()[c], unbiased * moments[c].variance);
    }
    move(parameters[2]->data.data_ptr<float>()[0], 1);
    for (const auto& parameter : parameters) ++parameter->version;
  }

  std::int64_t images_ = 1, channels_ = 1, inner_ = 1;
};

}  // namespace

std::unique_ptr<Layer> make_batch_norm(const caffe::LayerParameter& parameter) {
  return std::make_unique<BatchNorm>(parameter);
}

}  // namespace inure
