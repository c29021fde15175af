#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "inure/caffe/caffe.pb.h"
#include "inure/data/source.hpp"
#include "inure/network/network.hpp"

namespace inure {

// Random images in place of what data layers read and of the zeros of Input layers, for networks
// whose data cannot be had. DummyData stay as they are. Zero: from the layer (an Input's shape,
// crop_size, or 3 channels).
struct SyntheticData {
  int channels = 0, height = 0, width = 0;
};

// "3x227x227", or "" for the layer's own shape. Throws Error.
SyntheticData parse_synthetic_data(const std::string& text);

// Where the batches of a network's data layers come from.
class Feed {
 public:
  Feed(caffe::Phase phase, std::uint64_t seed, std::optional<SyntheticData> synthetic = {})
      : phase_(phase), seed_(seed), synthetic_(synthetic) {}

  // Opens a data layer's source; returns the shapes of its tops. For Network's constructor.
  Network::Shapes open(const caffe::LayerParameter& layer);
  Network::InputShapes opener() {
    return [this](const caffe::LayerParameter& layer) { return open(layer); };
  }

  // What a user should hear of the layers that were opened: Input layers, which hold zeros.
  std::vector<std::string> notes() const;
  // Throws Error where all data are such zeros. For what would be silently wrong of them.
  void require_data() const;

  // Sets the network's inputs to batch number `batch`; in order this is the next that was read
  // ahead.
  void feed(Network& network, std::int64_t batch);

  // Images in a batch (of the first data layer); records in its set, 0 where not known.
  std::int64_t batch_size() const { return batch_size_; }
  std::int64_t records() const { return records_; }

 private:
  struct Entry {
    std::unique_ptr<data::Source> source;
    std::int64_t next = 0;
  };

  caffe::Phase phase_;
  std::uint64_t seed_;
  std::optional<SyntheticData> synthetic_;
  std::map<std::string, Entry> entries_;  // by the first top of the layer
  std::vector<std::string> unfed_;        // the names of Input layers without synthetic data
  std::int64_t batch_size_ = 0, records_ = 0;
};

}  // namespace inure
