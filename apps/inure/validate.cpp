#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "commands.hpp"
#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "inure/base/progress.hpp"
#include "inure/report/json.hpp"
#include "inure/report/table.hpp"
#include "inure/timing/validate.hpp"

namespace inure::app {

namespace {

namespace fs = std::filesystem;
using namespace timing;

struct Options {
  std::string profile, tables, cache = ".inure-cache", json;
  std::vector<std::string> designs, traces;
  double clock = 0;
};

// What is asked of a model: rates within a tenth where they are above 1e-3 and within a factor of 2
// down to 1e-5, distances and bits as below.
constexpr double kLargestKs = 0.03, kLargestBit = 5e-3;

bool rate_holds(double truth, double ratio) {
  if (truth > 1e-3) return std::abs(ratio - 1) <= 0.1;
  return truth < 1e-5 || (ratio >= 0.5 && ratio <= 2);
}

std::string verdict(const ErrorStatistics& truth, const Difference& d) {
  std::string what;
  const auto add = [&](bool holds, const char* name) {
    if (!holds) what += (what.empty() ? "" : ", ") + std::string(name);
  };
  add(rate_holds(truth.wrong_steps, d.rate_ratio), "rate");
  add(*std::max_element(d.ks.begin(), d.ks.end()) <= kLargestKs, "KS");
  add(std::max(d.product_bit, d.value_bit) <= kLargestBit, "bits");
  return what.empty() ? "holds" : "off: " + what;
}

std::string number(double value) {
  if (value == 0) return "0";
  return value < 0.01 ? fmt::format("{:.2e}", value) : fmt::format("{:.4f}", value);
}

// The lines of one trace and one model, clock by clock.
class Comparison {
 public:
  Comparison(std::string trace, std::string model, const TimingProfile& profile)
      : trace_(std::move(trace)), model_(std::move(model)), profile_(profile) {}

  void add(const ClockProfile& clock, const ErrorStatistics& truth, const ErrorStatistics& model) {
    const Difference d = compare(truth, model);
    const double relative = static_cast<double>(profile_.critical_ps()) / clock.period_ps();
    std::vector<std::string> row = {fmt::format("{:.4f}", relative),
                                    std::to_string(clock.period_ps()), number(truth.wrong_steps),
                                    number(model.wrong_steps), fmt::format("{:.3f}", d.rate_ratio)};
    for (const double ks : d.ks) row.push_back(fmt::format("{:.4f}", ks));
    row.insert(row.end(), {number(d.product_bit), number(d.value_bit), verdict(truth, d)});
    differences_.add(row);

    std::vector<std::string> rates = {row[0]};
    for (std::size_t i = 0; i < truth.products.size(); ++i) {
      rates.push_back(number(truth.products[i]) + " / " + number(model.products[i]));
    }
    rates.push_back(number(truth.sums) + " / " + number(model.sums));
    registers_.push_back(rates);
    add_json(clock, truth, model, d, row.back() == "holds");
  }

  // Where the profile cannot be used at this clock.
  void refuse(const ClockProfile& clock, const ErrorStatistics& truth, const std::string& why) {
    const double relative = static_cast<double>(profile_.critical_ps()) / clock.period_ps();
    differences_.add({fmt::format("{:.4f}", relative), std::to_string(clock.period_ps()),
                      number(truth.wrong_steps), "", "", "", "", "", "", "", "refused"});
    refusals_ += why + "\n";
  }

  void print() const {
    fmt::print("\n{}, {}:\n{}{}", trace_, model_, differences_.text(), refusals_);
    std::vector<std::string> header = {"f/f_STA"};
    for (std::uint32_t i = 0; i < profile_.vec_size(); ++i) {
      header.push_back(fmt::format("product {}", i));
    }
    header.push_back("sum, accumulator");
    Table table(header);
    for (const auto& row : registers_) table.add(row);
    fmt::print("Wrong, of each register, truth / model:\n{}", table.text());
    flush_output();
  }

  const std::string& json() const { return json_; }

 private:
  void add_json(const ClockProfile& clock, const ErrorStatistics& truth,
                const ErrorStatistics& model, const Difference& d, bool holds) {
    JsonLine line;
    line.add("trace", trace_).add("model", model_).add("design", profile_.design());
    line.add("corner", profile_.corner()).add("period_ps", clock.period_ps());
    line.add("relative_clock", static_cast<double>(profile_.critical_ps()) / clock.period_ps());
    line.add("steps", truth.steps).add("rate", truth.wrong_steps);
    line.add("model_rate", model.wrong_steps);
    for (std::size_t i = 0; i < kDotProducts.size(); ++i) {
      line.add(fmt::format("ks_{}", kDotProducts[i]), d.ks[i]);
    }
    line.add("product_bit", d.product_bit).add("value_bit", d.value_bit);
    for (std::size_t i = 0; i < truth.products.size(); ++i) {
      line.add(fmt::format("product_{}_rate", i), truth.products[i]);
      line.add(fmt::format("product_{}_model_rate", i), model.products[i]);
    }
    line.add("sums_rate", truth.sums).add("sums_model_rate", model.sums).add("holds", holds);
    json_ += line.text() + "\n";
  }

