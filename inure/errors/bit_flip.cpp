#include "inure/errors/bit_flip.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <map>

#include "inure/base/clones.hpp"
#include "inure/errors/sites.hpp"

namespace inure {
namespace {

// The rate, the bits and the draws that all of them share. A site is value * bits + (bit - low).
class Flips : public ErrorModel {
 public:
  Flips(double rate, int low_bit, int high_bit, std::uint32_t model)
      : low_(low_bit), bits_(high_bit - low_bit + 1), sampler_(rate, model) {}

  int low() const { return low_; }
  int bits() const { return bits_; }
  const SiteSampler& sampler() const { return sampler_; }

 protected:
  void flip_bytes(const ErrorKey& key, int row, std::span<std::int8_t> values) const {
    thread_local std::vector<std::int64_t> buffer;
    const auto sites = static_cast<std::int64_t>(values.size()) * bits_;
    for (const std::int64_t hit : sampler_.sample(key, row, sites, buffer)) {
      values[hit / bits_] ^= static_cast<std::int8_t>(1 << (low_ + hit % bits_));
    }
  }

  int low_, bits_;
  SiteSampler sampler_;
};

class WeightFlips : public Flips {
 public:
  using Flips::Flips;
  bool corrupts_weights() const override { return true; }
  void corrupt_weights(const ErrorKey& key, std::span<std::int8_t> weights) const override {
    flip_bytes(key, 0, weights);
  }
};

class ActivationFlips : public Flips {
 public:
  using Flips::Flips;
  bool corrupts_activations() const override { return true; }
  void corrupt_activations(const ErrorKey& key, std::span<std::int8_t> image) const override {
    flip_bytes(key, 0, image);
  }
};

class OutputFlips : public Flips {
 public:
  using Flips::Flips;
  bool corrupts_outputs() const override { return true; }
  void corrupt_outputs(const ErrorKey& key, int y, std::span<std::int8_t> row) const override {
    flip_bytes(key, y, row);
  }
};

// What flipping bit `bit` of a 16-bit product register changes.
inline int product_flip_delta(int product, int bit) {
  return static_cast<std::int16_t>(product ^ (1 << bit)) - product;
}

// Sites of a strip: ((x * channels + channel) * taps + tap) * bits + bit.
class ProductFlips : public Flips {
 public:
  using Flips::Flips;
  bool corrupts_sums() const override { return true; }

  void add_deltas(const ErrorKey& key, const LaneOperands& operands, std::uint32_t* sums,
                  std::int64_t stride) const override;
  std::unique_ptr<CycleErrors> cycles(const ErrorKey& key, const LaneGeometry& g) const override;

