#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "inure/caffe/caffe.pb.h"
#include "inure/data/image.hpp"

namespace inure::data {

// Text of a file for an error: of at most 64 characters, each in ASCII.
std::string printable(std::string_view text);

// One image and its label. The values stand in `bytes` or, where that is empty, in `floats`;
// C x H x W, channels in the order of the file (OpenCV's BGR for decoded images).
struct Record {
  int channels = 0, height = 0, width = 0;
  std::vector<std::uint8_t> bytes;
  std::vector<float> floats;
  int label = 0;
  bool encoded = false;  // was an image file
};

// A set of records that can be read at any position, cheaply in order. Used by one thread at a
// time.
class RecordSet {
 public:
  virtual ~RecordSet() = default;
  virtual std::int64_t size() const = 0;  // at least 1
  // position: in the endless sequence of the set repeated; Error names the layer and the record.
  virtual void read(std::int64_t position, Record& record) = 0;
};

// `where` names the layer in errors.
std::unique_ptr<RecordSet> open_lmdb_records(const caffe::LayerParameter& layer,
                                             const std::string& where);
std::unique_ptr<RecordSet> open_image_list(const caffe::LayerParameter& layer, std::uint64_t seed,
                                           const std::string& where);

// Decodes a serialised Datum. `where` names the record in errors.
void decode_datum(std::string_view bytes, Color color, const std::string& where, Record& record);

// H x W x C bytes of OpenCV to the planes of a record.
void set_image(const cv::Mat& image, Record& record);

}  // namespace inure::data
