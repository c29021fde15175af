#include "inure/errors/sum_steps.hpp"

#include <algorithm>

#include "inure/base/clones.hpp"
#include "inure/base/memory.hpp"
#include "inure/base/processor.hpp"
#include "inure/errors/sum_tree.hpp"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

namespace inure {
namespace {

std::size_t index(int i) { return static_cast<std::size_t>(i); }

int signed_byte(std::uint32_t word, int bits) { return static_cast<std::int8_t>(word >> bits); }

// Adds what products of quads are, and notes their signs: the first one's bit is `bit`, or beyond
// those of ProductSigns. Where it is 0, sums begin.
INURE_CLONES
void add_quads(const std::uint32_t* activations, const std::uint32_t* weights, int count, int bit,
               std::uint32_t* sums, std::uint32_t* signs) {
  const std::uint32_t noted = bit < ProductSigns::kMost, kept = bit == 0 ? 0 : ~0u;
  bit %= ProductSigns::kMost;
  for (int i = 0; i < count; ++i) {
    std::uint32_t negative = 0, nonzero = 0, sum = sums[i] & kept;
    for (int v = 0; v < 4; ++v) {
      const int product = signed_byte(activations[i], 8 * v) * signed_byte(weights[i], 8 * v);
      sum += static_cast<std::uint32_t>(product);
      negative |= std::uint32_t{product < 0} << v;
      nonzero |= std::uint32_t{product != 0} << v;
    }
    sums[i] = sum;
    signs[i] = (signs[i] & kept) | (negative | nonzero << ProductSigns::kMost) * noted << bit;
  }
}

// Which of 4 bytes are not 0.
std::uint32_t nonzero_bytes(std::uint32_t word) {
  const std::uint32_t ones = (((word & 0x7F7F7F7F) + 0x7F7F7F7F) | word) >> 7 & 0x01010101;
  return ones * 0x01020408 >> 24;
}

INURE_CLONES
void find_nonzero_steps(const std::uint32_t* __restrict activations, int steps, int quads,
                        std::uint8_t* __restrict nonzero) {
  for (int step = 0; step < steps; ++step) {
    nonzero[step] = static_cast<std::uint8_t>(nonzero_bytes(activations[(step + 1) * quads]) |
                                              nonzero_bytes(activations[step * quads]) << 4);
  }
}

// `vectors` of channels of one of the run's pixels. The plain way.
template <int vectors, int pixels>
void accumulate_plain(const StripSums::Run& run, int pixel) {
  constexpr int kChannels = vectors * StripSums::kVector;
  std::int32_t sums[kChannels] = {};
  const std::uint32_t* activations = run.activations[pixel];
  const std::int32_t* offsets = run.offsets;
  std::int32_t* kept = run.kept + pixel * kChannels;
  for (int step = 0; step < run.steps; ++step) {
    if (step % 2 == 0) {
      std::copy(sums, sums + kChannels, kept);
      kept += pixels * kChannels;
    }
    for (int quad = 0; quad < run.quads; ++quad) {
      const std::uint32_t a = *activations++;
      const std::int8_t* w = run.weights + *offsets++;
      for (int c = 0; c < kChannels; ++c) {
        for (int v = 0; v < 4; ++v) sums[c] += signed_byte(a, v * 8) * w[c * 4 + v];
      }
    }
  }
}

#if defined(__x86_64__) && defined(__GNUC__)
// Some pixels side by side, which share what is read of the weights. One operand has to be
// unsigned: the activations where none is negative, else weights + 128; what that adds, 128 times
// the activations, is taken back.
template <int vectors, int pixels, bool negative>
[[gnu::target("avx512f,avx512bw,avx512vl,avx512vnni")]] void accumulate_vnni(
    const StripSums::Run& run) {
  constexpr int kVector = StripSums::kVector;
  const __m512i sign = _mm512_set1_epi8(-128);
  __m512i offset[pixels], sums[pixels][vectors];
  for (int p = 0; p < pixels; ++p) {
    offset[p] = _mm512_setzero_si512();
    for (int v = 0; v < vectors; ++v) sums[p][v] = offset[p];
  }
  std::int32_t* kept = run.kept;
  const int quads = run.quads, end = run.steps * quads;
  for (int quad = 0; quad < end; kept += pixels * vectors * kVector) {
    for (int p = 0; p < pixels; ++p) {
      for (int v = 0; v < vectors; ++v) {
        const __m512i sum = negative ? _mm512_sub_epi32(sums[p][v], offset[p]) : sums[p][v];
        _mm512_storeu_si512(kept + (p * vectors + v) * kVector, sum);
      }
    }
    for (const int next = std::min(end, quad + 2 * quads); quad < next; ++quad) {
      __m512i w[vectors];
      for (int v = 0; v < vectors; ++v) {
        w[v] = _mm512_loadu_si512(run.weights + run.offsets[quad] + v * kVector * 4);
        if (negative) w[v] = _mm512_xor_si512(w[v], sign);
      }
      for (int p = 0; p < pixels; ++p) {
        const __m512i a = _mm512_set1_epi32(static_cast<std::int32_t>(run.activations[p][quad]));
        if (negative) offset[p] = _mm512_dpbusd_epi32(offset[p], sign, a);
        for (int v = 0; v < vectors; ++v) {
          sums[p][v] = negative ? _mm512_dpbusd_epi32(sums[p][v], w[v], a)
                                : _mm512_dpbusd_epi32(sums[p][v], a, w[v]);
        }
      }
    }
  }
}
// As accumulate_vnni, of the products of some quads.
[[gnu::target("avx512f,avx512bw,avx512vl,avx512vnni")]] void sum_quads_vnni(
    const std::uint32_t* activations, const std::int8_t* weights, const std::int32_t* offsets,
    int quads, int channels, std::int32_t* sums) {
  const __m512i sign = _mm512_set1_epi8(-128);
  for (int c = 0; c < channels; c += StripSums::kVector) {
    __m512i sum = _mm512_setzero_si512(), offset = sum;
    for (int quad = 0; quad < quads; ++quad) {
      const __m512i a = _mm512_set1_epi32(static_cast<std::int32_t>(activations[quad]));
      const __m512i w = _mm512_loadu_si512(weights + offsets[quad] + c * 4);
      offset = _mm512_dpbusd_epi32(offset, sign, a);
      sum = _mm512_dpbusd_epi32(sum, _mm512_xor_si512(w, sign), a);
    }
    _mm512_storeu_si512(sums + c, _mm512_sub_epi32(sum, offset));
  }
}
const bool kHasVnni = vector_kernels_allowed() && __builtin_cpu_supports("avx512vnni");
#endif

template <int vectors, int pixels>
void accumulate_run(const StripSums::Run& run, [[maybe_unused]] bool negative) {
#if defined(__x86_64__) && defined(__GNUC__)
  if (kHasVnni) {
    return negative ? accumulate_vnni<vectors, pixels, true>(run)
                    : accumulate_vnni<vectors, pixels, false>(run);
  }
#endif
  for (int p = 0; p < pixels; ++p) accumulate_plain<vectors, pixels>(run, p);
}

void sum_quads(const std::uint32_t* activations, const std::int8_t* weights,
               const std::int32_t* offsets, int quads, int channels, std::int32_t* sums) {
#if defined(__x86_64__) && defined(__GNUC__)
  if (kHasVnni) return sum_quads_vnni(activations, weights, offsets, quads, channels, sums);
#endif
  std::fill_n(sums, channels, 0);
  for (int quad = 0; quad < quads; ++quad) {
    const std::int8_t* w = weights + offsets[quad];
    for (int c = 0; c < channels; ++c) {
      for (int v = 0; v < 4; ++v) sums[c] += signed_byte(activations[quad], v * 8) * w[c * 4 + v];
    }
  }
}

}  // namespace

void StripSums::load(const LaneOperands& strip, int steps) {
  const LaneGeometry& g = *strip.geometry;
  strip_ = strip;
  steps_ = steps;
  quads_ = (g.vec_size + 3) / 4;
  pixel_words_ = index(steps + 1) * index(quads_);
  activations_.resize(index(g.width) * pixel_words_);
  nonzero_.resize(index(g.width * steps));
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
  find_nonzero_steps(to, steps_, quads_, nonzero_.data() + index(x * steps_));
}

void StripSums::find_first_sums(int x, Sums& first, Sums& second) {
  if (x != gathered_) gather(x);
  const std::uint32_t* activations = activations_.data() + index(x) * pixel_words_;
  int quad = quads_;  // behind the step of zeros
  for (Sums* sums : {&first, &second}) {
    if (quad < static_cast<int>(pixel_words_)) {
      sum_quads(activations + quad, weights_, weight_offsets_.data() + quad, quads_,
                strip_.channels, *sums);
    } else {
      std::fill_n(*sums, strip_.channels, 0);
    }
    quad += quads_;
  }
}

void StripSums::add_products(SumSteps& steps, int first) const {
  constexpr int kBatch = 256;
  std::uint32_t activations[kBatch], weights[kBatch], activations_before[kBatch],
      weights_before[kBatch];
  for (; first < steps.count; first += kBatch) {
    const int count = std::min(kBatch, steps.count - first);
    for (int quad = 0; quad < quads_; ++quad) {
      for (int i = 0; i < count; ++i) {
        const int before = steps.step[first + i] * quads_ + quad;  // of a pixel's quads
        const std::uint32_t* a =
            activations_.data() + index(steps.x[first + i]) * pixel_words_ + before;
        const std::int32_t* w = weight_offsets_.data() + before;
        const std::int8_t* of_channel = weights_ + steps.channel[first + i] * 4;
        activations_before[i] = a[0];
        activations[i] = a[quads_];
        weights_before[i] = load_word(of_channel + w[0]);
        weights[i] = load_word(of_channel + w[quads_]);
      }
      add_quads(activations, weights, count, quad * 4, steps.sum + first, steps.signs + first);
      add_quads(activations_before, weights_before, count, quad * 4, steps.sum_before + first,
                steps.signs_before + first);
    }
  }
}

void StripSums::accumulate(std::span<const int> pixels, int first, int width, int last) {
  const auto count = static_cast<int>(pixels.size());
  pixels_ = count == 1 ? 1 : count <= kPixels / 2 ? kPixels / 2 : kPixels;
  width_ = width;
  kept_.resize(std::max(kept_.size(), index((last / 2 + 1) * pixels_ * width)));
  Run run;
  for (int p = 0; p < pixels_; ++p) {  // the last one comes as often as is needed
    const int x = pixels[index(std::min(p, count - 1))];
    run.activations[p] = activations_.data() + index(x) * pixel_words_ + quads_;
  }
  run.weights = weights_ + first * 4;
  run.offsets = weight_offsets_.data() + quads_;
  run.quads = quads_;
  run.steps = last + 1;
  run.kept = kept_.data();
  const auto accumulate = [&]<int vectors>() {
    return pixels_ == 1             ? accumulate_run<vectors, 1>
           : pixels_ == kPixels / 2 ? accumulate_run<vectors, kPixels / 2>
                                    : accumulate_run<vectors, kPixels>;
  };
  (width > kVector ? accumulate.operator()<2>() : accumulate.operator()<1>())(
      run, negative_activations_);
}

}  // namespace inure
