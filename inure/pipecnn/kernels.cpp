#include "inure/pipecnn/kernels.hpp"

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "inure/base/clones.hpp"
#include "inure/base/parallel.hpp"
#include "inure/pipecnn/arithmetic.hpp"

#define INURE_VNNI [[gnu::target("avx512f,avx512bw,avx512vl,avx512vnni")]]
#define INURE_AVX2 [[gnu::target("avx2")]]

namespace inure::pipecnn {

int PackedWeights::vectors(int index) const {
  const int left = channels - index * kBlock;
  return std::min(kBlock / kVector, (left + kVector - 1) / kVector);
}

namespace {

// The weights that 16 channels, or fewer, have in one kernel row: quads[channel * stride + q].
struct RowsOfQuads {
  std::int64_t stride;  // not a power of two, or the rows would share their places in the cache
  std::vector<std::uint32_t> quads;
};

// [channel][kx] of the file becomes [kx][channel], the order in the map; `from` is of the first
// channel and this kernel row.
void gather(const std::int8_t* from, int group_channels, int kernel, std::int8_t* row) {
  if (kernel == 1) {
    std::memcpy(row, from, group_channels);
    return;
  }
  for (int i = 0; i < group_channels; ++i) {
    for (int kx = 0; kx < kernel; ++kx) row[kx * group_channels + i] = from[kx];
    from += kernel * kernel;
  }
}

void pack_vector(const std::int8_t* weights, int channels, int group_channels, int width,
                 const PackedWeights& packed, RowsOfQuads& rows, std::int8_t* out) {
  const int kernel = packed.rows;
  const std::int64_t taps = std::int64_t{group_channels} * kernel * kernel;
  for (int ky = 0; ky < kernel; ++ky) {
    for (int c = 0; c < channels; ++c) {
      gather(weights + c * taps + ky * kernel, group_channels, kernel,
             reinterpret_cast<std::int8_t*>(rows.quads.data() + c * rows.stride));
    }
    for (int q = 0; q < packed.quads; ++q) {
      std::uint32_t vector[PackedWeights::kVector];
      for (int c = 0; c < PackedWeights::kVector; ++c) {
        vector[c] = rows.quads[c * rows.stride + q];
      }
      std::memcpy(out + (std::int64_t{ky} * packed.quads + q) * width * 4, vector, sizeof vector);
    }
  }
}

}  // namespace

void pack(const std::int8_t* weights, int channels, int group_channels, int kernel,
          PackedWeights& packed) {
  packed.channels = channels;
  packed.rows = kernel;
  packed.quads = (kernel * group_channels + 3) / 4;
  const std::int64_t block_size =
      std::int64_t{packed.rows} * packed.quads * PackedWeights::kBlock * 4;
  packed.values.resize(packed.blocks() * block_size);
  const std::int64_t taps = std::int64_t{group_channels} * kernel * kernel;
  parallel_for(packed.blocks(), [&](std::int64_t b) {
    const int vectors = packed.vectors(static_cast<int>(b));
    RowsOfQuads rows;
    rows.stride = packed.quads + 16;
    for (int v = 0; v < vectors; ++v) {
      const int first = static_cast<int>(b) * PackedWeights::kBlock + v * PackedWeights::kVector;
      // Zeros for what is not there: channels beyond the last, inputs beyond the row.
      const int present = std::min(channels - first, PackedWeights::kVector);
      if (v == 0 || present < PackedWeights::kVector) {
        rows.quads.assign(rows.stride * PackedWeights::kVector, 0);
      }
      pack_vector(weights + first * taps, present, group_channels, vectors * PackedWeights::kVector,
                  packed, rows,
                  packed.values.data() + b * block_size + v * PackedWeights::kVector * 4);
    }
  });
}

void convolve_generic(const ConvolveJob& job) {
  const PackedWeights& w = *job.weights;
  const int width = w.vectors(job.block) * PackedWeights::kVector;
  const int channels =
      std::min(PackedWeights::kBlock, w.channels - job.block * PackedWeights::kBlock);
  for (int p = 0; p < job.pixels; ++p) {
    std::uint32_t sum[PackedWeights::kBlock] = {};
    const std::int8_t* weights = w.block(job.block);
    for (int row = 0; row < w.rows; ++row) {
      const std::uint8_t* in = job.inputs[p] + row * job.row_stride;
      for (int q = 0; q < w.quads; ++q, in += 4, weights += width * 4) {
        const int a0 = in[0], a1 = in[1], a2 = in[2], a3 = in[3];
        for (int c = 0; c < width; ++c) {
          const std::int8_t* v = weights + c * 4;
          sum[c] += static_cast<std::uint32_t>(a0 * v[0] + a1 * v[1] + a2 * v[2] + a3 * v[3]);
        }
      }
    }
    std::uint32_t* out = job.sums + p * job.sum_stride;
    for (int c = 0; c < channels; ++c) out[c] = sum[c] + static_cast<std::uint32_t>(job.start[c]);
  }
}

namespace {

// Pixels x Vectors accumulators stay in registers: 24 of the 32, with the block's weights beside
// them.
constexpr int kTilePixels = 6;

template <int Pixels, int Vectors>
INURE_VNNI void tile(const ConvolveJob& job, int first) {
  __m512i sum[Pixels][Vectors];
  const int channels =
      std::min(Vectors * 16, job.weights->channels - job.block * PackedWeights::kBlock);
  const auto last_mask = static_cast<__mmask16>((1u << (channels - (Vectors - 1) * 16)) - 1);
  for (int v = 0; v < Vectors; ++v) {
    const __mmask16 mask = v == Vectors - 1 ? last_mask : static_cast<__mmask16>(0xFFFF);
    const __m512i start = _mm512_maskz_loadu_epi32(mask, job.start + v * 16);
    for (int p = 0; p < Pixels; ++p) sum[p][v] = start;
  }
  const std::int8_t* weights = job.weights->block(job.block);
  const int rows = job.weights->rows;
  const std::int64_t bytes = std::int64_t{job.weights->quads} * 4;
  const std::uint8_t* in[Pixels];
  for (int p = 0; p < Pixels; ++p) in[p] = job.inputs[first + p];
  for (int row = 0; row < rows; ++row) {
    for (std::int64_t i = 0; i < bytes; i += 4, weights += Vectors * 64) {
      __m512i w[Vectors];
      for (int v = 0; v < Vectors; ++v) w[v] = _mm512_loadu_si512(weights + v * 64);
      for (int p = 0; p < Pixels; ++p) {
        std::int32_t quad;
        std::memcpy(&quad, in[p] + i, 4);
        const __m512i a = _mm512_set1_epi32(quad);
        for (int v = 0; v < Vectors; ++v) sum[p][v] = _mm512_dpbusd_epi32(sum[p][v], a, w[v]);
      }
    }
    for (int p = 0; p < Pixels; ++p) in[p] += job.row_stride;
  }
  for (int p = 0; p < Pixels; ++p) {
    std::uint32_t* out = job.sums + (first + p) * job.sum_stride;
    for (int v = 0; v < Vectors; ++v) {
      const __mmask16 mask = v == Vectors - 1 ? last_mask : static_cast<__mmask16>(0xFFFF);
      _mm512_mask_storeu_epi32(out + v * 16, mask, sum[p][v]);
    }
  }
}

template <int Vectors>
INURE_VNNI void tiles(const ConvolveJob& job) {
  int p = 0;
  for (; p + kTilePixels <= job.pixels; p += kTilePixels) tile<kTilePixels, Vectors>(job, p);
  switch (job.pixels - p) {
    case 5:
      return tile<5, Vectors>(job, p);
    case 4:
      return tile<4, Vectors>(job, p);
    case 3:
      return tile<3, Vectors>(job, p);
    case 2:
      return tile<2, Vectors>(job, p);
    case 1:
      return tile<1, Vectors>(job, p);
    default:
      return;
  }
}

}  // namespace

void convolve_vnni(const ConvolveJob& job) {
  switch (job.weights->vectors(job.block)) {
    case 4:
      return tiles<4>(job);
    case 3:
      return tiles<3>(job);
    case 2:
      return tiles<2>(job);
    default:
      return tiles<1>(job);
  }
}

namespace {

// Without VNNI: inputs and weights widened to 16 bits, where the pairwise products are exact.
// Vectors of 16 channels; a pair of 32-bit lanes sums one channel.
constexpr int kAvx2Pixels = 3;

template <int Pixels>
INURE_AVX2 void tile_avx2(const ConvolveJob& job, int first, int vector) {
  const PackedWeights& packed = *job.weights;
  __m256i sum[Pixels][4];
  for (auto& pixel : sum) {
    for (auto& pairs : pixel) pairs = _mm256_setzero_si256();
  }
  const std::int64_t step = std::int64_t{packed.vectors(job.block)} * 64;
  const std::int8_t* weights = packed.block(job.block) + vector * 64;
  for (int row = 0; row < packed.rows; ++row) {
    for (int q = 0; q < packed.quads; ++q, weights += step) {
      __m256i w[4];
      for (int i = 0; i < 4; ++i) {
        __m128i four_channels;
        std::memcpy(&four_channels, weights + i * 16, 16);
        w[i] = _mm256_cvtepi8_epi16(four_channels);
      }
      for (int p = 0; p < Pixels; ++p) {
        std::int32_t quad;
        std::memcpy(&quad, job.inputs[first + p] + row * job.row_stride + q * 4, 4);
        const __m256i a = _mm256_broadcastq_epi64(_mm_cvtepu8_epi16(_mm_cvtsi32_si128(quad)));
        for (int i = 0; i < 4; ++i) {
          sum[p][i] = _mm256_add_epi32(sum[p][i], _mm256_madd_epi16(w[i], a));
        }
      }
    }
  }
  const int channel = vector * 16;
  const int channels = std::min(16, packed.channels - job.block * PackedWeights::kBlock - channel);
  for (int p = 0; p < Pixels; ++p) {
    std::int32_t whole[16];
    for (int i = 0; i < 2; ++i) {
      const __m256i mixed = _mm256_hadd_epi32(sum[p][2 * i], sum[p][2 * i + 1]);
      const __m256i in_order = _mm256_permute4x64_epi64(mixed, 0xD8);
      std::memcpy(whole + i * 8, &in_order, 32);
    }
    std::uint32_t* out = job.sums + (first + p) * job.sum_stride + channel;
    for (int c = 0; c < channels; ++c) {
      out[c] =
          static_cast<std::uint32_t>(whole[c]) + static_cast<std::uint32_t>(job.start[channel + c]);
    }
  }
}

}  // namespace

INURE_AVX2 void convolve_avx2(const ConvolveJob& job) {
  for (int vector = 0; vector < job.weights->vectors(job.block); ++vector) {
    int p = 0;
    for (; p + kAvx2Pixels <= job.pixels; p += kAvx2Pixels) tile_avx2<kAvx2Pixels>(job, p, vector);
    for (; p < job.pixels; ++p) tile_avx2<1>(job, p, vector);
  }
}

std::vector<Convolve> available_convolves() {
  std::vector<Convolve> all;
  if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl")) {
    all.push_back(convolve_vnni);
  }
  if (__builtin_cpu_supports("avx2")) all.push_back(convolve_avx2);
  all.push_back(convolve_generic);
  return all;
}

