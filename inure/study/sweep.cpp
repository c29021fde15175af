#include "inure/study/sweep.hpp"

#include <fmt/format.h>

#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <climits>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string_view>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"

namespace inure {
namespace {

namespace fs = std::filesystem;
using Network = SweepPoint::Network;

constexpr double kSameClock = 1e-6;
constexpr int kMostClocks = 10'000;  // of one range: more is a slip of the pen

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);) parts.push_back(part);
  if (text.empty() || text.back() == separator) parts.emplace_back();
  return parts;
}

double parse_clock(const std::string& text, const std::string& whole) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [after, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || after != end || !std::isfinite(value) || value <= 0) {
    fail("clocks {}: \"{}\" is not a clock relative to f_STA; for example 1.00,1.05 or 1:1.1:0.02",
         whole, text);
  }
  return value;
}

void add_range(const std::vector<std::string>& parts, const std::string& whole,
               std::vector<double>& clocks) {
  if (parts.size() != 3) fail("clocks {}: a range is FIRST:LAST:STEP", whole);
  const double first = parse_clock(parts[0], whole), last = parse_clock(parts[1], whole);
  const double step = parse_clock(parts[2], whole);
  const double count = std::floor((last - first) / step + kSameClock) + 1;
  if (count < 1) fail("clocks {}: the range ends before it begins", whole);
  if (count > kMostClocks) fail("clocks {}: a range of {} clocks; take larger steps", whole, count);
  for (int i = 0; i < static_cast<int>(count); ++i) clocks.push_back(first + i * step);
}

constexpr const char* kTemporary = ".tmp-";  // then the process and a number

// Removes what write_file_atomically left in a folder when its process was killed.
void remove_leavings(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    const std::size_t mark = name.rfind(kTemporary);
    if (mark == std::string::npos) continue;
    const char* process = name.c_str() + mark + std::strlen(kTemporary);
    char* end = nullptr;
    const long id = std::strtol(process, &end, 10);
    const bool ours = end != process && *end == '-' && id > 0 && id <= INT_MAX;
    if (ours && kill(static_cast<pid_t>(id), 0) != 0 && errno == ESRCH) {
      fs::remove(entry.path(), ignored);
    }
  }
}

}  // namespace

std::string SweepPoint::name() const {
  if (network == Network::kExact) return "exact";
  if (network == Network::kControl) return fmt::format("control_seed{}", seed);
  return fmt::format("{}_{:.4f}_seed{}", network == Network::kBefore ? "before" : "after", clock,
                     seed);
}

std::vector<double> parse_clocks(const std::string& text) {
  std::vector<double> clocks;
  for (const std::string& part : split(text, ',')) {
    const auto range = split(part, ':');
    if (range.size() > 1) {
      add_range(range, text, clocks);
    } else {
      clocks.push_back(parse_clock(part, text));
    }
  }
  for (double& clock : clocks) clock = std::round(clock * 1e4) / 1e4;  // as in a point's name
  std::sort(clocks.begin(), clocks.end());
  clocks.erase(std::unique(clocks.begin(), clocks.end()), clocks.end());
  if (clocks.front() <= 0) fail("clocks {}: 0.0001 is the least", text);
  return clocks;
}

std::vector<SweepPoint> sweep_points(const SweepPlan& plan) {
  std::vector<SweepPoint> points{{Network::kExact, 0, plan.first_seed, {}}};
  const auto seed_of = [&](int i) { return plan.first_seed + static_cast<std::uint64_t>(i); };
  for (const double clock : plan.clocks) {
    for (int i = 0; i < plan.seeds; ++i) {
      points.push_back({Network::kBefore, clock, seed_of(i), {}});
    }
  }
  if (!plan.retrain) return points;
  for (int i = 0; i < plan.seeds; ++i) points.push_back({Network::kControl, 0, seed_of(i), {}});
  std::optional<double> start;
  for (const double clock : plan.clocks) {
    for (int i = 0; i < plan.seeds; ++i) {
      points.push_back({Network::kAfter, clock, seed_of(i), start});
    }
    if (plan.chain) start = clock;
  }
  return points;
}

SweepStore::SweepStore(fs::path folder, const Settings& settings) : folder_(std::move(folder)) {
  std::error_code error;
  fs::create_directories(folder_ / "points", error);
  if (error) fail("{}: cannot be made: {}", folder_.string(), error.message());
  for (const char* part : {"", "points", "networks"}) remove_leavings(folder_ / part);
  const fs::path path = folder_ / "settings.txt";
  // As long as nothing was found by them, settings are nobody's: a sweep that could not begin.
  std::string text = fs::exists(path) && !fs::is_empty(folder_ / "points") ? read_file(path) : "";
  const std::vector<std::string> lines = split(text, '\n');
  for (const auto& setting : settings) {
    const std::string& what = setting.first;
    const std::string line = fmt::format("{}: {}", what, setting.second);
    const auto same = [&](const std::string& old) { return old.starts_with(what + ":"); };
    const auto old = std::find_if(lines.begin(), lines.end(), same);
    if (old == lines.end()) {
      text += line + "\n";
    } else if (*old != line) {
      fail("{}: holds a sweep with another {}; name another folder, or remove this one",
           folder_.string(), what);
    }
  }
  write_file_atomically(path, text);
}

