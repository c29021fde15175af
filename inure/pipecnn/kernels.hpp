#pragma once

#include <cstdint>
#include <span>
#include <vector>

// The inner loops of the fast simulator: exact sums of products, and what happens to them
// afterwards.
namespace inure::pipecnn {

// Weights of one group, packed for the kernels: blocks of 64 output channels (the last one
// shorter), in each [kernel row][quad of inputs][16-channel vector][channel][4]. A kernel row's
// inputs, kernel * channels of them, lie together in a channels-last map; they are padded with zero
// weights to whole quads.
struct PackedWeights {
  static constexpr int kBlock = 64, kVector = 16;
  int channels = 0;  // output channels of the group
  int rows = 0;      // kernel rows
  int quads = 0;     // quads a row
  std::vector<std::int8_t> values;

  int vectors(int block) const;  // 16-channel vectors in a block: 4, or fewer in the last
  const std::int8_t* block(int index) const {
    return values.data() + std::int64_t{index} * rows * quads * kBlock * 4;
  }
  int blocks() const { return (channels + kBlock - 1) / kBlock; }
};

// weights: [channels][group_channels][kernel][kernel].
void pack(const std::int8_t* weights, int channels, int group_channels, int kernel,
          PackedWeights& packed);

// For one block of output channels at each of `pixels` places:
//   sums[p][c] = start[c] + sum of inputs[p][row * row_stride + i] * weight(c, row, i)
// modulo 2^32. inputs: where the windows begin, bytes of value + 128 (start takes the 128 back); up
// to 3 bytes after a row's end are read (and multiplied with 0).
struct ConvolveJob {
  const PackedWeights* weights;
  int block;
  const std::uint8_t* const* inputs;
  std::int64_t row_stride;
  int pixels;
  const std::int32_t* start;  // of the block's first channel
  std::uint32_t* sums;        // of the first pixel's first channel of the block
  std::int64_t sum_stride;    // between pixels
};
using Convolve = void (*)(const ConvolveJob&);

void convolve_generic(const ConvolveJob& job);
void convolve_avx2(const ConvolveJob& job);
void convolve_vnni(const ConvolveJob& job);  // needs AVX-512 VNNI
// Those that this processor can run, the fastest first.
std::vector<Convolve> available_convolves();
Convolve best_convolve();
const char* name_of(Convolve convolve);

// Rounds and saturates (the bias is in the sums already). relu: negative values become 0.
void finish_wide_bias(const std::uint32_t* sums, std::int64_t count, int shift, bool relu,
                      std::int8_t* out);
// bias: rounded to the output's fraction, one a channel.
void finish_2018(const std::uint32_t* sums, std::int64_t pixels, int channels,
                 const std::int32_t* bias, int shift, bool relu, std::int8_t* out);

// One row of max pooling: out[out_width][channels] from `size` rows of in[width][channels].
void max_pool_row(const std::int8_t* in, int width, int channels, int size, int stride,
                  int out_width, std::int8_t* out);

// out[i] = in[i] + 128 as unsigned bytes.
void offset_bytes(const std::int8_t* in, std::int64_t count, std::uint8_t* out);

}  // namespace inure::pipecnn
