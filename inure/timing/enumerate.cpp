#include "inure/timing/enumerate.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <memory>
#include <system_error>
#include <utility>

#include "inure/base/error.hpp"
#include "inure/base/parallel.hpp"
#include "inure/base/progress.hpp"
#include "inure/base/random.hpp"
#include "inure/timing/late_bound.hpp"
#include "inure/timing/sta.hpp"

namespace inure::timing {
namespace {

namespace fs = std::filesystem;

constexpr int kProductBits = Multiplier::kProductBits;
constexpr std::int64_t kPairsOfPart = 4096, kPairsOfTask = 64;
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

// By weight, a byte: the activations, as bytes, with which its product may be wrong at the shortest
// period, whatever the operands were before.
using Suspects = std::array<std::vector<std::uint8_t>, 256>;

Suspects find_suspects(const Netlist& netlist, const Multiplier& multiplier,
                       const Enumeration& what) {
  constexpr int kOperandBits = Multiplier::kOperandBits;
  const int activations = what.negative_activations ? 256 : 128;
  const int shortest = *std::min_element(what.periods_ps.begin(), what.periods_ps.end());
  std::vector<int> operands = multiplier.activation;
  operands.insert(operands.end(), multiplier.weight.begin(), multiplier.weight.end());
  const LateBound bound = late_bound(netlist, operands, multiplier.product, shortest);
  const LogicProgram program(bound.graph, {bound.late});
  LogicProgram::State state(program);
  Suspects suspects;
  for (int first = 0; first < 1 << 2 * kOperandBits; first += LogicProgram::kLanes) {
    for (int bit = 0; bit < 2 * kOperandBits; ++bit) count_lanes(state.input(bit), first, bit);
    program.run(state);
    for (int i = 0; i < LogicProgram::kLanes; ++i) {
      if (!(program.output(state, 0)[index(i / 64)] >> i % 64 & 1)) continue;
      const int a = (first + i) & 255, b = (first + i) >> kOperandBits;
      if (a < activations) suspects[index(b)].push_back(static_cast<std::uint8_t>(a));
    }
  }
  return suspects;
}

// Changes of operands that are simulated together, one a lane. The lanes that are left over stand
// still at 0.
class Changes {
 public:
  // A pair is known by its place among those that are enumerated.
  void add(int place, int pair, int a_previous, int a) {
    const std::array operands = {a_previous, pair >> 8, a, pair & 255};
    for (std::size_t k = 0; k < operands.size(); ++k) {
      operands_[k][size_] = static_cast<std::uint8_t>(operands[k]);
    }
    places_[size_++] = place;
  }

  bool empty() const { return size_ == 0; }
  bool full() const { return size_ == MultiplierStep::kLanes; }
  void clear() {
    size_ = 0;
    for (auto& lanes : operands_) lanes.fill(0);
  }

  int place(std::size_t lane) const { return places_[lane]; }
  int operand(MultiplierStep::Operand which, std::size_t lane) const {
    return operands_[which][lane];
  }
  void set_inputs(MultiplierStep::Run& run) const;

