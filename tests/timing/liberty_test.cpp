#include "inure/timing/liberty.hpp"

#include <gtest/gtest.h>

#include "inure/base/file.hpp"
#include "tests/common.hpp"

namespace inure::timing {
namespace {

TEST(Liberty, FunctionsBecomeTruthTables) {
  const std::vector<std::string> abc = {"A", "B", "C"};
  const auto expect = [&](const std::string& function, auto&& value) {
    for (unsigned row = 0; row < 8; ++row) {
      const bool a = row & 1, b = row & 2, c = row & 4;
      EXPECT_EQ(truth_of(function, abc) >> row & 1, static_cast<unsigned>(value(a, b, c)))
          << function << " at " << row;
    }
  };
  expect("(!((A B)+C))", [](bool a, bool b, bool c) { return !((a && b) || c); });
  expect("A*B | !C", [](bool a, bool b, bool c) { return (a && b) || !c; });
  expect("((A^B)^C)", [](bool a, bool b, bool c) { return (a != b) != c; });
  expect("(!((C A) + (!C B)))", [](bool a, bool b, bool c) { return !(c ? a : b); });
  expect("(A+B)' & C", [](bool a, bool b, bool c) { return !(a || b) && c; });
  expect("1", [](bool, bool, bool) { return true; });
  for (const char* bad : {"", "(A", "A+", "D", "A)", "A !"}) {
    EXPECT_NE(error_of([&] { truth_of(bad, abc); }), "") << bad;
  }
}

TEST(Liberty, RegistersAndWhatIsNotSupported) {
  TemporaryFolder scratch;
  const auto path = scratch / "cells.lib";
  write_file_atomically(path, R"lib(/* cells */ library(small) {
    lu_table_template(t) { index_1 ("1.0, 2.0"); }
    cell (INV) { area : 1; pin(A) { direction : input; }
      pin(Y) { direction : output; function : "(!A)"; timing() { values ( \
        "0.1, 0.2", "0.3, 0.4"); } } }
    cell (DFF) { ff (S,SN) { next_state : "D"; clocked_on : "CLK"; }
      pin(CLK) { direction : input; } pin(D) { direction : input; }
      pin(Q) { direction : output; function : "S"; } }
    cell (DFFN) { ff (S,SN) { next_state : "D"; clocked_on : "!CLK"; }
      pin(CLK) { direction : input; } pin(D) { direction : input; } }
    cell (DFFR) { ff (S,SN) { next_state : "D"; clocked_on : "CLK"; clear : "R"; } }
  })lib");
  const LibertyCells cells = read_liberty(path);
  EXPECT_EQ(cells.at("INV").outputs.at("Y"), 1u);
  EXPECT_TRUE(cells.at("DFF").is_register);
  EXPECT_EQ(cells.at("DFF").output, "Q");
  EXPECT_EQ(cells.at("DFFN").unsupported, "does not capture on the rising clock edge");
  EXPECT_EQ(cells.at("DFFR").unsupported, "has a set or reset");
  write_file_atomically(path, "library(x) {\n cell (A) {\n pin");
  EXPECT_EQ(error_of([&] { read_liberty(path); }),
            path.string() + ":3: expected ':' or '(' after pin");
}

}  // namespace
}  // namespace inure::timing
