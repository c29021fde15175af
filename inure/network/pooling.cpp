#include <algorithm>
#include <limits>

#include "inure/base/clones.hpp"
#include "inure/base/error.hpp"
#include "inure/network/families.hpp"

namespace inure {
namespace {

// One axis of the window. Caffe rounds the number of outputs up, and drops the last one if it would
// begin in the padding behind the map.
struct Axis {
  std::int64_t size = 0, kernel = 0, stride = 1, pad = 0, outputs = 0;

  void count_outputs() {
    outputs = (size + 2 * pad - kernel + stride - 1) / stride + 1;
    if (pad > 0 && (outputs - 1) * stride >= size + pad) --outputs;
  }
  std::int64_t begin(std::int64_t o) const { return std::max<std::int64_t>(0, o * stride - pad); }
  std::int64_t end(std::int64_t o) const { return std::min(size, o * stride - pad + kernel); }
  // What an average divides by counts the padding, but nothing beyond it.
  std::int64_t counted(std::int64_t o) const {
    const std::int64_t first = o * stride - pad;
    return std::min(first + kernel, size + pad) - first;
  }
};

INURE_CLONES
void max_rows(const float* x, std::int64_t rows, std::int64_t width, float* row) {
  std::copy(x, x + width, row);
  for (std::int64_t r = 1; r < rows; ++r) {
    const float* next = x + r * width;
    for (std::int64_t i = 0; i < width; ++i) row[i] = next[i] > row[i] ? next[i] : row[i];
  }
}

INURE_CLONES
void sum_rows(const float* x, std::int64_t rows, std::int64_t width, float* row) {
  std::copy(x, x + width, row);
  for (std::int64_t r = 1; r < rows; ++r) {
    for (std::int64_t i = 0; i < width; ++i) row[i] += x[r * width + i];
  }
}

void max_plane(const float* x, float* y, const Axis& high, const Axis& wide, float* row) {
  for (std::int64_t oy = 0; oy < high.outputs; ++oy) {
    const std::int64_t top = high.begin(oy);
    max_rows(x + top * wide.size, high.end(oy) - top, wide.size, row);
    for (std::int64_t ox = 0; ox < wide.outputs; ++ox) {
      const std::int64_t begin = wide.begin(ox), end = wide.end(ox);
      float best = row[begin];
      for (std::int64_t i = begin + 1; i < end; ++i) best = row[i] > best ? row[i] : best;
      *y++ = best;
    }
  }
}

void average_plane(const float* x, float* y, const Axis& high, const Axis& wide, float* row) {
  for (std::int64_t oy = 0; oy < high.outputs; ++oy) {
    const std::int64_t top = high.begin(oy);
    sum_rows(x + top * wide.size, high.end(oy) - top, wide.size, row);
    for (std::int64_t ox = 0; ox < wide.outputs; ++ox) {
      float sum = 0;
      for (std::int64_t i = wide.begin(ox); i < wide.end(ox); ++i) sum += row[i];
      *y++ = sum / static_cast<float>(high.counted(oy) * wide.counted(ox));
    }
  }
}

// The gradient goes to the first of the greatest, as in Caffe. The maximum is searched in the
// bottom: the top may have been computed elsewhere.
void max_plane_backward(const float* x, const float* dy, float* dx, const Axis& high,
                        const Axis& wide) {
  std::fill(dx, dx + high.size * wide.size, 0.0f);
  for (std::int64_t oy = 0; oy < high.outputs; ++oy) {
    for (std::int64_t ox = 0; ox < wide.outputs; ++ox) {
      std::int64_t at = high.begin(oy) * wide.size + wide.begin(ox);
      float best = x[at];
      for (std::int64_t iy = high.begin(oy); iy < high.end(oy); ++iy) {
        for (std::int64_t i = iy * wide.size + wide.begin(ox), end = iy * wide.size + wide.end(ox);
             i < end; ++i) {
          const bool greater = x[i] > best;
          best = greater ? x[i] : best;
          at = greater ? i : at;
        }
      }
      dx[at] += *dy++;
    }
  }
}

void average_plane_backward(const float* dy, float* dx, const Axis& high, const Axis& wide) {
  std::fill(dx, dx + high.size * wide.size, 0.0f);
  for (std::int64_t oy = 0; oy < high.outputs; ++oy) {
    for (std::int64_t ox = 0; ox < wide.outputs; ++ox) {
      const float share = *dy++ / static_cast<float>(high.counted(oy) * wide.counted(ox));
      for (std::int64_t iy = high.begin(oy); iy < high.end(oy); ++iy) {
        float* row = dx + iy * wide.size;
        for (std::int64_t i = wide.begin(ox); i < wide.end(ox); ++i) row[i] += share;
      }
    }
  }
}

class Pooling : public Layer {
 public:
  using Layer::Layer;

  std::vector<Shape> set_up(const Values& bottoms, std::uint64_t) override {
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
    return {{shape[0], shape[1], high_.outputs, wide_.outputs}};
  }

  void forward(const Values& bottoms, const Values& tops, const PassContext&) override {
    const float* x = bottoms[0]->floats();
    float* y = tops[0]->output();
    for_planes([&](std::int64_t plane, float* row) {
      const float* from = x + plane * high_.size * wide_.size;
      float* to = y + plane * high_.outputs * wide_.outputs;
      (average_ ? average_plane : max_plane)(from, to, high_, wide_, row);
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
        average_plane_backward(from, dx + at, high_, wide_);
      } else {
        max_plane_backward(x + at, from, dx + at, high_, wide_);
      }
    });
    bottoms[0]->add_gradient(gradient);
  }

 private:
  void read_window(const caffe::PoolingParameter& p) {
    if (p.global_pooling()) {
      if (p.has_kernel_size() || p.has_kernel_h() || p.has_kernel_w()) {
        fail("layer \"{}\": global_pooling takes the whole map; leave out kernel_size", name());
      }
      high_.kernel = high_.size, wide_.kernel = wide_.size;
    } else {
      high_.kernel = p.has_kernel_h() ? p.kernel_h() : p.kernel_size();
      wide_.kernel = p.has_kernel_w() ? p.kernel_w() : p.kernel_size();
    }
    high_.pad = p.has_pad_h() ? p.pad_h() : p.pad();
    wide_.pad = p.has_pad_w() ? p.pad_w() : p.pad();
    high_.stride = p.has_stride_h() ? p.stride_h() : p.stride();
    wide_.stride = p.has_stride_w() ? p.stride_w() : p.stride();
  }

  void check_window() {
    for (Axis* axis : {&high_, &wide_}) {
      if (axis->kernel < 1) fail("layer \"{}\": kernel_size is missing or 0", name());
      if (axis->stride < 1) fail("layer \"{}\": stride is 0; it must be at least 1", name());
      if (axis->pad >= axis->kernel) {
        fail("layer \"{}\": pad {} must be smaller than kernel {}", name(), axis->pad,
             axis->kernel);
      }
      if (axis->kernel > axis->size + 2 * axis->pad) {
        fail("layer \"{}\": kernel {} is larger than the padded map, {} x {}", name(), axis->kernel,
             high_.size + 2 * high_.pad, wide_.size + 2 * wide_.pad);
      }
      axis->count_outputs();
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

  Axis high_, wide_;
  std::int64_t planes_ = 0;
  bool average_ = false;
};

}  // namespace

std::unique_ptr<Layer> make_pooling(const caffe::LayerParameter& parameter) {
  return std::make_unique<Pooling>(parameter);
}

}  // namespace inure
