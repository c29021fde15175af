#include "inure/study/sweep.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "inure/study/sweep_report.hpp"
#include "inure/timing/process.hpp"
#include "tests/common.hpp"

namespace inure {
namespace {

using Network = SweepPoint::Network;
using Clocks = std::vector<double>;

TEST(Clocks, AreListsAndRanges) {
  EXPECT_EQ(parse_clocks("1.05,1"), (Clocks{1, 1.05}));
  EXPECT_EQ(parse_clocks("1.00:1.10:0.05"), (Clocks{1, 1.05, 1.1}));
  EXPECT_EQ(parse_clocks("1:1.3:0.2,1.25"), (Clocks{1, 1.2, 1.25}));
  EXPECT_EQ(parse_clocks("1:1.1:0.01").size(), 11u);
  for (const char* bad : {"", "1,", "x", "1.0x", "0", "-1", "1:2", "1.2:1.1:0.1", "1:2:0",
                          "1:2:1e-9", "1:2:3:4", "nan", "inf", "0.00001"}) {
    EXPECT_NE(error_of([&] { parse_clocks(bad); }), "") << bad;
  }
}

// A network that loses 30 points a tenth of a clock above f_STA before retraining, 2 after; seeds
// differ by a point. Retraining without errors wins 0.7.
double accuracy_of(const SweepPoint& point) {
  if (point.network == Network::kExact) return 0.88;
  const double over = (point.clock - 1) / 0.1;
  const double seed = (static_cast<double>(point.seed) - 2) * 0.01;
  if (point.network == Network::kControl) return 0.887 + seed;
  return 0.88 - over * (point.network == Network::kBefore ? 0.30 : 0.02) + seed;
}

SweepFacts facts() {
  SweepFacts facts;
  facts.network = "net";
  facts.lanes = {"lane_a"};
  facts.f_sta_mhz = 100;
  facts.images = 1000;
  facts.chance = 0.1;
  return facts;
}

class SweepTest : public testing::Test {
 protected:
  SweepStore store(const SweepStore::Settings& settings = {{"model", "a"}}) {
    return {folder_ / "sweep", settings};
  }
  static SweepPlan plan() {
    SweepPlan plan;
    plan.clocks = {1, 1.02, 1.04, 1.1};
    plan.seeds = 3;
    return plan;
  }

