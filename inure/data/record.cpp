#include "inure/data/record.hpp"

#include <opencv2/core.hpp>

#include "inure/base/error.hpp"

namespace inure::data {

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
  if (datum.encoded()) {
    return set_image(decode_image(datum.data(), color, where + ", marked as encoded"), record);
  }
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

}  // namespace inure::data
