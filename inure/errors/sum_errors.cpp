#include "inure/errors/sum_errors.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "inure/base/clones.hpp"
#include "inure/errors/philox_batch.hpp"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

namespace inure {
namespace {

constexpr std::uint32_t kCandidateModel = 1 << 20;  // apart from those of bit flips
constexpr int kVector = 16;                         // channels that are summed side by side
constexpr int kStride = 4;                          // steps from one kept sum to the next

// A pixel's activations and a strip's weights in hardware order, in quads of multipliers (zeros
// fill the last quad of a step).
struct Steps {
  int steps = 0, quads = 0;                 // quads a step
  std::vector<std::int8_t> activations;     // [step][quad][4]
  std::vector<const std::int8_t*> weights;  // [step][quad]: of the strip's channels, 4 each
  std::vector<std::int8_t> assembled;       // of quads that do not lie together in the strip
  std::vector<std::int32_t> offsets;        // by quad: of its activations; -1: not together
  bool negative_activations = false;        // there are some
  std::vector<std::uint8_t> levels;         // by number of negative products

  std::uint32_t activation_word(int quad) const {
    std::uint32_t word;
    std::memcpy(&word, activations.data() + std::int64_t{quad} * 4, 4);
    return word;
  }
  std::uint32_t weight_word(int quad, int channel) const {
    std::uint32_t word;
    std::memcpy(&word, weights[static_cast<std::size_t>(quad)] + channel * 4, 4);
    return word;
  }

  // How many of a step's products are below 0.
  int negative(int step, int channel) const {
    constexpr std::uint32_t kLow = 0x7F7F7F7F;
    std::uint32_t count = 0;
    for (int quad = step * quads; quad < (step + 1) * quads; ++quad) {
      const std::uint32_t a = activation_word(quad), w = weight_word(quad, channel);
      // In the upper bit of a byte: it is not 0.
      const std::uint32_t both = (((a & kLow) + kLow) | a) & (((w & kLow) + kLow) | w);
      count += (((a ^ w) & both & ~kLow) >> 7) * 0x01010101 >> 24;
    }
    return static_cast<int>(count);
  }