Convolve best_convolve() { return available_convolves().front(); }

const char* name_of(Convolve convolve) {
  return convolve == convolve_vnni   ? "AVX-512 VNNI"
         : convolve == convolve_avx2 ? "AVX2"
                                     : "generic";
}

namespace {

INURE_CLONES
void round_and_clamp(const std::uint32_t* sums, std::int64_t count, int shift, int lowest,
                     std::int8_t* out) {
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int32_t rounded = ((static_cast<std::int32_t>(sums[i]) >> (shift - 1)) + 1) >> 1;
    out[i] = static_cast<std::int8_t>(std::clamp(rounded, lowest, 127));
  }
}

INURE_CLONES
void clamp_only(const std::uint32_t* sums, std::int64_t count, int lowest, std::int8_t* out) {
  for (std::int64_t i = 0; i < count; ++i) {
    out[i] = static_cast<std::int8_t>(std::clamp(static_cast<std::int32_t>(sums[i]), lowest, 127));
  }
}

INURE_CLONES
void finish_pixel_2018(const std::uint32_t* sums, int channels, const std::int32_t* bias, int shift,
                       int lowest, std::int8_t* out) {
  for (int c = 0; c < channels; ++c) {
    const std::int32_t rounded = ((static_cast<std::int32_t>(sums[c]) >> (shift - 1)) + 1) >> 1;
    const std::int32_t wrapped = static_cast<std::int8_t>(rounded + bias[c]);
    const std::int32_t saturated = std::clamp(rounded, -128, 127);
    out[c] = static_cast<std::int8_t>(std::max(saturated == rounded ? wrapped : saturated, lowest));
  }
}

