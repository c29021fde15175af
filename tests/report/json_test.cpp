#include "inure/report/json.hpp"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

namespace inure {
namespace {

// What another program's reader makes of the line.
google::protobuf::Struct read_back(const std::string& text) {
  google::protobuf::Struct result;
  const auto status = google::protobuf::util::JsonStringToMessage(text, &result);
  EXPECT_TRUE(status.ok()) << text << ": " << status.ToString();
  return result;
}

TEST(JsonLine, IsOneLineInOrder) {
  JsonLine line;
  EXPECT_EQ(line.text(), "{}");
  line.add("iteration", 100).add("loss", 0.31).add("done", true).add("file", "a.txt");
  line.add("outputs", JsonLine().add("accuracy", 0.5f));
  EXPECT_EQ(line.text(), R"({"iteration": 100, "loss": 0.31, "done": true, "file": "a.txt", )"
                         R"("outputs": {"accuracy": 0.5}})");
}

TEST(JsonLine, NumbersReadBackToTheBit) {
  for (const double value : {0.0, -0.1, 1.0 / 3, 1e300, 5e-324, 123456789.125, 0.1 + 0.2}) {
    const auto line = read_back(JsonLine().add("x", value).text());
    EXPECT_EQ(line.fields().at("x").number_value(), value);
  }
  EXPECT_EQ(JsonLine().add("x", std::numeric_limits<std::uint64_t>::max()).text(),
            "{\"x\": 18446744073709551615}");
  EXPECT_EQ(JsonLine().add("x", std::nan("")).text(), "{\"x\": null}");
  EXPECT_EQ(JsonLine().add("x", -std::numeric_limits<double>::infinity()).text(), "{\"x\": null}");
}

TEST(JsonLine, StringsReadBack) {
  std::string every;
  for (char c = 1; c < 127; ++c) every += c;
  for (const std::string& text : {every, std::string("größe 日本 😀"), std::string("a\0b", 3)}) {
    const auto line = read_back(JsonLine().add(text, std::string_view(text)).text());
    ASSERT_EQ(line.fields().count(text), 1u);
    EXPECT_EQ(line.fields().at(text).string_value(), text);
  }
}

TEST(JsonLine, BytesThatAreNotUtf8AreReplaced) {
  // A lone continuation, an overlong slash, a surrogate, a cut character, one above U+10FFFF.
  EXPECT_EQ(json_string("a\x80z"), "\"a\\ufffdz\"");
  EXPECT_EQ(json_string("\xC0\xAF"), "\"\\ufffd\\ufffd\"");
  EXPECT_EQ(json_string("\xED\xA0\x80"), "\"\\ufffd\\ufffd\\ufffd\"");
  EXPECT_EQ(json_string("\xE6\x97"), "\"\\ufffd\\ufffd\"");
  EXPECT_EQ(json_string("\xF4\x90\x80\x80"), "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
}

}  // namespace
}  // namespace inure