  // The sum of a step's products.
  std::int32_t sum(int step, int channel) const {
    std::int32_t total = 0;
    for (int quad = step * quads; quad < (step + 1) * quads; ++quad) {
      const std::uint32_t a = activation_word(quad), w = weight_word(quad, channel);
      for (int bits = 0; bits < 32; bits += 8) {
        total += static_cast<std::int8_t>(a >> bits) * static_cast<std::int8_t>(w >> bits);
      }
    }
    return total;
  }
};

// What the channels' sums are before every kStride-th step: sums[step / kStride][channel], for
// `count` (1 or 2) vectors of channels from `first`, up to step `end`. The plain way.
template <int count>
void accumulate(const Steps& s, int first, int end, std::int32_t* sums) {
  constexpr int kChannels = count * kVector;
  std::int32_t now[kChannels] = {};
  for (int step = 0; step < end; ++step) {
    if (step % kStride == 0) sums = std::copy(now, now + kChannels, sums);
    for (int quad = step * s.quads; quad < (step + 1) * s.quads; ++quad) {
      const std::int8_t* a = s.activations.data() + std::int64_t{quad} * 4;
      const std::int8_t* w = s.weights[static_cast<std::size_t>(quad)] + first * 4;
      for (int c = 0; c < kChannels; ++c) {
        for (int v = 0; v < 4; ++v) now[c] += a[v] * w[c * 4 + v];
      }
    }
  }
}

#if defined(__x86_64__) && defined(__GNUC__)
// One operand has to be unsigned: the activations where none is negative, else weights + 128; what
// that adds, 128 times the activations, is taken back.
template <int count, bool negative>
[[gnu::target("avx512f,avx512bw,avx512vl,avx512vnni")]] void accumulate_vnni(const Steps& s,
                                                                             int first, int end,
                                                                             std::int32_t* sums) {
  const __m512i sign = _mm512_set1_epi8(-128);
  __m512i offset = _mm512_setzero_si512(), sum0 = offset, sum1 = offset;
  const std::int8_t* const* weights = s.weights.data();
  const std::int8_t* activations = s.activations.data();
  const int quads = s.quads;
  for (int step = 0; step < end; step += kStride, sums += count * kVector) {
    _mm512_storeu_si512(sums, _mm512_sub_epi32(sum0, offset));
    if (count > 1) _mm512_storeu_si512(sums + kVector, _mm512_sub_epi32(sum1, offset));
    for (int left = std::min(kStride, end - step) * quads; left > 0; --left) {
      std::int32_t word;
      std::memcpy(&word, activations, 4);
      activations += 4;
      const __m512i a = _mm512_set1_epi32(word);
      const std::int8_t* w = *weights++ + first * 4;
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

template <int count>
void run(const Steps& steps, int first, int end, std::int32_t* sums) {
#if defined(__x86_64__) && defined(__GNUC__)
  if (kHasVnni) {
    return steps.negative_activations ? accumulate_vnni<count, true>(steps, first, end, sums)
                                      : accumulate_vnni<count, false>(steps, first, end, sums);
  }
#endif
  accumulate<count>(steps, first, end, sums);
}

// Pointers to the strip's weights; where a quad does not lie together there, a copy that does.
void arrange_weights(const LaneOperands& strip, Steps& s) {
  const LaneGeometry& g = *strip.geometry;
  s.steps = g.steps;
  s.quads = (g.vec_size + 3) / 4;
  s.levels.resize(static_cast<std::size_t>(g.vec_size) + 1);
  for (int n = 0; n <= g.vec_size; ++n) {
    s.levels[static_cast<std::size_t>(n)] =
        static_cast<std::uint8_t>(negative_level(n, g.vec_size));
  }
  const auto quads = static_cast<std::size_t>(s.steps) * s.quads;
  s.weights.assign(quads, nullptr);
  s.offsets.assign(quads, -1);
  s.activations.resize(quads * 4);
  constexpr std::size_t kQuadBytes = LaneGeometry::kStripChannels * 4;
  s.assembled.clear();
  std::vector<std::size_t> apart;
  for (std::size_t quad = 0; quad < quads; ++quad) {
    const int tap =
        static_cast<int>(quad / s.quads) * g.vec_size + static_cast<int>(quad % s.quads) * 4;
    const int count = std::min(4, g.vec_size);
    bool together = count == 4;
    for (int v = 0; v < count && together; ++v) {
      together = strip.tap_activation[tap + v] >= 0 &&
                 strip.tap_weight[tap + v] == strip.tap_weight[tap] + v &&
                 strip.tap_activation[tap + v] == strip.tap_activation[tap] + v;
    }
    if (together) {
      s.weights[quad] = strip.weights + strip.tap_weight[tap];
      s.offsets[quad] = strip.tap_activation[tap];
      continue;
    }
    apart.push_back(quad);
    const std::size_t at = s.assembled.size();
    s.assembled.resize(at + kQuadBytes, 0);
    for (int v = 0; v < count; ++v) {
      if (strip.tap_activation[tap + v] < 0) continue;
      for (int c = 0; c < strip.channels; ++c) {
        s.assembled[at + c * 4 + v] = strip.weights[strip.tap_weight[tap + v] + c * 4];
      }
    }
  }
  for (std::size_t i = 0; i < apart.size(); ++i) {
    s.weights[apart[i]] = s.assembled.data() + i * kQuadBytes;
  }
}

void gather_activations(const LaneOperands& strip, int x, Steps& s) {
  const LaneGeometry& g = *strip.geometry;
  const std::uint8_t* window = strip.activations + x * strip.column_stride;
  std::int8_t* to = s.activations.data();
  const std::int32_t* offsets = s.offsets.data();
  const std::size_t quads = s.offsets.size(), quads_a_step = s.quads;
  std::uint32_t signs = 0;
  for (std::size_t quad = 0; quad < quads; ++quad, to += 4) {
    if (offsets[quad] >= 0) {
      std::uint32_t word;
      std::memcpy(&word, window + offsets[quad], 4);
      word ^= 0x80808080;
      signs |= word;
      std::memcpy(to, &word, 4);
      continue;
    }
    const std::size_t step = quad / quads_a_step;
    for (int v = 0; v < 4; ++v) {
      const int multiplier = static_cast<int>(quad % quads_a_step) * 4 + v;
      const int offset =
          multiplier < g.vec_size ? strip.tap_activation[step * g.vec_size + multiplier] : -1;
      to[v] = offset < 0 ? 0 : static_cast<std::int8_t>(window[offset] ^ 128);
      signs |= static_cast<std::uint8_t>(to[v]);
    }
  }
  s.negative_activations = (signs & 0x80808080) != 0;
}

constexpr int kLevels = kNegativeLevels * kNegativeLevels;
constexpr int kFirstLater = kSumClasses - kLevels * kSumChains;  // the first class of later steps
constexpr int kBatch = 16;  // candidates that are drawn for side by side

// philox({site, site >> 32, strip, image}, pass) of so many sites: the first two words of each.
INURE_CLONES
void draw(const PhiloxKey& pass, std::uint32_t strip, std::uint32_t image,
          const std::int64_t (&site)[kBatch], std::uint32_t (&first)[kBatch],
          std::uint32_t (&second)[kBatch]) {
  std::uint64_t words[4][kBatch];
  for (int i = 0; i < kBatch; ++i) {
    words[0][i] = static_cast<std::uint32_t>(site[i]);
    words[1][i] = static_cast<std::uint64_t>(site[i]) >> 32;
    words[2][i] = strip, words[3][i] = image;
  }
  philox_batch(pass, words);
  for (int i = 0; i < kBatch; ++i) {
    first[i] = static_cast<std::uint32_t>(words[0][i]);
    second[i] = static_cast<std::uint32_t>(words[1][i]);
  }
}

double largest_rate(const TimingLanes& lanes, SumErrors::Part part) {
  double largest = 0;
  for (const TimingLanes::Lane& lane : lanes.lanes) {
    for (int c = 0; c < kSumClasses; ++c) {
      if ((c < kFirstLater) != (part == SumErrors::kStart)) continue;
      largest = std::max(largest, lane.sums[static_cast<std::size_t>(c)].rate);
    }
  }
  return largest;
}

// A candidate that its products' signs allow to err.
struct Likely {
  int channel, step, levels;  // of the step before and of the step, as in a class
  std::uint32_t random[2];
};

}  // namespace

SumErrors::SumErrors(const TimingLanes& lanes)
    : lanes_(lanes),
      largest_{largest_rate(lanes, kStart), largest_rate(lanes, kLater)},
      candidates_{SiteSampler(largest_[kStart], kCandidateModel),
                  SiteSampler(largest_[kLater], kCandidateModel + 1)} {
  for (const TimingLanes::Lane& lane : lanes.lanes) {
    auto& bounds = later_bounds_.emplace_back();
    for (int c = 0; c < kLevels * kSumChains; ++c) {
      const double rate = lane.sums[static_cast<std::size_t>(kFirstLater + c)].rate;
      if (rate <= 0) continue;
      // One more than enough: delta_of() decides.
      const double word = std::min(rate / largest_[kLater] * 0x1p32 + 1, 0x1p32 - 1);
      std::uint32_t& bound = bounds[static_cast<std::size_t>(c / kSumChains)];
      bound = std::max(bound, static_cast<std::uint32_t>(word));
    }
  }
}

PhiloxKey SumErrors::pass_key(const ErrorKey& key, Part part) {
  return inure::pass_key(key, kCandidateModel + kParts + part);
}

std::int32_t SumErrors::delta(const PhiloxKey& pass, const ErrorKey& key, std::uint32_t strip,
                              std::int64_t site, int lane, int of_step) const {
  const PhiloxBlock random = philox(
      {static_cast<std::uint32_t>(site), static_cast<std::uint32_t>(site >> 32), strip, key.image},
      pass);
  return delta_of(random[0], random[1], lane, of_step);
}

std::int32_t SumErrors::delta_of(std::uint32_t thinning, std::uint32_t choice, int lane,
                                 int of_step) const {
  const SumClass& c = lanes_.of(lane).sums[static_cast<std::size_t>(of_step)];
  const double largest = largest_[of_step < kFirstLater ? kStart : kLater];
  if (uniform32(thinning) * largest >= c.rate) return 0;
  const auto chosen =
      std::lower_bound(c.deltas.begin(), c.deltas.end(), uniform32(choice),
                       [](const auto& delta, double u) { return delta.second < u; });
  return chosen == c.deltas.end() ? c.deltas.back().first : chosen->first;
}

void SumErrors::add_deltas(const ErrorKey& key, const LaneOperands& operands, std::uint32_t* sums,
                           std::int64_t stride) const {
  if (largest_[kStart] > 0) add_start(key, operands, sums, stride);
  if (largest_[kLater] > 0) add_later(key, operands, sums, stride);
}

void SumErrors::add_start(const ErrorKey& key, const LaneOperands& operands, std::uint32_t* sums,
                          std::int64_t stride) const {
  thread_local std::vector<std::int64_t> buffer;
  const LaneGeometry& g = *operands.geometry;
  const std::uint32_t strip = g.strip_id(operands.y, operands.first_channel);
  const int steps = SumErrors::steps(g, kStart);
  const PhiloxKey pass = pass_key(key, kStart);
  for (const std::int64_t site :
       candidates_[kStart].sample(key, strip, sites(g, operands.channels, kStart), buffer)) {
    const auto output = static_cast<std::uint32_t>(site / steps);
    const int last = static_cast<int>(site % steps);
    const auto channels = static_cast<std::uint32_t>(operands.channels);
    const int x = static_cast<int>(output / channels),
              channel = static_cast<int>(output % channels);
    SumState state;
    for (int step = 0; step <= last; ++step) {
      int sum = 0, negative = 0;
      for (int tap = step * g.vec_size; tap < (step + 1) * g.vec_size; ++tap) {
        const int product = operands.product(x, channel, tap);
        sum += product;
        negative += product < 0;
      }
      state.step(step == 0, sum, negative, g.vec_size);
    }
    sums[x * stride + channel] += static_cast<std::uint32_t>(
        delta(pass, key, strip, site, g.lane(operands.first_channel + channel), state.sum_class()));
  }
}

void SumErrors::add_later(const ErrorKey& key, const LaneOperands& operands, std::uint32_t* sums,
                          std::int64_t stride) const {
  thread_local std::vector<std::int64_t> buffer;
  thread_local Steps steps;
  thread_local std::vector<std::int32_t> kept;  // [steps / kStride][channels of the vectors]
  thread_local std::vector<Likely> likely;      // of the pixel and the vectors at hand
  const LaneGeometry& g = *operands.geometry;
  const std::uint32_t strip = g.strip_id(operands.y, operands.first_channel);
  const auto candidates =
      candidates_[kLater].sample(key, strip, sites(g, operands.channels, kLater), buffer);
  if (candidates.empty()) return;
  const PhiloxKey pass = pass_key(key, kLater);
  const int later = SumErrors::steps(g, kLater);
  arrange_weights(operands, steps);
  kept.resize((static_cast<std::size_t>(g.steps) / kStride + 1) * 2 * kVector);
  likely.clear();

  std::int64_t output = -1, first_site = -later;
  const std::array<std::uint32_t, kLevels>* bounds = nullptr;  // of the channel
  int x = -1, channel = 0, vectors = -1;  // two vectors of channels, which are summed together
  const auto settle = [&] {
    if (likely.empty()) return;
    const int first = vectors * 2 * kVector;
    const int width = operands.channels - first > kVector ? 2 * kVector : kVector;
    int end = 0;
    for (const Likely& c : likely) end = std::max(end, c.step);
    width == kVector ? run<1>(steps, first, end + 1, kept.data())
                     : run<2>(steps, first, end + 1, kept.data());
    for (const Likely& c : likely) {
      std::int32_t before =
          kept[static_cast<std::size_t>(c.step / kStride * width + c.channel - first)];
      for (int step = c.step / kStride * kStride; step < c.step; ++step) {
        before += steps.sum(step, c.channel);
      }
      const int of_step =
          kFirstLater + c.levels * kSumChains + sum_chain(before, steps.sum(c.step, c.channel));
      sums[x * stride + c.channel] += static_cast<std::uint32_t>(
          delta_of(c.random[0], c.random[1], g.lane(operands.first_channel + c.channel), of_step));
    }
    likely.clear();
  };

  std::int64_t site[kBatch] = {};
  std::uint32_t random[2][kBatch];
  for (std::size_t begin = 0; begin < candidates.size(); begin += kBatch) {
    const std::size_t count = std::min<std::size_t>(kBatch, candidates.size() - begin);
    std::copy_n(candidates.begin() + static_cast<std::ptrdiff_t>(begin), count, site);
    draw(pass, strip, key.image, site, random[0], random[1]);
    for (std::size_t i = 0; i < count; ++i) {
      if (site[i] >= first_site + later) {  // another output
        output = site[i] / later;
        first_site = output * later;
        const int next_x = static_cast<int>(output / operands.channels);
        channel = static_cast<int>(output % operands.channels);
        if (next_x != x || channel / (2 * kVector) != vectors) settle();
        if (next_x != x) gather_activations(operands, next_x, steps);
        x = next_x, vectors = channel / (2 * kVector);
        const int lane = g.lane(operands.first_channel + channel);
        bounds = &later_bounds_[static_cast<std::size_t>(lane) % later_bounds_.size()];
      }
      const int step = static_cast<int>(site[i] - first_site) + kStartSteps;
      const int levels = steps.levels[static_cast<std::size_t>(steps.negative(step - 1, channel))] *
                             kNegativeLevels +
                         steps.levels[static_cast<std::size_t>(steps.negative(step, channel))];
      if (random[0][i] > (*bounds)[static_cast<std::size_t>(levels)]) continue;
      likely.push_back({channel, step, levels, {random[0][i], random[1][i]}});
    }
  }
  settle();
}

}  // namespace inure
