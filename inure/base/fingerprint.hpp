#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace inure {

// A short name for a long text: 64 bits, eight bytes a step. Each step maps the state one to one
// for a given word, and the word one to one for a given state: so a change of a single byte, or of
// eight in a row from a multiple of eight on, is seen for certain. Guards against accidents, not
// against attacks.
class Fingerprint {
 public:
  Fingerprint& add(std::string_view text);  // as one text: where it ends counts
  std::uint64_t number() const { return state_; }
  std::string text() const;  // 16 hexadecimal digits

 private:
  std::uint64_t state_ = 0x9E3779B97F4A7C15u;
};

std::string fingerprint(std::string_view text);

// Of the content, read piece by piece. Throws Error where it cannot be read.
std::string fingerprint_of_file(const std::filesystem::path& path);

}  // namespace inure
