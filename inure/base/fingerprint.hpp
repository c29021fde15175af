#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace inure {

// A short name for a long text: 64 bits, eight bytes a step. Guards against accidents, not against
// attacks.
class Fingerprint {
 public:
  Fingerprint& add(std::string_view text);  // as one text: where it ends counts
  std::string text() const;                 // 16 hexadecimal digits

 private:
  std::uint64_t state_ = 0x9E3779B97F4A7C15u;
};

std::string fingerprint(std::string_view text);

// Of the content, read piece by piece. Throws Error where it cannot be read.
std::string fingerprint_of_file(const std::filesystem::path& path);

}  // namespace inure
