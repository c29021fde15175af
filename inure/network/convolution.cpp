#include <algorithm>

#include "inure/base/error.hpp"
#include "inure/network/blas.hpp"
#include "inure/network/families.hpp"

// How the work is cut. libtorch's own parallel convolution is not bit-identical for 1 and 2
// threads: the gradients of weights and bias differ where it splits the batch (LeNet's conv1,
// AlexNet's conv1). So the batch is cut here, into pieces of images that depend on the shapes only;
// within a piece the libraries are single-threaded, and the pieces' gradients are added in order.
// Pieces of several images cost as much as the whole batch; single images up to twice that (oneDNN
// reorders the weights for each).
//
// Two engines: oneDNN's direct convolution where the outputs fill its vectors (AlexNet's conv1:
// half the time of im2col and a matrix product), im2col where they do not (LeNet's conv1, batch 64:
// 0.8 against 1.1 ms forward, and 1.7 against 10 ms backward).
namespace inure {
namespace {

struct Window {
  std::vector<std::int64_t> kernel, stride, pad, dilation;  // height, width
};

class Convolution : public Layer {
 public:
  using Layer::Layer;

  std::vector<Shape> set_up(const Values& bottoms, std::uint64_t seed) override {
    const auto& p = parameter_.convolution_param();
    const int count = static_cast<int>(bottoms.size());
    check_counts(*this, bottoms, 1, -1, count, count);
    const Shape& shape = bottoms[0]->shape;
    if (shape.size() != 4) {
      fail("layer \"{}\": convolution needs a bottom N x C x H x W, but \"{}\" is {}", name(),
           bottoms[0]->name, shape_text(shape));
    }
    if (canonical_axis(*this, p.axis(), shape, "axis") != 1) {
      fail("layer \"{}\": axis {}: only 1, the channels, is supported", name(), p.axis());
    }
    for (const Value* bottom : bottoms) {
      if (bottom->shape != shape) {
        fail("layer \"{}\": all bottoms must have one shape, but \"{}\" is {} and \"{}\" {}",
             name(), bottoms[0]->name, shape_text(shape), bottom->name, shape_text(bottom->shape));
      }
    }
    read_window(p);
    check_channels(p, shape[1]);
    const Shape top{shape[0], p.num_output(), output_size(shape, 0), output_size(shape, 1)};
    check_size(name(), top, fmt::format("top \"{}\"", parameter_.top(0)));
    weight_shape_ = {top[1], shape[1] / groups_, window_.kernel[0], window_.kernel[1]};
    bias_ = p.bias_term();
    add_parameter(*this, weight_shape_, p.weight_filler(), seed);
    if (bias_) add_parameter(*this, {top[1]}, p.bias_filler(), seed);
    plan(top);
    return std::vector<Shape>(count, top);
  }

  void forward(const Values& bottoms, const Values& tops, const PassContext&) override {
    const at::Tensor weights = parameters[0]->data.view(weight_shape_);
    const c10::optional<at::Tensor> bias =
        bias_ ? c10::optional<at::Tensor>(parameters[1]->data) : c10::nullopt;
    for (std::size_t b = 0; b < bottoms.size(); ++b) {
      const at::Tensor x = bottoms[b]->data();
      tops[b]->output();
      const at::Tensor y = tops[b]->data();
      for_pieces(images_, piece_, [&](std::int64_t begin, std::int64_t end) {
        const SingleThreaded single;
        const c10::InferenceMode no_autograd;
        const at::Tensor in = x.narrow(0, begin, end - begin);
        at::Tensor out = y.narrow(0, begin, end - begin);
        if (im2col_) {
          at::_slow_conv2d_forward_out(out, in, weights, window_.kernel, bias, window_.stride,
                                       window_.pad);
        } else {
          out.copy_(at::convolution(in, weights, bias, window_.stride, window_.pad,
                                    window_.dilation, false, {0, 0}, groups_));
        }
      });
    }
  }

  void backward(const Values& tops, const Values& bottoms, const PassContext&) override {
    for (std::size_t b = 0; b < bottoms.size(); ++b) backward(*tops[b], *bottoms[b]);
  }

 private:
  void read_window(const caffe::ConvolutionParameter& p) {
    window_.kernel = pair(p.kernel_size(), p.has_kernel_h(), p.kernel_h(), p.has_kernel_w(),
                          p.kernel_w(), 0, "kernel");
    window_.stride = pair(p.stride(), p.has_stride_h(), p.stride_h(), p.has_stride_w(),
                          p.stride_w(), 1, "stride");
    window_.pad = pair(p.pad(), p.has_pad_h(), p.pad_h(), p.has_pad_w(), p.pad_w(), 0, "pad");
    window_.dilation = pair(p.dilation(), false, 0, false, 0, 1, "dilation");
    for (int i = 0; i < 2; ++i) {
      if (window_.kernel[i] < 1) fail("layer \"{}\": kernel_size is missing or 0", name());
      if (window_.stride[i] < 1) fail("layer \"{}\": stride is 0; it must be at least 1", name());
      if (window_.dilation[i] < 1)
        fail("layer \"{}\": dilation is 0; it must be at least 1", name());
    }
  }

