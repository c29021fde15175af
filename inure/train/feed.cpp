#include "inure/train/feed.hpp"

#include <algorithm>
#include <charconv>
#include <functional>
#include <numeric>

#include "inure/base/error.hpp"
#include "inure/base/parallel.hpp"
#include "inure/base/random.hpp"

namespace inure {

namespace {

struct SyntheticBatch {
  std::int64_t size, channels, height, width;
};

std::int64_t count_of(const std::vector<std::int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

// One value for each image.
bool is_label(const std::vector<std::int64_t>& shape) {
  return shape.empty() || count_of(shape) == shape[0];
}

// What a layer says of its batches; 0: nothing.
SyntheticBatch described(const caffe::LayerParameter& layer) {
  const std::int64_t crop = layer.transform_param().crop_size();
  if (layer.type() == "ImageData") {
    const auto& param = layer.image_data_param();
    return {param.batch_size(), 0, crop ? crop : param.new_height(),
            crop ? crop : param.new_width()};
  }
  if (layer.type() == "MemoryData") {
    const auto& param = layer.memory_data_param();
    return {param.batch_size(), param.channels(), crop ? crop : param.height(),
            crop ? crop : param.width()};
  }
  if (layer.type() == "WindowData") {
    const auto& param = layer.window_data_param();
    return {param.batch_size(), 0, crop ? crop : param.crop_size(),
            crop ? crop : param.crop_size()};
  }
  const bool hdf5 = layer.type() == "HDF5Data";
  return {hdf5 ? layer.hdf5_data_param().batch_size() : layer.data_param().batch_size(), 0, crop,
          crop};
}

// Images, and a label for each top behind them.
Network::Shapes shapes_of_files(const caffe::LayerParameter& layer, const SyntheticData& wanted) {
  const SyntheticBatch batch = described(layer);
  if (batch.size < 1) {
    fail("layer \"{}\": batch_size is missing; give the images of a batch", layer.name());
  }
  const auto pick = [](std::int64_t a, std::int64_t b) { return a ? a : b; };
  const std::vector<std::int64_t> shape = {
      batch.size, pick(wanted.channels, pick(batch.channels, 3)), pick(wanted.height, batch.height),
      pick(wanted.width, batch.width)};
  if (shape[2] < 1 || shape[3] < 1) {
    fail(
        "layer \"{}\": no crop_size gives the shape of synthetic data; name it: --synthetic-data "
        "3x32x32",
        layer.name());
  }
  data::check_batch(shape, fmt::format("layer '{}'", layer.name()));
  Network::Shapes shapes(static_cast<std::size_t>(layer.top_size()), {batch.size});
  if (!shapes.empty()) shapes[0] = shape;
  return shapes;
}

Network::Shapes shapes_of_inputs(const caffe::LayerParameter& layer, const SyntheticData& wanted) {
  Network::Shapes shapes = data::make_source(layer, caffe::TEST, 0)->shapes();
  for (auto& shape : shapes) {
    if (shape.size() != 4 || is_label(shape) || wanted.channels == 0) continue;
    shape = {shape[0], wanted.channels, wanted.height, wanted.width};
    data::check_batch(shape, fmt::format("layer '{}'", layer.name()));
  }
  return shapes;
}

// Uniform pixels around zero under the layer's scale, and labels that every classifier has.
class SyntheticSource : public data::Source {
 public:
  SyntheticSource(const caffe::LayerParameter& layer, const SyntheticData& wanted,
                  std::uint64_t seed)
      : seed_(seed),
        scale_(layer.transform_param().scale()),
        shapes_(layer.type() == "Input" ? shapes_of_inputs(layer, wanted)
                                        : shapes_of_files(layer, wanted)) {}

  std::vector<std::vector<std::int64_t>> shapes() const override { return shapes_; }

  std::vector<data::Array> next() override {
    std::vector<data::Array> tops;
    for (const auto& shape : shapes_) tops.push_back(random_top(shape, tops.size()));
    ++batch_;
    return tops;
  }

  void seek(std::int64_t batch) override { batch_ = batch; }
  std::int64_t records() const override { return 0; }

 private:
  data::Array random_top(const std::vector<std::int64_t>& shape, std::size_t top) const {
    const std::int64_t count = count_of(shape);
    const std::int64_t images = shape.empty() ? 1 : shape[0];
    data::Array array{shape, std::vector<float>(static_cast<std::size_t>(count))};
    parallel_for(images, [&](std::int64_t n) {
      const auto place = static_cast<std::size_t>(n) * shapes_.size() + top;
      RandomStream random(seed_, RandomPurpose::kDummyData, static_cast<std::uint32_t>(batch_),
                          static_cast<std::uint32_t>(place));
      float* values = array.values.data() + n * (count / images);
      for (std::int64_t i = 0; i < count / images; ++i) {
        values[i] = is_label(shape) ? static_cast<float>(random.below(2))
                                    : scale_ * (static_cast<float>(random.next() >> 24) - 127.5f);
      }
    });
    return array;
  }

  std::uint64_t seed_;
  float scale_;
  Network::Shapes shapes_;
  std::int64_t batch_ = 0;
};

// Layers may share a name, never a top.
std::string key_of(const caffe::LayerParameter& layer) {
  return layer.top_size() > 0 ? layer.top(0) : "";
}

}  // namespace

SyntheticData parse_synthetic_data(const std::string& text) {
  if (text.empty()) return {};
  int sizes[3] = {};
  const char* at = text.data();
  const char* const end = at + text.size();
  for (int i = 0; i < 3; ++i) {
    const auto [after, error] = std::from_chars(at, end, sizes[i]);
    const bool ended = i == 2 ? after == end : after != end && *after == 'x';
    if (error != std::errc() || !ended || sizes[i] < 1 || sizes[i] > 65536) {
      fail("--synthetic-data {}: is not CHANNELSxHEIGHTxWIDTH, for example 3x227x227", text);
    }
    at = after + 1;
  }
  return {sizes[0], sizes[1], sizes[2]};
}

Network::Shapes Feed::open(const caffe::LayerParameter& layer) {
  Entry& entry = entries_[key_of(layer)];
  if (synthetic_ && layer.type() != "DummyData") {
    entry.source = std::make_unique<SyntheticSource>(layer, *synthetic_, seed_);
  } else {
    const caffe::Phase phase = layer.has_phase() ? layer.phase() : phase_;  // as Caffe
    entry.source = data::make_source(layer, phase, seed_);
    if (layer.type() == "Input") unfed_.push_back(layer.name());
  }
  const Network::Shapes shapes = entry.source->shapes();
  if (batch_size_ == 0 && !shapes.empty() && !shapes[0].empty()) {
    batch_size_ = shapes[0][0];
    records_ = entry.source->records();
  }
  return shapes;
}

std::vector<std::string> Feed::notes() const {
  std::vector<std::string> notes;
  for (const std::string& layer : unfed_) {
    notes.push_back(fmt::format(
        "layer \"{}\" (Input) is fed by nothing: its values are 0, as in Caffe; --synthetic-data "
        "makes them random, a Data or ImageData layer in its place reads images",
        layer));
  }
  return notes;
}

void Feed::require_data() const {
  if (unfed_.empty() || unfed_.size() < entries_.size()) return;
  fail(
      "layer \"{}\" (Input) is fed by nothing: its values would be 0; put a Data or ImageData "
      "layer "
      "in its place, or give --synthetic-data for random images",
      unfed_[0]);
}

void Feed::feed(Network& network, std::int64_t batch) {
  for (const caffe::LayerParameter& layer : network.data_layers()) {
    Entry& entry = entries_.at(key_of(layer));
    if (entry.next != batch) entry.source->seek(batch);
    const std::vector<data::Array> tops = entry.source->next();
    entry.next = batch + 1;
    for (int t = 0; t < layer.top_size(); ++t) network.set_input(layer.top(t), tops[t].values);
  }
}

}  // namespace inure
