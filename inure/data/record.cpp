#include "inure/data/record.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
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

namespace {

// What a value is that is no Datum.
std::string kind_of(std::string_view bytes, const caffe::Datum& datum) {
  if (bytes.starts_with("\xff\xd8\xff") || bytes.starts_with("\x89PNG") ||
      bytes.starts_with("RIFF")) {
    return "an image file without Caffe's Datum around it, as LSUN's; `inure convert images` makes "
           "a database of image files";
  }
  constexpr char kTensors = 1 << 3 | 2;  // TensorProtos { repeated TensorProto protos = 1; }
  if (!datum.has_channels() && !datum.has_data() && bytes.starts_with(kTensors)) {
    return "not a Datum but what Caffe2 writes (TensorProtos); convert the data again";
  }
  return "not a Datum (corrupt, or another program's database)";
}

void check_floats(const std::vector<float>& floats, const std::string& where) {
  const auto bad =
      std::find_if(floats.begin(), floats.end(), [](float value) { return !std::isfinite(value); });
  if (bad == floats.end()) return;
  fail("{}: value {} is {}; data are finite numbers", where, bad - floats.begin(), *bad);
}

}  // namespace

std::string printable(std::string_view text) {
  std::string clean(text.substr(0, 64));
  for (char& c : clean) c = c >= ' ' && c <= '~' ? c : '?';
  return clean;
}

void decode_datum(std::string_view bytes, Color color, const std::string& where, Record& record) {
  caffe::Datum datum;
  const bool parsed = bytes.size() <= std::numeric_limits<int>::max() &&
                      datum.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  const bool known = datum.has_channels() || datum.has_data() || datum.float_data_size() > 0;
  if (!parsed || (!known && !bytes.empty())) fail("{}: is {}", where, kind_of(bytes, datum));
  record.label = datum.label();
  record.encoded = datum.encoded();
  if (datum.encoded()) {
    return set_image(decode_image(datum.data(), color, where + ", marked as encoded"), record);
  }
  if (color != Color::kAsStored) {
    fail("{}: is not encoded: force_color and force_gray work on encoded images only", where);
  }
  record.channels = datum.channels();
  record.height = datum.height();
  record.width = datum.width();
  int count = 0;
  if (record.channels < 1 || record.height < 1 || record.width < 1 ||
      __builtin_mul_overflow(record.channels, record.height, &count) ||
      __builtin_mul_overflow(count, record.width, &count)) {
    fail("{}: has the impossible shape {} x {} x {}", where, record.channels, record.height,
         record.width);
  }
  const auto size = std::ssize(datum.data());
  if (size > 0 ? size != count : datum.float_data_size() != count) {
    fail("{}: has {} bytes and {} floats where its shape {} x {} x {} needs {} of either", where,
         size, datum.float_data_size(), record.channels, record.height, record.width, count);
  }
  record.bytes.assign(datum.data().begin(), datum.data().end());
  record.floats.assign(datum.float_data().begin(), datum.float_data().end());
  if (size > 0) record.floats.clear();
  check_floats(record.floats, where);
}

}  // namespace inure::data
