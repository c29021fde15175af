#include "inure/errors/sum_errors.hpp"

#include <algorithm>
#include <cmath>

#include "inure/base/clones.hpp"
#include "inure/errors/sum_steps.hpp"

namespace inure {
namespace {

constexpr std::uint32_t kCandidateModel = 1 << 20;  // apart from those of bit flips
constexpr std::uint32_t kWordModel = kCandidateModel + SumErrors::kParts;

std::size_t index(int i) { return static_cast<std::size_t>(i); }

// The outcome of a test that knows nothing of a step but its part; -1 where that says nothing.
int outcome_of_part(int test, SumErrors::Part part) {
  if (part == SumErrors::kStart || test > SumTree::kSecondStep) return -1;
  return test >= SumTree::kFirstStep ? 0 : -1;
}

// The largest value of the leaves that a step of a part may have, of whose tests only those of the
// first products' signs are known.
template <typename Value>
class Bounds {
 public:
  // values: by leaf. known: of so many products; levels: these are all.
  Bounds(const SumTree& tree, SumErrors::Part part, int known, bool levels,
         const std::vector<Value>& values)
      : nodes_(tree.nodes()), known_(known), levels_(levels), below_(nodes_.size()) {
    for (std::size_t i = nodes_.size(); i-- > 0;) {  // branches come after their test
      const TestTree::Node& node = nodes_[i];
      if (node.test < 0) {
        below_[i] = {values[index(node.leaf)], false, -1};
        continue;
      }
      const Below &zero = below_[i + 1], &one = below_[index(node.one)];
      below_[i].outcome = outcome_of_part(node.test, part);
      if (below_[i].outcome >= 0) {
        below_[i].largest = below_[i].outcome ? one.largest : zero.largest;
        below_[i].by_signs = below_[i].outcome ? one.by_signs : zero.by_signs;
      } else {
        below_[i].largest = std::max(zero.largest, one.largest);
        below_[i].by_signs = of_signs(node.test) || zero.by_signs || one.by_signs;
      }
    }
  }

  Value largest() const { return below_[0].largest; }
  Value largest(const SumTree::Tests& tests, std::size_t node = 0) const {
    while (below_[node].by_signs) {
      const int test = nodes_[node].test;
      int outcome = below_[node].outcome;
      if (of_signs(test)) outcome = tests[index(test / 32)] >> test % 32 & 1;
      const auto one = index(nodes_[node].one);
      if (outcome < 0) return std::max(largest(tests, node + 1), largest(tests, one));
      node = outcome ? one : node + 1;
    }
    return below_[node].largest;
  }

 private:
  struct Below {
    Value largest{};
    bool by_signs = false;  // it depends on the signs
    int outcome = -1;       // of the node's test, in this part
  };

  bool of_signs(int test) const {
    const int word = test / 32, bit = test % 32;
    if (word >= SumTree::kSignWord) return bit % ProductSigns::kMost < known_;
    return word == SumTree::kLevelWord && bit >= 8 && levels_;
  }

