#include "inure/pipecnn/simulator.hpp"

#include <algorithm>
#include <cstring>

#include "inure/base/parallel.hpp"
#include "inure/pipecnn/arithmetic.hpp"
#include "inure/pipecnn/lrn.hpp"

namespace inure::pipecnn {
namespace {

constexpr int kOverread = 64;  // bytes a kernel may read past the last window

// Rows of sums that are worked on at a time: as many as fit half of a second-level cache.
constexpr std::int64_t kBandBytes = 160 * 1024;

int rows_a_band(const LaneGeometry& g) {
  const std::int64_t row_bytes = std::int64_t{g.width} * g.channels * 4;
  const int most = static_cast<int>(std::clamp<std::int64_t>(kBandBytes / row_bytes, 1, g.height));
  const int bands = (g.height + most - 1) / most;
  return (g.height + bands - 1) / bands;
}

}  // namespace

SimulatorProgram::SimulatorProgram(std::vector<StageSpec> stages, const Build& build,
                                   const ErrorSources& errors, Convolve convolve)
    : PipecnnProgram(std::move(stages), build, errors),
      convolve_(convolve),
      prepared_(this->stages().size()) {}

void SimulatorProgram::load(int index, std::span<const std::int8_t> weights,
                            std::span<const std::int32_t> bias) {
  PipecnnProgram::load(index, weights, bias);
  if (!stage(index).weights_err) prepare(index, stage(index).weights);
}

void SimulatorProgram::prepare(int index, const std::vector<std::int8_t>& weights) {
  const Stage& st = stage(index);
  const StageSpec& s = st.spec;
  const LaneGeometry& g = st.geometry;
  Prepared& p = prepared_[index];
  ++p.version;
  p.groups.resize(s.groups);
  p.start.resize(s.out_channels);
  const int taps = s.taps();
  for (int group = 0; group < s.groups; ++group) {
    pack(weights.data() + std::int64_t{group} * g.out_per_group * taps, g.out_per_group,
         g.group_channels, s.kernel, p.groups[group]);
  }
  parallel_for(s.out_channels, [&](std::int64_t m) {
    std::int32_t sum = 0;
    for (int t = 0; t < taps; ++t) sum += weights[m * taps + t];
    const auto start = static_cast<std::uint32_t>(-128 * sum);
    p.start[m] = static_cast<std::int32_t>(
        build().arithmetic_2018 ? start : start + static_cast<std::uint32_t>(st.bias[m]));
  });
  if (build().arithmetic_2018) {
    p.rounded_bias.resize(s.out_channels);
    for (int m = 0; m < s.out_channels; ++m) {
      p.rounded_bias[m] =
          round_bias_2018(static_cast<std::int8_t>(st.bias[m]), s.frac_w - s.frac_out);
    }
  }
  if ((st.sums_err || st.batches_err) && p.tap_activation.empty()) map_taps(index);
}

void SimulatorProgram::map_taps(int index) {
  const StageSpec& s = stage(index).spec;
  const LaneGeometry& g = stage(index).geometry;
  Prepared& p = prepared_[index];
  const PackedWeights& packed = p.groups[0];
  const int block_width = packed.vectors(0) * PackedWeights::kVector;
  const int last_width = packed.vectors(packed.blocks() - 1) * PackedWeights::kVector;
  p.tap_activation.assign(g.taps(), -1);
  p.tap_weight.assign(g.taps(), 0);
  p.tap_weight_last.assign(g.taps(), 0);
  for (int tap = 0; tap < g.taps(); ++tap) {
    const int step = tap / g.vec_size, plane = s.kernel * s.kernel;
    const int kx = step % s.kernel, ky = step / s.kernel % s.kernel;
    const int c = step / plane * g.vec_size + tap % g.vec_size;
    if (c >= g.group_channels) continue;
    const int in_row = kx * g.group_channels + c;
    const int quad = ky * packed.quads + in_row / 4;
    p.tap_activation[tap] = ky * (s.in_width + 2 * s.pad) * g.group_channels + in_row;
    p.tap_weight[tap] = quad * block_width * 4 + in_row % 4;
    p.tap_weight_last[tap] = quad * last_width * 4 + in_row % 4;
  }
}

void SimulatorProgram::pad(const StageSpec& s, const Int8Map& in) {
  Padded& p = padded_;
  const int channels = s.group_channels();
  p.height = s.in_height + 2 * s.pad;
  p.width = s.in_width + 2 * s.pad;
  p.row = std::int64_t{p.width} * channels;
  p.group = p.row * p.height;
  p.image = p.group * s.groups;
  p.bytes.resize(p.image * in.images + kOverread);
  parallel_for(in.images, [&](std::int64_t n) {
    for (int group = 0; group < s.groups; ++group) {
      std::uint8_t* to = p.bytes.data() + n * p.image + group * p.group;
      if (s.pad > 0) std::memset(to, 128, p.group);
      for (int y = 0; y < s.in_height; ++y) {
        const std::int8_t* from =
            in.image(static_cast<int>(n)) + std::int64_t{y} * s.in_width * s.in_channels;
        std::uint8_t* row = to + (y + s.pad) * p.row + s.pad * channels;
        if (s.groups == 1) {
          offset_bytes(from, std::int64_t{s.in_width} * channels, row);
          continue;
        }
        for (int x = 0; x < s.in_width; ++x) {
          offset_bytes(from + x * s.in_channels + group * channels, channels, row + x * channels);
        }
      }
    }
  });
}

void SimulatorProgram::convolve_rows(int index, const RunKey& key, int image, int first_row,
                                     int rows, std::uint32_t* sums) const {
  const Stage& st = stage(index);
  const StageSpec& s = st.spec;
  const LaneGeometry& g = st.geometry;
  const Prepared& p = prepared_[index];
  thread_local std::vector<const std::uint8_t*> inputs;
  const int pixels = rows * g.width;
  inputs.resize(pixels);
  for (int group = 0; group < s.groups; ++group) {
    const std::uint8_t* base = padded_.bytes.data() + image * padded_.image + group * padded_.group;
    for (int i = 0; i < pixels; ++i) {
      const int y = first_row + i / g.width, x = i % g.width;
      inputs[i] = base + y * s.stride * padded_.row + std::int64_t{x} * s.stride * g.group_channels;
    }
    for (int block = 0; block < p.groups[group].blocks(); ++block) {
      const int channel = group * g.out_per_group + block * PackedWeights::kBlock;
      convolve_({&p.groups[group], block, inputs.data(), padded_.row, pixels, &p.start[channel],
                 sums + channel, s.out_channels});
      if (!st.sums_err) continue;
      for (int y = 0; y < rows; ++y) {  // while the block's weights are in the cache
        add_deltas(index, key, image, first_row + y, group, block,
                   sums + std::int64_t{y} * g.width * g.channels + channel);
      }
    }
  }
}

LaneOperands SimulatorProgram::strip_operands(int index, int image, int y, int group,
                                              int block) const {
  static_assert(PackedWeights::kBlock == LaneGeometry::kStripChannels);
  const Stage& st = stage(index);
  const LaneGeometry& g = st.geometry;
  const Prepared& p = prepared_[index];
  const PackedWeights& packed = p.groups[group];
  const bool last = block == packed.blocks() - 1;
  LaneOperands operands;
  operands.geometry = &g;
  operands.y = y;
  operands.first_channel = group * g.out_per_group + block * PackedWeights::kBlock;
  operands.channels = g.strip_channels(operands.first_channel);
  operands.activations = padded_.bytes.data() + image * padded_.image + group * padded_.group +
                         y * st.spec.stride * padded_.row;
  operands.column_stride = std::int64_t{st.spec.stride} * g.group_channels;
  operands.tap_activation = p.tap_activation.data();
  operands.weights = packed.block(block);
  operands.tap_weight = (last ? p.tap_weight_last : p.tap_weight).data();
  if (!build().arithmetic_2018) operands.bias = &st.bias[operands.first_channel];
  return operands;
}

class SimulatorProgram::Strips : public ImageStrips {
 public:
  Strips(const SimulatorProgram& program, int index, int image)
      : program_(program), index_(index), image_(image) {}
  LaneOperands strip(int y, int channel) const override {
    const int per_group = program_.stage(index_).geometry.out_per_group;
    return program_.strip_operands(index_, image_, y, channel / per_group,
                                   channel % per_group / LaneGeometry::kStripChannels);
  }

