// Circuits as designers write them: what works gives, products and results, just what an
// event-driven simulation of the gates gives, and its profile knows of every register that errs;
// what does not is refused with the reason. INURE_TIMING_STEPS says how many steps (30000 by hand).
#include <fmt/format.h>

#include <cstdlib>
#include <map>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "inure/timing/characterize.hpp"
#include "inure/timing/lane_errors.hpp"
#include "inure/timing/process.hpp"
#include "lane.hpp"
#include "tests/common.hpp"

namespace inure::timing {
namespace {

namespace fs = std::filesystem;

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

std::int64_t steps() {
  const char* text = std::getenv("INURE_TIMING_STEPS");
  return text ? std::atoll(text) : 1500;
}

OperandTrace random_trace(int vec_size) {
  constexpr int kOutput = 25;
  OperandTrace trace;
  trace.vec_size = vec_size;
  trace.layer = "made up";
  std::mt19937 random(1);
  for (std::int64_t step = 0; step < steps(); ++step) {
    trace.first.push_back(step % kOutput == 0);
    for (int i = 0; i < vec_size; ++i) {
      trace.activations.push_back(static_cast<std::int8_t>(random() % 3 ? random() : 0));
      trace.weights.push_back(static_cast<std::int8_t>(random()));
    }
  }
  return trace;
}

std::uint32_t added(std::int64_t a, std::int64_t b) { return static_cast<std::uint32_t>(a + b); }

// What is compared at one clock.
struct Comparison {
  std::int64_t wrong_products = 0, wrong_results = 0;  // of the gates
  std::int64_t differ = 0;      // products and results of the lane simulator that are others
  std::int64_t unforeseen = 0;  // products of the profile that are others
  bool sums_known = true;       // the profile has errors of the accumulator where there are many
};

// The whole trace through the event-driven simulator, against the errors that were found.
void compare_with_gates(const Circuit& circuit, int period, const OperandTrace& trace,
                        const LaneErrors& errors, Comparison& found) {
  const LaneSimulator lane(circuit.netlist, circuit.vec_size, period);
  std::vector<std::uint32_t> total(index(trace.steps()));
  std::vector<std::vector<std::int32_t>> products(index(circuit.vec_size));
  for (std::size_t e = 0; e < products.size(); ++e) {
    products[e].resize(total.size());
    for (const StepError& error : errors.products[e]) {
      products[e][index(error.step)] = error.delta;
      total[index(error.step)] += static_cast<std::uint32_t>(error.delta);
    }
  }
  for (const StepError& error : errors.accumulator) {
    total[index(error.step)] += static_cast<std::uint32_t>(error.delta);
  }
  TimingSimulator gates(circuit.netlist, period);
  const auto bits = 8 * circuit.vec_size;
  const auto a = circuit.netlist.find_inputs("activations", bits);
  const auto b = circuit.netlist.find_inputs("weights", bits);
  const int first = circuit.netlist.find_inputs("first", 1)[0];
  std::uint32_t value = 0;
  for (std::int64_t cycle = 0; cycle < trace.steps() + lane.cycles_to(lane.accumulator());
       ++cycle) {
    const std::int64_t now = std::min(cycle, trace.steps() - 1);
    gates.set_input(first, trace.first[index(now)]);
    for (int bit = 0; bit < bits; ++bit) {
      const auto byte = index(bit / 8);
      gates.set_input(a[index(bit)], trace.activations_at(now)[byte] >> bit % 8 & 1);
      gates.set_input(b[index(bit)], trace.weights_at(now)[byte] >> bit % 8 & 1);
    }
    gates.cycle();
    for (int e = 0; e < circuit.vec_size; ++e) {
      const std::int64_t step = cycle - lane.cycles_to(e);
      if (step < 0 || step >= trace.steps()) continue;
      const int right = trace.activations_at(step)[index(e)] * trace.weights_at(step)[index(e)];
      const auto got =
          static_cast<std::int16_t>(gates.captured_word(lane.words()[index(e)].registers));
      found.wrong_products += got != right;
      found.differ += got != right + products[index(e)][index(step)];
    }
    const std::int64_t step = cycle - lane.cycles_to(lane.accumulator());
    if (step < 0) continue;
    if (trace.first[index(step)]) value = 0;
    const std::uint32_t right = added(value, sum_of_products(trace, step));
    value = added(right, total[index(step)]);
    const auto got = static_cast<std::uint32_t>(
        gates.captured_word(lane.words()[index(lane.accumulator())].registers));
    found.differ += got != value;
    found.wrong_results += total[index(step)] != 0;
  }
}

// By the logic of the profile's late bits (timing_profile.proto).
int foreseen_delta(const TimingProfile& profile, int clock, int element, const OperandTrace& trace,
                   std::int64_t step) {
  const ProductLogic& logic = profile.product_logic(element);
  std::vector<int> values = {0, 1};
  const auto operand = [&](const std::vector<std::int8_t>& of, std::int64_t at) {
    return at < 0 ? 0 : of[index(at * trace.vec_size + element)];
  };
  for (const std::int64_t at : {step - 1, step}) {
    for (const auto* of : {&trace.activations, &trace.weights}) {
      for (int bit = 0; bit < 8; ++bit) values.push_back(operand(*of, at) >> bit & 1);
    }
  }
  for (std::size_t node = 0; node < logic.truth().size(); ++node) {
    int in = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      in |= values[values.size() - logic.back(static_cast<int>(3 * node + k))] << k;
    }
    values.push_back(static_cast<unsigned char>(logic.truth()[node]) >> in & 1);
  }
  const RegisterProfile& product = profile.clock(clock).product(element);
  const int right = operand(trace.activations, step) * operand(trace.weights, step);
  int captured = right;
  for (int i = 0; i < product.late_bit_size(); ++i) {
    const int bit = 1 << product.late_bit(i);
    captured = values[product.captured(i)] ? captured | bit : captured & ~bit;
  }
  return static_cast<std::int16_t>(captured) - right;
}

bool same(const std::vector<StepError>& a, const std::vector<StepError>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.step == y.step && x.delta == y.delta;
  });
}

