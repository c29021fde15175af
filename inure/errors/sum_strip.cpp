// The fast path of SumErrors.

#include <algorithm>
#include <bit>
#include <cstring>

#include "inure/base/clones.hpp"
#include "inure/errors/sum_errors.hpp"
#include "inure/errors/sum_start.hpp"
#include "inure/errors/sum_steps.hpp"

namespace inure {
namespace {

std::size_t index(int i) { return static_cast<std::size_t>(i); }

// From sites to places: site = (x * channels + channel) * steps + step. In floating point, which
// vectors can divide; exact below 2^52.
INURE_CLONES
void place(std::span<const std::int64_t> sites, int channels, int steps, int first_step,
           std::int32_t* x, std::int32_t* channel, std::int32_t* step) {
  for (std::size_t i = 0; i < sites.size(); ++i) {
    const auto site = static_cast<double>(sites[i]);
    const auto output = static_cast<std::int32_t>(site / steps);
    step[i] = first_step + static_cast<std::int32_t>(site - static_cast<double>(output) * steps);
    x[i] = static_cast<std::int32_t>(static_cast<double>(output) / channels);
    channel[i] = output - x[i] * channels;
  }
}

// What errors have added to an output's accumulator so far, and the last one.
struct Carried {
  std::uint32_t all = 0, last = 0;
  int last_step = -1;
};

// The candidates of a pixel and of kGroupChannels channels: some of the likely ones.
struct Group {
  int x, begin, end, last;  // last: of their steps
};
constexpr int kGroupChannels = 2 * StripSums::kVector;

// What is best kept from strip to strip.
struct Work {
  std::vector<std::int64_t> sites;
  std::vector<std::uint32_t> words;  // of the start's sites, where all are needed
  StripSums sums;
  SumSteps steps;  // of candidates that may err
  SumForest::Erring erring;
  std::vector<Carried> carried;  // by output: x * channels + channel
  std::array<std::vector<Group>, LaneGeometry::kStripChannels / kGroupChannels> groups;
};

}  // namespace

// A strip's candidates on their way to errors: those that may err, by their own step and the one
// before, are collected; then it is found what the accumulators hold, and which of them do err.
class SumErrors::Strip {
 public:
  Strip(const SumErrors& errors, const LaneOperands& operands, std::uint32_t* sums,
        std::int64_t stride, Work& work)
      : errors_(errors),
        operands_(operands),
        g_(*operands.geometry),
        sums_(sums),
        stride_(stride),
        work_(work),
        steps_(work.steps),
        id_(g_.strip_id(operands.y, operands.first_channel)) {
    for (int c = 0; c < operands.channels; ++c) {
      trees_[index(c)] =
          g_.lane(operands.first_channel + c) % static_cast<int>(errors.lanes_.size());
      const Lane& lane = errors.lanes_[index(trees_[index(c)])];
      starts_.set(c, lane.start, g_.steps);
      may_err_[index(c)] = &lane.later;
    }
    work.carried.assign(index(g_.width * operands.channels), {});
  }

  // All steps of outputs' starts are looked at.
  void add_start(const ErrorKey& key) {
    work_.sums.load(operands_, std::min(g_.steps, kStartSteps));
    if (starts_.by_words()) {
      work_.words.resize(index(g_.width * operands_.channels * kStartSteps));
      words(key, kStart, id_, 0, work_.words);
    }
    steps_.count = 0;
    for (int x = 0; x < g_.width; ++x) {
      if (steps_.count > SumSteps::kMost - kStartSteps * LaneGeometry::kStripChannels)
        settle_start(key);
      collect_start(x);
    }
    settle_start(key);
  }

  void add_later(const ErrorKey& key) {
    const auto sites = errors_.candidates_.sample(
        key, id_, SumErrors::sites(g_, operands_.channels, kLater), work_.sites);
    if (sites.empty()) return;
    work_.sums.load(operands_, g_.steps);
    steps_.count = 0;
    for (std::size_t begin = 0; begin < sites.size(); begin += kBatch) {
      const std::size_t count = std::min<std::size_t>(kBatch, sites.size() - begin);
      const int known = steps_.count;
      collect_later(key, begin, sites.subspan(begin, count));
      work_.sums.add_products(steps_, known);
      if (steps_.count > SumSteps::kMost - kBatch) settle_later(whole_pixels());
    }
    settle_later(steps_.count);
  }

 private:
  static constexpr int kBatch = 4 * kSiteWords;

