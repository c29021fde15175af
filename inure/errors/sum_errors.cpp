#include "inure/errors/sum_errors.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

namespace inure {
namespace {

constexpr std::uint32_t kCandidateModel = 1 << 20;  // apart from those of bit flips
constexpr int kVector = 16;                         // channels that are summed side by side

// A pixel's activations and a strip's weights in hardware order, in quads of multipliers (zeros
// fill the last quad of a step).
struct Steps {
  int steps = 0, quads = 0;                 // quads a step
  std::vector<std::int8_t> activations;     // [step][quad][4]
  std::vector<const std::int8_t*> weights;  // [step][quad]: of the strip's channels, 4 each
  std::vector<std::int8_t> assembled;       // of quads that do not lie together in the strip
  std::vector<std::int32_t> offsets;        // by quad: of its activations; -1: not together

  // How many of a step's products are below 0.
  int negative(int step, int channel) const {
    constexpr std::uint32_t kLow = 0x7F7F7F7F;
    int count = 0;
    for (int quad = step * quads; quad < (step + 1) * quads; ++quad) {
      std::uint32_t a, w;
      std::memcpy(&a, activations.data() + std::int64_t{quad} * 4, 4);
      std::memcpy(&w, weights[static_cast<std::size_t>(quad)] + channel * 4, 4);
      // In the upper bit of a byte: it is not 0.
      const std::uint32_t both = (((a & kLow) + kLow) | a) & (((w & kLow) + kLow) | w);
      count += std::popcount((a ^ w) & both & ~kLow);
    }
    return count;
  }
};

// sums[step + 1][channel] after each step of `count` (1 or 2) vectors of channels from `first`;
// sums[0] is 0. The plain way.
template <int count>
void accumulate(const Steps& s, int first, std::int32_t* sums) {
  constexpr int kChannels = count * kVector;
  std::fill(sums, sums + kChannels, 0);
  for (int step = 0; step < s.steps; ++step, sums += kChannels) {
    std::copy(sums, sums + kChannels, sums + kChannels);
    for (int quad = step * s.quads; quad < (step + 1) * s.quads; ++quad) {
      const std::int8_t* a = s.activations.data() + std::int64_t{quad} * 4;
      const std::int8_t* w = s.weights[quad] + first * 4;
      for (int c = 0; c < kChannels; ++c) {
        for (int v = 0; v < 4; ++v) sums[kChannels + c] += a[v] * w[c * 4 + v];
      }
    }
  }
}

#if defined(__x86_64__) && defined(__GNUC__)
// Weights + 128 are unsigned bytes; what that adds, 128 times the activations, is taken back.
template <int count>
[[gnu::target("avx512f,avx512bw,avx512vl,avx512vnni")]] void accumulate_vnni(const Steps& s,
                                                                             int first,
                                                                             std::int32_t* sums) {
  const __m512i sign = _mm512_set1_epi8(-128);
  __m512i sum0 = _mm512_setzero_si512(), sum1 = sum0, offset = sum0;
  _mm512_storeu_si512(sums, sum0);
  if (count > 1) _mm512_storeu_si512(sums + kVector, sum1);
  const std::int8_t* const* weights = s.weights.data();
  const std::int8_t* activations = s.activations.data();
  const int steps = s.steps, quads = s.quads;  // the stores below cannot change these
  for (int step = 0; step < steps; ++step) {
    sums += count * kVector;
    for (int quad = 0; quad < quads; ++quad, ++weights, activations += 4) {
      std::int32_t word;
      std::memcpy(&word, activations, 4);
      const __m512i a = _mm512_set1_epi32(word);
      const std::int8_t* w = *weights + first * 4;
      offset = _mm512_dpbusd_epi32(offset, sign, a);
      sum0 = _mm512_dpbusd_epi32(sum0, _mm512_xor_si512(_mm512_loadu_si512(w), sign), a);
      if (count == 1) continue;
      const __m512i more = _mm512_loadu_si512(w + kVector * 4);
      sum1 = _mm512_dpbusd_epi32(sum1, _mm512_xor_si512(more, sign), a);
    }
    _mm512_storeu_si512(sums, _mm512_sub_epi32(sum0, offset));
    if (count > 1) _mm512_storeu_si512(sums + kVector, _mm512_sub_epi32(sum1, offset));
  }
}
const bool kHasVnni = __builtin_cpu_supports("avx512vnni") != 0;
#endif

template <int count>
void run(const Steps& steps, int first, std::int32_t* sums) {
#if defined(__x86_64__) && defined(__GNUC__)
  if (kHasVnni) return accumulate_vnni<count>(steps, first, sums);
#endif
  accumulate<count>(steps, first, sums);
}

// Pointers to the strip's weights; where a quad does not lie together there, a copy that does.
void arrange_weights(const LaneOperands& strip, Steps& s) {
  const LaneGeometry& g = *strip.geometry;
  s.steps = g.steps;
  s.quads = (g.vec_size + 3) / 4;
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
  for (std::size_t quad = 0; quad < quads; ++quad, to += 4) {
    if (offsets[quad] >= 0) {
      std::uint32_t word;
      std::memcpy(&word, window + offsets[quad], 4);
      word ^= 0x80808080;
      std::memcpy(to, &word, 4);
      continue;
    }
    const std::size_t step = quad / quads_a_step;
    for (int v = 0; v < 4; ++v) {
      const int multiplier = static_cast<int>(quad % quads_a_step) * 4 + v;
      const int offset =
          multiplier < g.vec_size ? strip.tap_activation[step * g.vec_size + multiplier] : -1;
      to[v] = offset < 0 ? 0 : static_cast<std::int8_t>(window[offset] ^ 128);
    }
  }
}

}  // namespace

namespace {

double largest_rate(const TimingLanes& lanes, SumErrors::Part part) {
  constexpr int kStartClasses = kSumClasses / kSumPhases * SumErrors::kStartSteps;
  double largest = 0;
  for (const TimingLanes::Lane& lane : lanes.lanes) {
    for (int c = 0; c < kSumClasses; ++c) {
      if ((c < kStartClasses) != (part == SumErrors::kStart)) continue;
      largest = std::max(largest, lane.sums[static_cast<std::size_t>(c)].rate);
    }
  }
  return largest;
}

}  // namespace

SumErrors::SumErrors(const TimingLanes& lanes)
    : lanes_(lanes),
      largest_{largest_rate(lanes, kStart), largest_rate(lanes, kLater)},
      candidates_{SiteSampler(largest_[kStart], kCandidateModel),
                  SiteSampler(largest_[kLater], kCandidateModel + 1)} {}

PhiloxKey SumErrors::pass_key(const ErrorKey& key, Part part) {
  const auto purpose = static_cast<std::uint32_t>(RandomPurpose::kErrors) +
                       (kCandidateModel + kParts + part) * 2 +
                       static_cast<std::uint32_t>(key.training);
  const PhiloxBlock block = philox({purpose, key.stage, static_cast<std::uint32_t>(key.iteration),
                                    static_cast<std::uint32_t>(key.iteration >> 32)},
                                   philox_key(key.seed));
  return {block[0], block[1]};
}

std::int32_t SumErrors::delta(const PhiloxKey& pass, const ErrorKey& key, std::uint32_t strip,
                              std::int64_t site, int lane, int of_step) const {
  constexpr int kStartClasses = kSumClasses / kSumPhases * kStartSteps;
  const SumClass& c = lanes_.of(lane).sums[static_cast<std::size_t>(of_step)];
  if (c.rate <= 0) return 0;
  const PhiloxBlock random = philox(
      {static_cast<std::uint32_t>(site), static_cast<std::uint32_t>(site >> 32), strip, key.image},
      pass);
  if (uniform32(random[0]) * largest_[of_step < kStartClasses ? kStart : kLater] >= c.rate) {
    return 0;
  }
  const auto chosen =
      std::lower_bound(c.deltas.begin(), c.deltas.end(), uniform32(random[1]),
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
  thread_local Steps kept_steps;
  thread_local std::vector<std::int32_t> kept_sums;
  const LaneGeometry& g = *operands.geometry;
  const std::uint32_t strip = g.strip_id(operands.y, operands.first_channel);
  const auto candidates =
      candidates_[kLater].sample(key, strip, sites(g, operands.channels, kLater), buffer);
  if (candidates.empty()) return;
  const PhiloxKey pass = pass_key(key, kLater);
  Steps& steps = kept_steps;
  arrange_weights(operands, steps);
  kept_sums.resize((static_cast<std::size_t>(g.steps) + 1) * 2 * kVector);
  std::int32_t* const after = kept_sums.data();  // [steps + 1][channels of one or two vectors]
  std::int64_t at_x = -1, at_vector = -1;
  int width = 0, first = 0;
  const int later = SumErrors::steps(g, kLater);
  for (const std::int64_t site : candidates) {
    const std::int64_t output = site / later;
    const int step = static_cast<int>(site % later) + kStartSteps;
    const std::int64_t x = output / operands.channels;
    const int channel = static_cast<int>(output % operands.channels);
    if (x != at_x) gather_activations(operands, static_cast<int>(x), steps);
    if (const int pair = channel / (2 * kVector); x != at_x || pair != at_vector) {
      first = pair * 2 * kVector;
      width = operands.channels - first > kVector ? 2 * kVector : kVector;
      if (width == kVector) {
        run<1>(steps, first, after);
      } else {
        run<2>(steps, first, after);
      }
      at_x = x, at_vector = pair;
    }
    const std::int32_t* sum = after + std::int64_t{step} * width + channel - first;
    const int of_step = sum_class(step, sum[0], sum[width] - sum[0],
                                  negative_level(steps.negative(step - 1, channel), g.vec_size),
                                  negative_level(steps.negative(step, channel), g.vec_size));
    sums[x * stride + channel] += static_cast<std::uint32_t>(
        delta(pass, key, strip, site, g.lane(operands.first_channel + channel), of_step));
  }
}

}  // namespace inure