Comparison compare(const Circuit& circuit, const TimingProfile& profile, int clock) {
  const int period = static_cast<int>(profile.clock(clock).period_ps());
  const OperandTrace trace = random_trace(circuit.vec_size);
  const LaneErrors errors =
      simulate_errors(LaneSimulator(circuit.netlist, circuit.vec_size, period), trace);
  Comparison found;
  compare_with_gates(circuit, period, trace, errors, found);
  for (int e = 0; e < circuit.vec_size; ++e) {
    std::vector<StepError> foreseen;
    for (std::int64_t step = 0; step < trace.steps(); ++step) {
      const int delta = foreseen_delta(profile, clock, e, trace, step);
      if (delta) foreseen.push_back({step, 0, delta});
    }
    found.unforeseen += !same(errors.products[index(e)], foreseen);
  }
  const double rate =
      static_cast<double>(errors.accumulator.size()) / static_cast<double>(trace.steps());
  // Errors that last one step are none of the profile's.
  found.sums_known = !caution(profile).empty() || rate < 0.003 ||
                     profile.clock(clock).accumulator().rate() > rate / 30;
  return found;
}

// Characterises at two clocks; returns a line of the table, the refusal where there is one.
std::string attempt(Characterization what, const std::string& name) {
  what.cache = test_cache();
  what.effort = 0.02;
  what.clocks = {1.06, 1.15};
  std::vector<Circuit> circuits;
  std::vector<int> periods;
  TimingProfile profile;
  try {
    circuits = make_circuits(what);
    periods = choose_periods(what, circuits);
    profile = fit_profile(what, circuits[0], periods, "by a test");
  } catch (const Error& error) {
    std::string refusal = error.what();
    const std::string file = what.design.name() + ": ";
    if (refusal.starts_with(file)) refusal = refusal.substr(file.size());
    std::printf("%-24s refused: %s\n", name.c_str(), refusal.c_str());
    return refusal;
  }
  for (int c = 0; c < profile.clock_size(); ++c) {
    const Comparison found = compare(circuits[0], profile, c);
    std::printf("%-24s %5d ps of %5d: %lld products, %lld sums wrong of %lld steps; %lld differ\n",
                name.c_str(), periods[index(c)], circuits[0].timing.critical_ps,
                static_cast<long long>(found.wrong_products),
                static_cast<long long>(found.wrong_results), static_cast<long long>(steps()),
                static_cast<long long>(found.differ));
    EXPECT_EQ(found.differ, 0) << name;
    EXPECT_EQ(found.unforeseen, 0) << name;
    EXPECT_TRUE(found.sums_known) << name;
    EXPECT_TRUE(c == 0 || found.wrong_products + found.wrong_results > 0) << name;
  }
  std::fflush(stdout);
  return "";
}