  std::string trace_, model_;
  const TimingProfile& profile_;
  Table differences_{{"f/f_STA", "ps", "true rate", "model", "ratio", "KS 25", "KS 150", "KS 800",
                      "product bit", "value bit", "verdict"}};
  std::vector<std::vector<std::string>> registers_;
  std::string json_, refusals_;
};

std::vector<ProductTable> read_tables(const std::string& folder, const TimingProfile& profile) {
  std::vector<ProductTable> tables;
  for (std::uint32_t i = 0; !folder.empty() && i < profile.vec_size(); ++i) {
    tables.push_back(read_product_table(fs::path(folder) / fmt::format("product_{}.table", i)));
  }
  return tables;
}

LaneModel make_model(const TimingProfile& profile, int clock,
                     const std::vector<ProductTable>& tables) {
  const int period = static_cast<int>(profile.clock(clock).period_ps());
  LaneModel model;
  model.negative_activations = profile.negative_activations();
  model.sums = SumTree(profile.clock(clock).accumulator(), profile.design());
  for (int i = 0; i < static_cast<int>(profile.vec_size()); ++i) {
    if (tables.empty()) {
      model.products.push_back(expand_products(profile, clock, i));
      continue;
    }
    const ProductTable& table = tables[static_cast<std::size_t>(i)];
    model.negative_activations = table.negative_activations;
    const auto found = std::find_if(table.clocks.begin(), table.clocks.end(),
                                    [&](const auto& c) { return c.period_ps == period; });
    if (found == table.clocks.end()) {
      fail("the exact table of product {} has no clock period of {} ps", i, period);
    }
    model.products.push_back(*found);
  }
  return model;
}

std::vector<int> chosen_clocks(const TimingProfile& profile, const Options& options) {
  if (options.clock > 0) {
    try {
      return {find_clock(profile, profile.critical_ps() / options.clock)};
    } catch (const Error& error) {
      fail("{}: {}", options.profile, error.what());
    }
  }
  std::vector<int> clocks;
  for (int i = 0; i < profile.clock_size(); ++i) clocks.push_back(i);
  std::sort(clocks.begin(), clocks.end(), [&](int a, int b) {
    return profile.clock(a).period_ps() > profile.clock(b).period_ps();
  });
  return clocks;
}

void validate(const Options& options, std::uint64_t seed) {
  const TimingProfile profile = read_timing_profile(options.profile);
  const Circuit circuit =
      circuit_of(profile, options.profile, {options.designs.begin(), options.designs.end()},
                 fs::absolute(options.cache));
  const std::vector<ProductTable> tables = read_tables(options.tables, profile);
  const std::vector<int> clocks = chosen_clocks(profile, options);
  const int vec_size = static_cast<int>(profile.vec_size());
  fmt::print("{}: {}, {}; f_STA is {:.2f} MHz\n", options.profile, profile.design(),
             profile.corner(), 1e6 / profile.critical_ps());
  fmt::print("{}", caution(profile));
  std::string json;
  for (const std::string& file : options.traces) {
    const OperandTrace trace = read_operand_trace(file);
    const std::string name =
        fmt::format("{} ({}, lane {}, {} steps)", file, trace.layer, trace.lane, trace.steps());
    Comparison ours(name, tables.empty() ? "the profile" : "exact tables and the profile's sums",
                    profile);
    Comparison flips(name, "independent bit flips at the true rates", profile);
    Progress progress("validating", "clocks", static_cast<std::int64_t>(clocks.size()));
    for (const int c : clocks) {
      const ClockProfile& clock = profile.clock(c);
      const LaneSimulator lane(circuit.netlist, vec_size, static_cast<int>(clock.period_ps()));
      const LaneErrors errors = simulate_errors(lane, trace);
      const ErrorStatistics truth = measure(errors, trace);
      try {
        const LaneModel model = make_model(profile, c, tables);
        ours.add(clock, truth, measure(predict_errors(model, trace, seed), trace));
      } catch (const Error& error) {
        ours.refuse(clock, truth, error.what());
      }
      flips.add(clock, truth, measure(flip_independently(errors, trace, seed), trace));
      progress.advance();
    }
    progress.clear();
    ours.print();
    flips.print();
    json += ours.json() + flips.json();
    if (!options.json.empty()) write_file_atomically(options.json, json);
  }
}

}  // namespace

void add_validate_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "validate", "Compare a profile of timing errors with the circuit, on traces of operands");
  auto options = std::make_shared<Options>();
  command->add_option("--profile", options->profile, "The profile to judge")
      ->required()
      ->type_name("FILE");
  command
      ->add_option("--design", options->designs,
                   "The files that it was made from, where they lie elsewhere now; may be repeated")
      ->type_name("FILE");
  command
      ->add_option("--tables", options->tables,
                   "Exact tables of its multipliers, in the place of the product classes")
      ->type_name("DIR");
  command
      ->add_option("--trace", options->traces,
                   "Operands that the profile was not fitted on (inure trace); may be repeated")
      ->required()
      ->type_name("FILE");
  command->add_option("--clock", options->clock, "Only this clock, in units of f_STA")
      ->check(kPositive)
      ->type_name("R");
  command->add_option("--cache", options->cache, "Where results of the tools are kept")
      ->capture_default_str()
      ->type_name("DIR");
  command->add_option("--json", options->json, "Also write a JSON object a line for each clock")
      ->type_name("FILE");
  command->footer(
      "For each clock: the part of steps with an error, true and foreseen; Kolmogorov-Smirnov "
      "distances\n"
      "of the errors of dot products of 25, 150 and 800 steps; the largest difference of a bit's "
      "flip rate,\n"
      "of products and of the accumulated value. Then the same for independent bit flips.\n\n"
      "Example:\n"
      "  inure validate --profile profiles/hx8k_p3_seed1.profile --trace conv2.trace");
  command->callback([&app, options] { validate(*options, global_seed(app).value_or(1)); });
}

}  // namespace inure::app
