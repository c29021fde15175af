#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "inure/errors/error_model.hpp"
#include "inure/errors/sum_steps.hpp"
#include "inure/errors/sum_tree.hpp"

// What the first two steps of outputs need: who may err at all, and what the lane did before.
namespace inure {

// Steps that may err, by what can be said quickest: where a word that a late carry runs through has
// ones from a bit to bit 31; or where the step's random word is below `rare`.
struct StartNeeds {
  // A ^ S; A ^ S ^ R, the carries; of the latter only an output's second step: what was before its
  // first one does not say so quickly what has changed.
  enum { kOther, kCarries, kWords };
  struct Step {
    // May err if for some word (word & mask) == value.
    std::array<std::uint32_t, kWords> mask{}, value{1, 1};  // never
    std::uint32_t rare = 0;
  };
  std::array<Step, SumTree::kStartSteps> step;
  bool any = false;
};
// erring: by leaf, the words that err are those below.
StartNeeds find_start_needs(const SumTree& tree, std::span<const std::uint32_t> erring);

// What a strip's channels need, side by side.
class StripStarts {
 public:
  StripStarts();                                              // no step may err
  void set(int channel, const StartNeeds& needs, int steps);  // of outputs of so many steps

  bool by_words() const { return by_words_; }
  // Of an output each channel: [channel][step], whether it may err; 1 or 0. By what the first two
  // steps add and, where by_words(), by the steps' words, in the same order. A second step always
  // may where the first one may: an error changes what the accumulator holds.
  static constexpr int kSteps = SumTree::kStartSteps, kChannels = LaneGeometry::kStripChannels;
  using MayErr = std::array<std::uint8_t, kChannels * kSteps>;
  void find(const StripSums::Sums& first, const StripSums::Sums& second, const std::uint32_t* words,
            MayErr& may_err) const;

  using OfChannels = std::uint32_t[kChannels];
  struct Needs {
    OfChannels mask[kSteps][StartNeeds::kWords], value[kSteps][StartNeeds::kWords], rare[kSteps];
  };

 private:
  Needs needs_{};
  int channels_ = 0, steps_ = 0;
  bool by_words_ = false;
};

// An output of a strip; of none, where `strip` has no geometry.
struct StripOutput {
  LaneOperands strip;
  int x = 0, channel = 0;  // in the strip
};
// What the lane of a strip's output computed before it: the pixel before in raster order; before
// the first one, the last of channel - lane_num; nothing before the first channel, as after a rest.
// `here`: it is of the same strip.
StripOutput output_before(const LaneOperands& strip, int x, int channel, bool& here);

// Of right products: the sum of all; and what a step adds, with an accumulator of 0.
std::uint32_t sum_of_products(const StripOutput& output);
SumContents contents_of_step(const StripOutput& output, int step);

}  // namespace inure
