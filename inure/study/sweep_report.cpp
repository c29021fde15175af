#include "inure/study/sweep_report.hpp"

#include <fmt/format.h>

#include "inure/base/label.hpp"
#include "inure/report/json.hpp"
#include "inure/report/table.hpp"

namespace inure {
namespace {

std::string percent(double fraction) { return fmt::format("{:.2f}", 100 * fraction); }

std::string mean_of(const std::optional<Interval>& interval) {
  return interval ? percent(interval->mean) : "";
}

std::string half_width_of(const std::optional<Interval>& interval) {
  return interval && interval->half_width ? percent(*interval->half_width) : "";
}

std::string count_of(const std::optional<Interval>& interval) {
  return interval ? std::to_string(interval->n) : "";
}

std::string clock_text(double clock) { return fmt::format("{:.4f}", clock); }

std::string reach_text(const char* network, const Reach& reach, const SweepPlan& plan) {
  if (reach.clock && reach.at_least) {
    return fmt::format("{}: good at every clock tested, up to {:.4g} f_STA\n", network,
                       *reach.clock);
  }
  if (reach.clock) {
    return fmt::format("{}: good up to {:.4g} f_STA{}\n", network, *reach.clock,
                       reach.unknown ? "; higher clocks are not tested yet" : "");
  }
  if (reach.unknown) return fmt::format("{}: not tested yet\n", network);
  return fmt::format("{}: not good at the lowest clock tested, {:.4g} f_STA\n", network,
                     plan.clocks.front());
}

std::string gain_text(const char* what, const Reach& before, const Reach& after,
                      const std::optional<double>& gain) {
  if (before.unknown || after.unknown) return "";
  if (!gain) return fmt::format("{}: not known; test lower clocks\n", what);
  if (before.at_least) return fmt::format("{}: not known; test higher clocks\n", what);
  return fmt::format("{}: {}{:.3f} ({:+.1f} %)\n", what, after.at_least ? "at least " : "", *gain,
                     100 * (*gain - 1));
}

std::string partial_text(const SweepSummary& summary) {
  if (summary.done == summary.runs) return "";
  return fmt::format("Partial: {} of {} runs are done", summary.done, summary.runs);
}

// What lies below chance needs a word.
std::string chance_text(const SweepFacts& facts) {
  if (!facts.chance) return "";
  return fmt::format(
      "Chance: {} %. A tie at the top counts against the label, as in Caffe; outputs that saturate "
      "tie,\nand accuracies below chance appear.\n",
      percent(*facts.chance));
}

void add_interval(JsonLine& line, const char* name, const std::optional<Interval>& interval) {
  if (!interval) return;
  JsonLine object;
  object.add("mean", interval->mean);
  if (interval->half_width) object.add("half_width_95", *interval->half_width);
  object.add("n", interval->n);
  line.add(name, object);
}

void add_reach(JsonLine& line, const char* name, const Reach& reach) {
  if (!reach.clock) return;
  line.add(name, *reach.clock).add(std::string(name) + "_is_highest_tested", reach.at_least);
}

}  // namespace

std::string sweep_text(const SweepPlan& plan, const SweepSummary& summary,
                       const SweepFacts& facts) {
  std::vector<std::string> header{"clock / f_STA", "before %", "+-", "n"};
  if (plan.retrain) header.insert(header.end(), {"after %", "+-", "n", "won back %", "to control"});
  Table table(header);
  for (const SweepRow& row : summary.rows) {
    std::vector<std::string> cells{clock_text(row.clock), mean_of(row.before),
                                   half_width_of(row.before), count_of(row.before)};
    if (plan.retrain) {
      cells.insert(cells.end(),
                   {mean_of(row.after), half_width_of(row.after), count_of(row.after),
                    row.won_back ? fmt::format("{:.1f}", 100 * *row.won_back) : "",
                    row.to_control ? fmt::format("{:+.2f}", 100 * *row.to_control) : ""});
    }
    table.add(cells);
  }
  std::string text = table.text();
  if (const std::string partial = partial_text(summary); !partial.empty()) text += partial + ".\n";
  if (!summary.exact) return text;
  text += fmt::format(
      "\nWithout errors: {} %. A clock is good where the mean is within {:.2g} point(s) of that, "
      "at it and at all\nlower ones tested; +-: 95 % confidence interval (Student's t over n "
      "seeds).\n",
      percent(*summary.exact), 100 * kTolerance);
  text += chance_text(facts);
  text += reach_text("Unprepared network", summary.before, plan);
  if (!plan.retrain) return text;
  text += reach_text("Retrained network", summary.after, plan);
  text += gain_text("Gain in clock", summary.before, summary.after, summary.gain);
  if (!summary.control) return text;
  text += fmt::format("\nControl, retrained in the same way without errors: {} %{}.\n",
                      percent(summary.control->mean),
                      summary.control->half_width ? " +-" + half_width_of(summary.control) : "");
  text += reach_text("Retrained network against the control", summary.after_to_control, plan);
  return text + gain_text("Gain in clock against the control", summary.before,
                          summary.after_to_control, summary.gain_to_control);
}

std::string sweep_csv(const SweepSummary& summary) {
  std::string text =
      "clock,before,before_half_width_95,before_n,after,after_half_width_95,after_n,won_back,"
      "exact,control,control_half_width_95,control_n\n";
  for (const SweepRow& row : summary.rows) {
    text += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{}\n", clock_text(row.clock),
                        mean_of(row.before), half_width_of(row.before), count_of(row.before),
                        mean_of(row.after), half_width_of(row.after), count_of(row.after),
                        row.won_back ? percent(*row.won_back) : "",
                        summary.exact ? percent(*summary.exact) : "", mean_of(summary.control),
                        half_width_of(summary.control), count_of(summary.control));
  }
  return text;
}

