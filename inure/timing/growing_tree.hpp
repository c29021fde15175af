#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <queue>
#include <span>
#include <utility>
#include <vector>

#include "inure/errors/timing_profile.pb.h"

namespace inure::timing {

// What is kept of a tree's leaves.
struct ClassesKept {
  std::uint32_t right_kept;  // a right sample stands for so many
  int most_deltas;           // the most frequent ones
  double told = 1;           // which tell of so large a part of a leaf's errors
};

// A tree of classes that grows from samples of operations, whose leaves are divided by tests, the
// best division first. What the best one is, others say. A Sample has `delta` (0: it is right) and
// test(int), the outcome of a test.
template <class Sample>
class GrowingTree {
 public:
  struct Division {
    double gain = 0;
    int node = 0, test = -1;
    bool operator<(const Division& other) const {
      return gain != other.gain ? gain < other.gain : node > other.node;
    }
  };

  // One leaf: node 0.
  GrowingTree(std::vector<Sample> samples, const ClassesKept& kept)
      : samples_(std::move(samples)), kept_(kept), nodes_{{0, samples_.size()}} {}

  std::span<const Sample> samples(int node = 0) const {
    const Node& of = nodes_[static_cast<std::size_t>(node)];
    return std::span(samples_).subspan(of.first, of.end - of.first);
  }

  void offer(const Division& division) { open_.push(division); }
  // The best one on offer of a leaf.
  std::optional<Division> best() {
    while (!open_.empty()) {
      const Division best = open_.top();
      open_.pop();
      if (nodes_[static_cast<std::size_t>(best.node)].test < 0) return best;
    }
    return std::nullopt;
  }

  // Divides a leaf. Returns its branch of samples whose outcome is 0; that of a 1 is the next node.
  int divide(int leaf, int test) {
    const auto [first, end, none, nothing] = nodes_[static_cast<std::size_t>(leaf)];
    const auto begin = samples_.begin();
    const auto middle = std::partition(begin + static_cast<std::ptrdiff_t>(first),
                                       begin + static_cast<std::ptrdiff_t>(end),
                                       [&](const Sample& sample) { return !sample.test(test); });
    const auto half = static_cast<std::size_t>(middle - begin);
    const int zero = static_cast<int>(nodes_.size());
    nodes_[static_cast<std::size_t>(leaf)] = {first, end, test, zero};
    nodes_.push_back({first, half});
    nodes_.push_back({half, end});
    return zero;
  }

  // The part of a node's samples that are wrong.
  double rate(int node = 0) const {
    const Counts of = counts(samples(node));
    return static_cast<double>(of.errors) / static_cast<double>(of.trials);
  }

  // How often each delta occurs, the most frequent first.
  std::vector<std::pair<std::int32_t, std::uint32_t>> deltas(int node = 0) const {
    std::map<std::int32_t, std::uint32_t> counts;
    for (const Sample& sample : samples(node)) {
      if (sample.delta) ++counts[sample.delta];
    }
    std::vector<std::pair<std::int32_t, std::uint32_t>> list(counts.begin(), counts.end());
    std::stable_sort(list.begin(), list.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    return list;
  }

  // As timing_profile.proto has it.
  void write(RegisterProfile& profile) const {
    std::uint32_t leaves = 0;
    write(0, leaves, profile);
  }

 private:
  struct Node {  // of samples first to end
    std::size_t first = 0, end = 0;
    int test = -1;  // of a leaf: -1
    int zero = 0;
  };
  struct Counts {
    std::uint64_t trials = 0, errors = 0;
  };

  Counts counts(std::span<const Sample> samples) const {
    Counts counts;
    for (const Sample& sample : samples) {
      counts.trials += sample.delta ? 1 : kept_.right_kept;
      counts.errors += sample.delta != 0;
    }
    return counts;
  }

  void write(int at, std::uint32_t& leaves, RegisterProfile& profile) const {
    const Node& node = nodes_[static_cast<std::size_t>(at)];
    profile.add_split(static_cast<std::uint32_t>(1 + node.test));
    if (node.test >= 0) {
      write(node.zero, leaves, profile);
      return write(node.zero + 1, leaves, profile);
    }
    write_class(at, leaves++, profile);
  }

  void write_class(int leaf, std::uint32_t id, RegisterProfile& profile) const {
    const Counts of = counts(samples(leaf));
    if (of.errors == 0) return;
    ErrorClass& what = *profile.add_error_class();
    what.set_id(id);
    what.set_rate(rate(leaf));
    what.set_trials(of.trials);
    double left = kept_.told * static_cast<double>(of.errors);
    for (const auto& [delta, count] : deltas(leaf)) {
      if (left <= 0 || what.delta_size() == kept_.most_deltas) break;
      left -= count;
      what.add_delta(delta);
      what.add_count(count);
    }
  }

  std::vector<Sample> samples_;
  ClassesKept kept_;
  std::vector<Node> nodes_;
  std::priority_queue<Division> open_;
};

}  // namespace inure::timing