// A lane of two products; words with '@' are replaced.
constexpr const char* kLane = R"(module duo(input wire clk, @PORTS input wire first,
    input wire [15:0] activations, input wire [15:0] weights, output wire [31:0] result);
  (* keep *) reg [15:0] activation, weight;
  (* keep *) reg [31:0] product;
  reg signed [16:0] sum;
  reg [31:0] accumulator;
  reg f0, f1, f2, f3;
  wire signed [7:0] a0 = activation[7:0], a1 = activation[15:8];
  wire signed [7:0] w0 = weight[7:0], w1 = weight[15:8];
  wire signed [15:0] p0 = product[15:0], p1 = product[31:16];
  @MORE
  assign result = @RESULT;
  always @(@EDGE) @RESET begin
    activation <= activations; weight <= weights; f0 <= first; f1 <= f0; f2 <= f1; f3 <= f2;
    product[15:0] <= @MULTIPLY0; product[31:16] <= @MULTIPLY1;
    sum <= @SUM;
    accumulator <= (@RESTART ? 32'd0 : accumulator) + {{15{sum[16]}}, sum};
    @THEN
  end
endmodule
@MODULES
)";

using Words = std::map<std::string, std::string>;

std::string duo(Words words) {
  words.merge(Words{{"@PORTS", ""},
                    {"@MORE", ""},
                    {"@RESULT", "accumulator"},
                    {"@EDGE", "posedge clk"},
                    {"@RESET", ""},
                    {"@MULTIPLY0", "a0 * w0"},
                    {"@MULTIPLY1", "a1 * w1"},
                    {"@SUM", "p0 + p1"},
                    {"@RESTART", "f2"},
                    {"@THEN", ""},
                    {"@MODULES", ""}});
  std::string text = kLane;
  for (const auto& [word, by] : words) {
    for (std::size_t at = 0; (at = text.find(word, at)) != std::string::npos; at += by.size()) {
      text.replace(at, word.size(), by);
    }
  }
  return text;
}

// By digits of four: a module of one multiplier each for duo.
Words multiplier(const std::string& module) {
  return {{"@MORE", "wire [15:0] m0, m1; times u0(a0, w0, m0); times u1(a1, w1, m1);"},
          {"@MULTIPLY0", "m0"},
          {"@MULTIPLY1", "m1"},
          {"@MODULES", module}};
}

