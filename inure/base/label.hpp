#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace inure {

// The length of the UTF-8 character that the text begins with, 0 where none does (The Unicode
// Standard, table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF).
std::size_t utf8_length(std::string_view text);

inline constexpr int kLongestLabel = 200;

// Text of a file or a user as a label: one line of valid UTF-8 of at most `longest` characters.
// - A control character, a line or paragraph separator and a change of the writing's direction
//   become a space each.
// - A byte that is no UTF-8 becomes '?'.
// - What is longer ends in "...".
std::string label_of(std::string_view text, int longest = kLongestLabel);

// The label as a string of gnuplot: between single quotes nothing means anything but the quote
// itself. In its place stands the typographic one, U+2019. (Doubled, which gnuplot documents, it
// ends a string that begins with it.)
std::string gnuplot_string(std::string_view text);

}  // namespace inure
