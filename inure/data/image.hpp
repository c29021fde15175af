#pragma once

#include <string>

namespace cv {
class Mat;
}

// A picture is one tensor, whichever way it comes to a network: by an image list, by a database of
// pixels or by a database of encoded files.
// - JPEG and PNG, and what else cv::imdecode reads (BMP, TIFF, WebP, ...).
// - It has 8 bits a channel; of deeper ones the high bits are kept.
// - It has one channel (gray) or three (B, G, R). Transparency is dropped, palettes are resolved,
//   CMYK is converted.
// - It stands as its EXIF orientation says.
// - A truncated or damaged picture is refused, where libjpeg would make up gray or black.
// The values are those of cv::imread with IMREAD_COLOR or IMREAD_GRAYSCALE, Caffe's way to read a
// list. Caffe reads an encoded database differently: neither turned nor without transparency.
namespace inure::data {

enum class Color {
  kAsStored,  // gray where the picture has gray only (with or without transparency), else color
  kColor,
  kGray,
};

// content: of a file. `where` begins every error. Never empty.
cv::Mat decode_image(const std::string& content, Color color, const std::string& where);

// A file, resized by cv::resize's default (bilinear) where height and width are not 0.
cv::Mat load_image(const std::string& path, Color color, int height, int width,
                   const std::string& where);

// More pixels than this are refused before they are decoded.
constexpr long kMaxPixels = 1 << 28;
void check_pixels(long height, long width, const std::string& where);

}  // namespace inure::data