  const std::vector<TestTree::Node>& nodes_;
  const int known_;
  const bool levels_;
  std::vector<Below> below_;
};

std::array<double, SumErrors::kParts> largest_rates(const TimingLanes& lanes) {
  std::array<double, SumErrors::kParts> largest{};
  for (const TimingLanes::Lane& lane : lanes.lanes) {
    std::vector<double> rates;
    for (const SumTree::Leaf& leaf : lane.sums.leaves()) rates.push_back(leaf.rate);
    if (rates.empty()) continue;
    for (const SumErrors::Part part : {SumErrors::kStart, SumErrors::kLater}) {
      const double rate = Bounds<double>(lane.sums, part, 0, false, rates).largest();
      largest[part] = std::max(largest[part], rate);
    }
  }
  return largest;
}

// From sites to places: site = (x * channels + channel) * steps + step. In floating point, which
// vectors can divide; exact below 2^52.
INURE_CLONES
void place(const std::int64_t* sites, int count, int channels, int steps, int first_step,
           std::int32_t* x, std::int32_t* channel, std::int32_t* step) {
  for (int i = 0; i < count; ++i) {
    const auto site = static_cast<double>(sites[i]);
    const auto output = static_cast<std::int32_t>(site / steps);
    step[i] = first_step + static_cast<std::int32_t>(site - static_cast<double>(output) * steps);
    x[i] = static_cast<std::int32_t>(static_cast<double>(output) / channels);
    channel[i] = output - x[i] * channels;
  }
}

}  // namespace

SumErrors::SumErrors(const TimingLanes& lanes)
    : vec_size_(lanes.vec_size),
      largest_(largest_rates(lanes)),
      candidates_{SiteSampler(largest_[kStart], kCandidateModel + kStart),
                  SiteSampler(largest_[kLater], kCandidateModel + kLater)} {
  if (!any()) return;
  for (const TimingLanes::Lane& lane : lanes.lanes) {
    add_lane(lane.sums);
  }
}

void SumErrors::add_lane(const SumTree& tree) {
  Lane& lane = lanes_.emplace_back();
  lane.tree = tree;
  lane.first_leaf = forest_.leaves();
  forest_.add(tree);
  for (const Part part : {kStart, kLater}) {
    leaves_[part].resize(index(forest_.leaves()));
    lane.may_err[part].assign(kSignKeys, 0);
    if (!tree.any() || largest_[part] <= 0) continue;
    const std::span leaves = std::span(leaves_[part]).subspan(index(lane.first_leaf));
    for (std::size_t i = 0; i < leaves.size(); ++i) {
      const SumTree::Leaf& what = tree.leaves()[i];
      const double most = std::min(what.rate / largest_[part], 1.0);
      for (const auto& [delta, up_to] : what.deltas) {
        const double below = std::min(std::round(most * up_to * 0x1p32), 0x1p32 - 1);
        leaves[i].deltas.emplace_back(static_cast<std::uint32_t>(below), delta);
      }
      if (!leaves[i].deltas.empty()) leaves[i].erring = leaves[i].deltas.back().first;
    }
    find_bounds(tree, part, vec_size_, leaves, lane.may_err[part]);
  }
}

// A negative product is not 0: other keys do not occur.
void SumErrors::find_bounds(const SumTree& tree, Part part, int vec_size,
                            std::span<const Leaf> leaves, std::vector<std::uint32_t>& may_err) {
  const int known = std::min(vec_size, kKeyProducts);
  const std::uint32_t products = (1u << known) - 1;
  std::vector<std::uint32_t> erring;
  for (const Leaf& leaf : leaves) erring.push_back(leaf.erring);
  const Bounds<std::uint32_t> bounds(tree, part, known, vec_size == known, erring);
  for (std::uint32_t key = 0; key < kSignKeys; ++key) {
    const auto part_of = [&](int i) { return key >> (i * kKeyProducts) & kKeyBits; };
    const std::uint32_t negative = part_of(0), nonzero = part_of(1), negative_before = part_of(2),
                        nonzero_before = part_of(3);
    if ((negative & ~nonzero) | (negative_before & ~nonzero_before)) continue;
    if ((nonzero | nonzero_before) & ~products) continue;
    const SumContents before{0, 0, negative_before | nonzero_before << ProductSigns::kMost};
    const SumContents now{0, 0, negative | nonzero << ProductSigns::kMost};
    may_err[key] = bounds.largest(SumTree::tests(kStartSteps, vec_size, before, now));
  }
}

std::uint32_t SumErrors::word(const ErrorKey& key, Part part, std::uint32_t strip, std::size_t k) {
  return site_word(key, kWordModel + part, strip, static_cast<std::uint32_t>(k));
}

std::int32_t SumErrors::Leaf::delta(std::uint32_t word) const {
  return std::upper_bound(deltas.begin(), deltas.end(), word,
                          [](std::uint32_t w, const auto& d) { return w < d.first; })
      ->second;
}

std::int32_t SumErrors::delta(std::uint32_t word, int lane, Part part,
                              const SumTree::Tests& tests) const {
  const Lane& of = this->lane(lane);
  const Leaf& leaf = leaves_[part][index(of.first_leaf + of.tree.leaf(tests))];
  return word < leaf.erring ? leaf.delta(word) : 0;
}

// A strip's candidates on their way to errors: StepBatch::kMost at a time their own step and the
// one before are looked at, and those of them that may err are settled, pixel by pixel.
struct SumErrors::Strip {
  const SumErrors& errors;
  const LaneOperands& operands;
  std::uint32_t* sums;
  std::int64_t stride;
  StripSums& right;

