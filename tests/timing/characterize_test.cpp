#include "inure/timing/characterize.hpp"

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "lane.hpp"
#include "tests/common.hpp"

namespace inure::timing {
namespace {

// A lane of one multiplier, in a module `small`: what a user may bring.
std::string small_lane(const std::string& product = "a * b",
                       const std::string& accumulate = "(restart ? 32'd0 : accumulator) + addend",
                       const std::string& name = "product",
                       const std::string& activation = "activation") {
  return fmt::format(R"(module small(input clk, input first, input [7:0] activations,
             input [7:0] weights, output [31:0] result);
  (* keep *) reg [7:0] {3};
  (* keep *) reg [7:0] weight;
  (* keep *) reg [15:0] {0};
  (* keep *) reg [31:0] accumulator;
  reg begins, restart;
  wire signed [7:0] a = {3}, b = weight;
  wire signed [15:0] right = {0};
  wire [31:0] addend = {{{{16{{right[15]}}}}, right}};
  assign result = accumulator;
  always @(posedge clk) begin
    {3} <= activations;
    weight <= weights;
    begins <= first;
    restart <= begins;
    {0} <= {1};
    accumulator <= {2};
  end
endmodule
)",
                     name, product, accumulate, activation);
}

class Characterizations : public testing::Test {
 protected:
  Characterization small(const std::string& verilog, const std::string& top = "small") {
    write_file_atomically(scratch_ / "small.v", verilog);
    Characterization what;
    what.design.files = {scratch_ / "small.v"};
    what.design.top = top;
    what.cache = scratch_ / "cache";
    what.effort = 0.01;
    return what;
  }
  std::string refusal(const std::string& verilog, const std::string& top = "small") {
    const std::string message = error_of([&] { make_circuits(small(verilog, top)); });
    EXPECT_EQ(message.find('\n'), std::string::npos);
    const std::string folder = scratch_.path().string() + "/";
    return message.starts_with(folder) ? message.substr(folder.size()) : message;
  }

  TemporaryFolder scratch_;
};

TEST_F(Characterizations, MakeOneProfileForEachSeed) {
  SKIP_WITHOUT_ICE40_TOOLS();
  Characterization what;
  what.design = lane_design(3);
  what.cache = test_cache();
  what.seeds = {1, 2};
  what.clocks = {1.06, 1.0, 1.02, 1.06};
  what.effort = 0.01;
  const std::vector<Circuit> circuits = make_circuits(what);
  ASSERT_EQ(circuits.size(), 2u);
  EXPECT_EQ(circuits[0].name, "hx8k_p3_seed1");
  EXPECT_EQ(circuits[0].vec_size, kVecSize);
  const int slowest = std::max(circuits[0].timing.critical_ps, circuits[1].timing.critical_ps);
  const std::vector<int> periods = choose_periods(what, circuits);
  ASSERT_EQ(periods.size(), 3u);
  EXPECT_EQ(periods[0], slowest);
  EXPECT_NEAR(periods[2], slowest / 1.06, 1);

  what.cache = scratch_ / "cache";
  const TimingProfile profile = fit_profile(what, circuits[0], periods, "by a test");
  write_timing_profile(scratch_ / "a.profile", profile);  // which checks it
  EXPECT_EQ(profile.design(), "lane.v: lane PIPELINE=3 VEC_SIZE=4");
  EXPECT_EQ(profile.made_by(profile.made_by_size() - 1), "by a test");
  EXPECT_EQ(static_cast<int>(profile.critical_ps()), circuits[0].timing.critical_ps);
  ASSERT_EQ(profile.clock_size(), 3);
  for (int c = 0; c < 3; ++c) {
    EXPECT_EQ(static_cast<int>(profile.clock(c).period_ps()), periods[static_cast<std::size_t>(c)]);
    EXPECT_FALSE(profile.clock(c).has_accumulator());
  }
  int wrong = 0, safe = 0;
  for (int e = 0; e < kVecSize; ++e) {
    wrong += profile.clock(2).product(e).late_bit_size();
    safe += profile.clock(0).product(e).late_bit_size();
  }
  EXPECT_GT(wrong, 3);
  EXPECT_EQ(safe, 0);  // the slowest circuit's own clock
  const TimingProfile other = fit_profile(what, circuits[1], periods, "by a test");
  EXPECT_NE(other.netlist(), profile.netlist());
  EXPECT_NE(other.clock(2).SerializeAsString(), profile.clock(2).SerializeAsString());

  // From the cache, which knows nothing of the command.
  TimingProfile again = fit_profile(what, circuits[0], periods, "again");
  again.set_made_by(again.made_by_size() - 1, "by a test");
  EXPECT_EQ(again.SerializeAsString(), profile.SerializeAsString());
  what.effort = 0.1;
  again = fit_profile(what, circuits[0], periods, "by a test");
  EXPECT_NE(again.clock(2).SerializeAsString(), profile.clock(2).SerializeAsString());
  what.clocks = {2.5};
  EXPECT_EQ(error_of([&] { choose_periods(what, circuits); }),
            "clock 2.5: expected 0.5 to 1.9, relative to f_STA");
}

