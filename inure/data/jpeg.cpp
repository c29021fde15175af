#include "inure/data/jpeg.hpp"

// clang-format off
#include <cstdio>  // jpeglib.h needs it
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include <csetjmp>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "inure/base/error.hpp"

namespace inure::data {
namespace {

// Warnings after which some of the pixels are made up. After the others, such as "extraneous bytes
// before marker", all are right.
bool makes_up_pixels(int code) {
  return code == JWRN_HIT_MARKER || code == JWRN_JPEG_EOF || code == JWRN_HUFF_BAD_CODE ||
         code == JWRN_ARITH_BAD_CODE || code == JWRN_MUST_RESYNC || code == JWRN_BOGUS_PROGRESSION;
}

class JpegDecoder {
 public:
  JpegDecoder(std::string_view content, std::string where) : where_(std::move(where)) {
    jpeg_.err = jpeg_std_error(&errors_);
    jpeg_.client_data = this;
    errors_.error_exit = [](j_common_ptr jpeg) { of(jpeg).stop(); };
    errors_.emit_message = [](j_common_ptr jpeg, int level) {
      if (level < 0 && makes_up_pixels(jpeg->err->msg_code)) of(jpeg).stop();
    };
    run([&] {
      jpeg_create_decompress(&jpeg_);
      jpeg_mem_src(&jpeg_, reinterpret_cast<const unsigned char*>(content.data()), content.size());
      jpeg_save_markers(&jpeg_, JPEG_APP0 + 1, 0xffff);
      jpeg_read_header(&jpeg_, TRUE);
    });
  }
  ~JpegDecoder() { jpeg_destroy_decompress(&jpeg_); }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;

  bool is_gray() const { return jpeg_.num_components == 1; }
  bool is_cmyk() const { return jpeg_.num_components == 4; }

  // Gray, B G R, or C M Y K.
  cv::Mat pixels(bool gray) {
    check_pixels(jpeg_.image_height, jpeg_.image_width, where_);
    jpeg_.out_color_space = is_cmyk() ? JCS_CMYK : gray ? JCS_GRAYSCALE : JCS_EXT_BGR;
    run([this] { jpeg_start_decompress(&jpeg_); });
    cv::Mat image(static_cast<int>(jpeg_.output_height), static_cast<int>(jpeg_.output_width),
                  CV_8UC(jpeg_.output_components));
    run([&] {
      while (jpeg_.output_scanline < jpeg_.output_height) {
        JSAMPROW row = image.ptr(static_cast<int>(jpeg_.output_scanline));
        jpeg_read_scanlines(&jpeg_, &row, 1);
      }
      jpeg_finish_decompress(&jpeg_);
    });
    return image;
  }

  // Of the header: known until the pixels are read.
  int orientation() const {
    for (auto* marker = jpeg_.marker_list; marker != nullptr; marker = marker->next) {
      const std::string_view data(reinterpret_cast<const char*>(marker->data), marker->data_length);
      constexpr std::string_view kExif("Exif\0\0", 6);
      if (data.starts_with(kExif)) return exif_orientation(data.substr(kExif.size()));
    }
    return 1;
  }

 private:
  static JpegDecoder& of(j_common_ptr jpeg) {
    return *static_cast<JpegDecoder*>(jpeg->client_data);
  }

  // libjpeg is C: its errors leave it by a jump to here.
  template <typename Step>
  void run(Step step) {
    if (setjmp(back_) == 0) {
      step();
      return;
    }
    char message[JMSG_LENGTH_MAX];
    errors_.format_message(reinterpret_cast<j_common_ptr>(&jpeg_), message);
    const int code = errors_.msg_code;
    jpeg_destroy_decompress(&jpeg_);
    if (code == JWRN_JPEG_EOF || code == JERR_INPUT_EMPTY || code == JERR_INPUT_EOF) {
      fail("{}: is a truncated JPEG; the whole file is needed", where_);
    }
    fail("{}: is a damaged JPEG ({}); a whole one is needed", where_, message);
  }
  [[noreturn]] void stop() { std::longjmp(back_, 1); }

  std::string where_;
  jpeg_error_mgr errors_{};
  jpeg_decompress_struct jpeg_{};
  std::jmp_buf back_;
};

// OpenCV's conversion (icvCvt_CMYK2BGR): CMYK JPEGs hold inverted inks, as Adobe's programs do.
cv::Mat bgr_of_cmyk(const cv::Mat& cmyk) {
  cv::Mat bgr(cmyk.size(), CV_8UC3);
  for (int row = 0; row < cmyk.rows; ++row) {
    const auto* from = cmyk.ptr<cv::Vec4b>(row);
    auto* to = bgr.ptr<cv::Vec3b>(row);
    for (int x = 0; x < cmyk.cols; ++x) {
      const int black = from[x][3];
      for (int ink = 0; ink < 3; ++ink) {
        to[x][2 - ink] = static_cast<unsigned char>(black - ((255 - from[x][ink]) * black >> 8));
      }
    }
  }
  return bgr;
}

// The eight ways that a camera was held: 2 to 4 are mirrored and turned halves, 5 to 8 have rows
// and columns exchanged.
cv::Mat upright(const cv::Mat& image, int orientation) {
  cv::Mat turned = image;
  if (orientation >= 5) cv::transpose(image, turned);
  constexpr int kNone = 2;
  constexpr int flips[] = {kNone, kNone, 1, -1, 0, kNone, 1, -1, 0};
  if (flips[orientation] != kNone) cv::flip(turned, turned, flips[orientation]);
  return turned;
}

}  // namespace

int exif_orientation(std::string_view tiff) {
  const bool little = tiff.starts_with("II");
  if (tiff.size() < 8 || (!little && !tiff.starts_with("MM"))) return 1;
  const auto number = [&](std::size_t at, int bytes) {
    std::size_t value = 0;
    for (int i = 0; i < bytes; ++i) {
      const int byte = little ? bytes - 1 - i : i;
      value = value << 8 | static_cast<unsigned char>(tiff[at + static_cast<std::size_t>(byte)]);
    }
    return value;
  };
  constexpr std::size_t kEntry = 12, kOrientation = 0x0112;
  const std::size_t directory = number(4, 4);
  if (directory > tiff.size() - 2) return 1;
  const std::size_t entries = number(directory, 2);
  for (std::size_t i = 0, at = directory + 2; i < entries && at + kEntry <= tiff.size();
       ++i, at += kEntry) {
    if (number(at, 2) != kOrientation) continue;
    const std::size_t value = number(at + 8, 2);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

cv::Mat decode_jpeg(std::string_view content, Color color, const std::string& where) {
  JpegDecoder decoder(content, where);
  const bool gray = color == Color::kGray || (color == Color::kAsStored && decoder.is_gray());
  const int orientation = decoder.orientation();
  cv::Mat image = decoder.pixels(gray);
  if (decoder.is_cmyk()) {
    image = bgr_of_cmyk(image);
    if (gray) cv::cvtColor(image, image, cv::COLOR_BGR2GRAY);
  }
  return upright(image, orientation);
}

}  // namespace inure::data
