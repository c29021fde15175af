#include "inure/errors/product_table.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "tests/common.hpp"

namespace inure {
namespace {

// Two weight pairs, (0, -3) and (5, 7), at one clock.
ProductTable small_table() {
  ProductTable table;
  table.made_by = "by hand";
  table.longest_ps = 9000;
  table.critical_ps = 9500;
  table.enumerated.resize(ProductTable::kPairs);
  const int first = ProductTable::pair(0, -3), second = ProductTable::pair(5, 7);
  table.enumerated[static_cast<std::size_t>(first)] = true;
  table.enumerated[static_cast<std::size_t>(second)] = true;
  ProductTable::Clock clock{8800, {}, std::vector<std::uint64_t>(ProductTable::kPairs + 1)};
  const auto operands = [](int a_previous, int a) {
    return static_cast<std::uint16_t>(ProductTable::pair(a_previous, a));
  };
  // (1, 100): -300 captured as 32767 - 300 + 1: the sign bit is late. (-1, -128): 384 + 512.
  clock.exceptions = {{operands(1, 100), 0x8000}, {operands(-1, -128), 512}, {operands(3, 4), 1}};
  for (int pair = first + 1; pair <= ProductTable::kPairs; ++pair) {
    clock.first[static_cast<std::size_t>(pair)] = pair <= second ? 2 : 3;
  }
  table.clocks.push_back(clock);
  return table;
}

class ProductTableFile : public testing::Test {
 protected:
  const TemporaryFolder folder_;
};

TEST_F(ProductTableFile, HoldsWhatWasWritten) {
  const ProductTable table = small_table();
  write_product_table(folder_ / "t", table);
  const ProductTable read = read_product_table(folder_ / "t");
  EXPECT_EQ(read.made_by, table.made_by);
  EXPECT_EQ(read.negative_activations, table.negative_activations);
  EXPECT_EQ(read.longest_ps, 9000);
  EXPECT_EQ(read.critical_ps, 9500);
  EXPECT_EQ(read.enumerated, table.enumerated);
  EXPECT_EQ(read.clocks, table.clocks);
}

TEST(ProductTable, DeltaIsThatOfTheSignedCapturedProduct) {
  const ProductTable table = small_table();
  EXPECT_EQ(table.delta(0, 1, 0, 100, -3), 32768);
  EXPECT_EQ(table.delta(0, -1, 0, -128, -3), 512);
  EXPECT_EQ(table.delta(0, -1, 0, -127, -3), 0);
  EXPECT_EQ(table.delta(0, 3, 5, 4, 7), 1);
  EXPECT_EQ(table.delta(0, 1, 5, 100, 7), 0);
  EXPECT_EQ(table.exceptions(0, 0, -3).size(), 2u);
  EXPECT_EQ(table.exceptions(0, 0, -4).size(), 0u);
  EXPECT_DOUBLE_EQ(table.rate(0), 3.0 / (2 * 65536));
  EXPECT_THROW(table.delta(0, 1, 1, 1, 1), Error);
  // A wrap the other way: 127 * -128 = -16256 with the sign bit missing.
  const auto operands = static_cast<std::uint16_t>(ProductTable::pair(0, 127));
  EXPECT_EQ(ProductTable::signed_delta({operands, 0x8000}, -128), 32768);
  EXPECT_EQ(ProductTable::signed_delta({operands, 0x8000}, 127), -32768);
}

TEST_F(ProductTableFile, RefusesDamage) {
  const auto path = folder_ / "t";
  write_product_table(path, small_table());
  const std::string whole = read_file(path);
  for (const std::size_t size : {std::size_t{0}, std::size_t{9}, std::size_t{40}, std::size_t{9000},
                                 whole.size() - 8, whole.size() - 1}) {
    write_file_atomically(path, whole.substr(0, size));
    EXPECT_NE(error_of([&] { read_product_table(path); }), "") << size;
  }
  for (const std::size_t at : {std::size_t{17}, std::size_t{3000}, whole.size() - 20}) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 4);
    write_file_atomically(path, flipped);
    EXPECT_EQ(error_of([&] { read_product_table(path); }),
              path.string() + ": a damaged product table: its checksum is wrong; make it anew");
  }
  std::string newer = whole;
  newer[8] = 2;
  write_file_atomically(path, newer);
  EXPECT_EQ(error_of([&] { read_product_table(path); }),
            path.string() + ": a product table of version 2; expected 1");
  write_file_atomically(path, "text");
  EXPECT_EQ(error_of([&] { read_product_table(path); }), path.string() + ": not a product table");
}

// The text with a right checksum at its end in place of the one that it has.
std::string sealed(std::string text) {
  text.resize(text.size() - sizeof(std::uint64_t));
  const std::uint64_t sum = product_table_checksum(text);
  return text.append(reinterpret_cast<const char*>(&sum), sizeof sum);
}

void put32(std::string& text, std::size_t at, std::uint32_t value) {
  std::memcpy(text.data() + at, &value, sizeof value);
}

// A file's own numbers say how much it takes: none is believed beyond the file's length, however
// right the checksum.
TEST_F(ProductTableFile, BelievesNoNumberBeyondItsLength) {
  const auto path = folder_ / "t";
  write_product_table(path, small_table());
  const std::string whole = read_file(path);
  const auto error = [&](const std::string& text) {
    write_file_atomically(path, sealed(text));
    return error_of([&] { read_product_table(path); });
  };
  EXPECT_EQ(error(whole), "");
  std::string header = whole.substr(0, 32) + std::string(8, '\0');  // 40 bytes with the checksum
  put32(header, 28, 0xFFFFFFF0u);                                   // length of made_by
  EXPECT_NE(error(header).find("it "), std::string::npos);

  const std::size_t clock = 32 + std::string("by hand").size() + 8192;
  const std::size_t numbers[] = {12, 16, 20, 24, 28, clock, clock + 8, clock + 12, clock + 16};
  for (const std::size_t at : numbers) {
    for (const std::uint32_t value :
         {0u, 1u, 127u, 0xFFFFu, 0x10001u, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFFFu}) {
      std::string changed = whole;
      put32(changed, at, value);
      const std::string message = error(changed);
      EXPECT_EQ(message.find('\n'), std::string::npos) << message;
      if (at == 24) {  // one clock is there
        EXPECT_EQ(message == "", value == 1) << value;
      }
      if (at == 28) {
        EXPECT_NE(message, "") << value;
      }
    }
  }
}

// The simulator takes operands as indices and searches the exceptions.
TEST_F(ProductTableFile, RefusesExceptionsThatCannotBe) {
  const auto path = folder_ / "t";
  const auto error = [&](const ProductTable& table) {
    write_product_table(path, table);
    return error_of([&] { read_product_table(path); });
  };
  ProductTable table = small_table();
  std::swap(table.clocks[0].exceptions[0], table.clocks[0].exceptions[1]);
  EXPECT_NE(error(table).find("not in order"), std::string::npos);
  table = small_table();
  table.clocks[0].exceptions[1] = table.clocks[0].exceptions[0];
  EXPECT_NE(error(table).find("not in order"), std::string::npos);
  table = small_table();
  table.negative_activations = false;
  EXPECT_NE(error(table).find("a negative activation"), std::string::npos);
  table = small_table();
  table.clocks[0].exceptions[2].delta = 0;
  EXPECT_NE(error(table).find("an exception is none"), std::string::npos);
  table = small_table();
  table.enumerated[static_cast<std::size_t>(ProductTable::pair(5, 7))] = false;
  EXPECT_NE(error(table).find("were not enumerated"), std::string::npos);
}

}  // namespace
}  // namespace inure
