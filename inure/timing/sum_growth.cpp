#include "inure/timing/sum_growth.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <queue>
#include <utility>

namespace inure::timing {
namespace {

constexpr int kMaxDeltas = 32;
constexpr double kTold = 0.98;  // of the errors, by the deltas that are kept
// A leaf stands for so many steps at least; a division tells so many times more than one by chance.
constexpr double kFewestSteps = 200, kSignificance = 8;
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

// Most frequent first.
std::vector<std::pair<std::int32_t, std::uint32_t>> deltas_of(const SumSample* begin,
                                                              const SumSample* end) {
  std::map<std::int32_t, std::uint32_t> counts;
  for (const SumSample* sample = begin; sample != end; ++sample) {
    if (sample->delta) ++counts[sample->delta];
  }
  std::vector<std::pair<std::int32_t, std::uint32_t>> list(counts.begin(), counts.end());
  std::stable_sort(list.begin(), list.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  return list;
}

class Growth {
 public:
  Growth(std::vector<SumSample> samples, int most) : samples_(std::move(samples)) {
    const auto deltas = deltas_of(samples_.data(), samples_.data() + samples_.size());
    if (deltas.empty()) return;
    for (std::size_t g = 0; g + 1 < kGroups && g < deltas.size(); ++g) {
      frequent_.push_back(deltas[g].first);
    }
    // The steps of the two parts are told apart first.
    const double start = largest_rate(true), later = largest_rate(false);
    add_node(0, samples_.size(), 0);
    divide({0, 0, SumTree::kFirstStep}, 0, start);
    divide({0, 1, SumTree::kSecondStep}, later, start);
    for (int leaves = 3; leaves < most && !open_.empty();) {
      const Division best = open_.top();
      open_.pop();
      Node& node = nodes_[index(best.node)];
      if (node.test >= 0) continue;  // those two
      const double largest = node.largest_rate;
      divide(best, largest, largest);
      ++leaves;
    }
  }

  RegisterProfile profile() const {
    RegisterProfile profile;
    if (nodes_.empty()) return profile;
    std::uint32_t leaves = 0;
    write(0, leaves, profile);
    profile.set_rate(nodes_[0].sums.all_errors() / nodes_[0].sums.steps);
    return profile;
  }

 private:
  struct Node {  // of samples first to end
    std::size_t first = 0, end = 0;
    Sums sums;
    double largest_rate = 0;  // that leaves may have
    int test = -1;            // of a leaf: -1
    int zero = 0;             // the branch of a 0; that of a 1 is the next
  };
  struct Division {
    double gain = 0;
    int node = 0, test = -1;
    bool operator<(const Division& other) const {
      return gain != other.gain ? gain < other.gain : node > other.node;
    }
  };

  void count(const SumSample& sample, Sums& sums) const {
    sums.steps += sample.delta ? 1 : kRightKept;
    if (sample.delta == 0) return;
    const auto found = std::find(frequent_.begin(), frequent_.end(), sample.delta);
    sums.errors[found == frequent_.end() ? kGroups - 1
                                         : static_cast<std::size_t>(found - frequent_.begin())] +=
        1;
  }

  // Injection draws candidates at the largest rate of the leaves of an output's first two steps
  // (start), or of the later ones: that may be so many times the mean rate of these steps.
  double largest_rate(bool start) const {
    Sums sums;
    for (const SumSample& sample : samples_) {
      if (((sample.tests[SumTree::kLevelWord] & 3) != 0) == start) count(sample, sums);
    }
    return sums.steps > 0 ? kLargestOfMean * sums.all_errors() / sums.steps : 0;
  }

  void add_node(std::size_t first, std::size_t end, double largest) {
    const int node = static_cast<int>(nodes_.size());
    nodes_.push_back({first, end, {}, largest, -1, 0});
    Sums all;
    ones_.assign(SumTree::kTests, {});
    for (std::size_t i = first; i < end; ++i) {
      const SumSample& sample = samples_[i];
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
    nodes_.back().sums = all;
    if (all.all_errors() == 0) return;
    const Division best = best_division(node, all);
    if (best.test >= 0) open_.push(best);
  }

  Division best_division(int node, const Sums& all) const {
    // Chance tells about the rate; more where the right steps, each of which stands for several,
    // are few.
    const double rate = all.all_errors() / all.steps;
    const double chance = 2 * rate * ((1 - rate) + kRightKept * rate);
    Division best{kSignificance * chance, node, -1};
    for (int test = 0; test < SumTree::kTests; ++test) {
      const Sums &one = ones_[index(test)], zero = all - one;
      if (std::min(one.steps, zero.steps) < kFewestSteps) continue;
      const double rate_of_one = one.all_errors() / one.steps;
      const double rate_of_zero = zero.all_errors() / zero.steps;
      if (std::max(rate_of_one, rate_of_zero) > nodes_[index(node)].largest_rate) continue;
      const double gain = one.told() + zero.told() - all.told();
      if (gain > best.gain) best = {gain, node, test};
    }
    return best;
  }

  void divide(const Division& best, double largest_of_zero, double largest_of_one) {
    const std::size_t first = nodes_[index(best.node)].first, end = nodes_[index(best.node)].end;
    const auto middle = std::partition(
        samples_.begin() + static_cast<std::ptrdiff_t>(first),
        samples_.begin() + static_cast<std::ptrdiff_t>(end), [&](const SumSample& sample) {
          return !(sample.tests[index(best.test / 32)] >> best.test % 32 & 1);
        });
    const auto half = static_cast<std::size_t>(middle - samples_.begin());
    nodes_[index(best.node)].test = best.test;
    nodes_[index(best.node)].zero = static_cast<int>(nodes_.size());
    add_node(first, half, largest_of_zero);
    add_node(half, end, largest_of_one);
  }

  void write(int at, std::uint32_t& leaves, RegisterProfile& profile) const {
    const Node& node = nodes_[index(at)];
    profile.add_split(static_cast<std::uint32_t>(1 + node.test));
    if (node.test >= 0) {
      write(node.zero, leaves, profile);
      return write(node.zero + 1, leaves, profile);
    }
    write_class(node, leaves++, profile);
  }

  void write_class(const Node& node, std::uint32_t id, RegisterProfile& profile) const {
    const auto deltas = deltas_of(samples_.data() + node.first, samples_.data() + node.end);
    if (deltas.empty()) return;
    ErrorClass& what = *profile.add_error_class();
    what.set_id(id);
    what.set_rate(node.sums.all_errors() / node.sums.steps);
    what.set_trials(static_cast<std::uint64_t>(node.sums.steps));
    double left = kTold * node.sums.all_errors();  // rare deltas cost more room than they tell
    for (const auto& [delta, count] : deltas) {
      if (left <= 0 || what.delta_size() == kMaxDeltas) break;
      left -= count;
      what.add_delta(delta);
      what.add_count(count);
    }
  }

  std::vector<SumSample> samples_;
  std::vector<std::int32_t> frequent_;
  std::vector<Node> nodes_;
  std::vector<Sums> ones_;  // by test, of the node that is added
  std::priority_queue<Division> open_;
};

}  // namespace

RegisterProfile grow_sum_tree(std::vector<SumSample> samples, int most) {
  return Growth(std::move(samples), most).profile();
}

}  // namespace inure::timing
