#include <algorithm>

#include "inure/base/error.hpp"
#include "inure/network/families.hpp"

namespace inure {
namespace {

class Eltwise : public Layer {
 public:
  using Layer::Layer;

  std::vector<Shape> set_up(const Values& bottoms, std::uint64_t) override {
    check_counts(*this, bottoms, 2, -1, 1, 1);
    const auto& p = parameter_.eltwise_param();
    const auto count = static_cast<int>(bottoms.size());
    const bool takes_coefficients = p.operation() != caffe::EltwiseParameter::PROD;
    if (p.coeff_size() != 0 && (p.coeff_size() != count || !takes_coefficients)) {
      fail("layer \"{}\": {} coeff for {} bottoms: SUM takes one for each bottom, PROD none",
           name(), p.coeff_size(), count);
    }
    for (const Value* bottom : bottoms) {
      if (bottom->shape != bottoms[0]->shape) {
        fail("layer \"{}\": \"{}\" is {} but \"{}\" is {}: the shapes must agree", name(),
             bottoms[0]->name, shape_text(bottoms[0]->shape), bottom->name,
             shape_text(bottom->shape));
      }
    }
    coefficients_.assign(count, 1.0f);
    // As in Caffe MAX ignores its coefficients.
    if (p.operation() == kSum) {
      std::copy(p.coeff().begin(), p.coeff().end(), coefficients_.begin());
    }
    return {bottoms[0]->shape};
  }

  void forward(const Values& bottoms, const Values& tops, const PassContext&) override {
    const auto operation = parameter_.eltwise_param().operation();
    std::vector<const float*> x;
    for (Value* bottom : bottoms) x.push_back(bottom->floats());
    float* y = tops[0]->output();
    for_pieces(tops[0]->count(), kElements, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) y[i] = coefficients_[0] * x[0][i];
      for (std::size_t b = 1; b < x.size(); ++b)
        combine(operation, x[b], coefficients_[b], y, begin, end);
    });
  }

  void backward(const Values& tops, const Values& bottoms, const PassContext&) override {
    const auto operation = parameter_.eltwise_param().operation();
    for (std::size_t b = 0; b < bottoms.size(); ++b) {
      if (!bottoms[b]->needs_gradient) continue;
      if (operation == kSum && coefficients_[b] == 1) {
        bottoms[b]->add_gradient(tops[0]->gradient);
        continue;
      }
      at::Tensor gradient = bottoms[b]->fresh_gradient();
      backward(operation, bottoms, b, tops[0]->gradient.data_ptr<float>(),
               gradient.data_ptr<float>());
      bottoms[b]->add_gradient(gradient);
    }
  }

 private:
  using Operation = caffe::EltwiseParameter::EltwiseOp;
  static constexpr Operation kSum = caffe::EltwiseParameter::SUM;

  static void combine(Operation operation, const float* x, float coefficient, float* y,
                      std::int64_t begin, std::int64_t end) {
    switch (operation) {
      case caffe::EltwiseParameter::SUM:
        for (std::int64_t i = begin; i < end; ++i) y[i] += coefficient * x[i];
        break;
      case caffe::EltwiseParameter::PROD:
        for (std::int64_t i = begin; i < end; ++i) y[i] *= x[i];
        break;
      case caffe::EltwiseParameter::MAX:
        for (std::int64_t i = begin; i < end; ++i) y[i] = x[i] > y[i] ? x[i] : y[i];
        break;
    }
  }

  // Of equal bottoms Caffe's maximum takes the second before the first, then the others in order.
  static bool goes_before(std::size_t b, std::size_t own) {
    return own == 0 ? b == 1 : b < own && own + b != 1;
  }

  // PROD: times the other bottoms (exact for zeros too). MAX: to one of the greatest.
  void backward(Operation operation, const Values& bottoms, std::size_t own, const float* dy,
                float* dx) const {
    std::vector<const float*> x;
    for (Value* bottom : bottoms) x.push_back(bottom->floats());
    for_pieces(bottoms[own]->count(), kElements, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) dx[i] = coefficients_[own] * dy[i];
      for (std::size_t b = 0; operation != kSum && b < x.size(); ++b) {
        if (b == own) continue;
        const bool first = goes_before(b, own);
        for (std::int64_t i = begin; i < end; ++i) {
          const bool beaten = first ? x[b][i] >= x[own][i] : x[b][i] > x[own][i];
          dx[i] *= operation == caffe::EltwiseParameter::PROD ? x[b][i] : beaten ? 0.0f : 1.0f;
        }
      }
    });
  }

  std::vector<float> coefficients_;
};

}  // namespace

std::unique_ptr<Layer> make_eltwise(const caffe::LayerParameter& parameter) {
  return std::make_unique<Eltwise>(parameter);
}

}  // namespace inure
