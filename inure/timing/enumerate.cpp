#include "inure/timing/enumerate.hpp"

#include <algorithm>
#include <bit>
#include <system_error>
#include <utility>

#include "inure/base/error.hpp"
#include "inure/base/parallel.hpp"
#include "inure/base/progress.hpp"
#include "inure/base/random.hpp"
#include "inure/timing/sta.hpp"

namespace inure::timing {
namespace {

namespace fs = std::filesystem;

constexpr int kProductBits = Multiplier::kProductBits;
constexpr std::int64_t kPairsOfPart = 4096, kPairsOfTask = 16;
constexpr std::size_t kMaxExceptions = std::size_t{1} << 28;

std::size_t index(int i) { return static_cast<std::size_t>(i); }

std::uint64_t mix(std::uint64_t state, std::uint64_t word) {
  state = (state ^ word) * 0xBF58476D1CE4E5B9u;
  return state ^ state >> 31;
}

std::uint64_t mix(std::uint64_t state, Edges edges) {
  state = mix(state, static_cast<std::uint64_t>(edges.rise));
  return mix(state, static_cast<std::uint64_t>(edges.fall));
}

std::uint64_t hash_circuit(const Netlist& netlist, const Multiplier& multiplier) {
  std::uint64_t state = 1;
  for (const Gate& gate : netlist.gates()) {
    state = mix(mix(state, gate.truth), static_cast<std::uint64_t>(gate.output));
    for (const Pin& pin : netlist.pins(gate)) {
      state = mix(mix(mix(state, static_cast<std::uint64_t>(pin.net)), pin.wire), pin.arc);
    }
  }
  for (const Register& what : netlist.registers()) {
    state = mix(mix(state, static_cast<std::uint64_t>(what.d)), static_cast<std::uint64_t>(what.q));
    state = mix(state, what.clock_to_q);
  }
  for (const auto* registers : {&multiplier.activation, &multiplier.weight, &multiplier.product}) {
    for (const int r : *registers) state = mix(state, static_cast<std::uint64_t>(r));
  }
  return state;
}

// Lanes first ... of all changes (a_previous, a), a counting first.
void set_activations(MultiplierStep::Run& run, int first, int activations) {
  const int bits = std::countr_zero(static_cast<unsigned>(activations));
  for (int bit = 0; bit < bits; ++bit) {
    count_lanes(run.input(MultiplierStep::kActivation, bit), first, bit);
    count_lanes(run.input(MultiplierStep::kPreviousActivation, bit), first, bits + bit);
  }
}

// The exceptions of some weight pairs: by period, and how many each pair has.
struct Found {
  std::vector<std::vector<ProductTable::Exception>> exceptions;
  std::vector<std::vector<std::uint64_t>> counts;
};

void collect(const MultiplierStep::Run& run, int first_lane, int activations, int b, int period,
             std::vector<ProductTable::Exception>& list) {
  const MultiplierStep::Block wrong = run.wrong(period);
  const int bits = std::countr_zero(static_cast<unsigned>(activations));
  for (std::size_t word = 0; word < wrong.size(); ++word) {
    for (std::uint64_t left = wrong[word]; left; left &= left - 1) {
      const int at = std::countr_zero(left);
      const int lane = first_lane + static_cast<int>(word) * 64 + at;
      const int a = lane & (activations - 1);
      int captured = 0;
      for (int bit = 0; bit < kProductBits; ++bit) {
        captured |= static_cast<int>(run.captured(period, bit)[word] >> at & 1) << bit;
      }
      list.push_back({static_cast<std::uint16_t>(lane >> bits << 8 | a),
                      static_cast<std::uint16_t>(captured - static_cast<std::int8_t>(a) * b)});
    }
  }
}

Found enumerate_pairs(const MultiplierStep& step, std::span<const int> pairs, int activations) {
  Found found{std::vector<std::vector<ProductTable::Exception>>(index(step.periods())),
              std::vector<std::vector<std::uint64_t>>(index(step.periods()))};
  MultiplierStep::Run run(step);
  for (const int pair : pairs) {
    const int b = static_cast<std::int8_t>(pair);
    run.set_all(MultiplierStep::kPreviousWeight, pair >> 8);
    run.set_all(MultiplierStep::kWeight, pair & 255);
    for (auto& counts : found.counts) counts.push_back(0);
    std::vector<std::size_t> before;
    for (const auto& list : found.exceptions) before.push_back(list.size());
    for (int lane = 0; lane < activations * activations; lane += MultiplierStep::kLanes) {
      set_activations(run, lane, activations);
      run.run();
      for (int p = 0; p < step.periods(); ++p) {
        collect(run, lane, activations, b, p, found.exceptions[index(p)]);
      }
    }
    for (std::size_t p = 0; p < before.size(); ++p) {
      found.counts[p].back() = found.exceptions[p].size() - before[p];
    }
  }
  return found;
}

ProductTable empty_table(const Enumeration& what, int longest_ps, int critical_ps) {
  ProductTable table;
  table.made_by = what.made_by;
  table.negative_activations = what.negative_activations;
  table.longest_ps = longest_ps;
  table.critical_ps = critical_ps;
  table.enumerated.resize(ProductTable::kPairs);
  for (const int period : what.periods_ps) {
    table.clocks.push_back({period, {}, std::vector<std::uint64_t>(ProductTable::kPairs + 1)});
  }
  return table;
}

// Appends pairs that lie behind all that the table has.
void append(ProductTable& table, std::span<const int> pairs, const Found& found) {
  for (const int pair : pairs) table.enumerated[index(pair)] = true;
  for (std::size_t p = 0; p < table.clocks.size(); ++p) {
    ProductTable::Clock& clock = table.clocks[p];
    std::uint64_t end = clock.exceptions.size();
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      end += found.counts[p][i];
      const int next = i + 1 < pairs.size() ? pairs[i + 1] : ProductTable::kPairs;
      std::fill(clock.first.begin() + pairs[i] + 1, clock.first.begin() + next + 1, end);
    }
    clock.exceptions.insert(clock.exceptions.end(), found.exceptions[p].begin(),
                            found.exceptions[p].end());
    if (clock.exceptions.size() > kMaxExceptions) {
      fail("product table: more than {} wrong products at {} ps; give longer clock periods",
           kMaxExceptions, clock.period_ps);
    }
  }
}

ProductTable enumerate_part(const MultiplierStep& step, std::span<const int> pairs,
                            ProductTable table) {
  const auto count = static_cast<std::int64_t>(pairs.size());
  const std::int64_t tasks = (count + kPairsOfTask - 1) / kPairsOfTask;
  const auto of_task = [&](std::int64_t task) {
    const std::int64_t first = task * kPairsOfTask;
    return pairs.subspan(static_cast<std::size_t>(first),
                         static_cast<std::size_t>(std::min(kPairsOfTask, count - first)));
  };
  std::vector<Found> found(static_cast<std::size_t>(tasks));
  parallel_for(tasks, [&](std::int64_t task) {
    found[static_cast<std::size_t>(task)] =
        enumerate_pairs(step, of_task(task), table.activations());
  });
  for (std::int64_t task = 0; task < tasks; ++task) {
    append(table, of_task(task), found[static_cast<std::size_t>(task)]);
  }
  return table;
}

// A part as it is appended to the whole.
Found found_in(const ProductTable& part, std::span<const int> pairs) {
  Found found;
  for (const ProductTable::Clock& clock : part.clocks) {
    found.exceptions.push_back(clock.exceptions);
    auto& counts = found.counts.emplace_back();
    for (const int pair : pairs) {
      counts.push_back(clock.first[index(pair + 1)] - clock.first[index(pair)]);
    }
  }
  return found;
}

// What a run that was cut off has left, if it is whole.
bool read_part(const fs::path& path, ProductTable& table) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return false;
  try {
    table = read_product_table(path);
    return true;
  } catch (const Error&) {
    return false;
  }
}

