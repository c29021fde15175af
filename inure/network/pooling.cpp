#include "inure/host/pooling.hpp"

#include "inure/base/error.hpp"
#include "inure/network/families.hpp"

namespace inure {
namespace {

// Caffe's default; forks of Caffe write `ceil_mode: false` for `round_mode: FLOOR`.
bool rounds_up(const Layer& layer, const caffe::PoolingParameter& p) {
  const bool up = p.round_mode() == caffe::PoolingParameter::CEIL;
  if (!p.has_ceil_mode()) return up;
  if (p.has_round_mode() && up != p.ceil_mode()) {
    fail("layer \"{}\": round_mode and ceil_mode contradict each other; keep round_mode",
         layer.name());
  }
  return p.ceil_mode();
}

class Pooling : public Layer {
 public:
  using Layer::Layer;

  std::vector<Shape> set_up(const Values& bottoms, std::uint64_t) override {
    if (parameter_.top_size() == 2) {
      fail("layer \"{}\": a second top, the places of the maxima, is not supported here", name());
    }
    check_counts(*this, bottoms, 1, 1, 1, 1);
    const auto& p = parameter_.pooling_param();
    const Shape& shape = bottoms[0]->shape;
    if (shape.size() != 4) {
      fail("layer \"{}\": pooling needs a bottom N x C x H x W, but \"{}\" is {}", name(),
           bottoms[0]->name, shape_text(shape));
    }
    if (p.pool() == caffe::PoolingParameter::STOCHASTIC) {
      fail("layer \"{}\": stochastic pooling is not supported; use MAX or AVE", name());
    }
    average_ = p.pool() == caffe::PoolingParameter::AVE;
    planes_ = shape[0] * shape[1];
    high_.size = shape[2], wide_.size = shape[3];
    read_window(p);
    check_window();
    window_.count_outputs(rounds_up(*this, p));
    check_outputs();
    return {{shape[0], shape[1], high_.outputs, wide_.outputs}};
  }

  void forward(const Values& bottoms, const Values& tops, const PassContext&) override {
    const float* x = bottoms[0]->floats();
    float* y = tops[0]->output();
    for_planes([&](std::int64_t plane, float* row) {
      const float* from = x + plane * high_.size * wide_.size;
      float* to = y + plane * high_.outputs * wide_.outputs;
      (average_ ? average_pool : max_pool)(from, to, window_, row);
    });
  }

  void backward(const Values& tops, const Values& bottoms, const PassContext&) override {
    if (!bottoms[0]->needs_gradient) return;
    const float* dy = tops[0]->gradient.data_ptr<float>();
    const float* x = average_ ? nullptr : bottoms[0]->floats();
    at::Tensor gradient = bottoms[0]->fresh_gradient();
    float* dx = gradient.data_ptr<float>();
    for_planes([&](std::int64_t plane, float*) {
      const float* from = dy + plane * high_.outputs * wide_.outputs;
      const std::int64_t at = plane * high_.size * wide_.size;
      if (average_) {
        average_pool_backward(from, dx + at, window_);
      } else {
        max_pool_backward(x + at, from, dx + at, window_);
      }
    });
    bottoms[0]->add_gradient(gradient);
  }

 private:
  void read_window(const caffe::PoolingParameter& p) {
    const bool kernel_hw = p.has_kernel_h() || p.has_kernel_w();
    if ((p.has_kernel_size() && kernel_hw) || p.has_kernel_h() != p.has_kernel_w()) {
      fail("layer \"{}\": give kernel_size, or both kernel_h and kernel_w", name());
    }
    const bool stride_hw = p.has_stride_h() || p.has_stride_w();
    const bool pad_hw = p.has_pad_h() || p.has_pad_w();
    if ((p.has_stride() && stride_hw) || (p.has_pad() && pad_hw)) {
      fail("layer \"{}\": give stride once or stride_h and stride_w, and pad likewise", name());
    }
    high_.kernel = kernel_hw ? p.kernel_h() : p.kernel_size();
    wide_.kernel = kernel_hw ? p.kernel_w() : p.kernel_size();
    high_.pad = pad_hw ? p.pad_h() : p.pad();
    wide_.pad = pad_hw ? p.pad_w() : p.pad();
    high_.stride = p.has_stride_h() ? p.stride_h() : p.stride();
    wide_.stride = p.has_stride_w() ? p.stride_w() : p.stride();
    if (!p.global_pooling()) return;
    if (p.has_kernel_size() || kernel_hw) {
      fail("layer \"{}\": global_pooling takes the whole map; leave out kernel_size", name());
    }
    if (high_.pad != 0 || wide_.pad != 0 || high_.stride != 1 || wide_.stride != 1) {
      fail("layer \"{}\": global_pooling takes the whole map; leave out pad and stride", name());
    }
    high_.kernel = high_.size, wide_.kernel = wide_.size;
  }

  void check_window() const {
    for (const PoolingAxis* axis : {&high_, &wide_}) {
      if (axis->kernel < 1) fail("layer \"{}\": kernel_size is missing or 0", name());
      if (axis->stride < 1) fail("layer \"{}\": stride is 0; it must be at least 1", name());
      check_number(*this, axis->kernel, "kernel_size");
      check_number(*this, axis->stride, "stride");
      if (axis->pad >= axis->kernel) {
        fail("layer \"{}\": pad {} must be smaller than kernel {}", name(), axis->pad,
             axis->kernel);
      }
    }
  }

  void check_outputs() const {
    for (const PoolingAxis* axis : {&high_, &wide_}) {
      if (axis->outputs >= 1) continue;
      fail(
          "layer \"{}\": kernel {} is larger than the padded map, {} x {}, by a stride of {} or "
          "more: no output is left",
          name(), axis->kernel, high_.size + 2 * high_.pad, wide_.size + 2 * wide_.pad,
          axis->stride);
    }
    // Caffe writes the lowest float there and sends the gradient to the place -1.
    if (!average_ && window_.has_empty_window()) {
      fail(
          "layer \"{}\": the last of the {} x {} windows lies wholly outside the map, {} x {}, and "
          "has no maximum; round down with round_mode: FLOOR",
          name(), high_.outputs, wide_.outputs, high_.size, wide_.size);
    }
  }

  template <typename Body>
  void for_planes(const Body& body) const {
    const std::int64_t plane = high_.size * wide_.size;
    for_pieces(planes_, std::max<std::int64_t>(1, kElements / plane),
               [&](std::int64_t begin, std::int64_t end) {
                 std::vector<float> row(wide_.size);
                 for (std::int64_t i = begin; i < end; ++i) body(i, row.data());
               });
  }

  PoolingWindow window_;
  PoolingAxis &high_ = window_.high, &wide_ = window_.wide;
  std::int64_t planes_ = 0;
  bool average_ = false;
};

}  // namespace

std::unique_ptr<Layer> make_pooling(const caffe::LayerParameter& parameter) {
  return std::make_unique<Pooling>(parameter);
}

}  // namespace inure
