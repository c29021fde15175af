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

// Whatever a file has in place of names, functions and groups, reading it ends, in a line or well.
TEST(Liberty, EndsOnDamage) {
  TemporaryFolder scratch;
  const auto path = scratch / "cells.lib";
  const auto error = [&](const std::string& text) {
    write_file_atomically(path, text);
    const std::string message = error_of([&] { read_liberty(path); });
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message;
  };
  const auto cell = [](const std::string& pins) {
    return "library(x) { cell (G) {" + pins + "} }";
  };
  const auto gate = [&](const std::string& function) {
    return cell("pin(A) { direction : input; } pin(Y) { direction : output; function : \"" +
                function + "\"; }");
  };
  EXPECT_EQ(error(gate("A")), "");
  for (const char* name : {"", "\"\"", " "}) {
    EXPECT_NE(error(cell("pin(" + std::string(name) + ") { direction : input; }")).find("no name"),
              std::string::npos);
  }
  EXPECT_NE(error("library(x) { cell () { } }").find("a cell has no name"), std::string::npos);
  for (int c = 1; c < 256; ++c) {  // a character that no function has, at each place
    const std::string odd(1, static_cast<char>(c));
    for (const std::string& text : {odd, odd + "A", "A" + odd, "A" + odd + "A", "(" + odd + ")"}) {
      for (const char* input : {"A", ""}) {
        const std::string message = error_of([&] { truth_of(text, {input}); });
        EXPECT_EQ(message.find('\n'), std::string::npos) << message;
      }
    }
  }
  EXPECT_NE(error(gate("\x7F")).find("not understood at 1"), std::string::npos);
  const int deep = 200'000;
  EXPECT_NE(error(gate(std::string(deep, '('))), "");
  EXPECT_EQ(error(gate(std::string(deep, '!') + "A")), "");
  std::string nested;
  for (int i = 0; i < deep; ++i) nested += "a(b){";
  EXPECT_NE(error(nested).find("no group within so many others"), std::string::npos);
  EXPECT_NE(error("library(x) { /*/ }").find("the end of a comment"), std::string::npos);
}

}  // namespace
}  // namespace inure::timing
