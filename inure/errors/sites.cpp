#include "inure/errors/sites.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "inure/base/clones.hpp"
#include "inure/base/random.hpp"
#include "inure/errors/philox_batch.hpp"

namespace inure {
namespace {

// ln((k + 0.5) / 2^24) for the upper 24 bits k of a word: exponent and mantissa in [0.7, 1.4), then
// the series of 2 artanh((m - 1) / (m + 1)), whose first term left out is below 1e-9.
[[gnu::always_inline]] inline float log_uniform(std::uint32_t word) {
  const float u = static_cast<float>(static_cast<std::int32_t>(word >> 8)) + 0.5f;  // [0.5, 2^24]
  const auto bits = std::bit_cast<std::int32_t>(u);
  // 0x3F3504F3 is sqrt(1/2); counting exponents from half of it keeps them positive.
  const std::int32_t exponent = (bits - 0x3EB504F3) >> 23;  // one too large
  const auto m = std::bit_cast<float>(bits - (exponent << 23) + (1 << 23));
  const float f = (m - 1.0f) / (m + 1.0f);
  const float g = f * f;
  float series = g * (1.0f / 9) + 1.0f / 7;
  series = series * g + 1.0f / 5;
  series = series * g + 1.0f / 3;
  series = series * g + 1.0f;
  return static_cast<float>(exponent - 25) * 0.693147181f + 2.0f * f * series;
}

// A gap that no site count reaches, yet which adds to one without overflow.
constexpr float kLongestGap = 4.0e18f;

[[gnu::always_inline]] inline float gap_of(std::uint32_t word, float per_log) {
  return std::min(log_uniform(word) * per_log, kLongestGap);
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

Stream stream_of(const ErrorKey& key, std::uint32_t model, std::uint32_t row) {
  return {pass_key(key, model), row, key.image};
}

constexpr int kBlocks = 16, kBatch = kSiteWords;  // words drawn at a time

// kBlocks counters side by side: word k of the batch is word k / kBlocks of block k % kBlocks.
[[gnu::always_inline]] inline void draw_blocks(const Stream& stream, std::uint32_t first_block,
                                               std::uint64_t (&words)[4][kBlocks]) {
  for (int i = 0; i < kBlocks; ++i) {
    words[0][i] = first_block + static_cast<std::uint32_t>(i);
    words[1][i] = stream.row, words[2][i] = stream.image, words[3][i] = 0;
  }
  philox_batch(stream.key, words);
}

INURE_CLONES
void draw_words(const Stream& stream, std::uint32_t first_block, std::uint32_t (&drawn)[kBatch]) {
  std::uint64_t words[4][kBlocks];
  draw_blocks(stream, first_block, words);
  for (int w = 0; w < 4; ++w) {
    for (int i = 0; i < kBlocks; ++i) {
      drawn[w * kBlocks + i] = static_cast<std::uint32_t>(words[w][i]);
    }
  }
}

INURE_CLONES
void draw_gaps(const Stream& stream, std::uint32_t first_block, float per_log,
               float (&gaps)[kBatch]) {
  std::uint64_t words[4][kBlocks];
  draw_blocks(stream, first_block, words);
  for (int w = 0; w < 4; ++w) {
    for (int i = 0; i < kBlocks; ++i) {
      gaps[w * kBlocks + i] = gap_of(static_cast<std::uint32_t>(words[w][i]), per_log);
    }
  }
}

std::uint32_t block_of(std::uint32_t k) { return k / kBatch * kBlocks + k % kBlocks; }

std::uint32_t word_of(const Stream& stream, std::uint32_t k) {
  return philox({block_of(k), stream.row, stream.image, 0}, stream.key)[k % kBatch / kBlocks];
}

// `count` words, each of a block of its own.
INURE_CLONES
void draw_apart(const Stream& stream, std::uint32_t* drawn, std::size_t count) {
  std::uint64_t words[4][kBlocks] = {};
  for (std::size_t i = 0; i < count; ++i) words[0][i] = block_of(drawn[i]);
  for (int i = 0; i < kBlocks; ++i) words[1][i] = stream.row, words[2][i] = stream.image;
  philox_batch(stream.key, words);
  for (std::size_t i = 0; i < count; ++i) {
    drawn[i] = static_cast<std::uint32_t>(words[drawn[i] % kBatch / kBlocks][i]);
  }
}

}  // namespace

PhiloxKey pass_key(const ErrorKey& key, std::uint32_t model) {
  const auto purpose = static_cast<std::uint32_t>(RandomPurpose::kErrors) + model * 2 +
                       static_cast<std::uint32_t>(key.training);
  const PhiloxBlock block = philox({purpose, key.stage, static_cast<std::uint32_t>(key.iteration),
                                    static_cast<std::uint32_t>(key.iteration >> 32)},
                                   philox_key(key.seed));
  return {block[0], block[1]};
}

std::uint32_t site_word(const ErrorKey& key, std::uint32_t model, std::uint32_t row,
                        std::uint32_t k) {
  return word_of(stream_of(key, model, row), k);
}

void site_words(const ErrorKey& key, std::uint32_t model, std::uint32_t row, std::uint32_t first,
                std::span<std::uint32_t> words) {
  const Stream stream = stream_of(key, model, row);
  for (std::size_t done = 0; done < words.size(); done += kBatch) {
    std::uint32_t drawn[kBatch];
    draw_words(stream, (first + static_cast<std::uint32_t>(done)) / kBatch * kBlocks, drawn);
    std::copy_n(drawn, std::min<std::size_t>(kBatch, words.size() - done), words.data() + done);
  }
}

void site_words(const ErrorKey& key, std::uint32_t model, std::uint32_t row,
                std::span<std::uint32_t> words) {
  const Stream stream = stream_of(key, model, row);
  for (std::size_t done = 0; done < words.size(); done += kBlocks) {
    draw_apart(stream, &words[done], std::min<std::size_t>(kBlocks, words.size() - done));
  }
}

SiteSampler::SiteSampler(double rate, std::uint32_t model)
    : rate_(rate),
      per_log_(rate < 1 ? static_cast<float>(1.0 / log_complement(rate)) : 0),
      model_(model) {}

std::vector<std::int64_t> SiteSampler::sample_plain(const ErrorKey& key, std::uint32_t row,
                                                    std::int64_t count) const {
  std::vector<std::int64_t> hits;
  if (rate_ <= 0) return hits;
  const Stream stream = stream_of(key, model_, row);
  std::int64_t site = -1;
  for (std::uint32_t k = 0;; ++k) {
    site += 1 + static_cast<std::int64_t>(gap_of(word_of(stream, k), per_log_));
    if (site >= count) return hits;
    hits.push_back(site);
  }
}

std::span<const std::int64_t> SiteSampler::sample(const ErrorKey& key, std::uint32_t row,
                                                  std::int64_t count,
                                                  std::vector<std::int64_t>& buffer) const {
  if (rate_ <= 0) return {};
  const Stream stream = stream_of(key, model_, row);
  std::int64_t site = -1;
  float gaps[kBatch];
  std::size_t used = 0;
  for (std::uint32_t block = 0;; block += kBlocks) {
    draw_gaps(stream, block, per_log_, gaps);
    if (buffer.size() < used + kBatch) buffer.resize(2 * used + kBatch);
    for (int k = 0; k < kBatch; ++k, ++used) {
      site += 1 + static_cast<std::int64_t>(gaps[k]);
      if (site >= count) return {buffer.data(), used};
      buffer[used] = site;
    }
  }
}

}  // namespace inure