fs::path table_file(std::uint64_t circuit, const Enumeration& what, std::span<const int> pairs,
                    int critical_ps, const fs::path& cache) {
  std::uint64_t state = mix(circuit, std::uint64_t{what.negative_activations});
  state = mix(state, static_cast<std::uint64_t>(critical_ps));
  for (const int period : what.periods_ps) state = mix(state, static_cast<std::uint64_t>(period));
  for (const int pair : pairs) state = mix(state, static_cast<std::uint64_t>(pair));
  for (const char c : what.made_by) state = mix(state, static_cast<unsigned char>(c));
  return cache / fmt::format("products-{:016x}.table", state);
}

// Activations lane by lane, weights for StepSimulator::kLanes of them.
void set_random_operands(MultiplierStep::Run& run, std::uint32_t block, bool negative_activations) {
  for (const auto operand : {MultiplierStep::kPreviousActivation, MultiplierStep::kActivation,
                             MultiplierStep::kPreviousWeight, MultiplierStep::kWeight}) {
    const bool activation =
        operand == MultiplierStep::kPreviousActivation || operand == MultiplierStep::kActivation;
    for (int bit = 0; bit < Multiplier::kOperandBits; ++bit) {
      if (activation && bit == Multiplier::kOperandBits - 1 && !negative_activations) continue;
      MultiplierStep::Block& lanes = run.input(operand, bit);
      for (int word = 0; word < LogicProgram::kWords; ++word) {
        const int draw = activation ? word : word / StepSimulator::kWords;
        const PhiloxBlock random = philox(
            {static_cast<std::uint32_t>(draw), static_cast<std::uint32_t>(bit), operand, block},
            philox_key(0));
        lanes[index(word)] =
            activation ? std::uint64_t{random[0]} << 32 | random[1] : -std::uint64_t{random[0] & 1};
      }
    }
  }
}

