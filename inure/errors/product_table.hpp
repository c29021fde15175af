#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace inure {

// The timing errors of one multiplier, whole: what its 8x8 product register captures wrong, for
// every change of operands (a_previous, b_previous) -> (a, b) and several clock periods. a is the
// activation, b the weight. Right products are not stored.
//
// The exceptions are sorted by pair of weights, b_previous * 256 + b, then by pair of activations,
// a_previous * 256 + a (both as bytes, two's complement).
//
// The file, little-endian:
//   8 bytes    "INUREPT\n"
//   u32        version, 1
//   u32        activations: 128 (0 to 127, as after a ReLU) or 256
//   u32        longest_ps
//   u32        critical_ps
//   u32        number of clock periods
//   u32        length of made_by, then its text
//   8192 bytes bit i % 8 of byte i / 8: the weight pair i was enumerated
//   for each clock period:
//     u32      period_ps
//     u32      0
//     u64      number of exceptions
//     u32[65536] how many each weight pair has
//     then for each exception: u16 operands, u16 delta (as below)
//   u64        product_table_checksum of everything before
struct ProductTable {
  static constexpr int kPairs = 65536;

  struct Exception {
    std::uint16_t operands = 0;  // a_previous * 256 + a
    std::uint16_t delta = 0;     // captured - right product, modulo 2^16
    bool operator==(const Exception&) const = default;
  };

  struct Clock {
    int period_ps = 0;
    std::vector<Exception> exceptions;
    std::vector<std::uint64_t> first;  // by weight pair, and one more: where its exceptions begin
    bool operator==(const Clock&) const = default;
  };

  std::string made_by;  // the design, the tools, the multiplier: for people
  bool negative_activations = true;
  int longest_ps = 0;            // the longest path into the product's register
  int critical_ps = 0;           // the longest of the whole design, which sets f_STA
  std::vector<bool> enumerated;  // by weight pair
  std::vector<Clock> clocks;

  static int pair(int first, int second) {
    return static_cast<std::uint8_t>(first) << 8 | static_cast<std::uint8_t>(second);
  }
  int activations() const { return negative_activations ? 256 : 128; }

  bool has(int b_previous, int b) const {
    return enumerated[static_cast<std::size_t>(pair(b_previous, b))];
  }
  // Of a weight pair that was enumerated; none of another.
  std::span<const Exception> exceptions(int clock, int b_previous, int b) const;

  // What to add to a product that was captured at this clock: the captured 16 bits, as a signed
  // number, less the right product. Throws Error for operands that were not enumerated.
  int delta(int clock, int a_previous, int b_previous, int a, int b) const;
  static int signed_delta(Exception exception, int b);

  // Wrong products among all that were enumerated.
  double rate(int clock) const;
};

// Eight bytes a step, the last ones padded with zeros: guards against damage, not against attacks.
std::uint64_t product_table_checksum(std::string_view text);

// Throws Error where the file is missing, is none, is of another version or is damaged.
ProductTable read_product_table(const std::filesystem::path& path);
void write_product_table(const std::filesystem::path& path, const ProductTable& table);

}  // namespace inure
