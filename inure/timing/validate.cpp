#include "inure/timing/validate.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <sstream>

#include "inure/base/error.hpp"

namespace inure::timing {
namespace {

constexpr int kProductBits = 16;

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

constexpr std::string_view kCommand = "inure characterize ";

// The number behind the last `word` of a text; 0 where there is none.
int number_behind(const std::string& text, const std::string& word) {
  const std::size_t at = text.rfind(word);
  return at == std::string::npos ? 0 : std::atoi(text.c_str() + at + word.size());
}

void add_number(std::map<std::string, int>& numbers, const std::string& text) {
  numbers[text.substr(0, text.find('='))] = number_behind(text, "=");
}

void add_register(std::map<std::string, std::vector<std::string>>& registers,
                  const std::string& text) {
  const std::size_t at = text.find('=');
  std::istringstream parts(text.substr(at + 1));
  for (std::string part; std::getline(parts, part, ',');) {
    registers[text.substr(0, at)].push_back(part);
  }
}

Characterization characterization_of(const TimingProfile& profile, const std::string& name) {
  const auto line =
      std::find_if(profile.made_by().begin(), profile.made_by().end(),
                   [](const std::string& text) { return text.starts_with(kCommand); });
  if (line == profile.made_by().end()) {
    fail("{}: made_by has no line \"{}...\": its circuit cannot be made again", name, kCommand);
  }
  Characterization what;
  std::istringstream words(line->substr(kCommand.size()));
  for (std::string option, value; words >> option;) {
    if (option == "--relu") continue;
    words >> value;
    if (option == "--technology") what.technology = parse_technology(value);
    if (option == "--design") what.design.files.push_back(value);
    if (option == "-I") what.design.includes.push_back(value);
    if (option == "--prefix") what.design.prefix = value;
    if (option == "--tie") add_number(what.design.ties, value);
    if (option == "--register") add_register(what.design.registers, value);
    if (option == "--top") what.design.top = value;
    if (option == "--xor-arcs") what.shorter_arcs = value == "shorter";
    if (option == "--target-ps") what.target_ps = std::atoi(value.c_str());
    if (option == "--parameter") add_number(what.design.parameters, value);
  }
  // The command may have made a profile for each of several seeds; this one's is in its corner.
  what.seeds = {number_behind(profile.corner(), "seed ")};
  return what;
}

// Where a relative path leads from here or, if nowhere, from a folder above the profile: the one
// that it was made from, wherever the program runs.
std::filesystem::path find_design(const std::filesystem::path& design, const std::string& name) {
  namespace fs = std::filesystem;
  if (fs::exists(design)) return design;
  for (fs::path folder = fs::absolute(name).parent_path(); design.is_relative();
       folder = folder.parent_path()) {
    if (fs::exists(folder / design)) return folder / design;
    if (folder == folder.parent_path()) break;
  }
  fail(
      "{}: its circuit is made of {}, which is neither here nor beside or above the profile; say "
      "where it lies by --design",
      name, design.string());
}

// Of every so many steps in a row that a tenth of the window apart begin.
std::vector<std::int32_t> window_errors(const std::vector<std::uint32_t>& up_to, int window) {
  std::vector<std::int32_t> errors;
  const auto length = index(window), stride = std::max<std::size_t>(length / 10, 1);
  for (std::size_t begin = 0; begin + length < up_to.size(); begin += stride) {
    errors.push_back(static_cast<std::int32_t>(up_to[begin + length] - up_to[begin]));
  }
  std::sort(errors.begin(), errors.end());
  return errors;
}

void count_value_bits(const OperandTrace& trace, const std::vector<std::uint32_t>& up_to,
                      std::array<double, 32>& rates) {
  std::array<std::int64_t, 32> flipped{};
  std::uint32_t accumulator = 0, errors_before = 0;
  for (std::size_t step = 0; step < trace.first.size(); ++step) {
    if (trace.first[step] || step == 0) {
      accumulator = 0;
      errors_before = up_to[step];
    }
    accumulator +=
        static_cast<std::uint32_t>(sum_of_products(trace, static_cast<std::int64_t>(step)));
    const std::uint32_t wrong = accumulator + up_to[step + 1] - errors_before;
    for (std::uint32_t left = accumulator ^ wrong; left; left &= left - 1) {
      ++flipped[static_cast<std::size_t>(std::countr_zero(left))];
    }
  }
  for (std::size_t bit = 0; bit < rates.size(); ++bit) {
    rates[bit] = static_cast<double>(flipped[bit]) / static_cast<double>(trace.steps());
  }
}

}  // namespace

Circuit circuit_of(const TimingProfile& profile, const std::string& name,
                   const std::vector<std::filesystem::path>& files,
                   const std::filesystem::path& cache) {
  Characterization what = characterization_of(profile, name);
  if (files.empty()) {
    for (auto* list : {&what.design.files, &what.design.includes}) {
      for (std::filesystem::path& path : *list) path = find_design(path, name);
    }
  } else {
    what.design.files = files;
  }
  what.cache = cache;
  Circuit circuit = std::move(make_circuits(what).front());
  if (static_cast<std::uint32_t>(circuit.timing.critical_ps) != profile.critical_ps() ||
      static_cast<std::uint32_t>(circuit.vec_size) != profile.vec_size()) {
    fail(
        "{}: of {} multipliers with a critical path of {} ps; the circuit made again has {} and {} "
        "ps: the design or the tools have changed, characterise it anew",
        name, profile.vec_size(), profile.critical_ps(), circuit.vec_size,
        circuit.timing.critical_ps);
  }
  if (hash_netlist(circuit.netlist) != profile.netlist()) {
    fail(
        "{}: of a netlist {:016x}; the circuit made again has the same critical path, but is "
        "{:016x}: "
        "the design or the tools have changed, characterise it anew",
        name, profile.netlist(), hash_netlist(circuit.netlist));
  }
  return circuit;
}

ErrorStatistics measure(const LaneErrors& errors, const OperandTrace& trace) {
  const std::int64_t steps = trace.steps();
  if (steps <= kDotProducts.back()) {
    fail("operand trace of {}: {} steps; expected more than {}", trace.layer, steps,
         kDotProducts.back());
  }
  ErrorStatistics found;
  found.steps = steps;
  // The errors of all steps before, modulo 2^32; and who erred.
  std::vector<std::uint32_t> up_to(index(steps + 1));
  std::vector<std::uint8_t> wrong(index(steps));
  constexpr std::uint8_t kProduct = 1, kSum = 2;
  const auto add = [&](const std::vector<StepError>& list, std::uint8_t who) {
    for (const StepError& error : list) {
      up_to[index(error.step + 1)] += static_cast<std::uint32_t>(error.delta);
      wrong[index(error.step)] |= who;
    }
  };
  for (const auto& list : errors.products) {
    add(list, kProduct);
    found.products.push_back(static_cast<double>(list.size()) / static_cast<double>(steps));
    const auto bits = flip_rates(list, kProductBits, steps);
    found.product_bits.insert(found.product_bits.end(), bits.begin(), bits.end());
  }
  add(errors.accumulator, kSum);
  for (const std::uint8_t who : wrong) {
    found.wrong_steps += who != 0;
    found.sums += (who & kSum) != 0;
  }
  found.wrong_steps /= static_cast<double>(steps);
  found.sums /= static_cast<double>(steps);
  for (std::size_t i = 1; i < up_to.size(); ++i) up_to[i] += up_to[i - 1];
  for (std::size_t i = 0; i < kDotProducts.size(); ++i) {
    found.dot_products[i] = window_errors(up_to, kDotProducts[i]);
  }
  count_value_bits(trace, up_to, found.value_bits);
  return found;
}

Difference compare(const ErrorStatistics& a, const ErrorStatistics& b) {
  Difference found;
  if (a.wrong_steps > 0) {
    found.rate_ratio = b.wrong_steps / a.wrong_steps;
  } else if (b.wrong_steps > 0) {
    found.rate_ratio = std::numeric_limits<double>::infinity();
  }
  for (std::size_t i = 0; i < found.ks.size(); ++i) {
    found.ks[i] = kolmogorov_smirnov(a.dot_products[i], b.dot_products[i]);
  }
  for (std::size_t i = 0; i < a.product_bits.size(); ++i) {
    found.product_bit =
        std::max(found.product_bit, std::abs(a.product_bits[i] - b.product_bits[i]));
  }
  for (std::size_t i = 0; i < a.value_bits.size(); ++i) {
    found.value_bit = std::max(found.value_bit, std::abs(a.value_bits[i] - b.value_bits[i]));
  }
  return found;
}

double kolmogorov_smirnov(const std::vector<std::int32_t>& a, const std::vector<std::int32_t>& b) {
  double largest = 0;
  std::size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    const std::int32_t value = std::min(a[i], b[j]);
    while (i < a.size() && a[i] == value) ++i;
    while (j < b.size() && b[j] == value) ++j;
    const double below_a = static_cast<double>(i) / static_cast<double>(a.size());
    const double below_b = static_cast<double>(j) / static_cast<double>(b.size());
    largest = std::max(largest, std::abs(below_a - below_b));
  }
  return largest;
}

}  // namespace inure::timing
