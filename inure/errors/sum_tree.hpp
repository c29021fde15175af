#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "inure/errors/test_tree.hpp"
#include "inure/errors/timing_profile.pb.h"

// Errors of a lane's sum and accumulator by classes of steps (timing_profile.proto).
namespace inure {

// Of the first 16 products of a step: bit e says that product e is negative, bit 16 + e that it is
// not 0.
struct ProductSigns {
  static constexpr int kMost = 16;
  std::uint32_t bits = 0;
  int count = 0;

  void add(int product) {
    if (count < kMost) {
      bits |= std::uint32_t{product < 0} << count | std::uint32_t{product != 0} << (16 + count);
    }
    ++count;
  }
};

// What is added in a step, to what.
struct SumContents {
  std::uint32_t accumulator = 0, sum = 0;
  std::uint32_t signs = 0;  // ProductSigns::bits
};

// The classes of sums of one register at one clock: the leaves of a tree of tests.
class SumTree {
 public:
  // The outcomes of all tests on one step, by number / 32 and its bits (timing_profile.proto).
  static constexpr int kWords = 20, kTests = 32 * kWords;
  static constexpr int kCarryRunWord = 12, kOtherRunWord = 13, kLevelWord = 15;
  static constexpr int kSignWord = 16, kLastSignWord = 18;
  static constexpr int kFirstStep = 32 * kLevelWord, kSecondStep = kFirstStep + 1;
  static constexpr int kStartSteps = 2;  // these, which differ much from all others
  // A test of a step's place alone.
  static constexpr bool of_place(int test) { return test == kFirstStep || test == kSecondStep; }
  using Tests = std::array<std::uint32_t, kWords>;
  // `step` counts from an output's first one, for which `before` is the last step of the lane's
  // output before.
  static Tests tests(int step, int vec_size, const SumContents& before, const SumContents& now);

  struct Leaf {
    double rate = 0;
    // P(delta of an error <= this one); the last is 1.
    std::vector<std::pair<std::int32_t, double>> deltas;
  };

  SumTree() = default;  // without errors
  // Throws Error, with `where` before it, where the profile's tree is none.
  SumTree(const RegisterProfile& accumulator, const std::string& where);

  bool any() const { return !leaves_.empty(); }
  const std::vector<Leaf>& leaves() const { return leaves_; }
  const std::vector<TestTree::Node>& nodes() const { return tree_.nodes(); }
  int leaf(const Tests& tests) const {
    return tree_.find_leaf(
        [&](int test) { return tests[static_cast<unsigned>(test) / 32] >> test % 32 & 1; });
  }

 private:
  static constexpr std::uint32_t kLeaf = 0;
  TestTree tree_{{&kLeaf, 1}, 0, ""};
  std::vector<Leaf> leaves_;  // none: without errors
};

// The sums of a lane, step by step, modulo 2^32, with the errors that were told to it.
class SumState {
 public:
  void step(bool first, std::int32_t sum, std::uint32_t signs) {
    before_ = now_;
    if (first) before_.accumulator = right_ - now_.sum;
    step_ = first ? 0 : step_ + 1;
    now_ = {first ? 0 : after_, static_cast<std::uint32_t>(sum), signs};
    after_ = now_.accumulator + now_.sum;
    right_ = (first ? 0 : right_) + now_.sum;
  }
  void add_error(std::int32_t delta) { after_ += static_cast<std::uint32_t>(delta); }

  // What the accumulator holds after the step.
  std::int32_t after() const { return static_cast<std::int32_t>(after_); }
  bool at_start() const { return step_ < SumTree::kStartSteps; }
  SumTree::Tests tests(int vec_size) const {
    return SumTree::tests(step_, vec_size, before_, now_);
  }

 private:
  SumContents before_, now_;
  std::uint32_t after_ = 0, right_ = 0;  // right: without the errors
  int step_ = -1;
};

}  // namespace inure