  static std::int64_t sites(const LaneGeometry& g, int channels, int bits) {
    return std::int64_t{g.width} * channels * g.taps() * bits;
  }
};

struct ProductPlaces {
  static constexpr int kRun = 256;
  std::int32_t x[kRun], channel[kRun], tap[kRun], bit[kRun];
};

// Quotients by doubles, which vectorise and are exact below 2^52.
INURE_CLONES
void decode(const std::int64_t* hits, int count, int bits, int taps, int channels,
            ProductPlaces& p) {
  const double bits_d = bits, taps_d = taps, channels_d = channels;
  for (int k = 0; k < count; ++k) {
    const auto site = static_cast<double>(hits[k]);
    const auto product = static_cast<double>(static_cast<std::int64_t>(site / bits_d));
    const auto output = static_cast<std::int32_t>(product / taps_d);
    const auto x = static_cast<std::int32_t>(output / channels_d);
    p.bit[k] = static_cast<std::int32_t>(site - product * bits_d);
    p.tap[k] = static_cast<std::int32_t>(product - output * taps_d);
    p.x[k] = x;
    p.channel[k] = output - x * channels;
  }
}

void ProductFlips::add_deltas(const ErrorKey& key, const LaneOperands& operands,
                              std::uint32_t* sums, std::int64_t stride) const {
  thread_local std::vector<std::int64_t> buffer;
  const LaneGeometry& g = *operands.geometry;
  const std::span<const std::int64_t> hits =
      sampler_.sample(key, g.strip_id(operands.y, operands.first_channel),
                      sites(g, operands.channels, bits_), buffer);
  ProductPlaces p;
  for (std::size_t begin = 0; begin < hits.size(); begin += ProductPlaces::kRun) {
    const int count =
        static_cast<int>(std::min<std::size_t>(ProductPlaces::kRun, hits.size() - begin));
    decode(hits.data() + begin, count, bits_, g.taps(), operands.channels, p);
    for (int k = 0; k < count; ++k) {
      const int product = operands.product(p.x[k], p.channel[k], p.tap[k]);
      sums[p.x[k] * stride + p.channel[k]] +=
          static_cast<std::uint32_t>(product_flip_delta(product, low_ + p.bit[k]));
    }
  }
}

// The plain twin's hits, drawn strip by strip and kept: hardware order comes back to a strip.
class StripHits {
 public:
  using Draw = std::function<std::vector<std::int64_t>(std::uint32_t strip)>;
  // Bits to flip at a value: the mask of those sites of the strip that fall on it.
  std::uint32_t mask(std::uint32_t strip, std::int64_t value, int low, int bits, const Draw& draw) {
    auto [hits_of, fresh] = strips_.try_emplace(strip);
    if (fresh) {
      for (const std::int64_t hit : draw(strip))
        hits_of->second[hit / bits] |= 1u << (low + hit % bits);
    }
    const auto found = hits_of->second.find(value);
    return found == hits_of->second.end() ? 0 : found->second;
  }

 private:
  std::map<std::uint32_t, std::map<std::int64_t, std::uint32_t>> strips_;
};

class ProductFlipCycles : public CycleErrors {
 public:
  ProductFlipCycles(const ProductFlips& flips, const ErrorKey& key, const LaneGeometry& geometry)
      : flips_(flips), key_(key), geometry_(geometry) {}

  std::int32_t product_delta(const Cycle& at, int multiplier, int activation, int weight) override {
    const int first = geometry_.strip_first(at.channel), channels = geometry_.strip_channels(first);
    const std::int64_t output = std::int64_t{at.x} * channels + at.channel - first;
    const std::int64_t value =
        output * geometry_.taps() + at.step * geometry_.vec_size + multiplier;
    const std::uint32_t mask =
        hits_.mask(geometry_.strip_id(at.y, first), value, flips_.low(), flips_.bits(),
                   [&](std::uint32_t strip) {
                     return flips_.sampler().sample_plain(
                         key_, strip, ProductFlips::sites(geometry_, channels, flips_.bits()));
                   });
    const int product = activation * weight;
    return static_cast<std::int16_t>(product ^ static_cast<int>(mask)) - product;
  }

 private:
  const ProductFlips& flips_;
  ErrorKey key_;
  LaneGeometry geometry_;
  StripHits hits_;
};

std::unique_ptr<CycleErrors> ProductFlips::cycles(const ErrorKey& key,
                                                  const LaneGeometry& geometry) const {
  return std::make_unique<ProductFlipCycles>(*this, key, geometry);
}

constexpr int kChains = 6;

// Sites of a strip: ((x * channels + channel) * steps + step) * bits + bit.
class AccumulatorFlips : public Flips {
 public:
  using Flips::Flips;
  bool corrupts_sums() const override { return true; }

  void add_deltas(const ErrorKey& key, const LaneOperands& operands, std::uint32_t* sums,
                  std::int64_t stride) const override;
  std::unique_ptr<CycleErrors> cycles(const ErrorKey& key, const LaneGeometry& g) const override;

