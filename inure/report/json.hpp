#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace inure {

// Writes one JSON object on one line (RFC 8259), its members in the order they are added:
//
//   JsonLine line;
//   line.add("iteration", 100).add("loss", 0.31);
//   log << line.text() << "\n";
class JsonLine {
 public:
  JsonLine& add(std::string_view name,
                double value);  // shortest that reads back; null when not finite
  JsonLine& add(std::string_view name, bool value);
  JsonLine& add(std::string_view name, std::string_view value);  // bytes that are not UTF-8: U+FFFD
  JsonLine& add(std::string_view name, const char* value) {
    return add(name, std::string_view(value));
  }
  template <typename Integer>
  requires std::is_integral_v<Integer> JsonLine& add(std::string_view name, Integer value) {
    return add_raw(name, std::to_string(value));
  }
  JsonLine& add(std::string_view name, const JsonLine& object) {
    return add_raw(name, object.text());
  }

  std::string text() const { return "{" + members_ + "}"; }

 private:
  JsonLine& add_raw(std::string_view name, std::string_view json);

  std::string members_;
};

// The text as a JSON string, quotes included.
std::string json_string(std::string_view text);

}  // namespace inure
