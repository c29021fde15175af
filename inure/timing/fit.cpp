#include "inure/timing/fit.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <queue>

#include "inure/base/parallel.hpp"
#include "inure/base/random.hpp"
#include "inure/errors/product_tree.hpp"

namespace inure::timing {
namespace {

constexpr int kProductBits = Multiplier::kProductBits, kOperandBits = Multiplier::kOperandBits;
constexpr int kLanesOfPair = 256;  // changes of activations for a pair of weights
constexpr int kPairsOfRun = MultiplierStep::kLanes / kLanesOfPair;
constexpr int kRunsOfTask = 32;
constexpr std::uint32_t kRightKept =
    32;  // of so many right products one is kept, and counts as all

std::size_t index(int i) { return static_cast<std::size_t>(i); }

struct Sample {
  ProductTree::Tests tests;
  std::int32_t delta = 0;  // 0: right
};
using Samples = std::vector<Sample>;

// Runs of the multiplier on operands as networks have them.
class Sampler {
 public:
  Sampler(const MultiplierStep& step, bool negative_activations, std::uint32_t task)
      : step_(step),
        run_(step),
        negative_(negative_activations),
        random_(kSeed, RandomPurpose::kErrors, task, 0) {}

  // Appends to the samples of each period.
  void sample(std::vector<Samples>& samples) {
    draw_operands();
    for (int bit = 0; bit < kOperandBits; ++bit) {
      for (const auto operand : {MultiplierStep::kPreviousActivation, MultiplierStep::kActivation,
                                 MultiplierStep::kPreviousWeight, MultiplierStep::kWeight}) {
        MultiplierStep::Block& lanes = run_.input(operand, bit);
        lanes.fill(0);
        for (std::size_t lane = 0; lane < operands_.size(); ++lane) {
          lanes[lane / 64] |= static_cast<std::uint64_t>(operands_[lane][operand] >> bit & 1)
                              << lane % 64;
        }
      }
    }
    run_.run();
    for (int p = 0; p < step_.periods(); ++p) collect(p, samples[index(p)]);
  }

 private:
  static constexpr std::uint64_t kSeed = 0x70726F64756374u;

  int drawn(double deviation) {
    return static_cast<int>(
        std::clamp(std::nearbyint(random_.gaussian() * deviation), -128.0, 127.0));
  }
  int anything() { return static_cast<int>(random_.below(256)) - 128; }

  void draw_operands() {
    for (int pair = 0; pair < kPairsOfRun; ++pair) {
      const double of_activations = 8 + random_.below(50), of_weights = 10 + random_.below(35);
      const bool relu = !negative_ || random_.below(3) > 0, near = random_.below(2) > 0;
      const int b_before = random_.below(8) ? drawn(of_weights) : anything();
      const int b = random_.below(8) ? drawn(of_weights) : anything();
      for (int i = 0; i < kLanesOfPair; ++i) {
        int a_before = drawn(of_activations);
        int a = near ? std::clamp(a_before * 4 / 5 + drawn(of_activations / 2), -128, 127)
                     : drawn(of_activations);
        if (random_.below(16) == 0) a_before = anything();
        if (random_.below(16) == 0) a = anything();
        if (relu) a_before = std::max(a_before, 0), a = std::max(a, 0);
        auto& lane = operands_[index(pair * kLanesOfPair + i)];
        lane[MultiplierStep::kPreviousActivation] = a_before;
        lane[MultiplierStep::kActivation] = a;
        lane[MultiplierStep::kPreviousWeight] = b_before;
        lane[MultiplierStep::kWeight] = b;
      }
    }
    for (bool& kept : right_kept_) kept = random_.below(kRightKept) == 0;
  }

  void collect(int period, Samples& samples) {
    const MultiplierStep::Block wrong = run_.wrong(period);
    for (std::size_t lane = 0; lane < operands_.size(); ++lane) {
      const bool errs = wrong[lane / 64] >> lane % 64 & 1;
      if (!errs && !right_kept_[lane]) continue;
      const auto& operands = operands_[lane];
      const int a = operands[MultiplierStep::kActivation], b = operands[MultiplierStep::kWeight];
      int captured = 0;
      for (int bit = 0; errs && bit < kProductBits; ++bit) {
        captured |= static_cast<int>(run_.captured(period, bit)[lane / 64] >> lane % 64 & 1) << bit;
      }
      samples.push_back({ProductTree::tests(operands[MultiplierStep::kPreviousActivation],
                                            operands[MultiplierStep::kPreviousWeight], a, b),
                         errs ? static_cast<std::int16_t>(captured) - a * b : 0});
    }
  }

  const MultiplierStep& step_;
  MultiplierStep::Run run_;
  const bool negative_;
  RandomStream random_;
  std::array<std::array<int, 4>, MultiplierStep::kLanes> operands_{};  // by lane and Operand
  std::array<bool, MultiplierStep::kLanes> right_kept_{};
};

// What a set of samples says.
struct Sums {
  std::int64_t trials = 0, errors = 0, deltas = 0;

  void add(const Sample& sample) {
    trials += sample.delta ? 1 : kRightKept;
    errors += sample.delta != 0;
    deltas += sample.delta;
  }
  Sums operator-(const Sums& other) const {
    return {trials - other.trials, errors - other.errors, deltas - other.deltas};
  }
};

// Grows a tree, the best division first.
class Growth {
 public:
  Growth(Samples samples, const ProductFit& fit) : samples_(std::move(samples)), fit_(fit) {
    double squares = 0, errors = 0;
    for (const Sample& sample : samples_) {
      squares += static_cast<double>(sample.delta) * sample.delta;
      errors += sample.delta != 0;
    }
    if (errors == 0) return;
    mean_square_ = squares / errors;
    add_node(0, samples_.size());
    for (int classes = 1; classes < fit_.max_classes && !open_.empty(); ++classes) divide();
  }