  const TemporaryFolder folder_;
};

TEST_F(SweepTest, RunsEveryPointOnceInOrder) {
  std::vector<SweepPoint> ran;
  std::size_t told = 0;
  const auto points = sweep_points(plan());
  EXPECT_EQ(points.size(), 1u + 3 + 2 * 4 * 3);
  EXPECT_TRUE(run_sweep(
      points, store(), [&](const SweepPoint& point) { return ran.push_back(point), 0.5; },
      [&](std::size_t index, double accuracy, double) {
        EXPECT_EQ(index, told++);
        EXPECT_EQ(accuracy, 0.5);
      }));
  EXPECT_EQ(ran, points);
  EXPECT_EQ(told, points.size());
  EXPECT_TRUE(
      run_sweep(points, store(), [](const SweepPoint&) -> double { throw Error("again"); }));
}

// Killed (an exception) and interrupted (nothing) at every point: no run is made twice, and the
// result is that of a sweep in one go.
TEST_F(SweepTest, GoesOnWhereItWasStopped) {
  const auto points = sweep_points(plan());
  std::map<std::string, int> runs;
  bool kill = false, stop = true;
  const RunPoint run = [&](const SweepPoint& point) -> std::optional<double> {
    kill = !kill;
    if (kill) throw Error("killed");
    stop = !stop;
    if (stop) return std::nullopt;
    ++runs[point.name()];
    return accuracy_of(point);
  };
  for (int tries = 0; tries < 1000; ++tries) {
    try {
      if (run_sweep(points, store(), run)) break;
    } catch (const Error&) {
    }
  }
  EXPECT_EQ(runs.size(), points.size());
  for (const auto& [name, count] : runs) EXPECT_EQ(count, 1) << name;
  const SweepStore whole(folder_ / "whole", {});
  ASSERT_TRUE(run_sweep(points, whole, accuracy_of));
  EXPECT_EQ(sweep_csv(summarise(plan(), store())), sweep_csv(summarise(plan(), whole)));
}

TEST_F(SweepTest, MoreClocksAndSeedsCostOnlyWhatIsNew) {
  ASSERT_TRUE(run_sweep(sweep_points(plan()), store(), accuracy_of));
  SweepPlan more = plan();
  more.clocks.push_back(1.2);
  more.seeds = 4;
  int runs = 0;
  ASSERT_TRUE(run_sweep(sweep_points(more), store(),
                        [&](const SweepPoint& point) { return ++runs, accuracy_of(point); }));
  EXPECT_EQ(runs, 1 + 2 * (5 * 4 - 4 * 3));
}

TEST_F(SweepTest, ChainsStartAtTheClockBefore) {
  SweepPlan chained = plan();
  chained.chain = true;
  const auto points = sweep_points(chained);
  std::map<std::uint64_t, std::optional<double>> before;  // by seed
  for (const SweepPoint& point : points) {
    if (point.network != Network::kAfter) continue;
    EXPECT_EQ(point.start, before[point.seed]);
    before[point.seed] = point.clock;
  }
  EXPECT_EQ(before.size(), 3u);
}

TEST_F(SweepTest, RefusesOtherSettingsAndDamage) {
  store({{"model", "b"}});  // found nothing: another may take its place
  const std::string folder = (folder_ / "sweep").string();
  store().put({Network::kExact, 0, 1, {}}, 0.5, 1);
  EXPECT_EQ(error_of([&] {
              store({{"model", "b"}});
            }),
            folder + ": holds a sweep with another model; name another folder, or remove this one");
  store({{"solver", "s"}});  // more settings may come, those that are there stay
  store({{"model", "a"}, {"solver", "s"}});
  EXPECT_NE(error_of([&] { store({{"model", "a"}, {"solver", "t"}}); }), "");
  const SweepPoint point{Network::kBefore, 1.02, 7, {}};
  store().put(point, 0.123456789012345678, 1);
  EXPECT_EQ(store().find(point), 0.123456789012345678);
  EXPECT_EQ(store().find({Network::kAfter, 1.02, 7, {}}), std::nullopt);
  const std::string file = folder + "/points/before_1.0200_seed7.txt";
  for (const char* bad : {"", "accuracy", "accuracy 2", "seconds 1"}) {
    write_file_atomically(file, bad);
    EXPECT_EQ(error_of([&] { store().find(point); }).find(file), 0u) << bad;
  }
  EXPECT_NE(error_of([&] {
              run_sweep({{Network::kBefore, 1, 1, {}}}, store(),
                        [](const SweepPoint&) { return std::nan(""); });
            }).find("before_1.0000_seed1: an accuracy of nan"),
            std::string::npos);
}

TEST_F(SweepTest, SummaryIsThatOfHandArithmetic) {
  ASSERT_TRUE(run_sweep(sweep_points(plan()), store(), accuracy_of));
  const SweepSummary summary = summarise(plan(), store());
  EXPECT_EQ(summary.exact, 0.88);
  ASSERT_EQ(summary.rows.size(), 4u);
  const SweepRow& row = summary.rows[2];  // 1.04: 12 points lost, 0.8 after
  EXPECT_NEAR(row.before->mean, 0.76, 1e-12);
  EXPECT_NEAR(row.after->mean, 0.872, 1e-12);
  EXPECT_EQ(row.after->n, 3);
  EXPECT_NEAR(*row.after->half_width, 4.302653 * 0.01 / std::sqrt(3.0), 1e-6);
  EXPECT_NEAR(*row.won_back, 0.112 / 0.12, 1e-12);
  EXPECT_FALSE(summary.rows[0].won_back);  // nothing was lost
  EXPECT_EQ(summary.before.clock, 1.0);    // 1.02 loses 6 points
  EXPECT_FALSE(summary.before.at_least);
  EXPECT_EQ(summary.after.clock, 1.04);  // 1.1 loses 2
  EXPECT_NEAR(*summary.gain, 1.04, 1e-12);
  EXPECT_NEAR(summary.control->mean, 0.887, 1e-12);
  EXPECT_NEAR(*row.to_control, 0.872 - 0.887, 1e-12);
  EXPECT_EQ(summary.after_to_control.clock, 1.0);  // 1.02 is 1.1 below the control
  EXPECT_NEAR(*summary.gain_to_control, 1, 1e-12);
}

TEST_F(SweepTest, AClockAboveABadOneIsNotReached) {
  SweepPlan p = plan();
  p.retrain = false;
  p.seeds = 1;
  ASSERT_TRUE(run_sweep(sweep_points(p), store(), [](const SweepPoint& point) {
    return point.network == Network::kBefore && point.clock == 1.02 ? 0.5 : 0.88;
  }));
  const SweepSummary summary = summarise(p, store());
  EXPECT_EQ(summary.before.clock, 1.0);
  EXPECT_FALSE(summary.gain);
}

TEST_F(SweepTest, SaysAtLeastWhereTheHighestClockIsGood) {
  SweepPlan p = plan();
  p.clocks = {1, 1.02, 1.04};
  ASSERT_TRUE(run_sweep(sweep_points(p), store(), accuracy_of));
  const SweepSummary summary = summarise(p, store());
  EXPECT_TRUE(summary.after.at_least);
  EXPECT_NE(sweep_text(p, summary, facts()).find("Gain in clock: at least 1.040 (+4.0 %)"),
            std::string::npos)
      << sweep_text(p, summary, facts());
}

TEST_F(SweepTest, ReportsWhatIsThere) {
  SweepPlan p = plan();
  p.clocks = {1, 1.04, 1.1};
  ASSERT_TRUE(run_sweep(sweep_points(p), store(), accuracy_of));
  const SweepSummary summary = summarise(p, store());
  EXPECT_EQ(sweep_csv(summary),
            "clock,before,before_half_width_95,before_n,after,after_half_width_95,after_n,won_back,"
            "exact,control,control_half_width_95,control_n\n"
            "1.0000,88.00,2.48,3,88.00,2.48,3,,88.00,88.70,2.48,3\n"
            "1.0400,76.00,2.48,3,87.20,2.48,3,93.33,88.00,88.70,2.48,3\n"
            "1.1000,58.00,2.48,3,86.00,2.48,3,93.33,88.00,88.70,2.48,3\n");
  EXPECT_NE(sweep_json(summary, facts()).find("\"highest_good_clock_after\": 1.04,"),
            std::string::npos)
      << sweep_json(summary, facts());
  const std::string text = sweep_text(p, summary, facts());
  EXPECT_NE(text.find("Retrained network: good up to 1.04 f_STA\n"), std::string::npos) << text;
  EXPECT_NE(text.find("Gain in clock: 1.040 (+4.0 %)\n"), std::string::npos) << text;
  EXPECT_NE(text.find("Control, retrained in the same way without errors: 88.70 % +-2.48.\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("Gain in clock against the control: 1.000 (+0.0 %)\n"), std::string::npos)
      << text;
}

// A sweep that has only begun has a report too: rows without numbers.
TEST_F(SweepTest, ReportsABeginning) {
  const SweepSummary empty = summarise(plan(), store());
  EXPECT_FALSE(empty.exact);
  EXPECT_EQ(empty.rows.size(), 4u);
  sweep_text(plan(), empty, facts()), sweep_json(empty, facts());
  EXPECT_NE(sweep_csv(empty).find("1.0200,,,,,,,,,,,\n"), std::string::npos) << sweep_csv(empty);
  store().put({Network::kExact, 0, 1, {}}, 0.88, 1);
  store().put({Network::kBefore, 1, 2, {}}, 0.88, 1);
  const SweepSummary begun = summarise(plan(), store());
  EXPECT_EQ(begun.rows[0].before->n, 1);
  EXPECT_EQ(begun.before.clock, 1.0);
  EXPECT_FALSE(begun.before.at_least);
  EXPECT_TRUE(begun.before.unknown);
  const std::string text = sweep_text(plan(), begun, facts());
  EXPECT_NE(text.find("good up to 1 f_STA; higher clocks are not tested yet\n"), std::string::npos);
  EXPECT_NE(text.find("Retrained network: not tested yet\n"), std::string::npos) << text;
}

TEST_F(SweepTest, LeavingsOfAKilledOneGoAtTheNextStart) {
  store();
  const pid_t killed = fork();
  if (killed == 0) _exit(0);
  waitpid(killed, nullptr, 0);
  const auto leaving = [&](pid_t process) {
    return fmt::format("sweep/points/exact.txt.tmp-{}-0", process);
  };
  folder_.write(leaving(killed), "half");
  folder_.write(leaving(getpid()), "half, of a process that lives");
  folder_.write("sweep/points/notes.tmp-x", "of somebody else");
  store();
  EXPECT_FALSE(std::filesystem::exists(folder_ / leaving(killed)));
  EXPECT_TRUE(std::filesystem::exists(folder_ / leaving(getpid())));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "sweep/points/notes.tmp-x"));
}

// The picture says what it shows; the text says why accuracies may lie below chance.
TEST_F(SweepTest, NamesLaneClockImagesAndChance) {
  store().put({Network::kExact, 0, 1, {}}, 0.88, 1);
  const SweepSummary begun = summarise(plan(), store());
  EXPECT_EQ(begun.done, 1);
  EXPECT_EQ(begun.runs, 28);
  const std::string partial = sweep_plot(plan(), begun, facts());
  for (const char* part :
       {"'net: accuracy against clock'", "lane lane_a, f_STA 100.0 MHz", "1000 images a test",
        "Partial: 1 of 28 runs are done", "'102.0' 1.020000", "title 'chance: 10.0 %'"}) {
    EXPECT_NE(partial.find(part), std::string::npos) << part << " in\n" << partial;
  }
  EXPECT_NE(sweep_text(plan(), begun, facts()).find("Partial: 1 of 28 runs are done.\n"),
            std::string::npos);
  EXPECT_NE(sweep_text(plan(), begun, facts())
                .find("Chance: 10.00 %. A tie at the top counts against the label"),
            std::string::npos);
  ASSERT_TRUE(run_sweep(sweep_points(plan()), store(), accuracy_of));
  const SweepSummary whole = summarise(plan(), store());
  EXPECT_EQ(sweep_plot(plan(), whole, facts()).find("Partial"), std::string::npos);
}

// A network's name and a profile's are text in the picture, whatever they are: gnuplot would give a
// line that begins with ! to the shell.
TEST_F(SweepTest, NoNameReachesGnuplotButAsText) {
  ASSERT_TRUE(run_sweep(sweep_points(plan()), store(), accuracy_of));
  const SweepSummary summary = summarise(plan(), store());
  const auto lines = [&](const SweepFacts& facts) {
    const std::string script = sweep_plot(plan(), summary, facts);
    return std::count(script.begin(), script.end(), '\n');
  };
  for (const char* hostile :
       {"a\n! touch pwned\n", "a'\nsystem('touch pwned')\n'", "\n!touch pwned", "`touch pwned`",
        "' . system('touch pwned') . '", "a\r!touch pwned\r", "a\\", "a'", "\"", "@f_sta",
        "a\xE2\x80\xA8!touch pwned", "$(touch pwned)", "a; !touch pwned", "%s%n", "\xFF\xFE"}) {
    SweepFacts bad = facts();
    bad.network = hostile;
    bad.lanes = {hostile, hostile};
    EXPECT_EQ(lines(bad), lines(facts())) << hostile;
    if (!timing::has_program("gnuplot")) continue;
    const TemporaryFolder folder;
    folder.write("sweep.csv", sweep_csv(summary));
    folder.write("sweep.gnuplot", sweep_plot(plan(), summary, bad));
    EXPECT_EQ(timing::run_program({"gnuplot", "sweep.gnuplot"}, folder.path(), "log", "gnuplot"), 0)
        << hostile << read_file(folder / "log");
    EXPECT_TRUE(std::filesystem::exists(folder / "sweep.png")) << hostile;
    EXPECT_FALSE(std::filesystem::exists(folder / "pwned")) << hostile;
  }
}

}  // namespace
}  // namespace inure
