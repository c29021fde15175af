#include "inure/base/fingerprint.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

#include "inure/base/error.hpp"

namespace inure {

Fingerprint& Fingerprint::add(std::string_view text) {
  const auto mix = [&](std::uint64_t word) {
    state_ = (state_ ^ word) * 0xBF58476D1CE4E5B9u;
    state_ ^= state_ >> 31;
  };
  mix(text.size());
  for (std::size_t at = 0; at < text.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + at, std::min<std::size_t>(8, text.size() - at));
    mix(word);
  }
  return *this;
}

std::string Fingerprint::text() const { return fmt::format("{:016x}", state_); }

std::string fingerprint(std::string_view text) { return Fingerprint().add(text).text(); }

std::string fingerprint_of_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("{}: cannot be read: {}", path.string(), std::strerror(errno));
  std::vector<char> piece(1 << 20);
  Fingerprint all;
  do {
    file.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    all.add({piece.data(), static_cast<std::size_t>(file.gcount())});
  } while (file);
  if (file.bad() || !file.eof()) fail("{}: reading failed", path.string());
  return all.text();
}

}  // namespace inure
