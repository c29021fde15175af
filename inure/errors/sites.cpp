#include "inure/errors/sites.hpp"

#include <bit>
#include <cmath>

#include "inure/base/clones.hpp"
#include "inure/base/random.hpp"

namespace inure {
namespace {

// ln((word + 0.5) / 2^32) for a 32-bit word: exponent and mantissa in [0.7, 1.4), then the series
// of 2 artanh((m - 1) / (m + 1)), whose first term left out is below 1e-13.
[[gnu::always_inline]] inline double log_uniform(std::uint32_t word) {
  const double u = static_cast<double>(word) + 0.5;  // in [0.5, 2^32)
  const auto bits = std::bit_cast<std::uint64_t>(u);
  // 0x3FE6A09E667F3BCD is sqrt(1/2); counting exponents from half of it keeps them positive.
  const std::uint64_t exponent = (bits - 0x3FD6A09E667F3BCDull) >> 52;  // one too large
  const auto m = std::bit_cast<double>(bits - (exponent << 52) + (1ull << 52));
  const double f = (m - 1.0) / (m + 1.0);
  const double g = f * f;
  double series = g * (1.0 / 15) + 1.0 / 13;
  series = series * g + 1.0 / 11;
  series = series * g + 1.0 / 9;
  series = series * g + 1.0 / 7;
  series = series * g + 1.0 / 5;
  series = series * g + 1.0 / 3;
  series = series * g + 1.0;
  return (static_cast<double>(static_cast<std::int32_t>(exponent)) - 33.0) *
             0.69314718055994530942 +
         2.0 * f * series;
}

// ln(1 - rate), precise for small rates too.
double log_complement(double rate) {
  const double f = rate / (2.0 - rate);
  double sum = 0, power = f;
  for (int k = 1; k < 2000 && power > sum * 1e-18; k += 2, power *= f * f) sum += power / k;
  return -2.0 * sum;
}

struct Stream {
  PhiloxKey key;
  std::uint32_t row, image;
};

// Pass, stage and model make a key of their own; row and image then count.
Stream stream_of(const ErrorKey& key, std::uint32_t model, std::uint32_t row) {
  const auto purpose = static_cast<std::uint32_t>(RandomPurpose::kErrors) + model * 2 +
                       static_cast<std::uint32_t>(key.training);
  const PhiloxBlock block = philox({purpose, key.stage, static_cast<std::uint32_t>(key.iteration),
                                    static_cast<std::uint32_t>(key.iteration >> 32)},
                                   philox_key(key.seed));
  return {{block[0], block[1]}, row, key.image};
}

constexpr int kBlocks = 16, kBatch = kBlocks * 4;  // gaps drawn at a time

// Philox and the logarithm on kBlocks counters side by side; gaps[word][block].
INURE_CLONES
void draw_gaps(const Stream& stream, std::uint32_t first_block, double per_log,
               double (&gaps)[4][kBlocks]) {
  std::uint32_t c[4][kBlocks];
  for (int i = 0; i < kBlocks; ++i) {
    c[0][i] = first_block + static_cast<std::uint32_t>(i);
    c[1][i] = stream.row, c[2][i] = stream.image, c[3][i] = 0;
  }
  std::uint32_t k0 = stream.key[0], k1 = stream.key[1];
  for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9, k1 += 0xBB67AE85) {
    for (int i = 0; i < kBlocks; ++i) {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53} * c[0][i];
      const std::uint64_t p1 = std::uint64_t{0xCD9E8D57} * c[2][i];
      c[0][i] = static_cast<std::uint32_t>(p1 >> 32) ^ c[1][i] ^ k0;
      c[1][i] = static_cast<std::uint32_t>(p1);
      c[2][i] = static_cast<std::uint32_t>(p0 >> 32) ^ c[3][i] ^ k1;
      c[3][i] = static_cast<std::uint32_t>(p0);
    }
  }
  for (int w = 0; w < 4; ++w) {
    for (int i = 0; i < kBlocks; ++i) gaps[w][i] = log_uniform(c[w][i]) * per_log;
  }
}

constexpr double kNoGap = 9.0e18;

}  // namespace

SiteSampler::SiteSampler(double rate, std::uint32_t model)
    : rate_(rate), per_log_(rate < 1 ? 1.0 / log_complement(rate) : 0), model_(model) {}

void SiteSampler::sample_plain(const ErrorKey& key, std::uint32_t row, std::int64_t count,
                               std::vector<std::int64_t>& hits) const {
  hits.clear();
  if (rate_ <= 0) return;
  const Stream stream = stream_of(key, model_, row);
  std::int64_t site = -1;
  for (std::uint32_t k = 0;; ++k) {
    const PhiloxBlock block = philox({k / 4, stream.row, stream.image, 0}, stream.key);
    const double gap = log_uniform(block[k % 4]) * per_log_;
    if (gap >= kNoGap) return;
    site += 1 + static_cast<std::int64_t>(gap);
    if (site >= count) return;
    hits.push_back(site);
  }
}

void SiteSampler::sample(const ErrorKey& key, std::uint32_t row, std::int64_t count,
                         std::vector<std::int64_t>& hits) const {
  hits.clear();
  if (rate_ <= 0) return;
  const Stream stream = stream_of(key, model_, row);
  std::int64_t site = -1;
  for (std::uint32_t block = 0;; block += kBlocks) {
    double gaps[4][kBlocks];
    draw_gaps(stream, block, per_log_, gaps);
    const std::size_t before = hits.size();
    hits.resize(before + kBatch);
    std::int64_t* next = hits.data() + before;
    for (int k = 0; k < kBatch; ++k) {
      const double gap = gaps[k % 4][k / 4];
      if (gap < kNoGap) site += 1 + static_cast<std::int64_t>(gap);
      if (gap >= kNoGap || site >= count) {
        hits.resize(before + k);
        return;
      }
      *next++ = site;
    }
  }
}

}  // namespace inure
