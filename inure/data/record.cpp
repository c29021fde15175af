#include "inure/data/record.hpp"

#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"

namespace inure::data {
namespace {

// Bytes of a JPEG or PNG file; an empty Mat where they are not an image.
cv::Mat decode_image(const std::string& content, int flags) {
  if (content.empty()) return {};
  const cv::Mat bytes(1, static_cast<int>(content.size()), CV_8UC1,
                      const_cast<char*>(content.data()));
  try {
    return cv::imdecode(bytes, flags);
  } catch (const cv::Exception&) {  // OpenCV's own limits on size
    return {};
  }
}

int decode_flags(Color color) {
  switch (color) {
    case Color::kColor:
      return cv::IMREAD_COLOR;
    case Color::kGray:
      return cv::IMREAD_GRAYSCALE;
    case Color::kAsStored:
      break;
  }
  return cv::IMREAD_UNCHANGED;
}

void decode_encoded(const caffe::Datum& datum, Color color, const std::string& where,
                    Record& record) {
  const cv::Mat image = decode_image(datum.data(), decode_flags(color));
  if (image.empty()) {
    fail("{}: is marked as encoded, but its {} bytes are no image that OpenCV can decode", where,
         datum.data().size());
  }
  if (image.depth() != CV_8U) fail("{}: has more than 8 bits a channel", where);
  set_image(image, record);
}

}  // namespace

void set_image(const cv::Mat& image, Record& record) {
  record.channels = image.channels();
  record.height = image.rows;
  record.width = image.cols;
  record.floats.clear();
  const std::size_t plane = static_cast<std::size_t>(image.rows) * image.cols;
  record.bytes.resize(plane * record.channels);
  std::vector<cv::Mat> planes;
  for (int c = 0; c < record.channels; ++c) {
    planes.emplace_back(image.rows, image.cols, CV_8UC1, record.bytes.data() + c * plane);
  }
  cv::split(image, planes);
}

void decode_datum(const caffe::Datum& datum, Color color, const std::string& where,
                  Record& record) {
  record.label = datum.label();
  if (datum.encoded()) return decode_encoded(datum, color, where, record);
  if (color != Color::kAsStored) {
    fail("{}: is not encoded: force_color and force_gray work on encoded images only", where);
  }
  record.channels = datum.channels();
  record.height = datum.height();
  record.width = datum.width();
  if (record.channels < 1 || record.height < 1 || record.width < 1) {
    fail("{}: has the impossible shape {} x {} x {}", where, record.channels, record.height,
         record.width);
  }
  const std::int64_t count = std::int64_t{record.channels} * record.height * record.width;
  const auto bytes = static_cast<std::int64_t>(datum.data().size());
  if (bytes > 0 ? bytes != count : datum.float_data_size() != count) {
    fail("{}: has {} bytes and {} floats where its shape {} x {} x {} needs {} of either", where,
         bytes, datum.float_data_size(), record.channels, record.height, record.width, count);
  }
  record.bytes.assign(datum.data().begin(), datum.data().end());
  record.floats.assign(datum.float_data().begin(), datum.float_data().end());
  if (bytes > 0) record.floats.clear();
}

cv::Mat load_image(const std::string& path, bool color, int height, int width,
                   const std::string& where) {
  std::string content;
  try {
    content = read_file(path);
  } catch (const Error& error) {
    fail("{}: {}", where, error.what());
  }
  cv::Mat image = decode_image(content, color ? cv::IMREAD_COLOR : cv::IMREAD_GRAYSCALE);
  if (image.empty()) fail("{}: {}: is no image that OpenCV can decode", where, path);
  if (height > 0 && width > 0 && (image.rows != height || image.cols != width)) {
    cv::Mat resized;
    cv::resize(image, resized, cv::Size(width, height));
    return resized;
  }
  return image;
}

}  // namespace inure::data
