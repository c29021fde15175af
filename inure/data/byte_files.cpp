#include "inure/data/byte_files.hpp"

#include <zlib.h>

#include <memory>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "inure/base/memory_limit.hpp"
#include "inure/data/image.hpp"

namespace inure::data {
namespace {

constexpr std::uint32_t kIdxImages = 2051, kIdxLabels = 2049;

std::uint32_t big_endian(std::string_view content, std::size_t word) {
  std::uint32_t value = 0;
  for (std::size_t i = 4 * word; i < 4 * word + 4; ++i) {
    value = value << 8 | static_cast<unsigned char>(content[i]);
  }
  return value;
}

}  // namespace

std::string read_perhaps_gzip(const std::filesystem::path& path) {
  std::string plain = read_file(path);
  if (!plain.starts_with("\x1f\x8b")) return plain;
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);
  if (file == nullptr) fail("{}: cannot be read", path.string());
  std::string content;
  std::vector<char> buffer(1 << 20);
  int count;
  while ((count = gzread(file.get(), buffer.data(), static_cast<unsigned>(buffer.size()))) > 0) {
    if (content.size() + buffer.size() > content.capacity()) {
      check_memory(2 * content.size(), [&] { return path.string(); });
    }
    content.append(buffer.data(), static_cast<std::size_t>(count));
  }
  int status = Z_OK;
  gzerror(file.get(), &status);
  if (count < 0 || status != Z_OK) fail("{}: the gzip file is truncated or broken", path.string());
  return content;
}

Idx parse_idx(std::string content, const std::string& file, bool images) {
  const std::uint32_t magic = images ? kIdxImages : kIdxLabels;
  const std::size_t dimensions = images ? 3 : 1;
  const char* const kind = images ? "images" : "labels";
  Idx idx{{}, std::move(content), 4 + 4 * dimensions};
  if (idx.content.size() < idx.header) {
    fail("{}: is truncated: no room for the header of IDX {}", file, kind);
  }
  if (big_endian(idx.content, 0) != magic) {
    fail("{}: begins with {}, IDX {} begin with {}", file, big_endian(idx.content, 0), kind, magic);
  }
  double values = 1;  // of sizes up to 2^32 each
  for (std::size_t d = 0; d < dimensions; ++d) {
    idx.sizes.push_back(big_endian(idx.content, 1 + d));
    values *= idx.sizes.back();
  }
  const auto stored = static_cast<double>(idx.content.size() - idx.header);
  if (values > stored) {
    fail("{}: is truncated: has {} values, its header says {}", file, stored, values);
  }
  if (values < stored) {
    fail("{}: has {} bytes behind the last of the {}", file, stored - values, kind);
  }
  if (images && idx.sizes[1] > 0 && idx.sizes[2] > 0) {
    check_pixels(idx.sizes[1], idx.sizes[2], file);
  }
  return idx;
}

std::int64_t cifar_records(std::string_view content, const std::string& file) {
  if (content.empty() || content.size() % kCifarRecord != 0) {
    fail("{}: has {} bytes; CIFAR-10's binary files have a multiple of {}", file, content.size(),
         kCifarRecord);
  }
  for (std::size_t at = 0; at < content.size(); at += kCifarRecord) {
    const int label = static_cast<unsigned char>(content[at]);
    if (label > 9) {
      fail("{}: record {} has the label {}; CIFAR-10 has 0 to 9", file, at / kCifarRecord, label);
    }
  }
  return static_cast<std::int64_t>(content.size() / kCifarRecord);
}

}  // namespace inure::data
