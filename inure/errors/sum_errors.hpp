#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "inure/errors/error_model.hpp"
#include "inure/errors/sites.hpp"
#include "inure/errors/sum_forest.hpp"
#include "inure/errors/sum_start.hpp"
#include "inure/errors/timing_lanes.hpp"

namespace inure {

// Errors of sums and accumulators, in two parts, each with its own random words. What a step's
// class is says which of right products it adds, what the accumulator holds, as errors of sums
// before have left it, and what the step before was (SumState).
//
// The start, an output's first two steps: each step has a word, by its number among the strip's
// sites, (x * channels + channel) * 2 + step. It errs where the word is below the rate of its
// class, in 2^32nds; where the word lies says with which of the class's deltas. Many classes err
// always.
//
// The later steps: a site, (x * channels + channel) * (steps - 2) + step - 2, is a candidate with
// the largest rate of all classes. A candidate has one word, by its number among the strip's
// candidates: it errs where the word is below its class's rate over the largest.
class SumErrors {
 public:
  enum Part { kStart, kLater };
  static constexpr int kParts = 2, kStartSteps = SumTree::kStartSteps;

  explicit SumErrors(const TimingLanes& lanes);

  bool any() const { return any_[kStart] || any_[kLater]; }

  static Part part(int step) { return step < kStartSteps ? kStart : kLater; }
  static int steps(const LaneGeometry& g, Part part) {
    return part == kStart ? kStartSteps : std::max(g.steps - kStartSteps, 0);
  }
  static std::int64_t sites(const LaneGeometry& g, int channels, Part part) {
    return std::int64_t{g.width} * channels * steps(g, part);
  }
  static std::int64_t site(const LaneGeometry& g, int channels, int x, int channel, int step) {
    const Part of = part(step);
    return (std::int64_t{x} * channels + channel) * steps(g, of) + step -
           (of == kStart ? 0 : kStartSteps);
  }
  const SiteSampler& candidates() const { return candidates_; }  // of later steps
  // The word of the strip's site (kStart) or candidate (kLater) number k.
  static std::uint32_t word(const ErrorKey& key, Part part, std::uint32_t strip, std::size_t k);

  // What a step with this word adds, a later one if it is a candidate: 0 where it does not err.
  std::int32_t delta(std::uint32_t word, int lane, Part part, const SumTree::Tests& tests) const;

  // The fast path (sum_strip.cpp).
  void add_deltas(const ErrorKey& key, const LaneOperands& operands, std::uint32_t* sums,
                  std::int64_t stride) const;

 private:
  // Candidates are first looked at by which of the step's first activations are not 0, now and
  // before: bit e for activation e, bit kKeyProducts + e for the one before.
  static constexpr int kKeyProducts = 4;
  static constexpr std::uint32_t kKeyBits = (1 << kKeyProducts) - 1;
  // By such a key: words with a larger upper byte do not err.
  using MayErr = std::array<std::uint8_t, 1 << 2 * kKeyProducts>;

  struct Leaf {
    std::uint32_t erring = 0;  // words below this one err
    // Ascending: a candidate with a word below `first` adds `second`.
    std::vector<std::pair<std::uint32_t, std::int32_t>> deltas;
    // Of a word that errs.
    std::int32_t delta(std::uint32_t word) const;
  };
  struct Lane {
    SumTree tree;
    std::array<std::vector<Leaf>, kParts> leaves;
    StartNeeds start;
    MayErr later;
  };
  class Strip;

  // word() of many: from number `first` on, a multiple of kSiteWords; and of some, where k becomes
  // word k.
  static void words(const ErrorKey& key, Part part, std::uint32_t strip, std::size_t first,
                    std::span<std::uint32_t> words);
  static void words(const ErrorKey& key, Part part, std::uint32_t strip,
                    std::span<std::uint32_t> words);

  void add_lane(const SumTree& tree);
  MayErr find_bounds(const SumTree& tree, const std::vector<std::uint32_t>& erring) const;

  int vec_size_;
  double largest_;  // rate of later steps
  std::array<bool, kParts> any_{};
  SiteSampler candidates_;
  std::vector<Lane> lanes_;
  std::array<SumForest, kParts> forests_;
};

}  // namespace inure
