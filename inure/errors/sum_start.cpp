#include "inure/errors/sum_start.hpp"

#include <algorithm>
#include <vector>

#include "inure/base/clones.hpp"
#include "inure/base/memory.hpp"

namespace inure {
namespace {

constexpr int kNoRun = 32;
constexpr std::uint32_t kRare = 1u << 26;  // a rate of 1/64

std::size_t index(int i) { return static_cast<std::size_t>(i); }

using Runs = std::array<int, StartNeeds::kWords>;

// Of a leaf that errs: from which bit on the words are ones there, and its bound.
struct Erring {
  Runs run;
  std::uint32_t below;
};

// Those below a node that a step may come to. run: what the tests above say.
void find_erring(const SumTree& tree, int at, int step, Runs run,
                 std::span<const std::uint32_t> erring, std::vector<Erring>& found) {
  const TestTree::Node& node = tree.nodes()[index(at)];
  if (node.test < 0) {
    if (erring[index(node.leaf)] > 0) found.push_back({run, erring[index(node.leaf)]});
    return;
  }
  const bool place = SumTree::of_place(node.test), here = step == node.test - SumTree::kFirstStep;
  if (!place || !here) find_erring(tree, at + 1, step, run, erring, found);
  if (place && !here) return;
  const auto ones_from = [&](int word) {
    run[index(word)] = std::min(run[index(word)], node.test % 32);
  };
  if (node.test / 32 == SumTree::kOtherRunWord) ones_from(StartNeeds::kOther);
  if (node.test / 32 == SumTree::kCarryRunWord && step > 0) ones_from(StartNeeds::kCarries);
  find_erring(tree, node.one, step, run, erring, found);
}

StartNeeds::Step needs_of(const std::vector<Erring>& leaves) {
  StartNeeds::Step needs;
  Runs from{-1, -1};
  for (const Erring& leaf : leaves) {
    if (leaf.below <= kRare) continue;
    const auto word =
        index(leaf.run[StartNeeds::kOther] == kNoRun && leaf.run[StartNeeds::kCarries] < kNoRun
                  ? StartNeeds::kCarries
                  : StartNeeds::kOther);
    from[word] = std::max(from[word], leaf.run[word]);
  }
  for (const Erring& leaf : leaves) {
    bool covered = false;
    for (std::size_t w = 0; w < from.size(); ++w) covered |= leaf.run[w] <= from[w];
    if (!covered) needs.rare = std::max(needs.rare, leaf.below);
  }
  for (std::size_t w = 0; w < from.size(); ++w) {
    if (from[w] < 0) continue;
    needs.mask[w] = needs.value[w] = from[w] == kNoRun ? 0 : ~0u << from[w];
  }
  return needs;
}

// one_follows: 1, or 0 where outputs have one step.
INURE_CLONES
void find_by_sums(const StripSums::Sums& first, const StripSums::Sums& second,
                  const StripStarts::Needs& needs, std::uint8_t one_follows,
                  std::uint8_t* __restrict may_err) {
  for (int c = 0; c < StripStarts::kChannels; ++c) {
    const auto one = static_cast<std::uint32_t>(first[c]);
    const auto two = static_cast<std::uint32_t>(second[c]);
    const std::uint32_t other = one ^ two, carries = other ^ (one + two);
    const auto runs = [&](int step, int word, std::uint32_t value) {
      return (value & needs.mask[step][word][c]) == needs.value[step][word][c];
    };
    const std::uint8_t first_may = runs(0, StartNeeds::kOther, one);
    may_err[2 * c] = first_may;
    may_err[2 * c + 1] = runs(1, StartNeeds::kOther, other) |
                         runs(1, StartNeeds::kCarries, carries) | (first_may & one_follows);
  }
}

INURE_CLONES
void find_by_words(const std::uint32_t* __restrict words, int channels,
                   const StripStarts::Needs& needs, std::uint8_t one_follows,
                   std::uint8_t* __restrict may_err) {
  for (int c = 0; c < channels; ++c) {
    const std::uint8_t first_may = words[2 * c] < needs.rare[0][c];
    may_err[2 * c] |= first_may;
    may_err[2 * c + 1] |= (words[2 * c + 1] < needs.rare[1][c]) | (first_may & one_follows);
  }
}

INURE_CLONES
std::uint32_t multiply_quads(const std::uint32_t* activations, const std::uint32_t* weights,
                             int count) {
  std::uint32_t sum = 0;
  for (int i = 0; i < count; ++i) {
    for (int bits = 0; bits < 32; bits += 8) {
      const int a = static_cast<std::int8_t>(activations[i] >> bits);
      sum += static_cast<std::uint32_t>(a * static_cast<std::int8_t>(weights[i] >> bits));
    }
  }
  return sum;
}

}  // namespace

StartNeeds find_start_needs(const SumTree& tree, std::span<const std::uint32_t> erring) {
  StartNeeds needs;
  for (int step = 0; step < SumTree::kStartSteps; ++step) {
    std::vector<Erring> leaves;
    find_erring(tree, 0, step, {kNoRun, kNoRun}, erring, leaves);
    needs.step[index(step)] = needs_of(leaves);
    needs.any |= !leaves.empty();
  }
  return needs;
}

StripStarts::StripStarts() {
  for (auto& of_step : needs_.value) {
    for (auto& of_word : of_step) std::fill_n(of_word, kChannels, 1);
  }
}

void StripStarts::set(int channel, const StartNeeds& needs, int steps) {
  channels_ = std::max(channels_, channel + 1);
  steps_ = std::min(steps, kSteps);
  for (int i = 0; i < steps_; ++i) {
    const StartNeeds::Step& of = needs.step[index(i)];
    for (int word = 0; word < StartNeeds::kWords; ++word) {
      needs_.mask[i][word][channel] = of.mask[index(word)];
      needs_.value[i][word][channel] = of.value[index(word)];
    }
    needs_.rare[i][channel] = of.rare;
    by_words_ |= of.rare > 0;
  }
}

void StripStarts::find(const StripSums::Sums& first, const StripSums::Sums& second,
                       const std::uint32_t* words, MayErr& may_err) const {
  const std::uint8_t one_follows = steps_ > 1;
  find_by_sums(first, second, needs_, one_follows, may_err.data());
  if (by_words_) find_by_words(words, channels_, needs_, one_follows, may_err.data());
}

StripOutput output_before(const LaneOperands& strip, int x, int channel, bool& here) {
  const LaneGeometry& g = *strip.geometry;
  here = true;
  if (x > 0) return {strip, x - 1, channel};
  here = false;
  if (strip.y > 0) {
    return {strip.image->strip(strip.y - 1, strip.first_channel), g.width - 1, channel};
  }
  const int before = strip.first_channel + channel - g.lane_num;
  if (before < 0) return {};
  here = g.width == 1 && g.height == 1 && channel >= g.lane_num;
  if (here) return {strip, 0, channel - g.lane_num};
  StripOutput last{strip.image->strip(g.height - 1, before), g.width - 1, 0};
  last.channel = before - last.strip.first_channel;
  return last;
}

std::uint32_t sum_of_products(const StripOutput& output) {
  const auto& [strip, x, channel] = output;
  const LaneGeometry& g = *strip.geometry;
  const int taps = g.taps();
  std::uint32_t sum = 0;
  if (g.vec_size % 4 != 0 || g.group_channels % 4 != 0) {
    for (int tap = 0; tap < taps; ++tap) {
      sum += static_cast<std::uint32_t>(strip.product(x, channel, tap));
    }
    return sum;
  }
  // Four taps lie together, or are all of the padding.
  constexpr int kMost = 256;
  std::uint32_t activations[kMost], weights[kMost];
  int count = 0;
  const std::uint8_t* window = strip.activations + x * strip.column_stride;
  const std::int8_t* of_channel = strip.weights + channel * 4;
  for (int tap = 0; tap < taps; tap += 4) {
    if (strip.tap_activation[tap] < 0) continue;
    activations[count] = load_word(window + strip.tap_activation[tap]) ^ 0x80808080;
    weights[count++] = load_word(of_channel + strip.tap_weight[tap]);
    if (count < kMost) continue;
    sum += multiply_quads(activations, weights, count);
    count = 0;
  }
  return sum + multiply_quads(activations, weights, count);
}

SumContents contents_of_step(const StripOutput& output, int step) {
  const int vec_size = output.strip.geometry->vec_size;
  ProductSigns signs;
  std::uint32_t sum = 0;
  for (int tap = step * vec_size; tap < (step + 1) * vec_size; ++tap) {
    const int product = output.strip.product(output.x, output.channel, tap);
    sum += static_cast<std::uint32_t>(product);
    signs.add(product);
  }
  return {0, sum, signs.bits};
}

}  // namespace inure
