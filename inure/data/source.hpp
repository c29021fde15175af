#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "inure/caffe/caffe.pb.h"

namespace inure::data {

// One top of a data layer: row-major float32.
struct Array {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

// A data layer's batches in order. Batch i is a pure function of (layer, seed, i): the records
// i*batch_size ... modulo the size of the set, transformed with random numbers keyed by their
// position; so seek(i) after a resume gives what an uninterrupted run would have seen.
class Source {
 public:
  virtual ~Source() = default;
  virtual std::vector<std::vector<std::int64_t>> shapes() const = 0;  // of the tops, in order
  virtual std::vector<Array> next() = 0;
  virtual void seek(std::int64_t batch) = 0;  // the next call of next() gives this batch
  virtual std::int64_t records() const = 0;   // in the whole set; 0 where that means nothing
};

// Throws Error where a batch of this shape is larger than a blob of Caffe, or there is no memory
// for the batches that are made ahead. `where` begins the error.
void check_batch(const std::vector<std::int64_t>& shape, const std::string& where);

// For layers of type Data, ImageData, Input and DummyData. Data and ImageData read ahead, in order,
// on a thread of their own. Relative paths are taken from the working directory, as Caffe does.
// Throws Error that names the layer and the file.
std::unique_ptr<Source> make_source(const caffe::LayerParameter& layer, caffe::Phase phase,
                                    std::uint64_t seed);

}  // namespace inure::data
