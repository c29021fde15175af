#include <algorithm>
#include <cmath>

#include "inure/base/clones.hpp"
#include "inure/base/error.hpp"
#include "inure/network/families.hpp"

// Local response normalisation, Krizhevsky et al. 2012, as Caffe means it:
//   scale = k + alpha / n * sum of x^2 over the window,  y = x * scale^-beta
// across channels; within a channel the window is n x n and k is always 1.
//   dx = dy scale^-beta - 2 alpha beta / n * x * sum over the windows that hold x of (dy x /
//   scale^(beta+1))
namespace inure {
namespace {

constexpr std::int64_t kPixels = 512;  // in a piece: a row of each channel's stays in the cache

INURE_CLONES
void add_squares(const float* x, float factor, float* sum, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) sum[i] += factor * x[i] * x[i];
}

INURE_CLONES
void add(const float* x, float* sum, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) sum[i] += x[i];
}

// out = scale^-beta; the usual exponent by square roots, which are vectors.
INURE_CLONES
void power(const float* scale, float beta, float* out, std::int64_t count) {
  if (beta == 0.75f) {
    for (std::int64_t i = 0; i < count; ++i) {
      const float root = std::sqrt(scale[i]);
      out[i] = 1.0f / (root * std::sqrt(root));
    }
  } else {
    for (std::int64_t i = 0; i < count; ++i) out[i] = std::pow(scale[i], -beta);
  }
}

INURE_CLONES
void multiply(const float* a, const float* b, float* out, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) out[i] = a[i] * b[i];
}

// A channel of the backward sum: dy x scale^-beta / scale; and dx's first term, dy scale^-beta.
INURE_CLONES
void ratio(const float* dy, const float* x, const float* root, const float* scale, float* out,
           float* dx, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    dx[i] = dy[i] * root[i];
    out[i] = dx[i] * x[i] / scale[i];
  }
}

INURE_CLONES
void subtract(const float* x, const float* sum, float factor, float* dx, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) dx[i] -= factor * x[i] * sum[i];
}

class Lrn : public Layer {
 public:
  using Layer::Layer;

  std::vector<Shape> set_up(const Values& bottoms, std::uint64_t) override {
    check_counts(*this, bottoms, 1, 1, 1, 1);
    const auto& p = parameter_.lrn_param();
    const Shape& shape = bottoms[0]->shape;
    if (shape.size() != 4) {
      fail("layer \"{}\": LRN needs a bottom N x C x H x W, but \"{}\" is {}", name(),
           bottoms[0]->name, shape_text(shape));
    }
    if (p.local_size() % 2 == 0) {
      fail("layer \"{}\": local_size {} is even; it must be odd", name(), p.local_size());
    }
    within_ = p.norm_region() == caffe::LRNParameter::WITHIN_CHANNEL;
    reach_ = (p.local_size() - 1) / 2;
    const auto window = static_cast<float>(p.local_size());
    alpha_ = p.alpha() / (within_ ? window * window : window);
    beta_ = p.beta();
    k_ = within_ ? 1 : p.k();
    images_ = shape[0], channels_ = shape[1], high_ = shape[2], wide_ = shape[3];
    return {shape};
  }

  void forward(const Values& bottoms, const Values& tops, const PassContext&) override {
    run(bottoms[0]->floats(), tops[0]->output(), nullptr);
  }

  void backward(const Values& tops, const Values& bottoms, const PassContext&) override {
    if (!bottoms[0]->needs_gradient) return;
    at::Tensor gradient = bottoms[0]->fresh_gradient();
    run(bottoms[0]->floats(), gradient.data_ptr<float>(), tops[0]->gradient.data_ptr<float>());
    bottoms[0]->add_gradient(gradient);
  }

 private:
  // Forward (out = y) without dy, backward (out = dx) with it.
  void run(const float* x, float* out, const float* dy) const {
    const std::int64_t pixels = high_ * wide_;
    const auto at = [](const float* p, std::int64_t i) { return p ? p + i : nullptr; };
    if (within_) {
      for_pieces(images_ * channels_, std::max<std::int64_t>(1, 8192 / pixels),
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t i = begin * pixels; i < end * pixels; i += pixels) {
                     run_plane(x + i, out + i, at(dy, i));
                   }
                 });
      return;
    }
    const std::int64_t blocks = (pixels + kPixels - 1) / kPixels;
    parallel_for(images_ * blocks, [&](std::int64_t i) {
      const std::int64_t first = i % blocks * kPixels,
                         from = i / blocks * channels_ * pixels + first;
      run_block(x + from, out + from, at(dy, from), std::min(kPixels, pixels - first));
    });
  }

  // All channels of `count` pixels.
  void run_block(const float* x, float* out, const float* dy, std::int64_t count) const {
    const std::int64_t step = high_ * wide_;
    std::vector<float> scale(count), root(count), ratios(dy ? channels_ * count : 0);
    for (std::int64_t c = 0; c < channels_; ++c) {
      std::fill(scale.begin(), scale.end(), k_);
      for (std::int64_t j = first(c); j < last(c, channels_); ++j) {
        add_squares(x + j * step, alpha_, scale.data(), count);
      }
      power(scale.data(), beta_, root.data(), count);
      if (!dy) {
        multiply(x + c * step, root.data(), out + c * step, count);
      } else {
        ratio(dy + c * step, x + c * step, root.data(), scale.data(), &ratios[c * count],
              out + c * step, count);
      }
    }
    for (std::int64_t c = 0; dy && c < channels_; ++c) {
      std::fill(scale.begin(), scale.end(), 0.0f);
      for (std::int64_t j = first(c); j < last(c, channels_); ++j) {
        add(&ratios[j * count], scale.data(), count);
      }
      subtract(x + c * step, scale.data(), 2 * alpha_ * beta_, out + c * step, count);
    }
  }

  // One channel of one image.
  void run_plane(const float* x, float* out, const float* dy) const {
    const std::int64_t pixels = high_ * wide_;
    std::vector<float> scale(pixels), root(pixels), ratios(pixels), squares(pixels);
    multiply(x, x, squares.data(), pixels);
    window_sums(squares.data(), scale.data());
    for (float& s : scale) s = k_ + alpha_ * s;
    power(scale.data(), beta_, root.data(), pixels);
    if (!dy) return multiply(x, root.data(), out, pixels);
    ratio(dy, x, root.data(), scale.data(), ratios.data(), out, pixels);
    window_sums(ratios.data(), scale.data());
    subtract(x, scale.data(), 2 * alpha_ * beta_, out, pixels);
  }

  void window_sums(const float* in, float* out) const {
    for (std::int64_t y = 0; y < high_; ++y) {
      for (std::int64_t i = 0; i < wide_; ++i) {
        float sum = 0;
        for (std::int64_t v = first(y); v < last(y, high_); ++v) {
          for (std::int64_t u = first(i); u < last(i, wide_); ++u) sum += in[v * wide_ + u];
        }
        out[y * wide_ + i] = sum;
      }
    }
  }

  std::int64_t first(std::int64_t i) const { return std::max<std::int64_t>(0, i - reach_); }
  std::int64_t last(std::int64_t i, std::int64_t size) const {
    return std::min(size, i + reach_ + 1);
  }

  std::int64_t images_ = 0, channels_ = 0, high_ = 0, wide_ = 0, reach_ = 2;
  float alpha_ = 1, beta_ = 0.75f, k_ = 1;
  bool within_ = false;
};

}  // namespace

std::unique_ptr<Layer> make_lrn(const caffe::LayerParameter& parameter) {
  return std::make_unique<Lrn>(parameter);
}

}  // namespace inure
