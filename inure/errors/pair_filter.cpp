#include "inure/errors/pair_filter.hpp"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
// GCC 12 takes the intrinsics' own undefined vectors for mistakes (bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace inure {

std::uint32_t filter_pairs_plain(const std::uint16_t* keys, const std::uint16_t* deltas,
                                 std::uint32_t count, const std::uint32_t* bits,
                                 std::uint32_t* kept) {
  std::uint32_t n = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    kept[n] = keys[i] | std::uint32_t{deltas[i]} << 16;
    n += bits[keys[i] >> 5] >> (keys[i] & 31) & 1;
  }
  return n;
}

#if defined(__x86_64__) && defined(__GNUC__)
namespace {

[[gnu::target("avx512f,avx512bw,avx512vl,popcnt")]] std::uint32_t filter_avx512(
    const std::uint16_t* keys, const std::uint16_t* deltas, std::uint32_t count,
    const std::uint32_t* bits, std::uint32_t* kept) {
  std::uint32_t n = 0;
  for (std::uint32_t i = 0; i < count; i += 16) {
    const auto left = static_cast<__mmask16>(count - i >= 16 ? 0xFFFF : (1u << (count - i)) - 1);
    const __m512i key = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(left, keys + i));
    const __m512i delta = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(left, deltas + i));
    const __m512i words = _mm512_i32gather_epi32(_mm512_srli_epi32(key, 5), bits, 4);
    const __m512i bit =
        _mm512_sllv_epi32(_mm512_set1_epi32(1), _mm512_and_si512(key, _mm512_set1_epi32(31)));
    const __mmask16 hit = _mm512_mask_test_epi32_mask(left, words, bit);
    const __m512i both = _mm512_or_si512(key, _mm512_slli_epi32(delta, 16));
    _mm512_storeu_si512(kept + n, _mm512_maskz_compress_epi32(hit, both));
    n += static_cast<std::uint32_t>(__builtin_popcount(hit));
  }
  return n;
}

const bool kHasAvx512 = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");

}  // namespace
#endif

std::uint32_t filter_pairs(const std::uint16_t* keys, const std::uint16_t* deltas,
                           std::uint32_t count, const std::uint32_t* bits, std::uint32_t* kept) {
#if defined(__x86_64__) && defined(__GNUC__)
  if (kHasAvx512 && count > 4) return filter_avx512(keys, deltas, count, bits, kept);
#endif
  return filter_pairs_plain(keys, deltas, count, bits, kept);
}

}  // namespace inure
