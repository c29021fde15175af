#include "inure/errors/product_logic.hpp"

#include <gtest/gtest.h>

#include <random>

#include "inure/base/error.hpp"
#include "tests/common.hpp"

namespace inure {
namespace {

constexpr int kFirstNode = 34;

// Some nodes on operands and on each other, and late bits that capture some of them, inputs or
// constants.
struct Case {
  ProductLogic logic;
  RegisterProfile product;

  explicit Case(std::uint32_t seed) : random_(seed) {
    const int nodes = below(60);
    for (int i = 0; i < nodes; ++i) {
      logic.mutable_truth()->push_back(static_cast<char>(below(256)));
      for (int k = 0; k < 3; ++k) {
        logic.add_back(static_cast<std::uint32_t>(1 + below(kFirstNode + i)));
      }
    }
    for (std::uint32_t bit = 0; bit < 16; ++bit) {
      if (below(3) == 0) continue;
      product.add_late_bit(bit);
      product.add_captured(static_cast<std::uint32_t>(below(kFirstNode + nodes)));
    }
  }

  // What is captured less the right product, modulo 2^16; one node after another.
  std::uint16_t delta(int a_before, int b_before, int a, int b) const {
    std::vector<bool> values = {false, true};
    for (const int operand : {a_before, b_before, a, b}) {
      for (int bit = 0; bit < 8; ++bit) values.push_back(operand >> bit & 1);
    }
    for (std::size_t i = 0; i < logic.truth().size(); ++i) {
      int row = 0;
      for (std::size_t k = 0; k < 3; ++k) {
        row |= values[values.size() - logic.back(static_cast<int>(3 * i + k))] << k;
      }
      values.push_back(logic.truth()[i] >> row & 1);
    }
    int captured = a * b;
    for (int i = 0; i < product.late_bit_size(); ++i) {
      const int bit = 1 << product.late_bit(i);
      captured = values[product.captured(i)] ? captured | bit : captured & ~bit;
    }
    return static_cast<std::uint16_t>(captured - a * b);
  }

 private:
  int below(int bound) { return static_cast<int>(random_() % static_cast<unsigned>(bound)); }
  std::mt19937 random_;
};

TEST(ProductLogic, ExceptionsAreThoseOfPlainEvaluation) {
  const RandomStream unused(0, RandomPurpose::kErrors, 0, 0);
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const Case c(seed);
    check_logic(c.logic, "a test");
    check_late_bits(c.logic, c.product, "a test");
    const bool negative = seed % 2;
    const LateBits late(c.logic, c.product, negative);
    const int b_before = static_cast<std::int8_t>(seed * 37),
              b = static_cast<std::int8_t>(seed * 91);
    LateBits::Weights weights(late, b_before);
    std::vector<ProductTable::Exception> found, expected;
    weights.draw(static_cast<std::int8_t>(b + 1), unused, found);  // leaves nothing behind
    found.clear();
    weights.draw(b, unused, found);
    for (int pair = 0; pair < ProductTable::kPairs; ++pair) {
      const int a_before = static_cast<std::int8_t>(pair >> 8), a = static_cast<std::int8_t>(pair);
      if (!negative && (a_before < 0 || a < 0)) continue;
      const std::uint16_t delta = c.delta(a_before, b_before, a, b);
      if (delta) expected.push_back({static_cast<std::uint16_t>(pair), delta});
    }
    EXPECT_EQ(found, expected);
  }
}

std::string refusal(const Case& c) {
  return error_of([&] {
    check_logic(c.logic, "x.profile");
    check_late_bits(c.logic, c.product, "x.profile, product 1");
  });
}

TEST(ProductLogic, RefusesWhatIsNoLogic) {
  Case c(3);
  ASSERT_EQ(refusal(c), "");
  ASSERT_GT(c.logic.truth().size(), 2u);
  Case wrong = c;
  wrong.logic.set_back(7, 0);
  EXPECT_EQ(refusal(wrong),
            "x.profile: node 36 of the product logic reads the one 0 before it; expected 1 to 36");
  wrong.logic.set_back(7, 37);
  EXPECT_EQ(refusal(wrong),
            "x.profile: node 36 of the product logic reads the one 37 before it; expected 1 to 36");
  wrong = c;
  wrong.logic.add_back(1);
  EXPECT_NE(refusal(wrong).find("expected three for each"), std::string::npos);
  wrong = c;
  wrong.product.add_captured(0);
  EXPECT_NE(refusal(wrong).find("expected as many"), std::string::npos);
  wrong = c;
  wrong.product.set_late_bit(1, wrong.product.late_bit(0));
  EXPECT_NE(refusal(wrong).find("expected ascending ones below 16"), std::string::npos);
  wrong = c;
  wrong.product.set_captured(0, kFirstNode + static_cast<std::uint32_t>(c.logic.truth().size()));
  EXPECT_NE(refusal(wrong).find("of the product logic; expected one below"), std::string::npos);
}

}  // namespace
}  // namespace inure