  // Adds those of a pixel that may err by what they add to what.
  void collect_start(int x) {
    StripSums::Sums first, second;
    StripStarts::MayErr may_err;
    work_.sums.find_first_sums(x, first, second);
    const std::size_t sites = index(x * operands_.channels * kStartSteps);
    starts_.find(first, second, starts_.by_words() ? &work_.words[sites] : nullptr, may_err);
    int count = steps_.count;
    for (int i = 0; i < operands_.channels * kStartSteps; i += 8) {
      std::uint64_t left;  // a byte each
      for (std::memcpy(&left, may_err.data() + i, 8); left; left &= left - 1) {
        const int at = i + std::countr_zero(left) / 8;
        steps_.x[count] = x, steps_.channel[count] = at / kStartSteps;
        steps_.step[count] = at % kStartSteps;
        ++count;
      }
    }
    steps_.count = count;
  }

  void settle_start(const ErrorKey& key) {
    for (int k = 0; k < steps_.count; ++k) {
      const int site = output(k) * kStartSteps + steps_.step[k];
      steps_.word[k] =
          starts_.by_words() ? work_.words[index(site)] : static_cast<std::uint32_t>(site);
    }
    if (!starts_.by_words()) words(key, kStart, id_, {steps_.word, index(steps_.count)});
    work_.sums.add_products(steps_, 0);
    for (int k = 0; k < steps_.count; ++k) {
      if (steps_.step[k] == 0) {
        set_before(k);
      } else {
        set_accumulators(k, steps_.sum_before[k]);
      }
    }
    while (steps_.count > 0) add_errors(kStart);
  }

  // Of an output's first step: what was before.
  void set_before(int k) {
    bool here;
    const StripOutput before = output_before(operands_, steps_.x[k], steps_.channel[k], here);
    SumContents last;
    if (before.strip.geometry) {
      last = contents_of_step(before, g_.steps - 1);
      last.accumulator = (here ? right_sum(before.x, before.channel) : sum_of_products(before));
      last.accumulator -= last.sum;
    }
    steps_.accumulator[k] = 0;
    steps_.accumulator_before[k] = last.accumulator;
    steps_.sum_before[k] = last.sum, steps_.signs_before[k] = last.signs;
  }

  // What all products of an output of this strip are.
  std::uint32_t right_sum(int x, int channel) const {
    const std::int32_t bias = operands_.bias ? operands_.bias[channel] : 0;
    return sums_[x * stride_ + channel] - static_cast<std::uint32_t>(bias) -
           work_.carried[index(x * operands_.channels + channel)].all;
  }

  // Adds those that may err by their activations.
  void collect_later(const ErrorKey& key, std::size_t first, std::span<const std::int64_t> sites) {
    std::int32_t x[kBatch], channel[kBatch], step[kBatch];
    std::uint32_t word[kBatch];
    words(key, kLater, id_, first, {word, sites.size()});
    place(sites, operands_.channels, steps(g_, kLater), kStartSteps, x, channel, step);
    std::uint8_t most[kBatch];
    for (std::size_t i = 0; i < sites.size(); ++i) {
      most[i] = (*may_err_[index(channel[i])])[work_.sums.nonzero(x[i], step[i])];
    }
    int count = steps_.count;
    for (std::size_t i = 0; i < sites.size(); ++i) {
      steps_.x[count] = x[i], steps_.channel[count] = channel[i];
      steps_.step[count] = step[i], steps_.word[count] = word[i];
      count += word[i] >> 24 <= most[i];
    }
    steps_.count = count;
  }

  // How many are those of whole pixels, StripSums::kPixels at a time where there are so many; all,
  // where there is no whole pixel.
  int whole_pixels() const {
    int whole = 0, pixels = 0;
    for (int k = 1; k < steps_.count; ++k) {
      if (steps_.x[k] == steps_.x[k - 1]) continue;
      if (++pixels < StripSums::kPixels || pixels % StripSums::kPixels == 0) whole = k;
    }
    return whole > 0 ? whole : steps_.count;
  }

  // Of the first `count`; the others become the first.
  void settle_later(int count) {
    const int all = steps_.count;
    steps_.count = count;
    find_accumulators();
    while (steps_.count > 0) add_errors(kLater);
    for (int k = count; k < all; ++k) move(k, steps_.count++);
  }