std::vector<int> sorted_pairs(const Enumeration& what) {
  std::vector<int> pairs = what.weight_pairs;
  if (pairs.empty()) {
    for (int pair = 0; pair < ProductTable::kPairs; ++pair) pairs.push_back(pair);
  }
  std::sort(pairs.begin(), pairs.end());
  pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
  if (pairs.front() < 0 || pairs.back() >= ProductTable::kPairs) {
    fail("product table: weight pair {}; expected 0 to {}",
         pairs.front() < 0 ? pairs.front() : pairs.back(), ProductTable::kPairs - 1);
  }
  return pairs;
}

}  // namespace

EnumeratedProducts enumerate_products(const Netlist& netlist, const Multiplier& multiplier,
                                      const Enumeration& what, const fs::path& cache) {
  const std::vector<int> pairs = sorted_pairs(what);
  const MultiplierStep step(netlist, multiplier, what.periods_ps);
  const StaticTiming timing = analyse(netlist);
  std::error_code error;
  fs::create_directories(cache, error);
  if (error) fail("{}: cannot be made: {}", cache.string(), error.message());

  EnumeratedProducts result;
  result.file =
      table_file(hash_circuit(netlist, multiplier), what, pairs, timing.critical_ps, cache);
  result.cached = read_part(result.file, result.table);
  if (result.cached) return result;

  const ProductTable empty =
      empty_table(what, longest_arrival(timing, multiplier.product), timing.critical_ps);
  result.table = empty;
  Progress progress("enumerating products", "weight pairs",
                    static_cast<std::int64_t>(pairs.size()));
  std::vector<fs::path> part_files;
  for (std::size_t first = 0; first < pairs.size(); first += kPairsOfPart) {
    const std::span part =
        std::span(pairs).subspan(first, std::min<std::size_t>(kPairsOfPart, pairs.size() - first));
    const fs::path& file = part_files.emplace_back(result.file) += fmt::format(".part{}", first);
    ProductTable table;
    if (!read_part(file, table)) {
      table = enumerate_part(step, part, empty);
      if (pairs.size() > part.size()) write_product_table(file, table);
    }
    append(result.table, part, found_in(table, part));
    progress.advance(static_cast<std::int64_t>(part.size()));
  }
  write_product_table(result.file, result.table);
  for (const fs::path& file : part_files) fs::remove(file, error);
  return result;
}

std::vector<double> sample_error_rates(const Netlist& netlist, const Multiplier& multiplier,
                                       const std::vector<int>& periods_ps,
                                       bool negative_activations, std::int64_t count) {
  const MultiplierStep step(netlist, multiplier, periods_ps);
  MultiplierStep::Run run(step);
  const std::int64_t blocks = (count + MultiplierStep::kLanes - 1) / MultiplierStep::kLanes;
  std::vector<std::int64_t> wrong(periods_ps.size());
  for (std::int64_t block = 0; block < blocks; ++block) {
    set_random_operands(run, static_cast<std::uint32_t>(block), negative_activations);
    run.run();
    for (std::size_t p = 0; p < wrong.size(); ++p) {
      for (const std::uint64_t word : run.wrong(static_cast<int>(p))) {
        wrong[p] += std::popcount(word);
      }
    }
  }
  std::vector<double> rates;
  for (const std::int64_t n : wrong) {
    rates.push_back(static_cast<double>(n) / static_cast<double>(blocks * MultiplierStep::kLanes));
  }
  return rates;
}

}  // namespace inure::timing