  RegisterProfile profile() const {
    RegisterProfile profile;
    std::uint32_t leaves = 0;
    if (!nodes_.empty()) write(0, leaves, profile);
    return profile;
  }

 private:
  // Of samples first to end.
  struct Node {
    std::size_t first = 0, end = 0;
    int test = -1;  // of a leaf: -1
    int zero = 0;   // the branch of a 0; that of a 1 is the next
  };
  struct Division {
    double gain = 0;
    int node = 0, test = -1;
    bool operator<(const Division& other) const {
      return gain != other.gain ? gain < other.gain : node > other.node;
    }
  };
  // A leaf has so many trials at least; a division tells so many times more than one by chance.
  static constexpr std::int64_t kFewestTrials = 48;
  static constexpr double kSignificance = 10;

  // The part of the errors and of the deltas' squares that the mean of a class accounts for.
  double told(const Sums& sums) const {
    const auto errors = static_cast<double>(sums.errors), deltas = static_cast<double>(sums.deltas);
    return (errors * errors + deltas * deltas / mean_square_) / static_cast<double>(sums.trials);
  }

  void add_node(std::size_t first, std::size_t end) {
    const int node = static_cast<int>(nodes_.size());
    nodes_.push_back({first, end});
    Sums all;
    std::array<Sums, ProductTree::kTests> ones{};
    for (std::size_t i = first; i < end; ++i) {
      const Sample& sample = samples_[i];
      all.add(sample);
      for (std::uint64_t left = sample.tests.operands; left; left &= left - 1) {
        ones[index(std::countr_zero(left))].add(sample);
      }
      for (std::uint32_t left = sample.tests.products; left; left &= left - 1) {
        ones[index(ProductTree::kProduct + std::countr_zero(left))].add(sample);
      }
    }
    if (all.errors == 0) return;
    // Chance tells about the rate, of errors and of deltas.
    const double rate = static_cast<double>(all.errors) / static_cast<double>(all.trials);
    Division best{kSignificance * 2 * rate, node, -1};
    for (int test = 0; test < ProductTree::kTests; ++test) {
      const Sums &one = ones[index(test)], zero = all - one;
      if (std::min(one.trials, zero.trials) < kFewestTrials) continue;
      const double gain = told(one) + told(zero) - told(all);
      if (gain > best.gain) best = {gain, node, test};
    }
    if (best.test >= 0) open_.push(best);
  }

  void divide() {
    const Division best = open_.top();
    open_.pop();
    const auto [first, end, unused, none] = nodes_[index(best.node)];
    const auto begin = samples_.begin();
    const auto middle = std::partition(
        begin + static_cast<std::ptrdiff_t>(first), begin + static_cast<std::ptrdiff_t>(end),
        [&](const Sample& sample) { return !sample.tests[best.test]; });
    nodes_[index(best.node)].test = best.test;
    nodes_[index(best.node)].zero = static_cast<int>(nodes_.size());
    add_node(first, static_cast<std::size_t>(middle - begin));
    add_node(static_cast<std::size_t>(middle - begin), end);
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
    Sums sums;
    std::map<std::int32_t, std::uint32_t> deltas;
    for (std::size_t i = node.first; i < node.end; ++i) {
      sums.add(samples_[i]);
      if (samples_[i].delta) ++deltas[samples_[i].delta];
    }
    if (deltas.empty()) return;
    ErrorClass& what = *profile.add_error_class();
    what.set_id(id);
    what.set_rate(static_cast<double>(sums.errors) / static_cast<double>(sums.trials));
    what.set_trials(static_cast<std::uint64_t>(sums.trials));
    std::vector<std::pair<std::int32_t, std::uint32_t>> list(deltas.begin(), deltas.end());
    std::stable_sort(list.begin(), list.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    if (list.size() > index(fit_.max_deltas)) list.resize(index(fit_.max_deltas));
    for (const auto& [delta, count] : list) {
      what.add_delta(delta);
      what.add_count(count);
    }
  }

  Samples samples_;
  const ProductFit& fit_;
  double mean_square_ = 0;  // of the deltas of errors
  std::vector<Node> nodes_;
  std::priority_queue<Division> open_;
};

}  // namespace

std::vector<RegisterProfile> fit_products(const Netlist& netlist, const Multiplier& multiplier,
                                          const ProductFit& fit) {
  const MultiplierStep step(netlist, multiplier, fit.periods_ps);
  const std::size_t periods = fit.periods_ps.size();
  constexpr std::int64_t kOfTask = std::int64_t{kRunsOfTask} * MultiplierStep::kLanes;
  std::vector<std::vector<Samples>> parts(
      static_cast<std::size_t>((fit.transitions + kOfTask - 1) / kOfTask));
  parallel_for(static_cast<std::int64_t>(parts.size()), [&](std::int64_t task) {
    auto& part = parts[static_cast<std::size_t>(task)];
    part.resize(periods);
    Sampler sampler(step, fit.negative_activations, static_cast<std::uint32_t>(task));
    for (int run = 0; run < kRunsOfTask; ++run) sampler.sample(part);
  });
  std::vector<RegisterProfile> profiles(periods);
  parallel_for(static_cast<std::int64_t>(periods), [&](std::int64_t period) {
    const auto p = static_cast<std::size_t>(period);
    Samples samples;
    for (auto& part : parts) {
      samples.insert(samples.end(), part[p].begin(), part[p].end());
      part[p] = {};
    }
    profiles[p] = Growth(std::move(samples), fit).profile();
  });
  return profiles;
}

}  // namespace inure::timing