  // What the accumulators hold.
  void find_accumulators() {
    for (auto& groups : work_.groups) groups.clear();
    for (int k = 0; k < steps_.count; ++k) {
      const int x = steps_.x[k];
      auto& groups = work_.groups[index(steps_.channel[k] / kGroupChannels)];
      if (groups.empty() || groups.back().x != x) groups.push_back({x, k, k, 0});
      groups.back().end = k + 1;
      groups.back().last = std::max(groups.back().last, steps_.step[k]);
    }
    int first = 0;
    for (const auto& groups : work_.groups) {
      for (std::size_t g = 0; g < groups.size(); g += StripSums::kPixels) {
        const std::size_t count = std::min<std::size_t>(StripSums::kPixels, groups.size() - g);
        find_accumulators(std::span(groups).subspan(g, count), first);
      }
      first += kGroupChannels;
    }
  }

  void find_accumulators(std::span<const Group> groups, int first) {
    int x[StripSums::kPixels], last = 0;
    for (std::size_t g = 0; g < groups.size(); ++g) {
      x[g] = groups[g].x;
      last = std::max(last, groups[g].last);
    }
    const bool narrow = operands_.channels - first <= StripSums::kVector;
    StripSums& sums = work_.sums;
    sums.accumulate({x, groups.size()}, first, narrow ? StripSums::kVector : kGroupChannels, last);
    for (std::size_t g = 0; g < groups.size(); ++g) {
      for (int k = groups[g].begin; k < groups[g].end; ++k) {
        const int step = steps_.step[k];
        const int even = sums.before(static_cast<int>(g), step, steps_.channel[k] - first);
        const std::uint32_t is_odd = step & 1;
        set_accumulators(k, static_cast<std::uint32_t>(even) + (steps_.sum_before[k] & -is_odd));
      }
    }
  }

  // `right`: what the accumulator should hold before the step.
  void set_accumulators(int k, std::uint32_t right) {
    const Carried& wrong = work_.carried[index(output(k))];
    const std::uint32_t just_now = wrong.last_step == steps_.step[k] - 1;
    steps_.accumulator[k] = right + wrong.all;
    steps_.accumulator_before[k] =
        steps_.accumulator[k] - steps_.sum_before[k] - (wrong.last & -just_now);
  }

  int output(int k) const { return steps_.x[k] * operands_.channels + steps_.channel[k]; }

  // Adds the deltas of those that do err, but at most one for each output: what comes after it
  // stays, to be looked at once more.
  void add_errors(Part part) {
    const SumForest::Erring& erring = work_.erring;
    errors_.forests_[part].find_erring(steps_, trees_, errors_.vec_size_, work_.erring);
    int left = 0, done = 0;
    for (int i = 0; i < erring.count; ++i) {
      const int k = erring.step[i];
      if (k < done) continue;  // again
      const int at = output(k), channel = steps_.channel[k], step = steps_.step[k];
      const Lane& lane = errors_.lanes_[index(trees_[index(channel)])];
      const Leaf& leaf = lane.leaves[part][index(erring.leaf[i])];
      const auto added = static_cast<std::uint32_t>(leaf.delta(steps_.word[k]));
      Carried& wrong = work_.carried[index(at)];
      wrong = {wrong.all + added, added, step};
      sums_[steps_.x[k] * stride_ + channel] += added;
      for (done = k + 1; done < steps_.count && output(done) == at; ++done) {
        steps_.accumulator[done] += added;
        if (steps_.step[done] > step + 1) steps_.accumulator_before[done] += added;
        move(done, left++);
      }
    }
    steps_.count = left;
  }

  void move(int from, int to) {
    for (auto& values : {steps_.x, steps_.channel, steps_.step}) values[to] = values[from];
    for (auto& values : {steps_.word, steps_.sum, steps_.signs, steps_.accumulator,
                         steps_.sum_before, steps_.signs_before, steps_.accumulator_before}) {
      values[to] = values[from];
    }
  }

  const SumErrors& errors_;
  const LaneOperands& operands_;
  const LaneGeometry& g_;
  std::uint32_t* const sums_;
  const std::int64_t stride_;
  Work& work_;
  SumSteps& steps_;
  const std::uint32_t id_;
  // By channel: what to find its lane by, and what that lane has.
  std::array<int, LaneGeometry::kStripChannels> trees_{};
  StripStarts starts_;
  std::array<const MayErr*, LaneGeometry::kStripChannels> may_err_{};
};

void SumErrors::add_deltas(const ErrorKey& key, const LaneOperands& operands, std::uint32_t* sums,
                           std::int64_t stride) const {
  thread_local Work work;
  Strip strip(*this, operands, sums, stride, work);
  if (any_[kStart]) strip.add_start(key);
  if (any_[kLater]) strip.add_later(key);
}

}  // namespace inure
