#include "inure/errors/vector_channels.hpp"

#include <algorithm>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

#include "inure/base/processor.hpp"

namespace inure {
namespace {

constexpr std::size_t kVector = 64;

// The channels at marked places; `found` has room for a vector more. Returns how many.
std::size_t find_plain(const std::uint8_t* before, const std::uint8_t* now,
                       std::span<const std::uint64_t> allowed, const std::uint8_t* marked,
                       std::uint32_t* found) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < allowed.size() * kVector; ++i) {
    const unsigned place = ExceptionSet::place(before[i], now[i]);
    found[count] = static_cast<std::uint32_t>(i);
    count += marked[place & 127] >> (place >> 7) & allowed[i / kVector] >> (i % kVector) & 1;
  }
  return count;
}

#if defined(__x86_64__) && defined(__GNUC__)
// The same, 64 channels at a time: the marks are a table in two registers.
[[gnu::target("avx512f,avx512bw,avx512vl,avx512vbmi")]] std::size_t find_vbmi(
    const std::uint8_t* before, const std::uint8_t* now, std::span<const std::uint64_t> allowed,
    const std::uint8_t* marked, std::uint32_t* found) {
  const __m512i low = _mm512_loadu_si512(marked), high = _mm512_loadu_si512(marked + 64);
  const __m512i bits = _mm512_set1_epi64(static_cast<long long>(0x8020080240100401u));
  const __m512i numbers = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  std::size_t count = 0;
  for (std::size_t i = 0; i < allowed.size(); ++i) {
    const __m512i b = _mm512_loadu_si512(before + i * kVector);
    const __m512i n = _mm512_loadu_si512(now + i * kVector);
    const __m512i bytes = _mm512_permutex2var_epi8(low, n, high);
    // Bits 0 and 1 from the upper two of `before`, bit 2 from the uppermost of `now`.
    const __m512i upper =
        _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(b, 6), _mm512_set1_epi8(3)),
                        _mm512_and_si512(_mm512_srli_epi16(n, 5), _mm512_set1_epi8(4)));
    const std::uint64_t mask =
        _mm512_test_epi8_mask(bytes, _mm512_shuffle_epi8(bits, upper)) & allowed[i];
    if (mask == 0) continue;
    for (unsigned part = 0; part < kVector; part += 16) {
      const auto of_part = static_cast<__mmask16>(mask >> part);
      const auto first = static_cast<int>(i * kVector + part);
      _mm512_storeu_si512(found + count,
                          _mm512_maskz_compress_epi32(
                              of_part, _mm512_add_epi32(numbers, _mm512_set1_epi32(first))));
      count += static_cast<std::size_t>(_mm_popcnt_u32(of_part));
    }
  }
  return count;
}
// The channels of a place that a mask has, 16 at a time.
[[gnu::target("avx512f,avx512bw,avx512vl,avx512bitalg")]] std::size_t find_errors_bitalg(
    std::span<const VectorChannels::Meet> meets, const std::uint32_t* ends,
    const std::uint32_t* counts, const std::uint32_t* channels, const std::uint8_t* before,
    std::uint32_t* sites, std::uint32_t* deltas) {
  std::size_t found = 0;
  for (const VectorChannels::Meet& meet : meets) {
    const __m128i mask = _mm_set1_epi64x(static_cast<long long>(meet.mask));
    const __m512i sums = _mm512_set1_epi32(static_cast<int>(meet.sums));
    const __m512i delta = _mm512_set1_epi32(static_cast<int>(meet.delta));
    const std::uint32_t end = ends[meet.place];
    for (std::uint32_t i = end - counts[meet.place]; i < end; i += 16) {
      const unsigned present = end - i < 16 ? (1u << (end - i)) - 1 : 0xffffu;
      const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(before + i));
      const auto hit = static_cast<__mmask16>(_mm_bitshuffle_epi64_mask(mask, bits) & present);
      const __m512i at = _mm512_add_epi32(sums, _mm512_loadu_si512(channels + i));
      _mm512_storeu_si512(sites + found, _mm512_maskz_compress_epi32(hit, at));
      _mm512_storeu_si512(deltas + found, delta);
      found += static_cast<std::size_t>(_mm_popcnt_u32(hit));
    }
  }
  return found;
}
const bool kHasBitalg = vector_kernels_allowed() && __builtin_cpu_supports("avx512bitalg");
const bool kHasVbmi = vector_kernels_allowed() && __builtin_cpu_supports("avx512vbmi");
#endif

