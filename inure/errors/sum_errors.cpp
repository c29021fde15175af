#include "inure/errors/sum_errors.hpp"

#include <algorithm>
#include <cmath>

#include "inure/errors/sum_bounds.hpp"

namespace inure {
namespace {

// Apart from those of bit flips.
constexpr std::uint32_t kCandidateModel = (1 << 20) + 1, kWordModel = kCandidateModel + 1;

std::size_t index(int i) { return static_cast<std::size_t>(i); }

double largest_rate(const TimingLanes& lanes) {
  double largest = 0;
  for (const TimingLanes::Lane& lane : lanes.lanes) {
    std::vector<double> rates;
    for (const SumTree::Leaf& leaf : lane.sums.leaves()) rates.push_back(leaf.rate);
    if (rates.empty()) continue;
    largest = std::max(largest, SumBounds<double>(lane.sums, 0, false, rates).largest());
  }
  return largest;
}

}  // namespace

SumErrors::SumErrors(const TimingLanes& lanes)
    : vec_size_(lanes.vec_size),
      largest_(largest_rate(lanes)),
      candidates_(largest_, kCandidateModel) {
  for (const TimingLanes::Lane& lane : lanes.lanes) add_lane(lane.sums);
  any_[kLater] = largest_ > 0;
}

void SumErrors::add_lane(const SumTree& tree) {
  Lane& lane = lanes_.emplace_back();
  lane.tree = tree;
  for (const Part part : {kStart, kLater}) {
    std::vector<Leaf>& leaves = lane.leaves[part];
    leaves.resize(std::max<std::size_t>(tree.leaves().size(), 1));
    std::vector<std::uint32_t> erring(leaves.size());
    const double whole = part == kStart ? 1 : largest_;
    for (std::size_t i = 0; i < leaves.size() && tree.any() && whole > 0; ++i) {
      const SumTree::Leaf& what = tree.leaves()[i];
      const double most = std::min(what.rate / whole, 1.0);
      for (const auto& [delta, up_to] : what.deltas) {
        const double below = std::min(std::round(most * up_to * 0x1p32), 0x1p32 - 1);
        leaves[i].deltas.emplace_back(static_cast<std::uint32_t>(below), delta);
      }
      if (!leaves[i].deltas.empty()) leaves[i].erring = leaves[i].deltas.back().first;
      erring[i] = leaves[i].erring;
    }
    forests_[part].add(tree, erring, part == kLater);
    if (part == kLater) {
      lane.later = find_bounds(tree, erring);
    } else {
      lane.start = find_start_needs(tree, erring);
      any_[kStart] |= lane.start.any;
    }
  }
}

SumErrors::MayErr SumErrors::find_bounds(const SumTree& tree,
                                         const std::vector<std::uint32_t>& erring) const {
  const int known = std::min(vec_size_, kKeyProducts);
  const SumBounds<std::uint32_t> bounds(tree, known, vec_size_ == known, erring);
  MayErr may_err;
  for (std::uint32_t key = 0; key < may_err.size(); ++key) {
    const SumContents now{0, 0, (key & kKeyBits) << ProductSigns::kMost};
    const SumContents before{0, 0, key >> kKeyProducts << ProductSigns::kMost};
    const std::uint32_t most = bounds.largest(SumTree::tests(kStartSteps, vec_size_, before, now));
    may_err[key] = static_cast<std::uint8_t>(most >> 24);
  }
  // Where an activation is not 0, the product may still be.
  for (std::size_t bit = 1; bit < may_err.size(); bit *= 2) {
    for (std::size_t i = 0; i < may_err.size(); ++i) {
      may_err[i] = std::max(may_err[i], may_err[i & ~bit]);
    }
  }
  return may_err;
}

std::uint32_t SumErrors::word(const ErrorKey& key, Part part, std::uint32_t strip, std::size_t k) {
  return site_word(key, kWordModel + part, strip, static_cast<std::uint32_t>(k));
}

void SumErrors::words(const ErrorKey& key, Part part, std::uint32_t strip, std::size_t first,
                      std::span<std::uint32_t> words) {
  site_words(key, kWordModel + part, strip, static_cast<std::uint32_t>(first), words);
}

void SumErrors::words(const ErrorKey& key, Part part, std::uint32_t strip,
                      std::span<std::uint32_t> words) {
  site_words(key, kWordModel + part, strip, words);
}

std::int32_t SumErrors::Leaf::delta(std::uint32_t word) const {
  return std::upper_bound(deltas.begin(), deltas.end(), word,
                          [](std::uint32_t w, const auto& d) { return w < d.first; })
      ->second;
}

std::int32_t SumErrors::delta(std::uint32_t word, int lane, Part part,
                              const SumTree::Tests& tests) const {
  const Lane& of = lanes_[index(lane) % lanes_.size()];
  const Leaf& leaf = of.leaves[part][index(of.tree.leaf(tests))];
  return word < leaf.erring ? leaf.delta(word) : 0;
}

}  // namespace inure
