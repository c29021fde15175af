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

// A class without its chain.
int class_without_chain(int step, int signs_before, int signs) {
  return (std::min(step, kSumPhases - 1) * kSigns + signs_before) * kSigns + signs;
}

SumErrors::Part part_of_class(int c) { return SumErrors::part(c / (kSumClasses / kSumPhases)); }

std::array<double, SumErrors::kParts> largest_rates(const TimingLanes& lanes) {
  std::array<double, SumErrors::kParts> largest{};
  for (const TimingLanes::Lane& lane : lanes.lanes) {
    for (int c = 0; c < kSumClasses; ++c) {
      double& of_part = largest[part_of_class(c)];
      of_part = std::max(of_part, lane.sums[index(c)].rate);
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
    : largest_(largest_rates(lanes)),
      candidates_{SiteSampler(largest_[kStart], kCandidateModel + kStart),
                  SiteSampler(largest_[kLater], kCandidateModel + kLater)} {
  for (const TimingLanes::Lane& lane : lanes.lanes) {
    lanes_.push_back(make_lane(lane.sums, largest_));
  }
}

SumErrors::Lane SumErrors::make_lane(const std::vector<SumClass>& sums,
                                     const std::array<double, kParts>& largest) {
  Lane lane;
  lane.deltas.resize(sums.size());
  lane.erring.assign(sums.size(), 0);
  lane.may_err = {};
  for (int c = 0; c < kSumClasses; ++c) {
    const SumClass& what = sums[index(c)];
    if (what.rate <= 0) continue;
    const double most = what.rate / largest[part_of_class(c)];
    for (const auto& [delta, up_to] : what.deltas) {
      const double below = std::min(std::round(most * up_to * 0x1p32), 0x1p32 - 1);
      lane.deltas[index(c)].emplace_back(static_cast<std::uint32_t>(below), delta);
    }
    const std::uint32_t erring = lane.erring[index(c)] = lane.deltas[index(c)].back().first;
    // Chains 1 to 4 are of negative sums, the others of those that are not (sum_class.hpp).
    const int chain = c % kSumChains, negative = chain >= 1 && chain <= 4;
    std::uint32_t& may = lane.may_err[index(c / kSumChains * 2 + negative)];
    may = std::max(may, erring);
  }
  return lane;
}

std::uint32_t SumErrors::word(const ErrorKey& key, Part part, std::uint32_t strip, std::size_t k) {
  return site_word(key, kWordModel + part, strip, static_cast<std::uint32_t>(k));
}

std::int32_t SumErrors::delta(std::uint32_t word, int lane, int of_step) const {
  const auto& deltas = this->lane(lane).deltas[index(of_step)];
  const auto found = std::upper_bound(deltas.begin(), deltas.end(), word,
                                      [](std::uint32_t w, const auto& d) { return w < d.first; });
  return found == deltas.end() ? 0 : found->second;
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
  // By number in the batch: first a class without its chain, then the class.
  int classes[StepBatch::kMost];
  std::int32_t before[StepBatch::kMost];
  // By number of products.
  std::array<std::uint8_t, 1025> of_negative{}, of_nonzero{};
  std::array<const Lane*, LaneGeometry::kStripChannels> lanes{};

  // The candidates of a pixel and of kWidth channels: some in the order of `likely`.
  struct Group {
    int x, begin, end, last;  // last: of their steps
  };
  static constexpr int kWidth = 2 * StripSums::kVector;
  std::array<std::vector<Group>, LaneGeometry::kStripChannels / kWidth> of_channels;

  Strip(const SumErrors& all, const LaneOperands& strip, std::uint32_t* to, std::int64_t step,
        StripSums& right_sums)
      : errors(all), operands(strip), sums(to), stride(step), right(right_sums) {
    const LaneGeometry& g = *strip.geometry;
    for (int n = 0; n <= g.vec_size; ++n) {
      const int level = sign_level(n, g.vec_size);
      of_negative[index(n)] = static_cast<std::uint8_t>(level);
      of_nonzero[index(n)] = static_cast<std::uint8_t>(first_signs(level));
    }
    for (int c = 0; c < strip.channels; ++c) {
      lanes[index(c)] = &all.lane(g.lane(strip.first_channel + c));
    }
  }

  // Leaves those that may err.
  void thin() {
    likely_count = 0;
    for (int i = 0; i < batch.count; ++i) {
      const int signs_before =
          of_nonzero[index(batch.nonzero_before[i])] + of_negative[index(batch.negative_before[i])];
      const int signs = of_nonzero[index(batch.nonzero[i])] + of_negative[index(batch.negative[i])];
      classes[i] = class_without_chain(batch.step[i], signs_before, signs);
      const auto& may_err = lanes[index(batch.channel[i])]->may_err;
      likely[likely_count] = i;
      likely_count += words[i] < may_err[index(classes[i] * 2 + (batch.sum[i] < 0))];
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

  // Adds the deltas of those that do err.
  void settle() {
    int erring = 0;
    for (int k = 0; k < likely_count; ++k) {
      const int i = likely[k];
      const int of_step = classes[i] * kSumChains + sum_chain(before[i], batch.sum[i]);
      classes[i] = of_step;
      likely[erring] = i;
      erring += words[i] < lanes[index(batch.channel[i])]->erring[of_step];
    }
    for (int k = 0; k < erring; ++k) {
      const int i = likely[k], channel = batch.channel[i];
      const int lane = operands.geometry->lane(operands.first_channel + channel);
      sums[batch.x[i] * stride + channel] +=
          static_cast<std::uint32_t>(errors.delta(words[i], lane, classes[i]));
    }
  }
};

void SumErrors::add_part(const ErrorKey& key, const LaneOperands& operands, Part part,
                         std::uint32_t* sums, std::int64_t stride) const {
  thread_local std::vector<std::int64_t> buffer;
  thread_local StripSums strip_sums;
  const LaneGeometry& g = *operands.geometry;
  const std::uint32_t id = g.strip_id(operands.y, operands.first_channel);
  const auto sites =
      candidates_[part].sample(key, id, SumErrors::sites(g, operands.channels, part), buffer);
  if (sites.empty()) return;
  strip_sums.load(operands, first_step(part) + steps(g, part));
  Strip strip(*this, operands, sums, stride, strip_sums);
  StepBatch& batch = strip.batch;
  for (std::size_t begin = 0; begin < sites.size(); begin += StepBatch::kMost) {
    batch.count = static_cast<int>(std::min<std::size_t>(StepBatch::kMost, sites.size() - begin));
    site_words(key, kWordModel + part, id, static_cast<std::uint32_t>(begin),
               {strip.words, index(batch.count)});
    place(sites.data() + begin, batch.count, operands.channels, steps(g, part), first_step(part),
          batch.x, batch.channel, batch.step);
    strip_sums.add_products(batch);
    strip.thin();
    strip.find_before(part);
    strip.settle();
  }
}

void SumErrors::add_deltas(const ErrorKey& key, const LaneOperands& operands, std::uint32_t* sums,
                           std::int64_t stride) const {
  if (largest_[kStart] > 0) add_part(key, operands, kStart, sums, stride);
  if (largest_[kLater] > 0) add_part(key, operands, kLater, sums, stride);
}

}  // namespace inure