  StepBatch batch;
  std::uint32_t words[StepBatch::kMost];
  int likely[StepBatch::kMost], likely_count = 0;  // numbers in the batch
  std::int32_t before[StepBatch::kMost];  // by number in the batch: the accumulator's, if right
  std::array<int, LaneGeometry::kStripChannels> trees{};
  std::vector<Carried>& carried;

  // The candidates of a pixel and of kWidth channels: some in the order of `likely`.
  struct Group {
    int x, begin, end, last;  // last: of their steps
  };
  static constexpr int kWidth = 2 * StripSums::kVector;
  std::array<std::vector<Group>, LaneGeometry::kStripChannels / kWidth> of_channels;

  Strip(const SumErrors& all, const LaneOperands& strip, std::uint32_t* to, std::int64_t step,
        StripSums& right_sums, std::vector<Carried>& carried_errors)
      : errors(all),
        operands(strip),
        sums(to),
        stride(step),
        right(right_sums),
        carried(carried_errors) {
    const LaneGeometry& g = *strip.geometry;
    for (int c = 0; c < strip.channels; ++c) {
      trees[index(c)] = g.lane(strip.first_channel + c) % static_cast<int>(all.lanes_.size());
    }
  }

  // Leaves those that may err.
  void thin(Part part) {
    likely_count = 0;
    for (int i = 0; i < batch.count; ++i) {
      const auto& may_err = errors.lanes_[index(trees[index(batch.channel[i])])].may_err[part];
      likely[likely_count] = i;
      likely_count += words[i] < may_err[sign_key(batch.signs[i], batch.signs_before[i])];
    }
  }

  // What the accumulators of those should hold before their step.
  void find_before(Part part) {
    if (part == kStart) {
      std::copy_n(batch.sum_before, batch.count, before);  // 0 in the first step
      return;
    }
    for (auto& groups : of_channels) groups.clear();
    for (int k = 0; k < likely_count; ++k) {
      const int i = likely[k], x = batch.x[i];
      auto& groups = of_channels[index(batch.channel[i] / kWidth)];
      if (groups.empty() || groups.back().x != x) groups.push_back({x, k, k, 0});
      groups.back().end = k + 1;
      groups.back().last = std::max(groups.back().last, batch.step[i]);
    }
    int first = 0;
    for (const auto& groups : of_channels) {
      for (std::size_t g = 0; g < groups.size(); g += StripSums::kPixels) {
        const std::size_t count = std::min<std::size_t>(StripSums::kPixels, groups.size() - g);
        find_before(std::span(groups).subspan(g, count), first);
      }
      first += kWidth;
    }
  }

  void find_before(std::span<const Group> groups, int first) {
    int x[StripSums::kPixels], last = 0;
    for (std::size_t g = 0; g < groups.size(); ++g) {
      x[g] = groups[g].x;
      last = std::max(last, groups[g].last);
    }
    const bool narrow = operands.channels - first <= StripSums::kVector;
    right.accumulate({x, groups.size()}, first, narrow ? StripSums::kVector : kWidth, last);
    for (std::size_t g = 0; g < groups.size(); ++g) {
      for (int k = groups[g].begin; k < groups[g].end; ++k) {
        const int i = likely[k], step = batch.step[i];
        before[i] = right.before(static_cast<int>(g), step, batch.channel[i] - first) +
                    (batch.sum_before[i] & -(step % 2));
      }
    }
  }

