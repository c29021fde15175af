#include "inure/base/memory_limit.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "tests/common.hpp"

namespace inure {
namespace {

TEST(MemoryLimit, RefusesMoreThanThereIsWithTheNameAndTheSizes) {
  const auto who = [] { return std::string("layer \"wide\""); };
  EXPECT_EQ(error_of([&] { check_memory(1 << 20, who); }), "");
  const std::string message = error_of([&] { check_memory(std::uint64_t{1} << 60, who); });
  EXPECT_EQ(message.find("layer \"wide\": needs 1.15e+09 GB of memory; "), 0u) << message;
  EXPECT_NE(message.find(" GB are free"), std::string::npos) << message;
  EXPECT_GT(available_memory(), std::uint64_t{16} << 20);
}

TEST(MemoryLimit, CountsBytesWithoutOverflow) {
  using Shape = std::vector<std::int64_t>;
  EXPECT_EQ(float_bytes(Shape{}), 4u);
  EXPECT_EQ(float_bytes(Shape{2, 3, 5}), 120u);
  EXPECT_EQ(float_bytes(Shape{1ll << 31, 1ll << 31, 1ll << 31}), UINT64_MAX);
}

}  // namespace
}  // namespace inure