 private:
  const SimulatorProgram& program_;
  const int index_, image_;
};

void SimulatorProgram::add_deltas(int index, const RunKey& key, int image, int y, int group,
                                  int block, std::uint32_t* sums) const {
  const Stage& st = stage(index);
  const Strips strips(*this, index, image);
  LaneOperands operands = strip_operands(index, image, y, group, block);
  operands.image = &strips;
  for (const auto& model : st.errors) {
    model->add_deltas(error_key(st, key, image), operands, sums, st.geometry.channels);
  }
}

void SimulatorProgram::find_batch_errors(int index, const RunKey& key,
                                         const std::vector<std::int8_t>& weights,
                                         int images) const {
  const Stage& st = stage(index);
  const Prepared& p = prepared_[index];
  BatchOperands batch;
  batch.geometry = &st.geometry;
  batch.images = images;
  batch.activations = padded_.bytes.data();
  batch.height = padded_.height, batch.width = padded_.width;
  batch.weights = weights.data();
  batch.weights_version = p.version;
  std::vector<LaneOperands> strips;
  if (st.geometry.width == 1 && st.geometry.height == 1) {
    for (int group = 0; group < st.spec.groups; ++group) {
      for (int block = 0; block < p.groups[group].blocks(); ++block) {
        strips.push_back(strip_operands(index, 0, 0, group, block));
      }
    }
  }
  batch.strips = strips;
  for (const auto& model : st.errors) {
    if (model->corrupts_batches()) model->find_batch_errors(error_key(st, key, 0), batch);
  }
}

void SimulatorProgram::add_image_deltas(int index, int image, std::uint32_t* sums) const {
  for (const auto& model : stage(index).errors) {
    if (model->corrupts_batches()) model->add_image_deltas(image, sums);
  }
}

void SimulatorProgram::finish_rows(int index, const RunKey& key, int image, int first_row, int rows,
                                   const std::uint32_t* sums, Int8Map& out) const {
  const Stage& st = stage(index);
  const StageSpec& s = st.spec;
  const LaneGeometry& g = st.geometry;
  const Prepared& p = prepared_[index];
  const std::int64_t row = std::int64_t{g.width} * g.channels;
  std::int8_t* to = out.image(image) + first_row * row;
  const int shift = s.frac_w + s.frac_in - s.frac_out;
  if (build().arithmetic_2018) {
    finish_2018(sums, std::int64_t{rows} * g.width, g.channels, p.rounded_bias.data(), shift,
                s.relu, to);
  } else {
    finish_wide_bias(sums, rows * row, shift, s.relu, to);
  }
  if (!st.outputs_err) return;
  const ErrorKey image_key = error_key(st, key, image);
  for (const auto& model : st.errors) {
    for (int y = 0; y < rows; ++y) {
      model->corrupt_outputs(image_key, first_row + y, {to + y * row, std::size_t(row)});
    }
  }
}

// One output pixel an image: the images are the pixels, so that each weight is read once a batch.
void SimulatorProgram::convolve_vectors(int index, const Int8Map& in,
                                        const std::vector<std::int8_t>& weights, const RunKey& key,
                                        const Maps& maps) {
  const StageSpec& s = stage(index).spec;
  const LaneGeometry& g = stage(index).geometry;
  const Prepared& p = prepared_[index];
  batch_sums_.resize(std::size_t(in.images) * s.out_channels);
  const int blocks = p.groups[0].blocks();
  parallel_for(std::int64_t{s.groups} * blocks, [&](std::int64_t job) {
    const int group = static_cast<int>(job / blocks), block = static_cast<int>(job % blocks);
    std::vector<const std::uint8_t*> inputs(in.images);
    for (int n = 0; n < in.images; ++n) {
      inputs[n] = padded_.bytes.data() + n * padded_.image + group * padded_.group;
    }
    const int channel = group * g.out_per_group + block * PackedWeights::kBlock;
    convolve_({&p.groups[group], block, inputs.data(), padded_.row, in.images, &p.start[channel],
               batch_sums_.data() + channel, s.out_channels});
    if (!stage(index).sums_err) return;
    for (int n = 0; n < in.images; ++n) {
      add_deltas(index, key, n, 0, group, block,
                 batch_sums_.data() + std::int64_t{n} * s.out_channels + channel);
    }
  });
  const bool batches_err = stage(index).batches_err;
  if (batches_err) find_batch_errors(index, key, weights, in.images);
  parallel_for(in.images, [&](std::int64_t n) {
    std::uint32_t* sums = batch_sums_.data() + n * s.out_channels;
    if (batches_err) add_image_deltas(index, static_cast<int>(n), sums);
    finish_rows(index, key, static_cast<int>(n), 0, 1, sums, *maps.convolved);
  });
}

// As many images at a time as there are threads, so that their sums are in the caches until they
// are finished.
void SimulatorProgram::convolve_batch(int index, const Int8Map& in,
                                      const std::vector<std::int8_t>& weights, const RunKey& key,
                                      const Maps& maps) {
  find_batch_errors(index, key, weights, in.images);
  const LaneGeometry& g = stage(index).geometry;
  const std::int64_t row = std::int64_t{g.width} * g.channels, image = row * g.height;
  const int at_once = std::min(std::max(threads(), 1), in.images);
  batch_sums_.resize(image * at_once);
  const int band = rows_a_band(g), bands = (g.height + band - 1) / band;
  for (int begin = 0; begin < in.images; begin += at_once) {
    const int images = std::min(at_once, in.images - begin);
    const auto for_bands = [&](const auto& work) {
      parallel_for(std::int64_t{images} * bands, [&](std::int64_t job) {
        const auto n = static_cast<int>(job / bands), first = static_cast<int>(job % bands) * band;
        work(begin + n, first, std::min(band, g.height - first),
             &batch_sums_[n * image + first * row]);
      });
    };
    for_bands([&](int n, int first, int rows, std::uint32_t* sums) {
      convolve_rows(index, key, n, first, rows, sums);
    });
    parallel_for(images, [&](std::int64_t n) {
      add_image_deltas(index, begin + static_cast<int>(n), &batch_sums_[n * image]);
    });
    for_bands([&](int n, int first, int rows, std::uint32_t* sums) {
      finish_rows(index, key, n, first, rows, sums, *maps.convolved);
    });
  }
}

void SimulatorProgram::run_stage(int index, const Int8Map& in,
                                 const std::vector<std::int8_t>& weights, const RunKey& key,
                                 const Maps& maps) {
  const StageSpec& s = stage(index).spec;
  const LaneGeometry& g = stage(index).geometry;
  if (stage(index).weights_err) prepare(index, weights);
  pad(s, in);
  if (g.width == 1 && g.height == 1) {
    convolve_vectors(index, in, weights, key, maps);
  } else if (stage(index).batches_err) {
    convolve_batch(index, in, weights, key, maps);
  } else {
    const int band = rows_a_band(g), bands = (g.height + band - 1) / band;
    parallel_for(std::int64_t{in.images} * bands, [&](std::int64_t job) {
      thread_local std::vector<std::uint32_t> sums;
      const int image = static_cast<int>(job / bands);
      const int first = static_cast<int>(job % bands) * band;
      const int rows = std::min(band, g.height - first);
      sums.resize(std::size_t(rows) * g.width * g.channels);
      convolve_rows(index, key, image, first, rows, sums.data());
      finish_rows(index, key, image, first, rows, sums.data(), *maps.convolved);
    });
  }
  pool_and_normalise(index, maps);
}

void SimulatorProgram::pool_and_normalise(int index, const Maps& maps) const {
  const StageSpec& s = stage(index).spec;
  if (!s.pool && !s.lrn) return;
  parallel_for(maps.convolved->images, [&](std::int64_t image) {
    const int n = static_cast<int>(image);
    if (s.pool) {
      const Int8Map& before = *maps.convolved;
      Int8Map& after = *maps.pooled;
      const std::int64_t in_row = std::int64_t{before.width} * before.channels;
      const std::int64_t out_row = std::int64_t{after.width} * after.channels;
      for (int y = 0; y < after.height; ++y) {
        max_pool_row(before.image(n) + y * s.pool->stride * in_row, before.width, before.channels,
                     s.pool->size, s.pool->stride, after.width, after.image(n) + y * out_row);
      }
    }
    if (s.lrn) {
      const Int8Map& before = s.pool ? *maps.pooled : *maps.convolved;
      lrn(before.image(n), std::int64_t{before.height} * before.width, before.channels,
          before.fraction, maps.normalised->image(n));
    }
  });
}

}  // namespace inure::pipecnn
