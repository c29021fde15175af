#include "inure/timing/enumerate.hpp"

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "inure/base/parallel.hpp"
#include "inure/base/random.hpp"
#include "inure/timing/sta.hpp"
#include "lane.hpp"
#include "tests/common.hpp"

namespace inure::timing {
namespace {

std::size_t index(int i) { return static_cast<std::size_t>(i); }

class EnumeratedLane : public LaneTest {
 protected:
  Multiplier multiplier(int element) const { return lane_multiplier(netlist_, kVecSize, element); }

  // Periods at which this multiplier first errs in about these parts of all products.
  std::vector<int> periods(int element, const std::vector<double>& rates) const {
    const int longest = longest_arrival(analyse(netlist_), multiplier(element).product);
    std::vector<int> probed, found;
    for (int i = 0; i < 60; ++i) probed.push_back(longest - longest * i / 200);
    const auto sampled = sample_error_rates(netlist_, multiplier(element), probed, true, 200000);
    for (const double rate : rates) {
      for (std::size_t i = 0; i < probed.size(); ++i) {
        if (sampled[i] < rate) continue;
        if (found.empty() || found.back() != probed[i]) found.push_back(probed[i]);
        break;
      }
    }
    return found;
  }

  TemporaryFolder cache_;
};

// The tables of the four multipliers against the exact simulator, on random operands.
TEST_P(EnumeratedLane, TablesAreWhatTheSimulatorCaptures) {
  constexpr int kClocks = 3;
  const std::vector<int> clocks = periods(3, {1e-4, 1e-3, 1e-2});
  ASSERT_EQ(clocks.size(), kClocks);
  std::mt19937 random(7);
  std::vector<int> weights;
  Enumeration what{"a test", clocks, true, {}};
  const int count = GetParam().fpga ? 16 : 5;  // cells take 100 times as long
  for (int i = 0; i < count; ++i) weights.push_back(static_cast<std::int8_t>(random()));
  for (const int before : weights) {
    for (const int now : weights) what.weight_pairs.push_back(ProductTable::pair(before, now));
  }
  std::vector<ProductTable> tables;
  for (int element = 0; element < kVecSize; ++element) {
    tables.push_back(enumerate_products(netlist_, multiplier(element), what, cache_.path()).table);
  }
  const char* text = std::getenv("INURE_TIMING_VECTORS");  // the long run by hand
  const int cycles = text ? std::atoi(text) : 4000;
  for (int clock = 0; clock < kClocks; ++clock) {
    Lane lane(netlist_, clocks[index(clock)]);
    Operands older, before;
    int mismatches = 0, wrong = 0, wrong_of_last = 0;
    for (int cycle = 0; cycle < cycles + 2; ++cycle) {
      Operands now = random_operands(random);
      for (auto& b : now.b) b = static_cast<std::int8_t>(weights[random() % weights.size()]);
      // What is captured in this cycle are the products of the operands of the cycle before.
      lane.cycle(now);
      if (cycle >= 2) {
        for (int i = 0; i < kVecSize; ++i) {
          const auto e = index(i);
          const int right = before.a[e] * before.b[e];
          const int got = static_cast<std::int16_t>(lane.captured_products() >> 16 * i);
          const int delta =
              tables[e].delta(clock, older.a[e], older.b[e], before.a[e], before.b[e]);
          mismatches += got != right + delta;
          wrong += got != right;
          wrong_of_last += i == 3 && got != right;
        }
      }
      older = before;
      before = now;
    }
    EXPECT_EQ(mismatches, 0) << "at " << clocks[index(clock)] << " ps";
    EXPECT_TRUE(clock + 1 < kClocks || wrong_of_last > 0);
    std::printf("%d ps: %d of %d products wrong, of the last multiplier %d; in its table %.2e\n",
                clocks[index(clock)], wrong, 4 * cycles, wrong_of_last, tables[3].rate(clock));
  }
}

// The plain twin: every change of the activations is simulated, whatever the bound says.
TEST_P(EnumeratedLane, TablesMissNoChange) {
  std::int64_t wrong = 0;
  for (const bool negative : {true, false}) {
    Enumeration what{"a test", periods(3, {1e-4, 1e-2}), negative, {}};
    const int activations = negative ? 256 : 128;
    for (unsigned i = 0; i < 12; ++i) {
      const std::uint32_t pair = philox({i, negative, 0, 0}, philox_key(1))[0] % 65536;
      what.weight_pairs.push_back(static_cast<int>(pair));
    }
    const auto table = enumerate_products(netlist_, multiplier(3), what, cache_.path()).table;
    const MultiplierStep step(netlist_, multiplier(3), what.periods_ps);
    MultiplierStep::Run run(step);
    for (const int pair : what.weight_pairs) {
      const int bits = negative ? 8 : 7;
      run.set_all(MultiplierStep::kPreviousWeight, pair >> 8);
      run.set_all(MultiplierStep::kWeight, pair & 255);
      std::vector<std::vector<ProductTable::Exception>> found(what.periods_ps.size());
      for (int first = 0; first < activations * activations; first += MultiplierStep::kLanes) {
        for (int bit = 0; bit < bits; ++bit) {
          count_lanes(run.input(MultiplierStep::kActivation, bit), first, bit);
          count_lanes(run.input(MultiplierStep::kPreviousActivation, bit), first, bits + bit);
        }
        run.run();
        for (int p = 0; p < step.periods(); ++p) {
          for (int i = 0; i < MultiplierStep::kLanes; ++i) {
            const int a_previous = (first + i) / activations, a = (first + i) % activations;
            const int right = static_cast<std::int8_t>(a) * static_cast<std::int8_t>(pair);
            int got = 0;
            for (int bit = 0; bit < Multiplier::kProductBits; ++bit) {
              got |= static_cast<int>(run.captured(p, bit)[index(i / 64)] >> i % 64 & 1) << bit;
            }
            if (got == static_cast<std::uint16_t>(right)) continue;
            found[index(p)].push_back({static_cast<std::uint16_t>(a_previous << 8 | a),
                                       static_cast<std::uint16_t>(got - right)});
          }
        }
      }
      for (int p = 0; p < step.periods(); ++p) {
        const auto kept = table.exceptions(p, pair >> 8, pair & 255);
        ASSERT_EQ(std::vector(kept.begin(), kept.end()), found[index(p)])
            << "pair " << pair << ", negative activations: " << negative;
        wrong += static_cast<std::int64_t>(kept.size());
      }
    }
  }
  EXPECT_GT(wrong, 0);
}

INSTANTIATE_TEST_SUITE_P(Lanes, EnumeratedLane,
                         testing::Values(LaneCase{true, 3}, LaneCase{false, 3}));

class Enumerations : public EnumeratedLane {};

TEST_P(Enumerations, AreKeptAndGoOnWhereTheyWere) {
  Enumeration what{"a test", periods(3, {1e-3, 1e-2}), false, {}};
  for (int i = 0; i < 5000; ++i) what.weight_pairs.push_back(i * 13);
  const std::vector<int> first_periods = what.periods_ps;
  set_threads(1);
  const auto first = enumerate_products(netlist_, multiplier(3), what, cache_.path());
  EXPECT_FALSE(first.cached);
  EXPECT_TRUE(enumerate_products(netlist_, multiplier(3), what, cache_.path()).cached);
  EXPECT_GT(first.table.rate(0), 0);
  EXPECT_GT(first.table.rate(1), first.table.rate(0));
  const std::string bytes = read_file(first.file);
  set_threads(0);

  // Where the table cannot be written, its parts stay; what they say is believed.
  std::filesystem::remove(first.file);
  std::filesystem::create_directory(first.file);
  EXPECT_THROW(enumerate_products(netlist_, multiplier(3), what, cache_.path()), Error);
  std::filesystem::remove(first.file);
  const std::filesystem::path part = first.file.string() + ".part4096";
  ProductTable changed = read_product_table(part);
  ++changed.clocks[1].exceptions.back().delta;
  write_product_table(part, changed);
  const std::filesystem::path damaged = first.file.string() + ".part0";
  write_file_atomically(damaged, "half a par");
  ProductTable resumed = enumerate_products(netlist_, multiplier(3), what, cache_.path()).table;
  --resumed.clocks[1].exceptions.back().delta;
  EXPECT_EQ(resumed.clocks, first.table.clocks);
  EXPECT_EQ(resumed.enumerated, first.table.enumerated);
  EXPECT_FALSE(std::filesystem::exists(part));
  EXPECT_FALSE(std::filesystem::exists(damaged));

  std::filesystem::remove(first.file);
  enumerate_products(netlist_, multiplier(3), what, cache_.path());
  EXPECT_EQ(read_file(first.file), bytes);  // on all threads as on one

  what.weight_pairs = {65536};
  EXPECT_EQ(error_of([&] { enumerate_products(netlist_, multiplier(3), what, cache_.path()); }),
            "product table: weight pair 65536; expected 0 to 65535");
  what.periods_ps.clear();
  EXPECT_EQ(error_of([&] { enumerate_products(netlist_, multiplier(3), what, cache_.path()); }),
            "product table: no clock period is given; expected some");
  what.periods_ps = first_periods;
  Multiplier crossed = multiplier(3);
  std::swap(crossed.product[0], crossed.product[15]);
  what.weight_pairs = {0};
  EXPECT_EQ(
      error_of([&] { enumerate_products(netlist_, crossed, what, cache_.path()); }).substr(0, 36),
      "multiplier: its registers settle at ");
}

INSTANTIATE_TEST_SUITE_P(Lanes, Enumerations, testing::Values(LaneCase{true, 3}));

}  // namespace
}  // namespace inure::timing
