#include "inure/data/image.hpp"

#include <zlib.h>

#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "inure/base/memory_limit.hpp"
#include "inure/data/jpeg.hpp"
#include "inure/data/record.hpp"

namespace inure::data {
namespace {

constexpr std::string_view kPngSignature = "\x89PNG\r\n\x1a\n", kJpegSignature = "\xff\xd8\xff";

// A PNG of the chunks that pixels depend on; the others only give libpng reason to complain.
struct Png {
  std::string content;
  bool gray;
};

std::uint32_t big_endian(std::string_view bytes) {
  std::uint32_t value = 0;
  for (const char byte : bytes.substr(0, 4)) value = value << 8 | static_cast<unsigned char>(byte);
  return value;
}

Png checked_png(std::string_view content, const std::string& where) {
  constexpr std::size_t kAround = 12;  // length, type and checksum of a chunk
  Png png{std::string(kPngSignature), false};
  std::string_view rest = content.substr(kPngSignature.size());
  for (std::string_view type; type != "IEND";) {
    const std::size_t size = rest.size() < kAround ? 0 : big_endian(rest);
    if (rest.size() < kAround || size > rest.size() - kAround) {
      fail("{}: is a truncated PNG; the whole file is needed", where);
    }
    const auto chunk = rest.substr(0, kAround + size);
    type = chunk.substr(4, 4);
    rest.remove_prefix(chunk.size());
    const bool first = png.content.size() == kPngSignature.size();
    if (first && (type != "IHDR" || size != 13))
      fail("{}: is a damaged PNG (it has no header); a whole one is needed", where);
    const bool needed = type == "IHDR" || type == "PLTE" || type == "tRNS" || type == "eXIf" ||
                        type == "IDAT" || type == "IEND";
    if (!needed) continue;
    const auto checked = reinterpret_cast<const Bytef*>(chunk.data() + 4);
    if (crc32(0, checked, static_cast<uInt>(4 + size)) != big_endian(chunk.substr(8 + size))) {
      fail("{}: is a damaged PNG (the checksum of its {} is another); a whole one is needed", where,
           type);
    }
    if (first) {
      check_pixels(big_endian(chunk.substr(12)), big_endian(chunk.substr(8)), where);
      constexpr char kGray = 0, kGrayAlpha = 4;
      png.gray = chunk[17] == kGray || chunk[17] == kGrayAlpha;
    }
    png.content += chunk;
  }
  return png;
}

cv::Mat decode_by_opencv(std::string_view content, int flags, const std::string& where) {
  if (content.size() > std::numeric_limits<int>::max()) {
    fail("{}: is larger than 2 GiB, too large for an image", where);
  }
  cv::Mat image;
  if (!content.empty()) {
    const cv::Mat bytes(1, static_cast<int>(content.size()), CV_8UC1,
                        const_cast<char*>(content.data()));
    try {
      image = cv::imdecode(bytes, flags);
    } catch (const cv::Exception& error) {  // its own limits on size, or no memory
      fail("{}: OpenCV does not decode it: {}", where, printable(error.err));
    }
  }
  if (image.empty()) {
    fail("{}: is no image that OpenCV can decode, or a truncated one ({} bytes)", where,
         content.size());
  }
  return image;
}

// "a.jpg 1 2" in a list is the path "a.jpg 1" and the label 2.
const char* label_hint(const std::string& path) {
  const auto blank = path.find_last_of(" \t,");
  const auto digits = std::string_view(path).substr(blank == path.npos ? path.size() : blank + 1);
  const bool number = !digits.empty() && digits.find_first_not_of("-.0123456789") == digits.npos;
  return number ? " (a list with several labels a line? It may have one)" : "";
}

}  // namespace

void check_pixels(long height, long width, const std::string& where) {
  if (height < 1 || width < 1 || height > kMaxPixels / width) {
    fail("{}: {} x {} pixels are asked for; an image has from 1 to {} in all", where, height, width,
         kMaxPixels);
  }
  constexpr std::uint64_t kBytes = 8;  // of a decoded pixel and its copies
  check_memory(kBytes * static_cast<std::uint64_t>(height * width), [&] { return where; });
}

cv::Mat decode_image(const std::string& content, Color color, const std::string& where) {
  if (content.starts_with(kJpegSignature)) return decode_jpeg(content, color, where);
  const auto flags = [&](bool gray) {
    return color == Color::kGray || (color == Color::kAsStored && gray) ? cv::IMREAD_GRAYSCALE
                                                                        : cv::IMREAD_COLOR;
  };
  if (content.starts_with(kPngSignature)) {
    const Png png = checked_png(content, where);
    return decode_by_opencv(png.content, flags(png.gray), where);
  }
  const bool gray = color == Color::kAsStored &&
                    decode_by_opencv(content, cv::IMREAD_UNCHANGED, where).channels() == 1;
  return decode_by_opencv(content, flags(gray), where);
}

cv::Mat load_image(const std::string& path, Color color, int height, int width,
                   const std::string& where) {
  std::string content;
  try {
    content = read_file(path);
  } catch (const Error& error) {
    fail("{}: {}{}", where, error.what(), label_hint(path));
  }
  const cv::Mat image = decode_image(content, color, fmt::format("{}: {}", where, path));
  if (height == 0 || width == 0 || (image.rows == height && image.cols == width)) return image;
  cv::Mat resized;
  cv::resize(image, resized, cv::Size(width, height));
  return resized;
}

}  // namespace inure::data
