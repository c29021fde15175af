#include "inure/train/feed.hpp"

#include <algorithm>
#include <charconv>

#include "inure/base/error.hpp"
#include "inure/base/parallel.hpp"
#include "inure/base/random.hpp"

namespace inure {

namespace {

bool reads_files(const caffe::LayerParameter& layer) {
  return layer.type() == "Data" || layer.type() == "ImageData";
}

// Uniform pixels around zero under the layer's scale, and labels that every classifier has.
class SyntheticSource : public data::Source {
 public:
  SyntheticSource(const caffe::LayerParameter& layer, const SyntheticData& wanted,
                  std::uint64_t seed)
      : seed_(seed), with_label_(layer.top_size() > 1), scale_(layer.transform_param().scale()) {
    const bool images = layer.type() == "ImageData";
    const std::int64_t batch =
        images ? layer.image_data_param().batch_size() : layer.data_param().batch_size();
    if (batch < 1)
      fail("layer \"{}\": batch_size is missing; give the images of a batch", layer.name());
    const std::int64_t crop = layer.transform_param().crop_size();
    const std::int64_t high = images ? layer.image_data_param().new_height() : 0;
    const std::int64_t wide = images ? layer.image_data_param().new_width() : 0;
    const auto pick = [](std::int64_t a, std::int64_t b, std::int64_t c) {
      return a ? a : b ? b : c;
    };
    shape_ = {batch, wanted.channels ? wanted.channels : 3, pick(wanted.height, crop, high),
              pick(wanted.width, crop, wide)};
    if (shape_[2] < 1 || shape_[3] < 1) {
      fail(
          "layer \"{}\": no crop_size gives the shape of synthetic data; name it: --synthetic-data "
          "3x32x32",
          layer.name());
    }
  }

  std::vector<std::vector<std::int64_t>> shapes() const override {
    if (!with_label_) return {shape_};
    return {shape_, {shape_[0]}};
  }

  std::vector<data::Array> next() override {
    std::vector<data::Array> tops(with_label_ ? 2 : 1);
    const std::int64_t image = shape_[1] * shape_[2] * shape_[3];
    tops[0] = {shape_, std::vector<float>(shape_[0] * image)};
    if (with_label_) tops[1] = {{shape_[0]}, std::vector<float>(shape_[0])};
    parallel_for(shape_[0], [&](std::int64_t n) {
      RandomStream random(seed_, RandomPurpose::kDummyData, static_cast<std::uint32_t>(batch_),
                          static_cast<std::uint32_t>(n));
      if (with_label_) tops[1].values[n] = static_cast<float>(random.below(2));
      float* pixels = tops[0].values.data() + n * image;
      for (std::int64_t i = 0; i < image; ++i) {
        pixels[i] = scale_ * (static_cast<float>(random.next() >> 24) - 127.5f);
      }
    });
    ++batch_;
    return tops;
  }

  void seek(std::int64_t batch) override { batch_ = batch; }
  std::int64_t records() const override { return 0; }

 private:
  std::uint64_t seed_;
  bool with_label_;
  float scale_;
  std::vector<std::int64_t> shape_;
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
  if (synthetic_ && reads_files(layer)) {
    entry.source = std::make_unique<SyntheticSource>(layer, *synthetic_, seed_);
  } else {
    entry.source = data::make_source(layer, phase_, seed_);
  }
  const Network::Shapes shapes = entry.source->shapes();
  if (batch_size_ == 0 && !shapes.empty() && !shapes[0].empty()) {
    batch_size_ = shapes[0][0];
    records_ = entry.source->records();
  }
  return shapes;
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
