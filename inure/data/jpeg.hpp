#pragma once

#include <opencv2/core.hpp>
#include <string>
#include <string_view>

#include "inure/data/image.hpp"

namespace inure::data {

// A JPEG as image.hpp says, by libjpeg itself: OpenCV keeps its warnings to itself.
cv::Mat decode_jpeg(std::string_view content, Color color, const std::string& where);

// The tag Orientation, 1 to 8, of the TIFF structure in an EXIF segment (behind "Exif\0\0"); 1
// where it has none or is broken.
int exif_orientation(std::string_view tiff);

}  // namespace inure::data
