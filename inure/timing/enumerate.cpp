#include "inure/timing/enumerate.hpp"

#include <algorithm>
#include <bit>
#include <system_error>
#include <utility>

#include "inure/base/clones.hpp"
#include "inure/base/error.hpp"
#include "inure/base/parallel.hpp"
#include "inure/base/progress.hpp"
#include "inure/base/random.hpp"
#include "inure/timing/sta.hpp"
#include "inure/timing/step_response.hpp"

namespace inure::timing {
namespace {

namespace fs = std::filesystem;
using Block = LogicProgram::Block;

constexpr int kOperandBits = 8, kProductBits = 16;
constexpr std::int64_t kPairsOfPart = 4096, kPairsOfTask = 16;
constexpr std::size_t kMaxExceptions = std::size_t{1} << 28;

std::size_t index(int i) { return static_cast<std::size_t>(i); }

std::vector<int> launching(const Multiplier& multiplier) {
  std::vector<int> registers = multiplier.activation;
  registers.insert(registers.end(), multiplier.weight.begin(), multiplier.weight.end());
  return registers;
}

// The multiplier's logic, ready to run: the right product first, then what each period captures.
class Logic {
 public:
  enum Operand { kPreviousActivation, kPreviousWeight, kActivation, kWeight };

  Logic(const Netlist& netlist, const Multiplier& multiplier, const std::vector<int>& periods)
      : response_(step_response(netlist, launching(multiplier), multiplier.product, periods)),
        program_(response_.graph, outputs()) {}

  const LogicProgram& program() const { return program_; }
  int longest_ps() const { return response_.longest_ps; }
  int periods() const { return static_cast<int>(response_.captured.size()); }
  std::uint64_t hash() const;

  static Block& input(LogicProgram::State& state, Operand operand, int bit) {
    return state.input(operand * kOperandBits + bit);
  }
  static void set_all(LogicProgram::State& state, Operand operand, int value) {
    for (int bit = 0; bit < kOperandBits; ++bit) {
      input(state, operand, bit).fill(-static_cast<std::uint64_t>(value >> bit & 1));
    }
  }
  const Block& right(const LogicProgram::State& state, int bit) const {
    return program_.output(state, bit);
  }
  const Block& captured(const LogicProgram::State& state, int period, int bit) const {
    return program_.output(state, (1 + period) * kProductBits + bit);
  }
  // The lanes whose product is wrong.
  Block wrong(const LogicProgram::State& state, int period) const {
    Block lanes{};
    for (int bit = 0; bit < kProductBits; ++bit) {
      add_difference(right(state, bit), captured(state, period, bit), lanes);
    }
    return lanes;
  }

 private:
  std::vector<int> outputs() const {
    std::vector<int> ids = response_.settled;
    for (const auto& period : response_.captured)
      ids.insert(ids.end(), period.begin(), period.end());
    return ids;
  }
  static void add_difference(const Block& a, const Block& b, Block& lanes);

