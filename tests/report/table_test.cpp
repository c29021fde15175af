#include "inure/report/table.hpp"

#include <gtest/gtest.h>

#include "inure/base/error.hpp"

namespace inure {
namespace {

TEST(Table, AlignsTextLeftAndNumbersRight) {
  Table table({"layer", "bits", "share"});
  table.add({"conv1", "7", "12.5 %"});
  table.add({"größer", "-11", "3.25 %"});
  table.add({"ip", "", "nan"});
  EXPECT_EQ(table.text(),
            "layer   bits   share\n"
            "--------------------\n"
            "conv1      7  12.5 %\n"
            "größer   -11  3.25 %\n"
            "ip               nan\n");
}

TEST(Table, AColumnWithWordsIsText) {
  Table table({"where", "why"});
  table.add({"1", "x"});
  table.add({"host", ""});
  EXPECT_EQ(table.text(),
            "where  why\n"
            "----------\n"
            "1      x\n"
            "host\n");
}

TEST(Table, FillsShortRowsAndRefusesLongOnes) {
  Table table({"a", "b"});
  table.add({"1"});
  EXPECT_EQ(table.text(), "a  b\n----\n1\n");
  EXPECT_THROW(table.add({"1", "2", "3"}), Error);
}

}  // namespace
}  // namespace inure
