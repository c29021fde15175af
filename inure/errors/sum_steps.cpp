#include "inure/errors/sum_steps.hpp"

#include <algorithm>
#include <cstring>

#include "inure/base/clones.hpp"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

namespace inure {
namespace {

std::size_t index(int i) { return static_cast<std::size_t>(i); }

std::uint32_t load_word(const void* from) {
  std::uint32_t word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

int signed_byte(std::uint32_t word, int bits) { return static_cast<std::int8_t>(word >> bits); }

// Adds what products of quads are, and counts the negative ones.
INURE_CLONES
void add_quads(const std::uint32_t* activations, const std::uint32_t* weights, int count,
               std::int32_t* sums, std::int32_t* negative) {
  for (int i = 0; i < count; ++i) {
    for (int bits = 0; bits < 32; bits += 8) {
      const int product = signed_byte(activations[i], bits) * signed_byte(weights[i], bits);
      sums[i] += product;
      negative[i] += product < 0;
    }
  }
}

// What `count` vectors of sums are before every second step, kept[step / 2][channel], for steps 0
// to steps - 1. The plain way.
template <int count>
void accumulate_plain(const std::uint32_t* activations, const std::int8_t* weights,
                      const std::int32_t* offsets, int quads, int steps, std::int32_t* kept) {
  constexpr int kChannels = count * StripSums::kVector;
  std::int32_t sums[kChannels] = {};
  for (int step = 0; step < steps; ++step) {
    if (step % 2 == 0) kept = std::copy(sums, sums + kChannels, kept);
    for (int quad = 0; quad < quads; ++quad) {
      const std::uint32_t a = *activations++;
      const std::int8_t* w = weights + *offsets++;
      for (int c = 0; c < kChannels; ++c) {
        for (int v = 0; v < 4; ++v) sums[c] += signed_byte(a, v * 8) * w[c * 4 + v];
      }
    }
  }
}

#if defined(__x86_64__) && defined(__GNUC__)
// One operand has to be unsigned: the activations where none is negative, else weights + 128; what
// that adds, 128 times the activations, is taken back.
template <int count, bool negative>
[[gnu::target("avx512f,avx512bw,avx512vl,avx512vnni")]] void accumulate_vnni(
    const std::uint32_t* activations, const std::int8_t* weights, const std::int32_t* offsets,
    int quads, int steps, std::int32_t* kept) {
  constexpr int kVector = StripSums::kVector;
  const __m512i sign = _mm512_set1_epi8(-128);
  __m512i offset = _mm512_setzero_si512(), sum0 = offset, sum1 = offset;
  for (int step = 0; step < steps; step += 2, kept += count * kVector) {
    _mm512_storeu_si512(kept, _mm512_sub_epi32(sum0, offset));
    if (count > 1) _mm512_storeu_si512(kept + kVector, _mm512_sub_epi32(sum1, offset));
    for (int left = std::min(2, steps - step) * quads; left > 0; --left) {
      const __m512i a = _mm512_set1_epi32(static_cast<std::int32_t>(*activations++));
      const std::int8_t* w = weights + *offsets++;
      const __m512i w0 = _mm512_loadu_si512(w);
      const __m512i w1 = count > 1 ? _mm512_loadu_si512(w + kVector * 4) : w0;
      if (negative) {
        offset = _mm512_dpbusd_epi32(offset, sign, a);
        sum0 = _mm512_dpbusd_epi32(sum0, _mm512_xor_si512(w0, sign), a);
        if (count > 1) sum1 = _mm512_dpbusd_epi32(sum1, _mm512_xor_si512(w1, sign), a);
      } else {
        sum0 = _mm512_dpbusd_epi32(sum0, a, w0);
        if (count > 1) sum1 = _mm512_dpbusd_epi32(sum1, a, w1);
      }
    }
  }
}
const bool kHasVnni = __builtin_cpu_supports("avx512vnni") != 0;
#endif

}  // namespace

void StripSums::load(const LaneOperands& strip, int steps) {
  const LaneGeometry& g = *strip.geometry;
  strip_ = strip;
  steps_ = steps;
  quads_ = (g.vec_size + 3) / 4;
  pixel_words_ = index(steps + 1) * index(quads_);
  activations_.resize(index(g.width) * pixel_words_);
  gathered_ = -1;
  negative_activations_ = false;
  offsets_.assign(pixel_words_, 0);
  weight_offsets_.assign(pixel_words_, 0);
  weights_ = strip.weights;
  together_ = g.vec_size % 4 == 0;
  const int quads = steps * quads_;
  for (int quad = 0; quad < quads && together_; ++quad) {
    const std::int32_t* a = strip.tap_activation + quad * 4;
    const std::int32_t* w = strip.tap_weight + quad * 4;
    bool apart = a[0] < 0;
    for (int v = 1; v < 4; ++v) apart |= a[v] != a[0] + v || w[v] != w[0] + v;
    together_ = !apart;
    offsets_[index(quads_ + quad)] = a[0];
    weight_offsets_[index(quads_ + quad)] = w[0];
  }
  if (!together_) load_apart();
}

// Of channels that fill no quad, or not the last one: the weights are copied into quads.
void StripSums::load_apart() {
  constexpr int kQuadBytes = LaneGeometry::kStripChannels * 4;
  assembled_.assign(pixel_words_ * kQuadBytes, 0);
  weights_ = assembled_.data();
  const int vec_size = strip_.geometry->vec_size;
  for (std::size_t quad = 0; quad < pixel_words_; ++quad) {
    weight_offsets_[quad] = static_cast<std::int32_t>(quad) * kQuadBytes;
  }
  for (int tap = 0; tap < steps_ * vec_size; ++tap) {
    if (strip_.tap_activation[tap] < 0) continue;
    const int v = tap % vec_size, quad = (tap / vec_size + 1) * quads_ + v / 4;
    std::int8_t* to = assembled_.data() + index(quad) * kQuadBytes + v % 4;
    const std::int8_t* from = strip_.weights + strip_.tap_weight[tap];
    for (int c = 0; c < strip_.channels; ++c) to[c * 4] = from[c * 4];
  }
}

void StripSums::gather(int x) {
  if (x == gathered_) return;
  gathered_ = x;
  const std::uint8_t* window = strip_.activations + x * strip_.column_stride;
  std::uint32_t* to = activations_.data() + static_cast<std::size_t>(x) * pixel_words_;
  std::fill_n(to, quads_, 0);
  std::uint32_t signs = 0;
  if (together_) {
    for (std::size_t quad = index(quads_); quad < pixel_words_; ++quad) {
      to[quad] = load_word(window + offsets_[quad]) ^ 0x80808080;
      signs |= to[quad];
    }
  } else {
    std::fill(to, to + pixel_words_, 0);
    const int vec_size = strip_.geometry->vec_size;
    for (int tap = 0; tap < steps_ * vec_size; ++tap) {
      const std::int32_t offset = strip_.tap_activation[tap];
      if (offset < 0) continue;
      const int v = tap % vec_size, quad = (tap / vec_size + 1) * quads_ + v / 4;
      to[quad] |= static_cast<std::uint32_t>(window[offset] ^ 128) << v % 4 * 8;
      signs |= to[quad];
    }
  }
  negative_activations_ |= (signs & 0x80808080) != 0;
}

void StripSums::add_products(StepBatch& batch) {
  std::uint32_t activations[StepBatch::kMost], weights[StepBatch::kMost];
  std::size_t words[StepBatch::kMost];  // where the activations of the step before begin
  for (int i = 0; i < batch.count; ++i) {
    gather(batch.x[i]);
    words[i] =
        static_cast<std::size_t>(batch.x[i]) * pixel_words_ + index(batch.step[i]) * index(quads_);
  }
  for (int now = 0; now < 2; ++now) {
    std::int32_t* sums = now ? batch.sum : batch.sum_before;
    std::int32_t* negative = now ? batch.negative : batch.negative_before;
    std::fill_n(sums, batch.count, 0);
    std::fill_n(negative, batch.count, 0);
    for (int quad = now * quads_; quad < (now + 1) * quads_; ++quad) {
      for (int i = 0; i < batch.count; ++i) {
        activations[i] = activations_[words[i] + index(quad)];
        const int of_strip = batch.step[i] * quads_ + quad;
        weights[i] = load_word(weights_ + weight_offsets_[index(of_strip)] + batch.channel[i] * 4);
      }
      add_quads(activations, weights, batch.count, sums, negative);
    }
  }
}

template <int count>
void StripSums::accumulate(const std::uint32_t* activations, int first, int steps) {
  const std::int8_t* weights = weights_ + first * 4;
  const std::int32_t* offsets = weight_offsets_.data() + quads_;
#if defined(__x86_64__) && defined(__GNUC__)
  if (kHasVnni) {
    const auto run =
        negative_activations_ ? accumulate_vnni<count, true> : accumulate_vnni<count, false>;
    return run(activations, weights, offsets, quads_, steps, kept_.data());
  }
#endif
  accumulate_plain<count>(activations, weights, offsets, quads_, steps, kept_.data());
}

void StripSums::accumulate(int x, int first, int width, int last) {
  width_ = width;
  kept_.resize(index(steps_ / 2 + 1) * 2 * kVector);
  const std::uint32_t* activations = pixel(x) + quads_;
  width == kVector ? accumulate<1>(activations, first, last + 1)
                   : accumulate<2>(activations, first, last + 1);
}

}  // namespace inure