fs::path SweepStore::path_of(const SweepPoint& point) const {
  return folder_ / "points" / (point.name() + ".txt");
}

std::optional<double> SweepStore::find(const SweepPoint& point) const {
  const fs::path path = path_of(point);
  if (!fs::exists(path)) return std::nullopt;
  std::istringstream in(read_file(path));
  std::string word;
  double accuracy = 0;
  if (!(in >> word >> accuracy) || word != "accuracy" || !(accuracy >= 0 && accuracy <= 1)) {
    fail("{}: does not begin with \"accuracy\" and a number from 0 to 1; remove it to run it again",
         path.string());
  }
  return accuracy;
}

void SweepStore::put(const SweepPoint& point, double accuracy, double seconds) const {
  write_file_atomically(path_of(point),
                        fmt::format("accuracy {}\nseconds {:.3f}\n", accuracy, seconds));
}

bool run_sweep(const std::vector<SweepPoint>& points, const SweepStore& store, const RunPoint& run,
               const PointDone& done) {
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (store.find(points[i])) continue;
    const auto start = std::chrono::steady_clock::now();
    const std::optional<double> accuracy = run(points[i]);
    if (!accuracy) return false;
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    if (!(*accuracy >= 0 && *accuracy <= 1)) {
      fail("{}: an accuracy of {}; it must be from 0 to 1", points[i].name(), *accuracy);
    }
    store.put(points[i], *accuracy, seconds.count());
    if (done) done(i, *accuracy, seconds.count());
  }
  return true;
}

namespace {

std::optional<Interval> interval_at(const SweepPlan& plan, const SweepStore& store, Network network,
                                    double clock) {
  std::vector<double> values;
  for (int i = 0; i < plan.seeds; ++i) {
    const std::uint64_t seed = plan.first_seed + static_cast<std::uint64_t>(i);
    if (const auto value = store.find({network, clock, seed, {}})) values.push_back(*value);
  }
  if (values.empty()) return std::nullopt;
  return confidence_95(values);
}

Reach reach_of(const SweepSummary& summary, std::optional<Interval> SweepRow::*which,
               double error_free) {
  Reach reach;
  for (const SweepRow& row : summary.rows) {
    const auto& interval = row.*which;
    constexpr double kRounding = 1e-9;  // one point below is within
    reach.unknown = !interval;
    if (!interval || interval->mean < error_free - kTolerance - kRounding) return reach;
    reach.clock = row.clock;
  }
  reach.at_least = reach.clock.has_value();
  return reach;
}

std::optional<double> gain_of(const Reach& before, const Reach& after) {
  if (before.unknown || after.unknown || !before.clock || !after.clock) return std::nullopt;
  return *after.clock / *before.clock;
}

}  // namespace

SweepSummary summarise(const SweepPlan& plan, const SweepStore& store) {
  SweepSummary summary;
  for (const SweepPoint& point : sweep_points(plan)) {
    ++summary.runs;
    summary.done += store.find(point).has_value();
  }
  summary.exact = store.find({Network::kExact, 0, plan.first_seed, {}});
  if (plan.retrain) summary.control = interval_at(plan, store, Network::kControl, 0);
  for (const double clock : plan.clocks) {
    SweepRow row{clock, interval_at(plan, store, Network::kBefore, clock), {}, {}, {}};
    if (plan.retrain) row.after = interval_at(plan, store, Network::kAfter, clock);
    if (summary.exact && row.before && row.after) {
      const double loss = *summary.exact - row.before->mean;
      if (loss >= kLeastLoss) row.won_back = (row.after->mean - row.before->mean) / loss;
    }
    if (row.after && summary.control) row.to_control = row.after->mean - summary.control->mean;
    summary.rows.push_back(row);
  }
  if (!summary.exact) return summary;
  summary.before = reach_of(summary, &SweepRow::before, *summary.exact);
  summary.after = reach_of(summary, &SweepRow::after, *summary.exact);
  summary.gain = gain_of(summary.before, summary.after);
  if (!summary.control) return summary;
  summary.after_to_control = reach_of(summary, &SweepRow::after, summary.control->mean);
  summary.gain_to_control = gain_of(summary.before, summary.after_to_control);
  return summary;
}

}  // namespace inure