  // Adds the deltas of those that do err: all at once of the state that their outputs are in, but
  // what comes after an error of the same output once more, with that error.
  void settle(Part part) {
    while (likely_count > 0) {
      int leaves[StepBatch::kMost + SumForest::kSteps];
      for (int k = 0; k < likely_count; k += SumForest::kSteps) find_leaves(k, leaves + k);
      int again = 0, erred = -1;  // an output
      for (int k = 0; k < likely_count; ++k) {
        const int i = likely[k], at = output(i);
        if (at == erred) {
          likely[again++] = i;
          continue;
        }
        const Leaf& leaf = errors.leaves_[part][index(leaves[k])];
        if (words[i] >= leaf.erring) continue;
        const auto added = static_cast<std::uint32_t>(leaf.delta(words[i]));
        carried[index(at)] = {carried[index(at)].all + added, added, batch.step[i]};
        sums[batch.x[i] * stride + batch.channel[i]] += added;
        erred = at;
      }
      likely_count = again;
    }
  }

  int output(int i) const { return batch.x[i] * operands.channels + batch.channel[i]; }

  // Of SumForest::kSteps of those that may err.
  void find_leaves(int begin, int* leaves) const {
    SumForest::Steps steps;
    for (int k = 0; k < SumForest::kSteps; ++k) {
      const int i = likely[std::min(begin + k, likely_count - 1)], step = batch.step[i];
      const Carried& wrong = carried[index(output(i))];
      const std::uint32_t just_added = wrong.last_step == step - 1 ? wrong.last : 0;
      steps.tree[k] = trees[index(batch.channel[i])];
      steps.step[k] = step;
      steps.accumulator[k] = static_cast<std::uint32_t>(before[i]) + wrong.all;
      steps.sum[k] = static_cast<std::uint32_t>(batch.sum[i]);
      steps.signs[k] = batch.signs[i];
      steps.sum_before[k] = static_cast<std::uint32_t>(batch.sum_before[i]);
      steps.accumulator_before[k] = steps.accumulator[k] - just_added - steps.sum_before[k];
      steps.signs_before[k] = batch.signs_before[i];
    }
    errors.forest_.find_leaves(steps, errors.vec_size_, leaves);
  }
};

void SumErrors::add_part(const ErrorKey& key, const LaneOperands& operands, Part part,
                         std::vector<Carried>& carried, std::uint32_t* sums,
                         std::int64_t stride) const {
  thread_local std::vector<std::int64_t> buffer;
  thread_local StripSums strip_sums;
  const LaneGeometry& g = *operands.geometry;
  const std::uint32_t id = g.strip_id(operands.y, operands.first_channel);
  const auto sites =
      candidates_[part].sample(key, id, SumErrors::sites(g, operands.channels, part), buffer);
  if (sites.empty()) return;
  strip_sums.load(operands, first_step(part) + steps(g, part));
  Strip strip(*this, operands, sums, stride, strip_sums, carried);
  StepBatch& batch = strip.batch;
  for (std::size_t begin = 0; begin < sites.size(); begin += StepBatch::kMost) {
    batch.count = static_cast<int>(std::min<std::size_t>(StepBatch::kMost, sites.size() - begin));
    site_words(key, kWordModel + part, id, static_cast<std::uint32_t>(begin),
               {strip.words, index(batch.count)});
    place(sites.data() + begin, batch.count, operands.channels, steps(g, part), first_step(part),
          batch.x, batch.channel, batch.step);
    strip_sums.add_products(batch);
    strip.thin(part);
    strip.find_before(part);
    strip.settle(part);
  }
}

void SumErrors::add_deltas(const ErrorKey& key, const LaneOperands& operands, std::uint32_t* sums,
                           std::int64_t stride) const {
  thread_local std::vector<Carried> carried;
  carried.assign(index(operands.geometry->width * operands.channels), {});
  if (largest_[kStart] > 0) add_part(key, operands, kStart, carried, sums, stride);
  if (largest_[kLater] > 0) add_part(key, operands, kLater, carried, sums, stride);
}

}  // namespace inure
