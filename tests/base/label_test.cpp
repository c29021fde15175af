// Texts of strangers' files, made into labels.

#include "inure/base/label.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "inure/base/error.hpp"

namespace inure {
namespace {

TEST(Label, KeepsPlainTextAndTakesOutControl) {
  EXPECT_EQ(label_of("LeNet, 5 layers"), "LeNet, 5 layers");
  EXPECT_EQ(label_of("r\xC3\xA9seau \xE7\xBD\x91 \xF0\x9F\x99\x82"),
            "r\xC3\xA9seau \xE7\xBD\x91 \xF0\x9F\x99\x82");
  EXPECT_EQ(label_of("a\n! id\r\n\tb\x1B[2J\x7F"), "a ! id   b [2J ");
  EXPECT_EQ(label_of(std::string_view("a\0b", 3)), "a b");
  EXPECT_EQ(label_of("\xC2\x85|\xE2\x80\xA8|\xE2\x80\xAE"), " | | ");  // NEL, LS, RLO
  EXPECT_EQ(label_of("\xFF|\xC0\x8A|\xE2\x80|\xED\xA0\x80"), "?|??|??|???");
  EXPECT_EQ(label_of(std::string(1000, 'x')), std::string(kLongestLabel, 'x') + "...");
}

TEST(Label, IsOneGnuplotStringWhateverTheText) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("repeat with the seed {}", seed));
  std::mt19937 random(seed);
  const std::string pieces[] = {"'",     "''",   "\"",   "\\",      "\n",       "\r",
                                "!",     "`id`", "@x",   "\n!id\n", "';",       "#",
                                "$(id)", "\xE2", "\x80", "\xA8",    "\xC2\x85", "\x1B",
                                "\x7F",  "{}",   "%s",   "name",    " ",        "\xF0\x9F\x99\x82"};
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (auto n = random() % 12; n > 0; --n) text += pieces[random() % std::size(pieces)];
    const std::string label = label_of(text), quoted = gnuplot_string(text);
    for (const char c : label) ASSERT_FALSE(static_cast<unsigned char>(c) < 0x20 || c == 0x7F);
    ASSERT_EQ(label_of(label), label);
    ASSERT_EQ(quoted.front(), '\'');
    ASSERT_EQ(quoted.find('\'', 1), quoted.size() - 1);
    ASSERT_EQ(std::count(label.begin(), label.end(), '\'') == 0, quoted == "'" + label + "'");
  }
}

}  // namespace
}  // namespace inure