  StepResponse response_;
  LogicProgram program_;
};

INURE_CLONES
void Logic::add_difference(const Block& a, const Block& b, Block& lanes) {
  for (std::size_t i = 0; i < lanes.size(); ++i) lanes[i] |= a[i] ^ b[i];
}

std::uint64_t mix(std::uint64_t state, std::uint64_t word) {
  state = (state ^ word) * 0xBF58476D1CE4E5B9u;
  return state ^ state >> 31;
}

std::uint64_t Logic::hash() const {
  std::uint64_t state = 1;
  const LogicGraph& graph = response_.graph;
  for (int id = graph.first_node(); id < graph.size(); ++id) {
    const LogicGraph::Node& node = graph.node(id);
    state = mix(state, node.truth);
    for (const int in : node.in) state = mix(state, static_cast<std::uint64_t>(in));
  }
  for (const int id : outputs()) state = mix(state, static_cast<std::uint64_t>(id));
  return state;
}

// Lane i of the block gets bit `bit` of i + first.
void count_lanes(Block& block, int first, int bit) {
  constexpr std::uint64_t kWithin[] = {0xAAAAAAAAAAAAAAAAu, 0xCCCCCCCCCCCCCCCCu,
                                       0xF0F0F0F0F0F0F0F0u, 0xFF00FF00FF00FF00u,
                                       0xFFFF0000FFFF0000u, 0xFFFFFFFF00000000u};
  for (int word = 0; word < LogicProgram::kWords; ++word) {
    const int lane = first + 64 * word;
    block[index(word)] = bit < 6 ? kWithin[bit] : -static_cast<std::uint64_t>(lane >> bit & 1);
  }
}

// Lanes first ... of all changes (a_previous, a), a counting first.
void set_activations(LogicProgram::State& state, int first, int activations) {
  const int bits = std::countr_zero(static_cast<unsigned>(activations));
  for (int bit = 0; bit < bits; ++bit) {
    count_lanes(Logic::input(state, Logic::kActivation, bit), first, bit);
    count_lanes(Logic::input(state, Logic::kPreviousActivation, bit), first, bits + bit);
  }
}

void check_arithmetic(const Logic& logic) {
  LogicProgram::State state(logic.program());
  for (int lane = 0; lane < 65536; lane += LogicProgram::kLanes) {
    for (int bit = 0; bit < kOperandBits; ++bit) {
      count_lanes(Logic::input(state, Logic::kActivation, bit), lane, bit);
      count_lanes(Logic::input(state, Logic::kWeight, bit), lane, kOperandBits + bit);
    }
    logic.program().run(state);
    for (int i = 0; i < LogicProgram::kLanes; ++i) {
      const int a = static_cast<std::int8_t>(lane + i),
                b = static_cast<std::int8_t>((lane + i) >> 8);
      int got = 0;
      for (int bit = 0; bit < kProductBits; ++bit) {
        got |= static_cast<int>(logic.right(state, bit)[index(i / 64)] >> i % 64 & 1) << bit;
      }
      if (got != static_cast<std::uint16_t>(a * b)) {
        fail("multiplier: its registers settle at {} for {} * {}; expected {}",
             static_cast<std::int16_t>(got), a, b, a * b);
      }
    }
  }
}

// The exceptions of some weight pairs: by period, and how many each pair has.
struct Found {
  std::vector<std::vector<ProductTable::Exception>> exceptions;
  std::vector<std::vector<std::uint64_t>> counts;
};

void collect(const Logic& logic, const LogicProgram::State& state, int first_lane, int activations,
             int b, int period, std::vector<ProductTable::Exception>& list) {
  const Block wrong = logic.wrong(state, period);
  const int bits = std::countr_zero(static_cast<unsigned>(activations));
  for (std::size_t word = 0; word < wrong.size(); ++word) {
    for (std::uint64_t left = wrong[word]; left; left &= left - 1) {
      const int at = std::countr_zero(left);
      const int lane = first_lane + static_cast<int>(word) * 64 + at;
      const int a = lane & (activations - 1);
      int captured = 0;
      for (int bit = 0; bit < kProductBits; ++bit) {
        captured |= static_cast<int>(logic.captured(state, period, bit)[word] >> at & 1) << bit;
      }
      list.push_back({static_cast<std::uint16_t>(lane >> bits << 8 | a),
                      static_cast<std::uint16_t>(captured - static_cast<std::int8_t>(a) * b)});
    }
  }
}

Found enumerate_pairs(const Logic& logic, std::span<const int> pairs, int activations) {
  Found found{std::vector<std::vector<ProductTable::Exception>>(index(logic.periods())),
              std::vector<std::vector<std::uint64_t>>(index(logic.periods()))};
  LogicProgram::State state(logic.program());
  for (const int pair : pairs) {
    const int b = static_cast<std::int8_t>(pair);
    Logic::set_all(state, Logic::kPreviousWeight, pair >> 8);
    Logic::set_all(state, Logic::kWeight, pair & 255);
    for (auto& counts : found.counts) counts.push_back(0);
    std::vector<std::size_t> before;
    for (const auto& list : found.exceptions) before.push_back(list.size());
    for (int lane = 0; lane < activations * activations; lane += LogicProgram::kLanes) {
      set_activations(state, lane, activations);
      logic.program().run(state);
      for (int p = 0; p < logic.periods(); ++p) {
        collect(logic, state, lane, activations, b, p, found.exceptions[index(p)]);
      }
    }
    for (std::size_t p = 0; p < before.size(); ++p) {
      found.counts[p].back() = found.exceptions[p].size() - before[p];
    }
  }
  return found;
}

ProductTable empty_table(const Logic& logic, const Enumeration& what, int critical_ps) {
  ProductTable table;
  table.made_by = what.made_by;
  table.negative_activations = what.negative_activations;
  table.longest_ps = logic.longest_ps();
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

ProductTable enumerate_part(const Logic& logic, std::span<const int> pairs, ProductTable table) {
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
        enumerate_pairs(logic, of_task(task), table.activations());
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

fs::path table_file(const Logic& logic, const Enumeration& what, std::span<const int> pairs,
                    int critical_ps, const fs::path& cache) {
  std::uint64_t state = mix(logic.hash(), what.negative_activations);
  state = mix(state, static_cast<std::uint64_t>(critical_ps));
  for (const int period : what.periods_ps) state = mix(state, static_cast<std::uint64_t>(period));
  for (const int pair : pairs) state = mix(state, static_cast<std::uint64_t>(pair));
  for (const char c : what.made_by) state = mix(state, static_cast<unsigned char>(c));
  return cache / fmt::format("products-{:016x}.table", state);
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

Multiplier lane_multiplier(const Netlist& netlist, int vec_size, int element) {
  const auto part = [&](const char* name, int bits) {
    const auto all = netlist.find_registers(name, bits * vec_size);
    const auto first = all.begin() + bits * element;
    return std::vector<int>(first, first + bits);
  };
  return {part("activation", kOperandBits), part("weight", kOperandBits),
          part("product", kProductBits)};
}

EnumeratedProducts enumerate_products(const Netlist& netlist, const Multiplier& multiplier,
                                      const Enumeration& what, const fs::path& cache) {
  const std::vector<int> pairs = sorted_pairs(what);
  const Logic logic(netlist, multiplier, what.periods_ps);
  check_arithmetic(logic);
  const int critical_ps = analyse(netlist).critical_ps;
  std::error_code error;
  fs::create_directories(cache, error);
  if (error) fail("{}: cannot be made: {}", cache.string(), error.message());

  EnumeratedProducts result;
  result.file = table_file(logic, what, pairs, critical_ps, cache);
  result.cached = read_part(result.file, result.table);
  if (result.cached) return result;

  const ProductTable empty = empty_table(logic, what, critical_ps);
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
      table = enumerate_part(logic, part, empty);
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
  const Logic logic(netlist, multiplier, periods_ps);
  LogicProgram::State state(logic.program());
  const std::int64_t blocks = (count + LogicProgram::kLanes - 1) / LogicProgram::kLanes;
  std::vector<std::int64_t> wrong(periods_ps.size());
  for (std::int64_t block = 0; block < blocks; ++block) {
    for (int input = 0; input < 4 * kOperandBits; ++input) {
      const bool sign = input % kOperandBits == kOperandBits - 1;
      const bool activation = input / kOperandBits % 2 == 0;
      if (sign && activation && !negative_activations) continue;  // stays 0
      for (int word = 0; word < LogicProgram::kWords; word += 2) {
        const PhiloxBlock random =
            philox({static_cast<std::uint32_t>(word), static_cast<std::uint32_t>(input),
                    static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32)},
                   philox_key(0));
        Block& lanes = state.input(input);
        lanes[index(word)] = std::uint64_t{random[0]} << 32 | random[1];
        lanes[index(word + 1)] = std::uint64_t{random[2]} << 32 | random[3];
      }
    }
    logic.program().run(state);
    for (std::size_t p = 0; p < wrong.size(); ++p) {
      for (const std::uint64_t word : logic.wrong(state, static_cast<int>(p))) {
        wrong[p] += std::popcount(word);
      }
    }
  }
  std::vector<double> rates;
  for (const std::int64_t n : wrong) {
    rates.push_back(static_cast<double>(n) / static_cast<double>(blocks * LogicProgram::kLanes));
  }
  return rates;
}

}  // namespace inure::timing
