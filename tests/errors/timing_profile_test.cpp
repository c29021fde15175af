#include "inure/errors/timing_profile.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <map>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "inure/base/parallel.hpp"
#include "inure/errors/product_logic.hpp"
#include "inure/errors/product_tree.hpp"
#include "inure/errors/sum_tree.hpp"
#include "tests/common.hpp"
#include "tests/errors/made_up_tree.hpp"

namespace inure {
namespace {

const auto kShipped = std::filesystem::path(__FILE__).parent_path() / "../../profiles";

void add_class(RegisterProfile& product, std::uint32_t id, double rate,
               const std::vector<std::pair<int, std::uint32_t>>& deltas) {
  ErrorClass& what = *product.add_error_class();
  what.set_id(id);
  what.set_rate(rate);
  for (const auto& [delta, count] : deltas) {
    what.add_delta(delta);
    what.add_count(count);
  }
}

// One multiplier of two with errors, which has four classes: 0 where a's bit 5 is 0; else 1 where b
// is not negative; else 2, and 3 where a was 0.
TimingProfile small_profile(bool negative_activations = true) {
  TimingProfile profile;
  profile.set_design("by hand");
  profile.set_corner("none");
  profile.set_netlist(0x123456789ABCDEF0u);
  profile.set_critical_ps(10000);
  profile.set_vec_size(2);
  profile.set_negative_activations(negative_activations);
  for (const int period : {9800, 9500}) {
    ClockProfile& clock = *profile.add_clock();
    clock.set_period_ps(static_cast<std::uint32_t>(period));
    clock.add_product();
    RegisterProfile& product = *clock.add_product();
    const double scale = period == 9800 ? 0.01 : 1;
    for (const std::uint32_t node : {1 + 21, 0, 1 + 31, 0, 1 + 48, 0, 0}) product.add_split(node);
    add_class(product, 3, 2e-2 * scale, {{-32768, 3}, {512, 1}});
    add_class(product, 1, 1e-3 * scale, {{-65535, 1}, {7, 99}});
  }
  return profile;
}

class TimingProfiles : public testing::Test {
 protected:
  // What is wrong with a file of the folder, its path less the folder's.
  std::string refusal(const std::function<void()>& action) {
    const std::string text = error_of(action), folder = folder_.path().string() + "/";
    return text.starts_with(folder) ? text.substr(folder.size()) : text;
  }

  // What reading a profile says that was changed like this.
  std::string error_after(const std::function<void(TimingProfile&)>& change) {
    TimingProfile profile = small_profile();
    change(profile);
    write_file_atomically(folder_ / "p", profile.SerializeAsString());
    const std::string message = refusal([&] { read_timing_profile(folder_ / "p"); });
    EXPECT_EQ(message, refusal([&] { write_timing_profile(folder_ / "p", profile); }));
    EXPECT_EQ(message.find('\n'), std::string::npos);
    return message;
  }

