#include "inure/base/label.hpp"

#include <algorithm>

namespace inure {
namespace {

// A control character, a separator of lines or paragraphs, or a change of the writing's direction.
bool is_control(std::string_view c) {
  if (c.size() == 1) return static_cast<unsigned char>(c[0]) < 0x20 || c[0] == 0x7F;
  if (c.size() == 2) return c >= "\xC2\x80" && c <= "\xC2\x9F";  // C1
  return (c >= "\xE2\x80\x8E" && c <= "\xE2\x80\x8F") ||         // U+200E, U+200F
         (c >= "\xE2\x80\xA8" && c <= "\xE2\x80\xAE") ||         // U+2028 to U+202E
         (c >= "\xE2\x81\xA6" && c <= "\xE2\x81\xA9");           // U+2066 to U+2069
}

}  // namespace

std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const auto follows = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xBF) {
    return byte(i) >= low && byte(i) <= high;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return follows(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const bool second = follows(1, first == 0xE0 ? 0xA0u : 0x80u, first == 0xED ? 0x9Fu : 0xBFu);
    return second && follows(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const bool second = follows(1, first == 0xF0 ? 0x90u : 0x80u, first == 0xF4 ? 0x8Fu : 0xBFu);
    return second && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

std::string label_of(std::string_view text, int longest) {
  std::string label;
  for (int characters = 0; !text.empty(); ++characters) {
    if (characters == longest) return label + "...";
    const std::size_t bytes = utf8_length(text);
    const std::string_view character = text.substr(0, std::max<std::size_t>(bytes, 1));
    if (bytes == 0) {
      label += '?';
    } else if (is_control(character)) {
      label += ' ';
    } else {
      label += character;
    }
    text.remove_prefix(character.size());
  }
  return label;
}

std::string gnuplot_string(std::string_view text) {
  std::string quoted = "'";
  for (const char c : label_of(text)) quoted += c == '\'' ? "\xE2\x80\x99" : std::string(1, c);
  return quoted + "'";
}

}  // namespace inure
