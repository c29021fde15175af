#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "inure/study/sweep.hpp"

// What a sweep found, for people and for programs.
namespace inure {

// What a sweep's accuracies are of.
struct SweepFacts {
  std::string network;             // its name
  std::vector<std::string> lanes;  // the names of their profiles
  double f_sta_mhz = 0;
  std::int64_t images = 0;       // of a test; 0 where not known
  std::optional<double> chance;  // the accuracy of answers at random, where known
};

// A row for each clock: means in per cent with their 95 % intervals, and the part of the loss that
// was won back, and how far from the control; then the headline: the highest good clocks before and
// after, and their ratio, also held against the control.
std::string sweep_text(const SweepPlan& plan, const SweepSummary& summary, const SweepFacts& facts);

// A head line; then for each clock: clock, before, its half interval, its n, after, its half
// interval, its n, won back, exact, control, its half interval, its n. Accuracies in per cent; what
// is not known is empty.
std::string sweep_csv(const SweepSummary& summary);

// JSON lines: one of "event": "clock" for each clock, then one of "event": "summary". Accuracies
// from 0 to 1; what is not known is left out.
std::string sweep_json(const SweepSummary& summary, const SweepFacts& facts);

// A script of gnuplot that, run in the folder of sweep.csv, draws it to sweep.png.
std::string sweep_plot(const SweepPlan& plan, const SweepSummary& summary, const SweepFacts& facts);

}  // namespace inure