INURE_CLONES
void largest_of(const std::int8_t* in, int channels, std::int8_t* out) {
  for (int c = 0; c < channels; ++c) out[c] = std::max(out[c], in[c]);
}

}  // namespace

void finish_wide_bias(const std::uint32_t* sums, std::int64_t count, int shift, bool relu,
                      std::int8_t* out) {
  const int lowest = relu ? 0 : -128;
  if (shift == 0) return clamp_only(sums, count, lowest, out);
  round_and_clamp(sums, count, shift, lowest, out);
}

void finish_2018(const std::uint32_t* sums, std::int64_t pixels, int channels,
                 const std::int32_t* bias, int shift, bool relu, std::int8_t* out) {
  for (std::int64_t p = 0; p < pixels; ++p) {
    finish_pixel_2018(sums + p * channels, channels, bias, shift, relu ? 0 : -128,
                      out + p * channels);
  }
}

void max_pool_row(const std::int8_t* in, int width, int channels, int size, int stride,
                  int out_width, std::int8_t* out) {
  for (int x = 0; x < out_width; ++x, out += channels) {
    const std::int8_t* window = in + std::int64_t{x} * stride * channels;
    std::memcpy(out, window, channels);
    for (int i = 0; i < size; ++i) {
      for (int j = i == 0 ? 1 : 0; j < size; ++j) {
        largest_of(window + (std::int64_t{i} * width + j) * channels, channels, out);
      }
    }
  }
}

INURE_CLONES
void offset_bytes(const std::int8_t* in, std::int64_t count, std::uint8_t* out) {
  for (std::int64_t i = 0; i < count; ++i) out[i] = static_cast<std::uint8_t>(in[i] ^ -128);
}

}  // namespace inure::pipecnn