 private:
  std::size_t size_ = 0;
  std::array<std::array<std::uint8_t, MultiplierStep::kLanes>, 4> operands_{};  // by Operand
  std::array<int, MultiplierStep::kLanes> places_{};
};

// Bit by bit; that of eight lanes is gathered by a product: byte i of the lanes becomes bit i.
void Changes::set_inputs(MultiplierStep::Run& run) const {
  for (const auto which : {MultiplierStep::kPreviousActivation, MultiplierStep::kPreviousWeight,
                           MultiplierStep::kActivation, MultiplierStep::kWeight}) {
    for (int bit = 0; bit < Multiplier::kOperandBits; ++bit) {
      MultiplierStep::Block& block = run.input(which, bit);
      block.fill(0);
      for (std::size_t lane = 0; lane < MultiplierStep::kLanes; lane += 8) {
        std::uint64_t eight = 0;
        for (std::size_t i = 8; i-- > 0;) eight = eight << 8 | operands_[which][lane + i];
        const std::uint64_t bits = (eight >> bit & 0x0101010101010101u) * 0x0102040810204080u >> 56;
        block[lane / 64] |= bits << lane % 64;
      }
    }
  }
}

// The exceptions of some weight pairs: by period, and how many each pair has.
struct Found {
  std::vector<std::vector<ProductTable::Exception>> exceptions;
  std::vector<std::vector<std::uint64_t>> counts;
};

void collect(const MultiplierStep::Run& run, const Changes& changes, int period, Found& found) {
  const MultiplierStep::Block wrong = run.wrong(period);
  for (std::size_t word = 0; word < wrong.size(); ++word) {
    for (std::uint64_t left = wrong[word]; left; left &= left - 1) {
      const int at = std::countr_zero(left);
      const std::size_t lane = word * 64 + static_cast<std::size_t>(at);
      const int a_previous = changes.operand(MultiplierStep::kPreviousActivation, lane);
      const int a = changes.operand(MultiplierStep::kActivation, lane);
      const int b = changes.operand(MultiplierStep::kWeight, lane);
      int captured = 0;
      for (int bit = 0; bit < kProductBits; ++bit) {
        captured |= static_cast<int>(run.captured(period, bit)[word] >> at & 1) << bit;
      }
      const int right = static_cast<std::int8_t>(a) * static_cast<std::int8_t>(b);
      found.exceptions[index(period)].push_back({static_cast<std::uint16_t>(a_previous << 8 | a),
                                                 static_cast<std::uint16_t>(captured - right)});
      ++found.counts[index(period)][index(changes.place(lane))];
    }
  }
}

Found enumerate_pairs(const MultiplierStep& step, const Suspects& suspects,
                      std::span<const int> pairs, int activations) {
  Found found;
  found.exceptions.resize(index(step.periods()));
  found.counts.assign(index(step.periods()), std::vector<std::uint64_t>(pairs.size()));
  MultiplierStep::Run run(step);
  const auto changes = std::make_unique<Changes>();
  const auto simulate = [&] {
    changes->set_inputs(run);
    run.run();
    for (int p = 0; p < step.periods(); ++p) collect(run, *changes, p, found);
    changes->clear();
  };
  for (std::size_t place = 0; place < pairs.size(); ++place) {
    for (int a_previous = 0; a_previous < activations; ++a_previous) {
      for (const std::uint8_t a : suspects[index(pairs[place] & 255)]) {
        changes->add(static_cast<int>(place), pairs[place], a_previous, a);
        if (changes->full()) simulate();
      }
    }
  }
  if (!changes->empty()) simulate();
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

ProductTable enumerate_part(const MultiplierStep& step, const Suspects& suspects,
                            std::span<const int> pairs, ProductTable table) {
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
        enumerate_pairs(step, suspects, of_task(task), table.activations());
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
  if (what.periods_ps.empty()) fail("product table: no clock period is given; expected some");
  const std::vector<int> pairs = sorted_pairs(what);
  if (multiplier_stages(netlist, multiplier).size() > 1) {
    fail(
        "product table: {}: a multiplier of several register stages has no exact table; use its "
        "profile",
        what.made_by);
  }
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
  const Suspects suspects = find_suspects(netlist, multiplier, what);
  Progress progress("enumerating products", "weight pairs",
                    static_cast<std::int64_t>(pairs.size()));
  std::vector<fs::path> part_files;
  for (std::size_t first = 0; first < pairs.size(); first += kPairsOfPart) {
    const std::span part =
        std::span(pairs).subspan(first, std::min<std::size_t>(kPairsOfPart, pairs.size() - first));
    const fs::path& file = part_files.emplace_back(result.file) += fmt::format(".part{}", first);
    ProductTable table;
    if (!read_part(file, table)) {
      table = enumerate_part(step, suspects, part, empty);
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