  static std::int64_t sites(const LaneGeometry& g, int channels, int bits) {
    return std::int64_t{g.width} * channels * g.steps * bits;
  }
};

// The exact sum of the chain's products up to and including `step`.
std::uint32_t chain_sum(const LaneOperands& operands, int x, int channel, int step) {
  std::uint32_t sum = 0;
  const int vec_size = operands.geometry->vec_size;
  for (int j = step % kChains; j <= step; j += kChains) {
    for (int v = 0; v < vec_size; ++v) {
      sum += static_cast<std::uint32_t>(operands.product(x, channel, j * vec_size + v));
    }
  }
  return sum;
}

void AccumulatorFlips::add_deltas(const ErrorKey& key, const LaneOperands& operands,
                                  std::uint32_t* sums, std::int64_t stride) const {
  thread_local std::vector<std::int64_t> buffer;
  const LaneGeometry& g = *operands.geometry;
  const std::span<const std::int64_t> hits =
      sampler_.sample(key, g.strip_id(operands.y, operands.first_channel),
                      sites(g, operands.channels, bits_), buffer);
  std::int64_t last_output = -1;
  std::uint32_t earlier[kChains];  // deltas of this output's chains so far
  for (const std::int64_t hit : hits) {
    const std::int64_t value = hit / bits_, output = value / g.steps;
    const int step = static_cast<int>(value % g.steps);
    const int bit = low_ + static_cast<int>(hit % bits_);
    if (output != last_output) std::fill(std::begin(earlier), std::end(earlier), 0u);
    last_output = output;
    const int channel = static_cast<int>(output % operands.channels);
    const int x = static_cast<int>(output / operands.channels);
    std::uint32_t& chain = earlier[step % kChains];
    const std::uint32_t reg = chain_sum(operands, x, channel, step) + chain;
    const std::uint32_t delta = (reg ^ (1u << bit)) - reg;
    chain += delta;
    sums[x * stride + channel] += delta;
  }
}

class AccumulatorFlipCycles : public CycleErrors {
 public:
  AccumulatorFlipCycles(const AccumulatorFlips& flips, const ErrorKey& key,
                        const LaneGeometry& geometry)
      : flips_(flips), key_(key), geometry_(geometry), chains_(geometry.channels) {}

  std::int32_t accumulator_delta(const Cycle& at, int chain, std::int32_t mac) override {
    auto& registers = chains_[at.channel];
    if (at.step == 0) registers = {};
    registers[chain] += static_cast<std::uint32_t>(mac);
    const int first = geometry_.strip_first(at.channel), channels = geometry_.strip_channels(first);
    const std::int64_t output = std::int64_t{at.x} * channels + at.channel - first;
    const std::uint32_t mask =
        hits_.mask(geometry_.strip_id(at.y, first), output * geometry_.steps + at.step,
                   flips_.low(), flips_.bits(), [&](std::uint32_t strip) {
                     return flips_.sampler().sample_plain(
                         key_, strip, AccumulatorFlips::sites(geometry_, channels, flips_.bits()));
                   });
    const std::uint32_t before = registers[chain];
    registers[chain] ^= mask;
    return static_cast<std::int32_t>(registers[chain] - before);
  }

 private:
  const AccumulatorFlips& flips_;
  ErrorKey key_;
  LaneGeometry geometry_;
  std::vector<std::array<std::uint32_t, kChains>> chains_;
  StripHits hits_;
};

std::unique_ptr<CycleErrors> AccumulatorFlips::cycles(const ErrorKey& key,
                                                      const LaneGeometry& geometry) const {
  return std::make_unique<AccumulatorFlipCycles>(*this, key, geometry);
}

}  // namespace

std::unique_ptr<ErrorModel> make_bit_flip(BitFlipDescription::Where where, double rate, int low_bit,
                                          int high_bit, std::uint32_t model) {
  switch (where) {
    case BitFlipDescription::WEIGHTS:
      return std::make_unique<WeightFlips>(rate, low_bit, high_bit, model);
    case BitFlipDescription::ACTIVATIONS:
      return std::make_unique<ActivationFlips>(rate, low_bit, high_bit, model);
    case BitFlipDescription::PRODUCTS:
      return std::make_unique<ProductFlips>(rate, low_bit, high_bit, model);
    case BitFlipDescription::ACCUMULATORS:
      return std::make_unique<AccumulatorFlips>(rate, low_bit, high_bit, model);
    case BitFlipDescription::OUTPUTS:
      break;
  }
  return std::make_unique<OutputFlips>(rate, low_bit, high_bit, model);
}

}  // namespace inure