TEST_F(Characterizations, TakeAUsersDesignAndChooseItsClocks) {
  SKIP_WITHOUT_ICE40_TOOLS();
  Characterization what = small(small_lane());
  what.negative_activations = false;
  const std::vector<Circuit> circuits = make_circuits(what);
  EXPECT_EQ(circuits[0].name, "hx8k_small_seed1");
  EXPECT_EQ(circuits[0].vec_size, 1);
  const std::vector<int> periods = choose_periods(what, circuits);
  EXPECT_GE(periods.size(), 8u);
  EXPECT_LE(periods.size(), 10u);
  EXPECT_LT(periods[0], circuits[0].timing.critical_ps);
  const TimingProfile profile = fit_profile(what, circuits[0], periods, "by a test");
  write_timing_profile(scratch_ / "a.txt", profile);
  const ClockProfile& last = profile.clock(profile.clock_size() - 1);
  EXPECT_GT(last.product(0).rate() + last.accumulator().rate(), 0.03);

  // Traces take the place of synthetic operands: with zeros nothing is ever late.
  OperandTrace zeros;
  zeros.vec_size = 1;
  zeros.layer = "zeros";
  zeros.activations.resize(2000), zeros.weights.resize(2000), zeros.first.resize(2000);
  for (std::size_t i = 0; i < 2000; i += 50) zeros.first[i] = 1;
  what.traces = {zeros};
  const TimingProfile of_zeros = fit_profile(what, circuits[0], periods, "by a test");
  for (const ClockProfile& clock : of_zeros.clock()) {
    EXPECT_FALSE(clock.has_accumulator());
    EXPECT_EQ(clock.product(0).rate(), 0);
  }
  what.traces[0].vec_size = 4;
  EXPECT_EQ(error_of([&] { make_circuits(what); }),
            fmt::format("trace of layer zeros: of 4 multipliers; the lane of {} has 1",
                        what.design.name()));
  what.traces.clear();

  const std::vector<int> of_tables = write_tables(what, circuits[0], periods, scratch_ / "tables");
  ASSERT_FALSE(of_tables.empty());
  const ProductTable table = read_product_table(scratch_ / "tables" / "product_0.table");
  EXPECT_FALSE(table.negative_activations);
  ASSERT_EQ(table.clocks.size(), of_tables.size());
  EXPECT_EQ(table.clocks.back().period_ps, of_tables.back());
  EXPECT_LE(table.rate(static_cast<int>(of_tables.size()) - 1), 1.1 * kMaxTableRate);
  EXPECT_EQ(error_of([&] {
              write_tables(what, circuits[0], {periods[0] / 2 + 100}, "unused");
            }).substr(0, 34),
            "hx8k_small_seed1: at every clock a");
}

TEST_F(Characterizations, RefuseDesignsThatBreakTheContract) {
  SKIP_WITHOUT_ICE40_TOOLS();
  EXPECT_EQ(error_of([] { parse_technology("hx1k"); }),
            "technology \"hx1k\" is not known; known: hx8k, osu018");
  EXPECT_NE(refusal("module small(\n").find("yosys"), std::string::npos);
  EXPECT_NE(refusal(small_lane(), "large").find("large"), std::string::npos);
  EXPECT_NE(refusal(small_lane("a * b", "(restart ? 32'd0 : accumulator) + addend", "produce"))
                .find("product"),
            std::string::npos);
  EXPECT_NE(refusal(small_lane("a * b", "accumulator + addend")).find("accumulator holds"),
            std::string::npos);
  EXPECT_EQ(
      refusal(
          small_lane("a * b", "(restart ? 32'd0 : accumulator) + addend", "product", "operand")),
      "small.v: no registers activation[0] ...; expected 8 bits for each product, kept by the "
      "synthesis, or the designer's own names, --register activation=NAME,.. (the contract is "
      "in rtl/lane.v)");
}

}  // namespace
}  // namespace inure::timing
