#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

// MNIST's and CIFAR-10's files, checked as a whole. Errors name the file.
namespace inure::data {

// A file that may be gzipped, seen by its content.
std::string read_perhaps_gzip(const std::filesystem::path& path);

// MNIST's format: a file of images (magic 2051, three sizes) or labels (magic 2049, one size).
struct Idx {
  std::vector<std::uint32_t> sizes;  // outermost first
  std::string content;
  std::size_t header;  // bytes of the content before the first value
};
Idx parse_idx(std::string content, const std::string& file, bool images);

// CIFAR-10's binary format: records of a label byte and 3 x 32 x 32 bytes, RGB planes.
constexpr std::size_t kCifarRecord = 1 + 3 * 32 * 32;
std::int64_t cifar_records(std::string_view content, const std::string& file);

}  // namespace inure::data
