#include "inure/errors/sites.hpp"

#include <bit>
#include <cmath>

#include "inure/base/random.hpp"

#pragma GCC diagnostic ignored "-Wpsabi"  // vectors never cross a function that is not inlined

namespace inure {
namespace {

// The few operations that a scalar and a vector of eight spell differently.
using Double8 = double __attribute__((vector_size(64)));
using Word8 = std::uint64_t __attribute__((vector_size(64)));

#define INURE_INLINE [[gnu::always_inline]] inline

INURE_INLINE double to_double(std::uint64_t v) { return static_cast<double>(v); }
INURE_INLINE std::uint64_t bits_of(double v) { return std::bit_cast<std::uint64_t>(v); }
INURE_INLINE double double_of(std::uint64_t v) { return std::bit_cast<double>(v); }
INURE_INLINE Double8 to_double(Word8 v) { return __builtin_convertvector(v, Double8); }
INURE_INLINE Word8 bits_of(Double8 v) { return reinterpret_cast<Word8>(v); }
INURE_INLINE Double8 double_of(Word8 v) { return reinterpret_cast<Double8>(v); }

// ln((word + 0.5) / 2^32) for a 32-bit word: exponent and mantissa in [0.7, 1.4), then the series
// of 2 artanh((m - 1) / (m + 1)), whose first term left out is below 1e-13.
template <typename Double, typename Word>
INURE_INLINE Double log_uniform(Word word) {
  const Double u = to_double(word) + 0.5;  // in [0.5, 2^32)
  const Word bits = bits_of(u);
  // 0x3FE6A09E667F3BCD is sqrt(1/2); counting exponents from half of it keeps them positive.
  const Word exponent = (bits - 0x3FD6A09E667F3BCDull) >> 52;  // one too large
  const Double m = double_of(bits - (exponent << 52) + (1ull << 52));
  const Double f = (m - 1.0) / (m + 1.0);
  const Double g = f * f;
  Double series = g * (1.0 / 15) + 1.0 / 13;
  series = series * g + 1.0 / 11;
  series = series * g + 1.0 / 9;
  series = series * g + 1.0 / 7;
  series = series * g + 1.0 / 5;
  series = series * g + 1.0 / 3;
  series = series * g + 1.0;
  return (to_double(exponent) - 33.0) * 0.69314718055994530942 + 2.0 * f * series;
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

constexpr int kBatch = 32;  // gaps drawn at a time by the vector code: eight Philox blocks

// gaps[word][block]: the caller reads them as block-major.
[[gnu::target("avx512f,avx512dq")]] void draw_gaps(const Stream& stream, std::uint32_t first_block,
                                                   double per_log, double (&gaps)[4][8]) {
  const Word8 index = {0, 1, 2, 3, 4, 5, 6, 7};
  Word8 c0 = (index + first_block) & 0xFFFFFFFFull;
  Word8 c1 = Word8{} + stream.row, c2 = Word8{} + stream.image, c3 = Word8{};
  std::uint32_t k0 = stream.key[0], k1 = stream.key[1];
  for (int round = 0; round < 10; ++round) {
    const Word8 p0 = c0 * 0xD2511F53ull, p1 = c2 * 0xCD9E8D57ull;
    c0 = (p1 >> 32) ^ c1 ^ k0;
    c1 = p1 & 0xFFFFFFFFull;
    c2 = (p0 >> 32) ^ c3 ^ k1;
    c3 = p0 & 0xFFFFFFFFull;
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  const Word8 words[4] = {c0, c1, c2, c3};
  for (int w = 0; w < 4; ++w) {
    const Double8 gap = log_uniform<Double8, Word8>(words[w]) * per_log;
    __builtin_memcpy(gaps[w], &gap, sizeof gap);
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
    const double gap = log_uniform<double, std::uint64_t>(block[k % 4]) * per_log_;
    if (gap >= kNoGap) return;
    site += 1 + static_cast<std::int64_t>(gap);
    if (site >= count) return;
    hits.push_back(site);
  }
}

void SiteSampler::sample(const ErrorKey& key, std::uint32_t row, std::int64_t count,
                         std::vector<std::int64_t>& hits) const {
  if (!__builtin_cpu_supports("avx512dq")) return sample_plain(key, row, count, hits);
  hits.clear();
  if (rate_ <= 0) return;
  const Stream stream = stream_of(key, model_, row);
  std::int64_t site = -1;
  for (std::uint32_t block = 0;; block += kBatch / 4) {
    double gaps[4][8];
    draw_gaps(stream, block, per_log_, gaps);
    for (int k = 0; k < kBatch; ++k) {
      const double gap = gaps[k % 4][k / 4];
      if (gap >= kNoGap) return;
      site += 1 + static_cast<std::int64_t>(gap);
      if (site >= count) return;
      hits.push_back(site);
    }
  }
}

}  // namespace inure
