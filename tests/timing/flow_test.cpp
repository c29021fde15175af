#include "inure/timing/flow.hpp"

#include <nlohmann/json.hpp>

#include "inure/base/file.hpp"
#include "inure/timing/nextpnr.hpp"
#include "inure/timing/sdf.hpp"
#include "lane.hpp"
#include "tests/common.hpp"

namespace inure::timing {
namespace {

using Json = nlohmann::json;

TEST(Sdf, ReadsWiresArcsAndSetups) {
  TemporaryFolder scratch;
  write_file_atomically(scratch / "a.sdf", R"sdf((DELAYFILE (SDFVERSION "3.0 (x)")
 (TIMESCALE 1ns)
 (CELL (CELLTYPE "top") (INSTANCE)
  (DELAY (ABSOLUTE (INTERCONNECT a\/b\[1\]/Y u1/A (0.1:0.2:0.25) (0.3::0.31)))))
 (CELL (CELLTYPE "XOR2X1") (INSTANCE u1)
  (DELAY (ABSOLUTE
   (COND B==1'b1 (IOPATH A Y (0.050) (0.040)))
   (COND B==1'b0 (IOPATH A Y (0.045) (0.060)))
   (IOPATH (posedge B) Y (0.020)))))
 (CELL (CELLTYPE "DFFPOSX1") (INSTANCE r\[0\])
  (TIMINGCHECK (HOLD (posedge D) (posedge CLK) (0.9))
   (SETUP (posedge D) (posedge CLK) (0.111:0.111:0.111))
   (SETUPHOLD (negedge D) (posedge CLK) (0.222) (0.1))))))sdf");
  const Sdf sdf = read_sdf(scratch / "a.sdf");
  EXPECT_EQ(sdf.wires.at("u1/A").rise, 250);
  EXPECT_EQ(sdf.wires.at("u1/A").fall, 310);
  const Sdf::Path* path = sdf.cells.at("u1").find_path("A", "Y");
  ASSERT_NE(path, nullptr);
  EXPECT_EQ(path->delay.rise, 50);
  EXPECT_EQ(path->delay.fall, 60);
  EXPECT_EQ(sdf.cells.at("u1").find_path("B", "Y")->delay.fall, 20);
  EXPECT_EQ(sdf.cells.at("r[0]").find_setup("D")->time.rise, 111);
  EXPECT_EQ(sdf.cells.at("r[0]").find_setup("D")->time.fall, 222);
  EXPECT_EQ(read_sdf(scratch / "a.sdf", 10).wires.at("u1/A").fall, 3100);  // tenths of 1 ps
}

TEST(Sdf, NamesTheLineOfAnError) {
  TemporaryFolder scratch;
  const auto path = scratch / "a.sdf";
  write_file_atomically(path, "(DELAYFILE\n (CELL (INSTANCE u)\n  (DELAY (INCREMENT))))");
  EXPECT_EQ(error_of([&] { read_sdf(path); }), path.string() + ":3: expected ABSOLUTE delays");
  for (const char* text : {"", "(", "(DELAYFILE",
                           "(DELAYFILE (CELL (INSTANCE u) (DELAY (ABSOLUTE "
                           "(IOPATH A Y (x))))))",
                           "(DELAYFILE (TIMESCALE 1 parsec))"}) {
    write_file_atomically(path, text);
    EXPECT_NE(error_of([&] { read_sdf(path); }).find(":1: expected "), std::string::npos) << text;
  }
}

TEST(Sdf, BelievesNoNumberBeyondAGatesDelay) {
  TemporaryFolder scratch;
  const auto path = scratch / "a.sdf";
  const auto error = [&](const std::string& scale, const std::string& delay) {
    write_file_atomically(path, "(DELAYFILE (TIMESCALE " + scale +
                                    ") (CELL (INSTANCE u) (DELAY (ABSOLUTE (IOPATH A Y (" + delay +
                                    "))))))");
    return error_of([&] { read_sdf(path); });
  };
  EXPECT_EQ(error("1ps", "1000000"), "");
  EXPECT_EQ(error("1us", "1"), "");
  for (const char* delay : {"1000001", "1e300", "-1e9", "inf", "nan", "1e999"}) {
    EXPECT_NE(error("1ps", delay), "") << delay;
  }
  for (const char* scale : {"0ps", "-1ps", "nan ns", "inf us", "1e300ns", "2us", "1 s"}) {
    EXPECT_NE(error(scale, "1"), "") << scale;
  }
  std::string nested = "(DELAYFILE (CELL (INSTANCE u) (DELAY (ABSOLUTE ";
  for (int i = 0; i < 200'000; ++i) nested += "(CONDELSE ";
  write_file_atomically(path, nested);
  EXPECT_NE(error_of([&] { read_sdf(path); }).find(":1: expected IOPATH"), std::string::npos);
}

// The placed lane with one thing changed.
class Refusal : public testing::Test {
 protected:
  void SetUp() override {
    SKIP_WITHOUT_ICE40_TOOLS();
    flow_ = run_ice40_flow(lane_design(3), 1, test_cache());
    json_ = Json::parse(read_file(flow_.netlist));
    for (auto& [name, cell] : json_["modules"]["top"]["cells"].items()) {
      if (cell["type"] != "ICESTORM_LC" || cell["parameters"]["DFF_ENABLE"] != "1") continue;
      name_ = name;
      cell_ = &cell;
    }
  }
  std::string import() {
    write_file_atomically(scratch_ / "placed.json", json_.dump());
    return error_of([&] { read_nextpnr(scratch_ / "placed.json", flow_.sdf, flow_.synthesis); });
  }
  std::string expected(const std::string& what) const {
    return (scratch_ / "placed.json").string() + ": " + what;
  }

  TemporaryFolder scratch_;
  Ice40Flow flow_;
  Json json_;
  std::string name_;
  Json* cell_ = nullptr;
};

TEST_F(Refusal, WhatTimingDoesNotModel) {
  EXPECT_EQ(import(), "");
  const Json plain = *cell_;
  const Json clock = plain["connections"]["CLK"];

  (*cell_)["parameters"]["NEG_CLK"] = "1";
  EXPECT_EQ(import(), expected("register " + name_ +
                               " uses the falling clock edge; expected the rising one"));
  *cell_ = plain;
  (*cell_)["connections"]["SR"] = clock;
  EXPECT_EQ(import(),
            expected("register " + name_ + " has a set or reset, which timing does not model"));
  *cell_ = plain;
  (*cell_)["connections"]["CEN"] = clock;
  EXPECT_EQ(import(),
            expected("register " + name_ + " has a clock enable, which timing does not model"));
  *cell_ = plain;
  (*cell_)["type"] = "ICESTORM_DSP";
  EXPECT_EQ(import(), expected("cell " + name_ +
                               " is a ICESTORM_DSP; only logic cells have delays that can be "
                               "trusted"));
  *cell_ = plain;
  (*cell_)["connections"]["CLK"] = plain["connections"]["O"];
  EXPECT_NE(import().find("has another clock"), std::string::npos);
}

TEST_F(Refusal, MissingDelaysAndClockSkew) {
  const std::string sdf = read_file(flow_.sdf);
  const auto with_sdf = [&](const std::string& text) {
    write_file_atomically(scratch_ / "changed.sdf", text);
    flow_.sdf = scratch_ / "changed.sdf";
    return import();
  };
  const auto replaced = [&](const std::string& what, const std::string& by) {
    std::string text = sdf;
    const std::size_t at = text.find(what);
    EXPECT_NE(at, std::string::npos);
    return text.replace(at, what.size(), by);
  };
  EXPECT_NE(with_sdf(replaced("(IOPATH I3 O", "(IOPATH I3 X")).find("no delay from "),
            std::string::npos);
  EXPECT_NE(with_sdf(replaced("/CLK (308:308:308) (308:308:308)", "/CLK (309:309:309)"))
                .find("expected no skew"),
            std::string::npos);
  std::string without_setups = sdf;
  for (std::size_t at = 0; (at = without_setups.find("(SETUPHOLD", at)) != std::string::npos;) {
    without_setups.replace(at, 10, "(HOLD");
  }
  EXPECT_NE(with_sdf(without_setups).find("no setup time"), std::string::npos);
  EXPECT_NE(with_sdf(replaced("/I3 (", "/I7 (")).find("no wire delay to "), std::string::npos);
}

TEST(Flow, SecondRunIsCached) {
  SKIP_WITHOUT_ICE40_TOOLS();
  run_ice40_flow(lane_design(3), 1, test_cache());
  const Ice40Flow again = run_ice40_flow(lane_design(3), 1, test_cache());
  EXPECT_TRUE(again.cached);
  EXPECT_NE(again.tool_versions.at(0).find("Yosys"), std::string::npos);
  EXPECT_NE(read_file(again.folder / "made_by.txt").find("--seed 1"), std::string::npos);
}

TEST(Flow, RefusesANetlistThatIsNotWhatTheToolTimed) {
  SKIP_WITHOUT_ICE40_TOOLS();
  Ice40Flow flow = run_ice40_flow(lane_design(3), 1, test_cache());
  flow.critical_ps *= 1.002;
  EXPECT_NE(error_of([&] { flow.read(); }).find("the netlist's critical path is "),
            std::string::npos);
}

TEST(Flow, ToolsErrorIsOneLine) {
  SKIP_WITHOUT_ICE40_TOOLS();
  TemporaryFolder scratch;
  write_file_atomically(scratch / "bad.v", "module lane(input clk); wire a = ; endmodule\n");
  const std::string error =
      error_of([&] { run_ice40_flow(design_of(scratch / "bad.v", "lane"), 1, scratch / "cache"); });
  EXPECT_EQ(error.rfind("yosys: ended with 1: design.v:1: ERROR: syntax error", 0), 0u) << error;
  EXPECT_EQ(error.find('\n'), std::string::npos);
  EXPECT_EQ(
      error_of([&] { run_ice40_flow(design_of(scratch / "bad.v", "a; b"), 1, scratch.path()); }),
      "design: the top module 'a; b' is not a plain Verilog identifier");
}

// A tool that ends well and writes garbage; and a file that was cut off later.
TEST(Flow, GarbageIsNotKept) {
  SKIP_WITHOUT_ICE40_TOOLS();
  TemporaryFolder scratch;
  const auto tool = [&](const std::string& name, const std::string& script) {
    scratch.write(name, "#!/bin/sh\n" + script);
    std::filesystem::permissions(scratch / name, std::filesystem::perms::owner_all);
  };
  tool("nextpnr-ice40",
       "[ \"$1\" = --version ] && exec echo fake\n"
       "for f in placed.sdf placed.json placed.asc report.json; do echo '{}' > $f; done\n");
  tool("icetime", "echo 'Total path delay: 9.90 ns' > icetime.txt\n");
  const std::string path = std::getenv("PATH");
  setenv("PATH", (scratch.path().string() + ":" + path).c_str(), 1);
  const auto run = [&] { run_ice40_flow(lane_design(3), 1, scratch / "cache"); };
  const std::string first = error_of(run), second = error_of(run);
  setenv("PATH", path.c_str(), 1);
  EXPECT_NE(first.find("report.json: not a report of nextpnr"), std::string::npos) << first;
  EXPECT_NE(second.find("report.json: not a report of nextpnr"), std::string::npos) << second;
  EXPECT_NE(first.find("/failed-"), std::string::npos) << first;

  const Ice40Flow whole = run_ice40_flow(lane_design(3), 1, test_cache());
  std::filesystem::create_directories(scratch / "again");
  std::filesystem::copy(whole.folder, scratch / "again" / whole.folder.filename(),
                        std::filesystem::copy_options::recursive);
  std::filesystem::resize_file(scratch / "again" / whole.folder.filename() / "placed.sdf", 100);
  const Ice40Flow again = run_ice40_flow(lane_design(3), 1, scratch / "again");
  EXPECT_FALSE(again.cached);
  EXPECT_EQ(again.critical_ps, whole.critical_ps);
}

TEST(Flow, MissingToolIsNamedWithItsPackage) {
  TemporaryFolder scratch;
  const std::string path = std::getenv("PATH");
  setenv("PATH", scratch.path().c_str(), 1);
  const std::string error = error_of([&] { run_ice40_flow(lane_design(2), 1, scratch / "cache"); });
  setenv("PATH", path.c_str(), 1);
  EXPECT_EQ(error, "yosys: program not found; install the package yosys");
}

}  // namespace
}  // namespace inure::timing