std::size_t find_marked(const std::uint8_t* before, const std::uint8_t* now,
                        std::span<const std::uint64_t> allowed, const std::uint8_t* marked,
                        std::uint32_t* found) {
#if defined(__x86_64__) && defined(__GNUC__)
  if (kHasVbmi) return find_vbmi(before, now, allowed, marked, found);
#endif
  return find_plain(before, now, allowed, marked, found);
}

std::size_t find_errors(std::span<const VectorChannels::Meet> meets, const std::uint32_t* ends,
                        const std::uint32_t* counts, const std::uint32_t* channels,
                        const std::uint8_t* before, std::uint32_t* sites, std::uint32_t* deltas) {
#if defined(__x86_64__) && defined(__GNUC__)
  if (kHasBitalg) {
    return find_errors_bitalg(meets, ends, counts, channels, before, sites, deltas);
  }
#endif
  std::size_t found = 0;
  for (const VectorChannels::Meet& meet : meets) {
    const std::uint32_t end = ends[meet.place];
    for (std::uint32_t i = end - counts[meet.place]; i < end; ++i) {
      sites[found] = meet.sums + channels[i];
      deltas[found] = meet.delta;
      found += meet.mask >> before[i] & 1;
    }
  }
  return found;
}

}  // namespace

void VectorChannels::find(const std::uint8_t* before, const std::uint8_t* now,
                          std::span<const std::uint64_t> allowed) {
  found_.resize((allowed.size() + 1) * kVector);
  places_.resize(found_.size());
  channels_.resize(found_.size());
  before_.resize(found_.size());
  const std::size_t found = find_marked(before, now, allowed, marked_.data(), found_.data());
  for (std::size_t i = 0; i < distinct_; ++i) {
    count_[distinct_places_[i]] = 0;
    present_[distinct_places_[i]] = 0;
  }
  distinct_ = 0;
  for (std::size_t i = 0; i < found; ++i) {
    const std::uint32_t c = found_[i];
    const unsigned place = ExceptionSet::place(before[c], now[c]);
    places_[i] = static_cast<std::uint16_t>(place);
    distinct_places_[distinct_] = static_cast<std::uint16_t>(place);
    distinct_ += count_[place]++ == 0;
  }
  std::uint32_t sum = 0;
  largest_count_ = 0;
  for (std::size_t i = 0; i < distinct_; ++i) {
    const unsigned place = distinct_places_[i];
    present_[place] = 1;
    end_[place] = sum;
    sum += count_[place];
    largest_count_ = std::max(largest_count_, count_[place]);
  }
  for (std::size_t i = 0; i < found; ++i) {
    const std::uint32_t at = end_[places_[i]]++;
    channels_[at] = found_[i];
    before_[at] = before[found_[i]] & 63;
  }
}

std::size_t VectorChannels::find_present(std::span<const std::uint16_t> places,
                                         std::uint32_t* found) const {
  std::size_t count = 0;
#pragma GCC unroll 4
  for (std::size_t i = 0; i < places.size(); ++i) {
    found[count] = static_cast<std::uint32_t>(i);
    count += present_[places[i]];
  }
  return count;
}

void VectorChannels::add_errors(std::span<const Meet> meets, std::uint32_t* sums) {
  constexpr std::size_t kPart = 256;
  const std::size_t most = kPart * largest_count_ + kVector;
  if (sites_.size() < most) sites_.resize(most), deltas_.resize(most);
  for (std::size_t first = 0; first < meets.size(); first += kPart) {
    const auto part = meets.subspan(first, std::min(kPart, meets.size() - first));
    const std::size_t found = find_errors(part, end_.data(), count_.data(), channels_.data(),
                                          before_.data(), sites_.data(), deltas_.data());
    for (std::size_t i = 0; i < found; ++i) sums[sites_[i]] += deltas_[i];
  }
}

}  // namespace inure