constexpr const char* kBooth = R"(
module times(input signed [7:0] a, input signed [7:0] b, output signed [15:0] p);
  function signed [15:0] row(input signed [15:0] x, input [2:0] digit);
    case (digit)
      3'd1, 3'd2: row = x;
      3'd3: row = x <<< 1;
      3'd4: row = -(x <<< 1);
      3'd5, 3'd6: row = -x;
      default: row = 0;
    endcase
  endfunction
  wire signed [15:0] x = a;
  assign p = row(x, {b[1:0], 1'b0}) + (row(x, b[3:1]) <<< 2) + (row(x, b[5:3]) <<< 4)
           + (row(x, b[7:5]) <<< 6);
endmodule)";

// Digits of two bits looked up in a table.
constexpr const char* kTable = R"(
module times(input signed [7:0] a, input signed [7:0] b, output [15:0] p);
  function [3:0] look(input [3:0] at);
    case (at)
      4'h5: look = 1; 4'h6: look = 2; 4'h7: look = 3; 4'h9: look = 2; 4'hA: look = 4;
      4'hB: look = 6; 4'hD: look = 3; 4'hE: look = 6; 4'hF: look = 9; default: look = 0;
    endcase
  endfunction
  reg [15:0] t; integer i, j;
  always @* begin
    t = 0;
    for (i = 0; i < 4; i = i + 1)
      for (j = 0; j < 4; j = j + 1) t = t + ({12'd0, look({a[2*i +: 2], b[2*j +: 2]})} << 2*(i + j));
    if (a[7]) t = t - {b, 8'd0};
    if (b[7]) t = t - {a, 8'd0};
  end
  assign p = t;
endmodule)";

class Circuits : public testing::Test {
 protected:
  void SetUp() override { SKIP_WITHOUT_ICE40_TOOLS(); }

  Characterization design(const std::string& text, const std::string& name = "duo.v") {
    write_file_atomically(scratch_ / name, text);
    Characterization what;
    what.design.files = {scratch_ / name};
    what.design.top = "duo";
    return what;
  }
  std::string lane(Words words) { return attempt(design(duo(std::move(words))), test_name()); }
  static std::string test_name() {
    return testing::UnitTest::GetInstance()->current_test_info()->name();
  }

  TemporaryFolder scratch_;
};

TEST_F(Circuits, PlainWorks) { EXPECT_EQ(lane({}), ""); }

// A slow adder of copies between product and sum, in registers of other names.
TEST_F(Circuits, SlowUnnamedStageWorks) {
  EXPECT_EQ(lane({{"@MORE", R"(reg signed [16:0] between;
  function [16:0] slow(input [16:0] x, input [16:0] y); integer i; reg c; begin
    c = 0; for (i = 0; i < 17; i = i + 1) begin slow[i] = x[i] ^ y[i] ^ c;
      c = (x[i] & y[i]) | (c & (x[i] | y[i])); end
  end endfunction)"},
                  {"@SUM", "between"},
                  {"@RESTART", "f3"},
                  {"@THEN",
                   "between <= slow(slow({p0[15], p0}, 17'd1), slow({p1[15], p1}, 17'h1FFFF));"}}),
            "");
}

// The result is a copy of the accumulator, one cycle later.
TEST_F(Circuits, ResultBehindTheAccumulatorWorks) {
  EXPECT_EQ(
      lane({{"@MORE", "reg [31:0] out;"}, {"@RESULT", "out"}, {"@THEN", "out <= accumulator;"}}),
      "");
}

TEST_F(Circuits, BoothWorks) { EXPECT_EQ(lane(multiplier(kBooth)), ""); }
TEST_F(Circuits, TableWorks) { EXPECT_EQ(lane(multiplier(kTable)), ""); }

TEST_F(Circuits, ResetsAndEnablesThatAreTiedWork) {
  const Words words = {{"@PORTS", "input wire rst, input wire en,"},
                       {"@RESET",
                        "if (rst) begin activation <= 0; weight <= 0; product <= 0; sum <= 0; "
                        "accumulator <= 0; f0 <= 0; f1 <= 0; f2 <= 0; f3 <= 0; end else if (en)"}};
  EXPECT_TRUE(lane(words).starts_with("the input port ")) << "not tied";
  Characterization what = design(duo(words));
  what.design.ties = {{"rst", 0}, {"en", 1}};
  EXPECT_EQ(attempt(what, test_name()), "");
  Words asynchronous = words;
  asynchronous["@EDGE"] = "posedge clk or posedge rst";
  EXPECT_EQ(lane(asynchronous).find("asynchronous reset in use, by rst") != std::string::npos,
            true);
  what = design(duo(asynchronous));
  what.design.ties = {{"rst", 0}, {"en", 1}};
  EXPECT_EQ(attempt(what, test_name() + " (async)"), "");
}

constexpr const char* kStages = R"(
module times(input clk, input signed [7:0] a, input signed [7:0] b, output reg signed [15:0] p);
  function signed [9:0] row(input signed [9:0] x, input [2:0] digit);
    case (digit)
      3'd1, 3'd2: row = x;
      3'd3: row = x <<< 1;
      3'd4: row = -(x <<< 1);
      3'd5, 3'd6: row = -x;
      default: row = 0;
    endcase
  endfunction
  reg signed [9:0] r0, r1, r2, r3; reg signed [12:0] low, high;
  always @(posedge clk) begin
    r0 <= row(a, {b[1:0], 1'b0}); r1 <= row(a, b[3:1]);
    r2 <= row(a, b[5:3]); r3 <= row(a, b[7:5]);
    low <= r0 + (r1 <<< 2); high <= r2 + (r3 <<< 2);
    p <= low + (high <<< 4);
  end
endmodule)";

// Three stages of registers between operands and sum; the last one is the product.
TEST_F(Circuits, PipelinedBoothWorks) {
  Words words = multiplier(kStages);
  words["@MORE"] =
      "wire [15:0] m0, m1; reg f4; times u0(clk, a0, w0, m0); times u1(clk, a1, w1, m1);";
  words["@RESTART"] = "f4";
  words["@THEN"] = "f4 <= f3;";
  words["@SUM"] = "$signed(m0) + $signed(m1)";
  Characterization what = design(duo(words));
  what.design.registers = {{"product", {"u0.p", "u1.p"}}};
  EXPECT_EQ(attempt(what, test_name()), "");
}

// Both make registers with a reset or an enable of what is none in the source.
TEST_F(Circuits, SkippedZerosWork) {
  EXPECT_EQ(lane({{"@MULTIPLY0", "(a0 == 0 || w0 == 0) ? 16'sd0 : a0 * w0"},
                  {"@MULTIPLY1", "a1 == 0 ? 16'sd0 : a1 * w1"}}),
            "");
}
TEST_F(Circuits, InterleavedSumsWork) {
  EXPECT_EQ(lane({{"@MORE", "reg [31:0] part0, part1, part2;"},
                  {"@RESULT", "accumulator"},
                  {"@RESTART", "1'b1"},
                  {"@THEN", R"(part0 <= (f2 ? 32'd0 : part2) + {{15{sum[16]}}, sum};
    part1 <= f2 ? 32'd0 : part0; part2 <= f2 ? 32'd0 : part1;
    accumulator <= part0 + part1 + part2;)"}}),
            "");
}

TEST_F(Circuits, SeveralFilesAndIncludesWork) {
  Characterization what = design("`include \"kinds.vh\"\n" + duo(multiplier("")));
  fs::create_directories(scratch_ / "headers");
  write_file_atomically(scratch_ / "headers/kinds.vh", "`define PRODUCT(x, y) (x * y)\n");
  write_file_atomically(scratch_ / "times.v",
                        "module times(input signed [7:0] a, input signed [7:0] b, output signed "
                        "[15:0] p); assign p = `PRODUCT(a, b); endmodule\n");
  EXPECT_NE(attempt(what, test_name()).find("kinds.vh"), std::string::npos);
  what.design.includes = {scratch_ / "headers"};
  EXPECT_EQ(attempt(what, test_name()),
            "u0 is a times, which no file of the design has; give its file too, by --design");
  what.design.files.push_back(scratch_ / "times.v");
  EXPECT_EQ(attempt(what, test_name()), "");
}

TEST_F(Circuits, SystemVerilogWorks) {
  const std::string text = duo({{"@EDGE) ", "posedge clk) "}, {"@MORE", "logic unused;"}});
  EXPECT_NE(attempt(design(text), test_name() + " (as .v)"), "");
  EXPECT_EQ(attempt(design(text, "duo.sv"), test_name()), "");
}

constexpr const char* kWrapper = R"(
module outer(input wire clk, input wire first, input wire [15:0] activations,
    input wire [15:0] weights, output wire [31:0] result, output wire [31:0] other);
  duo inner(clk, first, activations, weights, result);
  @SECOND
endmodule)";

TEST_F(Circuits, LaneBelowAWrapperWorks) {
  std::string text = duo({}) + kWrapper;
  const std::size_t second = text.find("@SECOND");
  Characterization what = design(text.replace(second, 7, ""));
  what.design.top = "outer";
  EXPECT_EQ(attempt(what, test_name()), "");
  what = design(text.replace(second, 0, "duo twin(clk, first, weights, activations, other);"));
  what.design.top = "outer";
  const std::string refusal = attempt(what, test_name());
  EXPECT_TRUE(
      refusal.starts_with("activation is the name of several registers: inner.activation, "
                          "twin.activation; say whose by --prefix INSTANCE"))
      << refusal;
  what.design.prefix = "inner";
  EXPECT_EQ(attempt(what, test_name()), "");
}

TEST_F(Circuits, OwnNamesWork) {
  Characterization what = design(R"(
module duo(input clk, input first, input [15:0] activations, input [15:0] weights,
    output [31:0] result);
  reg signed [7:0] x0, x1, y0, y1; reg signed [15:0] first_product, second_product;
  reg signed [31:0] total; reg r0, r1;
  assign result = total;
  always @(posedge clk) begin
    {x1, x0} <= activations; {y1, y0} <= weights; r0 <= first; r1 <= r0;
    first_product <= x0 * y0; second_product <= x1 * y1;
    total <= (r1 ? 0 : total) + first_product + second_product;
  end
endmodule)");
  EXPECT_TRUE(attempt(what, test_name()).starts_with("no registers activation[0] ..."));
  what.design.registers = {{"activation", {"x0", "x1"}},
                           {"weight", {"y0", "y1"}},
                           {"product", {"first_product", "second_product"}}};
  EXPECT_EQ(attempt(what, test_name()), "");
  what.design.registers["product"].pop_back();
  EXPECT_TRUE(attempt(what, test_name())
                  .starts_with("registers activation of 16 bits, weight of 16, product of 16;"));
}

constexpr const char* kVhdl = R"(
library ieee; use ieee.std_logic_1164.all; use ieee.numeric_std.all;
entity duo is port (clk, first : in std_logic; activations, weights : in signed(15 downto 0);
  result : out signed(31 downto 0)); end;
architecture a of duo is
  signal activation, weight : signed(15 downto 0);
  signal product, accumulator : signed(31 downto 0); signal f0, f1 : std_logic;
begin
  result <= accumulator;
  process (clk) variable sum : signed(31 downto 0); begin
    if rising_edge(clk) then
      activation <= activations; weight <= weights; f0 <= first; f1 <= f0;
      for i in 0 to 1 loop
        product(16 * i + 15 downto 16 * i) <=
          activation(8 * i + 7 downto 8 * i) * weight(8 * i + 7 downto 8 * i);
      end loop;
      sum := resize(product(31 downto 16), 32) + resize(product(15 downto 0), 32);
      if f1 = '1' then accumulator <= sum; else accumulator <= accumulator + sum; end if;
    end if;
  end process;
end;)";

TEST_F(Circuits, VhdlWorksWhereGhdlIs) {
  const std::string refusal = attempt(design(kVhdl, "duo.vhd"), test_name());
  EXPECT_EQ(refusal,
            has_program("ghdl") ? "" : "ghdl: program not found; install the package ghdl");
}

TEST_F(Circuits, WhatIsNotSupportedIsNamed) {
  const auto says = [&](Words words, const std::string& expected) {
    const std::string refusal = lane(std::move(words));
    EXPECT_NE(refusal.find(expected), std::string::npos) << refusal;
    EXPECT_EQ(refusal.find('\n'), std::string::npos);
  };
  says({{"@EDGE", "negedge clk"}}, "is on the falling edge of clk");
  says({{"@MORE", "wire gated = clk & first;"}, {"@EDGE", "posedge gated"}}, "is clocked by gated");
  says({{"@MORE", "reg held; always @* if (f0) held = f1;"}, {"@RESTART", "held"}},
       "held is a latch");
  says({{"@PORTS", "input wire [9:0] mode,"}, {"@MULTIPLY0", "a0 * w0 + mode"}},
       "the input port mode is none of a lane's; hold it at a value, --tie mode=VALUE");
  says({{"@PORTS", "output wire [200:0] many,"}}, "the package has 206 pins");
  says(
      multiplier("module times(input [7:0] a, input [7:0] b, output [15:0] p); SB_MAC16 #(.A_SIGNED"
                 "(1'b1), .B_SIGNED(1'b1)) dsp(.A({{8{a[7]}}, a}), .B({{8{b[7]}}, b}), .O(p)); "
                 "endmodule"),
      "DSP blocks have no usable delays");
  says({{"@SUM", "a0 * w0 + a1 * w1"}}, "product");
  says({{"@MULTIPLY0", "(a0 * w0) & 16'hFFF0"}}, "a truncated multiplier");
  says({{"@MULTIPLY0", "(a0 * w0) ^ $signed({1'b0, a0[3:0]})"}}, "wrong in the lowest 4 bits");
  says({{"@MULTIPLY0", "$signed({1'b0, activation[7:0]}) * w0"}}, "unsigned activations");
  says({{"@MULTIPLY0", "activation[7:0] * weight[7:0]"}}, "unsigned activations and weights");
  says({{"@RESULT", "accumulator ^ 1"}}, "not the output of a register");
  EXPECT_NE(attempt(design(R"(
module duo(input clk, input first, input [7:0] activations, input [7:0] weights,
    output [31:0] result);
  (* keep *) reg signed [7:0] activation, weight; reg signed [31:0] accumulator; reg f;
  (* keep *) wire signed [15:0] product = activation * weight;
  assign result = accumulator;
  always @(posedge clk) begin
    activation <= activations; weight <= weights; f <= first;
    accumulator <= (f ? 0 : accumulator) + product;
  end
endmodule)"),
                    test_name())
                .find("a fused multiply-accumulate"),
            std::string::npos);
}

// The reference circuits, where they are: `says` is a part of the refusal, none where it works.
struct Reference {
  const char *file, *top, *says = "";
  std::map<std::string, int> ties = {};
  std::map<std::string, std::vector<std::string>> registers = {};
  std::vector<const char*> more = {};
};

const Reference kReferences[] = {
    {"plain.v", "plain"},
    {"tree2.v", "tree2"},
    {"slow_between.v", "slow_between"},
    {"booth.v", "booth"},
    {"rows.v", "rows"},
    {"wallace.v", "wallace"},
    {"six.v", "six"},
    {"zero_skip.v", "zero_skip", "unsigned activations and weights"},  // by Verilog's rules

    {"sync_reset.v", "sync_reset", "--tie rst=VALUE"},
    {"sync_reset.v", "sync_reset", "", {{"rst", 0}}},
    {"async_reset.v", "async_reset", "asynchronous reset in use, by rst_n"},
    {"async_reset.v", "async_reset", "", {{"rst_n", 1}}},
    {"reset_unused.v", "reset_unused", "--tie rst=VALUE"},
    {"reset_unused.v", "reset_unused", "", {{"rst", 0}}},
    {"multi_file_top.v", "multi_file", "multi_file_mul, which no file of the design has"},
    {"multi_file_top.v", "multi_file", "", {}, {}, {"multi_file_mul.v"}},
    {"output_stationary_pe.v", "os_pe"},
    {"sv_simple.sv", "sv_simple"},
    {"sv_lane.sv", "sv_lane", "syntax error"},
    {"vhdl_lane_by_ghdl.v", "vhdl_lane"},
    {"vhdl_lane.vhd", "vhdl_lane"},
    {"wrapped.v", "wrapped"},
    {"other_names.v", "mac", "no registers activation[0] ..."},
    {"other_names.v",
     "mac",
     "",
     {},
     {{"activation", {"a_q"}}, {"weight", {"w_q"}}, {"product", {"p0", "p1", "p2", "p3"}}}},
    {"dsp.v", "dsp", "DSP blocks have no usable delays"},
    {"fused_pe.v", "fused_pe", "a fused multiply-accumulate"},
    {"negedge.v", "negedge_lane", "is on the falling edge of clk"},
    {"truncated.v", "truncated", "a truncated multiplier"},
    {"unsigned_act.v", "unsigned_act", "unsigned activations"},
};

TEST_F(Circuits, OfTheReferenceWorkOrAreRefused) {
  const fs::path folder = rtl_folder() / "../../shared/cases/circuits";
  if (!fs::exists(folder)) GTEST_SKIP() << folder.string() << " is absent";
  for (const Reference& reference : kReferences) {
    Characterization what;
    what.design.files = {folder / reference.file};
    for (const char* more : reference.more) what.design.files.push_back(folder / more);
    what.design.top = reference.top;
    what.design.ties = reference.ties;
    what.design.registers = reference.registers;
    const std::string refusal = attempt(what, reference.file);
    const bool no_ghdl = what.design.files[0].extension() == ".vhd" && !has_program("ghdl");
    const std::string says = no_ghdl ? "install the package ghdl" : reference.says;
    if (!says.empty()) {
      EXPECT_NE(refusal.find(says), std::string::npos) << refusal;
    } else {
      EXPECT_EQ(refusal, "");
    }
  }
}

}  // namespace
}  // namespace inure::timing