  // NAME, given once or for height and width, or NAME_h and NAME_w; what is not given is absent.
  template <typename Repeated>
  std::vector<std::int64_t> pair(const Repeated& both, bool has_h, std::int64_t h, bool has_w,
                                 std::int64_t w, std::int64_t absent, const char* what) const {
    if (both.size() > 2 || (both.size() > 0 && (has_h || has_w))) {
      fail("layer \"{}\": give {} once, or twice for height and width, or {}_h and {}_w", name(),
           what, what, what);
    }
    std::vector<std::int64_t> pair{absent, absent};
    if (has_h) pair[0] = h;
    if (has_w) pair[1] = w;
    if (both.size() > 0) pair = {both.Get(0), both.Get(both.size() - 1)};
    for (const std::int64_t number : pair) check_number(*this, number, what);
    return pair;
  }

  void check_channels(const caffe::ConvolutionParameter& p, std::int64_t channels) {
    groups_ = p.group();
    if (p.num_output() == 0) fail("layer \"{}\": num_output is 0; give the outputs", name());
    if (groups_ < 1) fail("layer \"{}\": group is 0; it must be at least 1", name());
    if (channels % groups_ != 0 || p.num_output() % groups_ != 0) {
      fail("layer \"{}\": group {} must divide the {} channels and the {} outputs", name(), groups_,
           channels, p.num_output());
    }
  }

  std::int64_t output_size(const Shape& shape, int i) const {
    const std::int64_t padded = shape[2 + i] + 2 * window_.pad[i];
    const std::int64_t reach = window_.dilation[i] * (window_.kernel[i] - 1) + 1;
    if (reach > padded) {
      fail("layer \"{}\": kernel {} is larger than the padded map, {} x {}", name(), reach,
           shape[2] + 2 * window_.pad[0], shape[3] + 2 * window_.pad[1]);
    }
    return (padded - reach) / window_.stride[i] + 1;
  }

  void plan(const Shape& top) {
    images_ = top[0];
    const bool dilated = window_.dilation[0] > 1 || window_.dilation[1] > 1;
    im2col_ = groups_ == 1 && !dilated && top[1] % 8 != 0;
    constexpr std::int64_t kWorthIt = 4'000'000;  // multiply-accumulates, some 0.1 ms
    const std::int64_t work = top[2] * top[3] * product(weight_shape_, 0, 4);
    piece_ = std::min(images_, std::max((images_ + 7) / 8, kWorthIt / work + 1));
  }

  void backward(Value& top, Value& bottom) {
    const bool for_bottom = bottom.needs_gradient;
    const bool for_weights = wants_gradient(0);
    const bool for_bias = bias_ && wants_gradient(1);
    const at::Tensor x = bottom.data(), dy = top.gradient;
    const at::Tensor dx = for_bottom ? bottom.fresh_gradient() : at::Tensor();
    const at::Tensor weights = parameters[0]->data.view(weight_shape_);
    const std::int64_t pieces = (images_ + piece_ - 1) / piece_;
    std::vector<at::Tensor> weight_parts(pieces), bias_parts(pieces);
    for_pieces(images_, piece_, [&](std::int64_t begin, std::int64_t end) {
      const SingleThreaded single;
      const c10::InferenceMode no_autograd;
      const at::Tensor out = dy.narrow(0, begin, end - begin), in = x.narrow(0, begin, end - begin);
      at::Tensor part;
      std::tie(part, weight_parts[begin / piece_], bias_parts[begin / piece_]) =
          im2col_ ? at::_slow_conv2d_backward(out, in, weights, window_.kernel, window_.stride,
                                              window_.pad, {for_bottom, for_weights, for_bias})
                  : at::convolution_backward(out, in, weights, at::IntArrayRef{weight_shape_[0]},
                                             window_.stride, window_.pad, window_.dilation, false,
                                             {0, 0}, groups_, {for_bottom, for_weights, for_bias});
      if (for_bottom) dx.narrow(0, begin, end - begin).copy_(part);
    });
    if (for_weights) add_in_order(weight_parts, parameters[0]->gradient);
    if (for_bias) add_in_order(bias_parts, parameters[1]->gradient);
    if (for_bottom) bottom.add_gradient(dx);
  }

  static void add_in_order(std::vector<at::Tensor>& parts, at::Tensor& gradient) {
    for (at::Tensor& part : parts) part = part.contiguous();
    float* sum = gradient.data_ptr<float>();
    for_pieces(gradient.numel(), kElements, [&](std::int64_t begin, std::int64_t end) {
      for (const at::Tensor& part : parts) {
        const float* more = part.data_ptr<float>();
        for (std::int64_t i = begin; i < end; ++i) sum[i] += more[i];
      }
    });
  }

  Window window_;
  Shape weight_shape_;
  std::int64_t groups_ = 1, images_ = 0, piece_ = 1;
  bool bias_ = true, im2col_ = false;
};

}  // namespace

std::unique_ptr<Layer> make_convolution(const caffe::LayerParameter& parameter) {
  return std::make_unique<Convolution>(parameter);
}

}  // namespace inure