std::string sweep_json(const SweepSummary& summary, const SweepFacts& facts) {
  std::string text;
  for (const SweepRow& row : summary.rows) {
    JsonLine line;
    line.add("event", "clock").add("clock", row.clock);
    add_interval(line, "before", row.before);
    add_interval(line, "after", row.after);
    if (row.won_back) line.add("won_back", *row.won_back);
    text += line.text() + "\n";
  }
  JsonLine line;
  line.add("event", "summary");
  line.add("network", facts.network).add("f_sta_mhz", facts.f_sta_mhz);
  line.add("runs", summary.runs).add("done", summary.done);
  if (facts.images > 0) line.add("images", facts.images);
  if (facts.chance) line.add("chance", *facts.chance);
  if (summary.exact) line.add("exact", *summary.exact);
  add_interval(line, "control", summary.control);
  line.add("tolerance", kTolerance);
  add_reach(line, "highest_good_clock_before", summary.before);
  add_reach(line, "highest_good_clock_after", summary.after);
  add_reach(line, "highest_good_clock_after_to_control", summary.after_to_control);
  if (summary.gain) line.add("gain", *summary.gain);
  if (summary.gain_to_control) line.add("gain_to_control", *summary.gain_to_control);
  return text + line.text() + "\n";
}

namespace {

// Up to three lines: what is shown, of what, and how much of it is there.
std::string title_of(const SweepSummary& summary, const SweepFacts& facts) {
  std::string lanes = fmt::format("{}", fmt::join(facts.lanes, ", "));
  if (facts.lanes.size() > 3) lanes = fmt::format("{} lanes", facts.lanes.size());
  std::string text = gnuplot_string(facts.network + ": accuracy against clock");
  text += " . \"\\n\" . " +
          gnuplot_string(
              fmt::format("lane {}, f_STA {:.1f} MHz{}", lanes, facts.f_sta_mhz,
                          facts.images > 0 ? fmt::format(", {} images a test", facts.images) : ""));
  const std::string partial = partial_text(summary);
  return partial.empty() ? text : text + " . \"\\n\" . " + gnuplot_string(partial);
}

// The clocks in MHz along the top: six places at most.
std::string mhz_tics(const SweepPlan& plan, double f_sta_mhz) {
  const double first = plan.clocks.front(), last = plan.clocks.back();
  const int steps = last > first ? 5 : 0;
  std::string tics;
  for (int i = 0; i <= steps; ++i) {
    const double clock = steps ? first + (last - first) * i / steps : first;
    tics += fmt::format("{}'{:.1f}' {:.6f}", i ? ", " : "", clock * f_sta_mhz, clock);
  }
  return tics;
}

std::string level(double accuracy, const char* colour, const char* dashes, const char* what) {
  return fmt::format("{0} with lines lc rgb '{1}' lw 2 dt {2} title '{3}: {0:.1f} %', \\\n  ",
                     100 * accuracy, colour, dashes, what);
}

}  // namespace

std::string sweep_plot(const SweepPlan& plan, const SweepSummary& summary,
                       const SweepFacts& facts) {
  std::string script = fmt::format(
      "# Accuracy against clock; made by inure sweep. Run in its folder: gnuplot FILE\n"
      "set datafile separator ','\n"
      "set terminal pngcairo size 1350,840 font 'DejaVu Sans,17' background '#ffffff' linewidth "
      "1.4\n"
      "set output 'sweep.png'\n"
      "set title {} noenhanced\n"
      "set border 7 lc rgb '#555555'\n"
      "set tics nomirror textcolor rgb '#333333'\n"
      "set grid xtics ytics lt 1 lc rgb '#e0e0e0' lw 1\n"
      "set offsets graph 0.03, graph 0.03, 0, 0\n"
      "set yrange [0:100]\n"
      "set xlabel 'clock relative to f_STA, the highest that static timing analysis allows' "
      "noenhanced\n"
      "set link x2\n"
      "set x2tics ({})\n"
      "set x2label 'MHz'\n"
      "set ylabel 'right answers (%)'\n"
      "set key outside bottom center horizontal Left reverse spacing 1.3 maxrows 3 "
      "noautotitle\n"
      "csv = 'sweep.csv'\n",
      title_of(summary, facts), mhz_tics(plan, facts.f_sta_mhz));
  // Okabe and Ito's colours, told apart by the colour-blind too.
  const auto series = [&](int column, const char* colour, int shape, const char* what) {
    return fmt::format(
        "csv skip 1 using 1:{0}:(valid({1}) ? column({1}) : 0) with yerrorlines lc rgb '{2}' lw "
        "2.5 "
        "pt {3} ps 1.6 title '{4}'",
        column, column + 1, colour, shape, what);
  };
  script += "plot ";
  if (summary.exact) script += level(*summary.exact, "#888888", "(8,6)", "without errors");
  if (summary.control) {
    script += level(summary.control->mean, "#009E73", "(2,5)", "retrained without errors");
  }
  if (facts.chance) script += level(*facts.chance, "#888888", "(2,8)", "chance");
  script += series(2, "#D55E00", 5, "before retraining");
  if (plan.retrain) script += ", \\\n  " + series(5, "#0072B2", 7, "retrained at each clock");
  return script + "\n";
}

}  // namespace inure
