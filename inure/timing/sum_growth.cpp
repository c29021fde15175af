#include "inure/timing/sum_growth.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "inure/timing/growing_tree.hpp"

namespace inure::timing {
namespace {

constexpr int kMaxDeltas = 32;
constexpr double kTold = 0.98;  // of the errors, by the deltas that are kept
// A leaf stands for so many steps at least; a division tells so many times more than one by chance.
constexpr double kFewestSteps = 40, kSignificance = 8;
constexpr double kLargestOfMean = 8;
// The most frequent deltas are told apart, the others count as one.
constexpr std::size_t kGroups = 6;

std::size_t index(int i) { return static_cast<std::size_t>(i); }

// What a set of samples says: how many steps it stands for, how many had an error of each group.
struct Sums {
  double steps = 0;
  std::array<double, kGroups> errors{};

  double all_errors() const {
    double all = 0;
    for (const double of_group : errors) all += of_group;
    return all;
  }
  // The part of the errors that the rates of a class account for.
  double told() const {
    double squares = 0;
    for (const double of_group : errors) squares += of_group * of_group;
    return squares / steps;
  }
  Sums operator-(const Sums& other) const {
    Sums rest = *this;
    rest.steps -= other.steps;
    for (std::size_t g = 0; g < kGroups; ++g) rest.errors[g] -= other.errors[g];
    return rest;
  }
};

class Growth {
 public:
  Growth(std::vector<SumSample> samples, int most)
      : tree_(std::move(samples), {kRightKept, kMaxDeltas, kTold}) {
    const auto deltas = tree_.deltas();
    if (deltas.empty()) return;
    for (std::size_t g = 0; g + 1 < kGroups && g < deltas.size(); ++g) {
      frequent_.push_back(deltas[g].first);
    }
    // The steps of the two parts are told apart first.
    const double later = largest_rate_later();
    divide({0, 0, SumTree::kFirstStep}, 0, 1);
    divide({0, 1, SumTree::kSecondStep}, later, 1);
    for (int leaves = 3; leaves < most; ++leaves) {
      const auto best = tree_.best();
      if (!best) break;
      const double largest = largest_[index(best->node)];
      divide(*best, largest, largest);
    }
  }

  RegisterProfile profile() const {
    RegisterProfile profile;
    if (frequent_.empty()) return profile;
    tree_.write(profile);
    profile.set_rate(tree_.rate());
    return profile;
  }

 private:
  using Tree = GrowingTree<SumSample>;

  void count(const SumSample& sample, Sums& sums) const {
    sums.steps += sample.delta ? 1 : kRightKept;
    if (sample.delta == 0) return;
    const auto found = std::find(frequent_.begin(), frequent_.end(), sample.delta);
    sums.errors[found == frequent_.end() ? kGroups - 1
                                         : static_cast<std::size_t>(found - frequent_.begin())] +=
        1;
  }

  // Injection draws candidates at the largest rate of the leaves of steps that are none of an
  // output's first two: that may be so many times the mean rate of these steps.
  double largest_rate_later() const {
    Sums sums;
    for (const SumSample& sample : tree_.samples()) {
      if (!sample.test(SumTree::kFirstStep) && !sample.test(SumTree::kSecondStep)) {
        count(sample, sums);
      }
    }
    return sums.steps > 0 ? kLargestOfMean * sums.all_errors() / sums.steps : 0;
  }

  void divide(const Tree::Division& by, double largest_of_zero, double largest_of_one) {
    const int zero = tree_.divide(by.node, by.test);
    largest_.resize(index(zero + 2));
    largest_[index(zero)] = largest_of_zero;
    largest_[index(zero + 1)] = largest_of_one;
    offer_best(zero);
    offer_best(zero + 1);
  }

  void offer_best(int leaf) {
    Sums all;
    ones_.assign(SumTree::kTests, {});
    for (const SumSample& sample : tree_.samples(leaf)) {
      Sums one;
      count(sample, one);
      count(sample, all);
      for (std::size_t word = 0; word < sample.tests.size(); ++word) {
        for (std::uint32_t left = sample.tests[word]; left; left &= left - 1) {
          Sums& sums = ones_[word * 32 + static_cast<std::size_t>(std::countr_zero(left))];
          sums.steps += one.steps;
          if (sample.delta == 0) continue;
          for (std::size_t g = 0; g < kGroups; ++g) sums.errors[g] += one.errors[g];
        }
      }
    }
    if (all.all_errors() == 0) return;
    // Chance tells about the rate; more where the right steps, each of which stands for several,
    // are few.
    const double rate = all.all_errors() / all.steps;
    const double chance = 2 * rate * ((1 - rate) + kRightKept * rate);
    Tree::Division best{kSignificance * chance, leaf, -1};
    for (int test = 0; test < SumTree::kTests; ++test) {
      const Sums &one = ones_[index(test)], zero = all - one;
      if (std::min(one.steps, zero.steps) < kFewestSteps) continue;
      const double rate_of_one = one.all_errors() / one.steps;
      const double rate_of_zero = zero.all_errors() / zero.steps;
      if (std::max(rate_of_one, rate_of_zero) > largest_[index(leaf)]) continue;
      const double gain = one.told() + zero.told() - all.told();
      if (gain > best.gain) best = {gain, leaf, test};
    }
    if (best.test >= 0) tree_.offer(best);
  }

  Tree tree_;
  std::vector<std::int32_t> frequent_;  // deltas; none: no errors
  std::vector<double> largest_;         // by node: the rate that leaves below it may have
  std::vector<Sums> ones_;              // by test, of the leaf that is looked at
};

}  // namespace

RegisterProfile grow_sum_tree(std::vector<SumSample> samples, int most) {
  return Growth(std::move(samples), most).profile();
}

}  // namespace inure::timing
