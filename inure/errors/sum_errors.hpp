#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "inure/errors/error_model.hpp"
#include "inure/errors/sites.hpp"
#include "inure/errors/timing_lanes.hpp"

namespace inure {

// Errors of sums and accumulators, drawn step by step, in two parts: an output's first two steps,
// which differ much from all others, and the others. A strip's sites in a part are (x * channels +
// channel) * steps of the part + step. Each site is a candidate with the largest rate of the part's
// classes. A candidate has one random word, by its number among the strip's: it errs where the word
// is below its class's rate over the largest, and the word, uniform up to there, says with which of
// the class's deltas. (Rates are so rounded to the 2^32nd part of the largest.) Its class is by
// right products and by the accumulator as errors of sums before have left it.
class SumErrors {
 public:
  enum Part { kStart, kLater };
  static constexpr int kParts = 2, kStartSteps = 2;

  explicit SumErrors(const TimingLanes& lanes);

  bool any() const { return largest_[kStart] > 0 || largest_[kLater] > 0; }

  static Part part(int step) { return step < kStartSteps ? kStart : kLater; }
  static int first_step(Part part) { return part == kStart ? 0 : kStartSteps; }
  static int steps(const LaneGeometry& g, Part part) {
    const int start = g.steps < kStartSteps ? g.steps : kStartSteps;
    return part == kStart ? start : g.steps - start;
  }
  static std::int64_t sites(const LaneGeometry& g, int channels, Part part) {
    return std::int64_t{g.width} * channels * steps(g, part);
  }
  static std::int64_t site(const LaneGeometry& g, int channels, int x, int channel, int step) {
    const Part of = part(step);
    return (std::int64_t{x} * channels + channel) * steps(g, of) + step - first_step(of);
  }
  const SiteSampler& candidates(Part part) const { return candidates_[part]; }
  // The word of the strip's candidate number k.
  static std::uint32_t word(const ErrorKey& key, Part part, std::uint32_t strip, std::size_t k);

  // What a candidate adds: 0 where it does not err.
  std::int32_t delta(std::uint32_t word, int lane, Part part, const SumTree::Tests& tests) const;

  // The fast path.
  void add_deltas(const ErrorKey& key, const LaneOperands& operands, std::uint32_t* sums,
                  std::int64_t stride) const;

 private:
  // Candidates are first looked at by the signs of the step's first products, now and before.
  static constexpr int kKeyProducts = 4, kSignKeys = 1 << (4 * kKeyProducts);
  static constexpr std::uint32_t kKeyBits = (1 << kKeyProducts) - 1;
  // Negative ones now, those that are not 0, both before.
  static std::uint32_t sign_key(std::uint32_t signs, std::uint32_t signs_before) {
    const auto half = [](std::uint32_t bits) {
      return (bits & kKeyBits) | (bits >> ProductSigns::kMost & kKeyBits) << kKeyProducts;
    };
    return half(signs) | half(signs_before) << (2 * kKeyProducts);
  }

  struct Leaf {
    std::uint32_t erring = 0;  // words below this one err
    // Ascending: a candidate with a word below `first` adds `second`.
    std::vector<std::pair<std::uint32_t, std::int32_t>> deltas;
    // Of a word that errs.
    std::int32_t delta(std::uint32_t word) const;
  };
  struct Lane {
    SumTree tree;
    int first_leaf = 0;
    // By part and key: the largest `erring` of the leaves that such a step may have.
    std::array<std::vector<std::uint32_t>, kParts> may_err;
  };
  struct Strip;
  // What errors have added to an output's accumulator so far, and the last one.
  struct Carried {
    std::uint32_t all = 0, last = 0;
    int last_step = -1;
  };

  void add_lane(const SumTree& tree);
  static void find_bounds(const SumTree& tree, Part part, int vec_size,
                          std::span<const Leaf> leaves, std::vector<std::uint32_t>& may_err);
  const Lane& lane(int number) const {
    return lanes_[static_cast<std::size_t>(number) % lanes_.size()];
  }
  // carried: by x * channels + channel of the strip.
  void add_part(const ErrorKey& key, const LaneOperands& operands, Part part,
                std::vector<Carried>& carried, std::uint32_t* sums, std::int64_t stride) const;

  int vec_size_;
  std::array<double, kParts> largest_;
  std::array<SiteSampler, kParts> candidates_;
  std::vector<Lane> lanes_;
  SumForest forest_;
  std::array<std::vector<Leaf>, kParts> leaves_;  // of the forest
};

}  // namespace inure
