#include "inure/pipecnn/reference.hpp"

#include "inure/base/parallel.hpp"
#include "inure/pipecnn/arithmetic.hpp"
#include "inure/pipecnn/lrn.hpp"

namespace inure::pipecnn {
namespace {

constexpr int kPipeDepth = 6;
using Cycles = std::vector<std::unique_ptr<CycleErrors>>;

// One image of one stage.
class Image {
 public:
  Image(const StageSpec& spec, const LaneGeometry& geometry, const std::int8_t* in,
        const std::int8_t* weights, Cycles cycles)
      : s_(spec), g_(geometry), in_(in), weights_(weights), cycles_(std::move(cycles)) {}

  // The accumulator of one output after its last cycle: the sum of the six chains.
  std::uint32_t accumulate(int y, int x, int m) {
    std::uint32_t chain[kPipeDepth] = {};  // A[5] ... A[0] of the shift register, by step modulo 6
    for (int c = 0, step = 0; c < g_.steps / (s_.kernel * s_.kernel); ++c) {
      for (int ky = 0; ky < s_.kernel; ++ky) {
        for (int kx = 0; kx < s_.kernel; ++kx, ++step) {
          std::uint32_t mac = 0, errors = 0;
          const CycleErrors::Cycle at{y, x, m, step};
          for (int v = 0; v < g_.vec_size; ++v) {
            const int a = activation(m, y * s_.stride + ky - s_.pad, x * s_.stride + kx - s_.pad,
                                     c * g_.vec_size + v);
            const int w = weight(m, c * g_.vec_size + v, ky, kx);
            mac += static_cast<std::uint32_t>(a * w);
            for (auto& e : cycles_)
              errors += static_cast<std::uint32_t>(e->product_delta(at, v, a, w));
          }
          for (auto& e : cycles_) {
            errors += static_cast<std::uint32_t>(
                e->accumulator_delta(at, step % kPipeDepth, static_cast<std::int32_t>(mac)));
          }
          chain[step % kPipeDepth] += mac + errors;
        }
      }
    }
    std::uint32_t sum = 0;
    for (const std::uint32_t partial : chain) sum += partial;
    return sum;
  }

 private:
  int activation(int m, int y, int x, int c) const {
    if (y < 0 || y >= s_.in_height || x < 0 || x >= s_.in_width || c >= g_.group_channels) return 0;
    const int channel = m / g_.out_per_group * g_.group_channels + c;
    return in_[(std::int64_t{y} * s_.in_width + x) * s_.in_channels + channel];
  }
  int weight(int m, int c, int ky, int kx) const {
    if (c >= g_.group_channels) return 0;
    return weights_[((std::int64_t{m} * g_.group_channels + c) * s_.kernel + ky) * s_.kernel + kx];
  }

  const StageSpec& s_;
  const LaneGeometry& g_;
  const std::int8_t* in_;
  const std::int8_t* weights_;
  Cycles cycles_;
};

void max_pool(const Int8Map& in, int n, const MaxPooling& pool, Int8Map& out) {
  for (int y = 0; y < out.height; ++y) {
    for (int x = 0; x < out.width; ++x) {
      for (int c = 0; c < out.channels; ++c) {
        std::int8_t largest = -128;
        for (int i = 0; i < pool.size; ++i) {
          for (int j = 0; j < pool.size; ++j) {
            const std::int64_t pixel =
                std::int64_t{y * pool.stride + i} * in.width + x * pool.stride + j;
            largest = std::max(largest, in.image(n)[pixel * in.channels + c]);
          }
        }
        out.image(n)[(std::int64_t{y} * out.width + x) * out.channels + c] = largest;
      }
    }
  }
}

}  // namespace

void ReferenceProgram::run_stage(int index, const Int8Map& in,
                                 const std::vector<std::int8_t>& weights, const RunKey& key,
                                 const Maps& maps) {
  const Stage& st = stage(index);
  const StageSpec& s = st.spec;
  const LaneGeometry& g = st.geometry;
  const int shift = s.frac_w + s.frac_in - s.frac_out;
  parallel_for(in.images, [&](std::int64_t n) {
    const ErrorKey image_key = error_key(st, key, static_cast<int>(n));
    Cycles cycles;
    for (const auto& model : st.errors) {
      if (auto c = model->cycles(image_key, g)) cycles.push_back(std::move(c));
    }
    Image image(s, g, in.image(static_cast<int>(n)), weights.data(), std::move(cycles));
    std::int8_t* out = maps.convolved->image(static_cast<int>(n));
    const int blocks = (g.channels + g.lane_num - 1) / g.lane_num;
    for (int z = 0; z < blocks; ++z) {
      for (int y = 0; y < g.height; ++y) {
        for (int x = 0; x < g.width; ++x) {
          for (int lane = 0; lane < g.lane_num; ++lane) {  // in parallel, in hardware
            const int m = z * g.lane_num + lane - g.pad_offset;
            if (m < 0 || m >= g.channels) continue;
            const std::uint32_t sum = image.accumulate(y, x, m);
            out[(std::int64_t{y} * g.width + x) * g.channels + m] =
                build().arithmetic_2018 ? finish_2018(sum, static_cast<std::int8_t>(st.bias[m]),
                                                      shift, s.frac_w - s.frac_out, s.relu)
                                        : finish_wide_bias(sum, st.bias[m], shift, s.relu);
          }
        }
      }
    }
    const std::size_t row = std::size_t(g.width) * g.channels;
    for (int y = 0; y < g.height; ++y) {
      for (const auto& model : st.errors)
        model->corrupt_outputs(image_key, y, {out + y * row, row});
    }
    if (s.pool) max_pool(*maps.convolved, static_cast<int>(n), *s.pool, *maps.pooled);
    if (s.lrn) {
      const Int8Map& before = s.pool ? *maps.pooled : *maps.convolved;
      lrn(before.image(static_cast<int>(n)), std::int64_t{before.height} * before.width,
          before.channels, before.fraction, maps.normalised->image(static_cast<int>(n)));
    }
  });
}

}  // namespace inure::pipecnn
