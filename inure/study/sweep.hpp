#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "inure/study/statistics.hpp"

// Accuracy against clock, before and after retraining: which runs that takes, their results on
// disk, and what they say. How a run is made is the caller's affair.
namespace inure {

// One run: a test, for kAfter with a retraining before it.
struct SweepPoint {
  enum class Network {
    kExact,    // unprepared, the accelerator without errors
    kBefore,   // unprepared, at this clock
    kControl,  // retrained just as well, without errors: what of a gain is but further training
    kAfter     // retrained at this clock
  };
  Network network = Network::kExact;
  double clock = 0;  // relative to f_STA; of kExact and kControl 0
  std::uint64_t seed = 0;
  std::optional<double> start;  // retraining begins with the network retrained at this clock

  // "exact", "before_1.0200_seed1", "control_seed1", "after_1.0200_seed1": a file's name.
  std::string name() const;
  bool operator==(const SweepPoint&) const = default;
};

struct SweepPlan {
  std::vector<double> clocks;  // relative to f_STA, ascending
  std::uint64_t first_seed = 1;
  int seeds = 1;
  bool retrain = true;
  bool chain = false;  // each retraining but the first begins with the network of the clock before
};

// "1.00,1.02,1.05", "1.00:1.10:0.01" (first, last, step; the last is included where a step meets
// it) or a mixture; sorted, each once. Throws Error.
std::vector<double> parse_clocks(const std::string& text);

// The runs in the order in which they are best made: all tests before retraining, the control, then
// the retrainings, clock by clock: what a clock's errors take to make ready is made once for its
// seeds.
std::vector<SweepPoint> sweep_points(const SweepPlan& plan);

// The folder of a sweep. A result is there as soon as its run has ended, in a file of its own, so a
// sweep that was killed goes on with what is missing; more clocks and seeds may be asked for later.
class SweepStore {
 public:
  // Whatever determines the results, besides clock and seed: (what, text), each one line.
  using Settings = std::vector<std::pair<std::string, std::string>>;

  // Makes the folder where it is missing. Throws Error where it holds results of another text for
  // one of the settings; settings that it has not yet are added (retraining to a sweep without).
  SweepStore(std::filesystem::path folder, const Settings& settings);

  const std::filesystem::path& folder() const { return folder_; }
  // The accuracy, 0 to 1. Throws Error where the file is damaged.
  std::optional<double> find(const SweepPoint& point) const;
  void put(const SweepPoint& point, double accuracy, double seconds) const;

 private:
  std::filesystem::path path_of(const SweepPoint& point) const;

  std::filesystem::path folder_;
};

// Makes a run; returns its accuracy, 0 to 1, or nothing where it was interrupted.
using RunPoint = std::function<std::optional<double>(const SweepPoint&)>;
// Told after each run: its place among the points, what it found and how long it took.
using PointDone = std::function<void(std::size_t index, double accuracy, double seconds)>;

// Makes the runs that are missing in the store. False: interrupted.
bool run_sweep(const std::vector<SweepPoint>& points, const SweepStore& store, const RunPoint& run,
               const PointDone& done = {});

// Within this of the error-free accuracy a clock counts as good.
inline constexpr double kTolerance = 0.01;
// The part of a loss that was won back is told where the loss is at least this.
inline constexpr double kLeastLoss = 0.01;

struct SweepRow {
  double clock = 0;
  std::optional<Interval> before, after;  // of accuracies, 0 to 1
  std::optional<double> won_back;         // (after - before) / (exact - before)
  std::optional<double> to_control;       // after - control
};

// The highest clock such that at it and at all tested clocks below the mean accuracy is within
// kTolerance of an error-free one.
struct Reach {
  std::optional<double> clock;  // nothing: the lowest one tested is too high
  bool at_least = false;        // it is the highest one of the plan
  bool unknown = false;         // the next higher clock has not been tested yet
};

// Of what is in the store; rows and intervals may be incomplete.
struct SweepSummary {
  int runs = 0, done = 0;  // of the plan's
  std::optional<double> exact;
  std::optional<Interval> control;
  std::vector<SweepRow> rows;
  // Against the error-free accuracy before retraining; and, of the retrained networks, against the
  // control's.
  Reach before, after, after_to_control;
  std::optional<double> gain, gain_to_control;  // of after and after_to_control over before
};

SweepSummary summarise(const SweepPlan& plan, const SweepStore& store);

}  // namespace inure