  const TemporaryFolder folder_;
};

TEST_F(TimingProfiles, AreReadAsTheyWereWritten) {
  const TimingProfile profile = small_profile();
  for (const char* name : {"p.txt", "p.profile"}) {
    write_timing_profile(folder_ / name, profile);
    EXPECT_EQ(read_timing_profile(folder_ / name).SerializeAsString(), profile.SerializeAsString());
  }
  EXPECT_NE(read_file(folder_ / "p.txt").find("design: \"by hand\""), std::string::npos);
}

TEST_F(TimingProfiles, AreRefusedWithTheReason) {
  write_file_atomically(folder_ / "text.txt", "design: 3\n");
  EXPECT_EQ(refusal([&] { read_timing_profile(folder_ / "text.txt"); }).substr(0, 13),
            "text.txt:1:9:");
  write_file_atomically(folder_ / "junk", "design: \"by hand\"\n");
  EXPECT_EQ(refusal([&] { read_timing_profile(folder_ / "junk"); }).substr(0, 28),
            "junk: not a timing profile, ");
  write_file_atomically(folder_ / "junk", "");
  EXPECT_EQ(refusal([&] { read_timing_profile(folder_ / "junk"); }).substr(0, 26),
            "junk: not a timing profile");
  EXPECT_EQ(
      error_after([](TimingProfile& p) { p.mutable_clock(0)->mutable_product(1)->clear_split(); }),
      "p: clock of 9800 ps, product 1: classes without a tree (split) that tells which they are: "
      "characterise the lane again");
  EXPECT_EQ(error_after([](TimingProfile& p) { p.mutable_clock(0)->add_product(); }),
            "p: clock of 9800 ps: products of 3 multipliers; expected 2, vec_size");
  EXPECT_EQ(error_after([](TimingProfile& p) { p.mutable_clock(1)->set_period_ps(9800); }),
            "p: clock of 9800 ps: it is there twice");
  EXPECT_EQ(error_after([](TimingProfile& p) { p.set_critical_ps(0); }),
            "p: critical_ps is 0; expected 1 to 1e8");
  const auto of_class = [&](const std::function<void(ErrorClass&)>& change) {
    return error_after([&](TimingProfile& p) {
      change(*p.mutable_clock(0)->mutable_product(1)->mutable_error_class(0));
    });
  };
  EXPECT_EQ(of_class([](ErrorClass& what) { what.set_id(4); }),
            "p: clock of 9800 ps, product 1, class 4: expected 0 to 3");
  EXPECT_EQ(of_class([](ErrorClass& what) { what.set_rate(1.5); }),
            "p: clock of 9800 ps, product 1, class 3: a rate of 1.5; expected 0 to 1");
  EXPECT_EQ(of_class([](ErrorClass& what) { what.set_rate(std::nan("")); }),
            "p: clock of 9800 ps, product 1, class 3: a rate of nan; expected 0 to 1");
  EXPECT_EQ(of_class([](ErrorClass& what) { what.add_delta(5); }),
            "p: clock of 9800 ps, product 1, class 3: 3 deltas and 2 counts; expected as many");
  EXPECT_EQ(of_class([](ErrorClass& what) { what.set_delta(0, 65536); }),
            "p: clock of 9800 ps, product 1, class 3: a delta of 65536; expected one that differs "
            "from 0, of 17 bits");
  EXPECT_EQ(of_class([](ErrorClass& what) {
              what.clear_delta();
              what.clear_count();
            }),
            "p: clock of 9800 ps, product 1, class 3: a rate of 0.0002 without deltas");
  EXPECT_EQ(
      error_after([](TimingProfile& p) { p.mutable_clock(0)->mutable_product(0)->add_split(5); }),
      "p: clock of 9800 ps, product 0: the tree of its classes is cut off after 1 nodes");
  EXPECT_EQ(error_after([](TimingProfile& p) {
              p.mutable_clock(0)->mutable_product(0)->add_split(0);
              add_class(*p.mutable_clock(0)->mutable_product(0), 1, 0.5, {{1, 1}});
            }),
            "p: clock of 9800 ps, product 0, class 1: expected 0 to 0");
  EXPECT_EQ(error_after([](TimingProfile& p) {
              p.mutable_clock(0)->mutable_accumulator()->add_split(0);
              add_class(*p.mutable_clock(0)->mutable_accumulator(), 1, 0.5, {{1 << 30, 1}});
            }),
            "p: clock of 9800 ps, accumulator, class 1: expected 0 to 0");
  EXPECT_EQ(error_after([](TimingProfile& p) {
              p.mutable_clock(0)->mutable_accumulator()->add_split(1 + SumTree::kTests);
            }),
            "p: clock of 9800 ps, accumulator: test 640 in the tree of its classes; expected one "
            "below 640");
  EXPECT_EQ(error_after([](TimingProfile& p) {
              add_class(*p.mutable_clock(0)->mutable_accumulator(), 15, 0.5, {{1, 1}});
            }),
            "p: clock of 9800 ps, accumulator: classes without a tree (split) that tells which "
            "they are: characterise the lane again");
}

TEST_F(TimingProfiles, FindTheirClocks) {
  const TimingProfile profile = small_profile();
  EXPECT_EQ(find_clock(profile, 9800), 0);
  EXPECT_EQ(find_clock(profile, 9509), 1);
  EXPECT_EQ(refusal([&] { find_clock(profile, 9511); }),
            "no clock of 9511 ps (1.0514 f_STA); choose one that it has, or measure this one "
            "(inure characterize --clocks): 9800 ps (1.0204 f_STA), 9500 ps (1.0526 f_STA)");
}

// Counts within six deviations of what the profile says, per class and per delta; every exception
// in a class that errs; the list in the order that ProductTable keeps.
TEST_F(TimingProfiles, ExpandToTheirRatesAndDeltas) {
  for (const bool negative : {true, false}) {
    const TimingProfile profile = small_profile(negative);
    const auto& split = profile.clock(1).product(1).split();
    const ProductTree tree(std::span(split.data(), static_cast<std::size_t>(split.size())), "");
    const ProductTable::Clock clock = expand_products(profile, 1, 1);
    EXPECT_EQ(clock.period_ps, 9500);
    ASSERT_EQ(clock.first.size(), std::size_t{ProductTable::kPairs} + 1);
    EXPECT_EQ(clock.first.front(), 0u);
    EXPECT_EQ(clock.first.back(), clock.exceptions.size());
    std::map<std::uint32_t, std::map<std::uint16_t, double>> seen;
    for (std::size_t pair = 0; pair < ProductTable::kPairs; ++pair) {
      for (std::uint64_t i = clock.first[pair]; i < clock.first[pair + 1]; ++i) {
        const ProductTable::Exception what = clock.exceptions[i];
        const auto high = [](auto word) { return static_cast<std::int8_t>(word >> 8); };
        const auto low = [](auto word) { return static_cast<std::int8_t>(word); };
        ASSERT_TRUE(negative || (high(what.operands) >= 0 && low(what.operands) >= 0));
        if (i > clock.first[pair]) {
          ASSERT_LT(clock.exceptions[i - 1].operands, what.operands);
        }
        const int of_class = tree.leaf(
            ProductTree::tests(high(what.operands), high(pair), low(what.operands), low(pair)));
        ++seen[static_cast<std::uint32_t>(of_class)][what.delta];
      }
    }
    const auto& classes = profile.clock(1).product(1).error_class();
    EXPECT_EQ(seen.size(), static_cast<std::size_t>(classes.size()));
    // Changes of operands in the two classes: by the values that a_before, b_before, a and b have.
    const double half = negative ? 128 : 64;
    const double sites[] = {1 * 256 * half * 128, 2 * half * 256 * half * 128};
    for (int k = 0; k < classes.size(); ++k) {
      double all = 0, counts = 0;
      for (const auto& [delta, count] : seen[classes[k].id()]) all += count;
      const double expected = sites[k] * classes[k].rate();
      EXPECT_NEAR(all, expected, 6 * std::sqrt(expected)) << "class " << classes[k].id();
      for (const auto count : classes[k].count()) counts += count;
      for (int i = 0; i < classes[k].delta_size(); ++i) {
        const double part = all * classes[k].count(i) / counts;
        EXPECT_NEAR(seen[classes[k].id()][static_cast<std::uint16_t>(classes[k].delta(i))], part,
                    6 * std::sqrt(part));
      }
    }
  }
}

TEST_F(TimingProfiles, ExpandTheSameOnAnyThreads) {
  const TimingProfile profile = small_profile();
  set_threads(1);
  const ProductTable::Clock alone = expand_products(profile, 0, 1);
  set_threads(3);
  EXPECT_EQ(expand_products(profile, 0, 1), alone);
  set_threads(0);
  TimingProfile other = profile;
  other.set_netlist(1);
  EXPECT_NE(expand_products(other, 0, 1).exceptions, alone.exceptions);
  EXPECT_TRUE(expand_products(profile, 0, 0).exceptions.empty());
}

// One leaf that always errs: a and b odd, a was 0, b was negative.
TEST_F(TimingProfiles, ExpandTheLeavesOfATree) {
  TimingProfile profile = small_profile();
  RegisterProfile& product = *profile.mutable_clock(0)->mutable_product(0);
  for (const std::uint32_t test : {16, 24, 48, 15}) {
    product.add_split(1 + test);
    product.add_split(0);
  }
  product.add_split(0);
  add_class(product, 4, 1, {{-77, 1}});
  const ProductTable::Clock clock = expand_products(profile, 0, 0);
  EXPECT_EQ(clock.period_ps, 9800);
  ASSERT_EQ(clock.exceptions.size(), 128u * 128 * 128);
  for (int b = 0; b < 256; ++b) {
    const auto first = clock.first[static_cast<std::size_t>(0x9100 + b)];
    ASSERT_EQ(clock.first[static_cast<std::size_t>(0x9100 + b) + 1] - first, b % 2 ? 128u : 0u);
    for (std::uint64_t i = 0; b % 2 && i < 128; ++i) {
      EXPECT_EQ(clock.exceptions[first + i],
                (ProductTable::Exception{static_cast<std::uint16_t>(2 * i + 1),
                                         static_cast<std::uint16_t>(-77)}));
    }
  }
}

// Weights before that err alike are evaluated once: every pair has the exceptions that it has when
// evaluated alone.
TEST_F(TimingProfiles, ExpandLogicAsPairByPair) {
  const TimingProfile profile = read_timing_profile(kShipped / "hx8k_p3_seed1.profile");
  const int multiplier = 2;
  const RegisterProfile& product = profile.clock(3).product(multiplier);
  ASSERT_GT(product.late_bit_size(), 0);
  const LateBits late(profile.product_logic(multiplier), product, profile.negative_activations());
  const ProductTable::Clock clock = expand_products(profile, 3, multiplier);
  const RandomStream unused(0, RandomPurpose::kErrors, 0, 0);
  std::size_t exceptions = 0;
  for (int b_before = -128; b_before < 128; ++b_before) {
    const auto b = static_cast<std::int8_t>(b_before * 77);
    std::vector<ProductTable::Exception> expected;
    LateBits::Weights(late, b_before).draw(b, unused, expected);
    const auto pair = static_cast<std::size_t>(ProductTable::pair(b_before, b));
    const auto begin = clock.exceptions.begin();
    const std::vector<ProductTable::Exception> found(
        begin + static_cast<std::ptrdiff_t>(clock.first[pair]),
        begin + static_cast<std::ptrdiff_t>(clock.first[pair + 1]));
    ASSERT_EQ(found, expected) << "weights " << b_before << ", " << int{b};
    exceptions += found.size();
  }
  EXPECT_GT(exceptions, 0u);
}

TEST_F(TimingProfiles, ExpandCertainErrorsAndRefuseTooMany) {
  TimingProfile profile = small_profile();
  RegisterProfile& product = *profile.mutable_clock(0)->mutable_product(1);
  product.Clear();
  // All operands 127: no bit of theirs is 0, but the highest.
  for (const int highest : {7, 15, 23, 31}) {
    for (int test = highest - 7; test < highest; ++test)
      add_test(product, test), add_leaf(product, 0);
  }
  for (const int highest : {7, 15, 23, 31}) add_test(product, highest);
  add_leaf(product, 1, {{5, 1}});
  for (int i = 0; i < 4; ++i) add_leaf(product, 0);
  const ProductTable::Clock clock = expand_products(profile, 0, 1);
  ASSERT_EQ(clock.exceptions.size(), 1u);
  EXPECT_EQ(clock.exceptions[0], (ProductTable::Exception{0x7F7F, 5}));
  EXPECT_EQ(clock.first[0x7F7F], 0u);
  EXPECT_EQ(clock.first[0x7F80], 1u);

  product.Clear();
  add_leaf(product, 1, {{5, 1}});
  EXPECT_EQ(refusal([&] { expand_products(profile, 0, 1, 1'000'000); }),
            "timing profile of by hand: multiplier 1 at 9800 ps has more than 1000000 wrong "
            "products; choose a longer clock period");
}

TEST_F(TimingProfiles, AreShipped) {
  int count = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(kShipped)) {
    if (file.path().extension() != ".profile") continue;
    const TimingProfile profile = read_timing_profile(file.path());
    EXPECT_GE(profile.clock_size(), 8) << file.path();
    EXPECT_EQ(find_clock(profile, profile.clock(3).period_ps()), 3) << file.path();
    const int last = profile.clock_size() - 1;
    std::size_t errors = 0;
    for (const RegisterProfile& product : profile.clock(last).product()) {
      errors += static_cast<std::size_t>(product.error_class_size());
    }
    errors += static_cast<std::size_t>(profile.clock(last).accumulator().error_class_size());
    EXPECT_GT(errors, 0u) << file.path();
    ++count;
  }
  EXPECT_GE(count, 4);
}

}  // namespace
}  // namespace inure
