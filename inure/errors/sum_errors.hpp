#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "inure/errors/error_model.hpp"
#include "inure/errors/sites.hpp"
#include "inure/errors/sum_forest.hpp"
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
  // The words from that of number `first` on, a multiple of kSiteWords.
  static void words(const ErrorKey& key, Part part, std::uint32_t strip, std::size_t first,
                    std::span<std::uint32_t> words);

  // What a candidate adds: 0 where it does not err.
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
    std::array<MayErr, kParts> may_err;
  };
  class Strip;

  void add_lane(const SumTree& tree);
  MayErr find_bounds(const SumTree& tree, Part part,
                     const std::vector<std::uint32_t>& erring) const;

  int vec_size_;
  std::array<double, kParts> largest_;
  std::array<SiteSampler, kParts> candidates_;
  std::vector<Lane> lanes_;
  std::array<SumForest, kParts> forests_;
};

}  // namespace inure
