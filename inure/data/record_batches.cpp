#include "inure/base/error.hpp"
#include "inure/base/random.hpp"
#include "inure/data/batches.hpp"
#include "inure/data/record.hpp"
#include "inure/data/transform.hpp"

namespace inure::data {
namespace {

class RecordBatches : public BatchMaker {
 public:
  RecordBatches(std::unique_ptr<RecordSet> set, Transform transform, std::int64_t batch_size,
                std::int64_t skip, bool labels, std::uint64_t seed, std::string where)
      : set_(std::move(set)),
        transform_(std::move(transform)),
        batch_size_(batch_size),
        skip_(skip),
        labels_(labels),
        seed_(seed),
        where_(std::move(where)) {
    set_->read(skip_, record_);
    shape_ = transform_.result_shape(record_, skip_ % set_->size());
    check_batch({batch_size_, shape_[0], shape_[1], shape_[2]}, where_);
  }

  std::vector<std::vector<std::int64_t>> shapes() const override {
    std::vector<std::vector<std::int64_t>> shapes = {
        {batch_size_, shape_[0], shape_[1], shape_[2]}};
    if (labels_) shapes.push_back({batch_size_});
    return shapes;
  }

  std::int64_t records() const override { return set_->size(); }

  std::vector<Array> make(std::int64_t batch) override {
    const std::int64_t count = shape_[0] * shape_[1] * shape_[2];
    std::vector<Array> tops(labels_ ? 2 : 1);
    const auto tops_shapes = shapes();
    tops[0] = {tops_shapes[0], std::vector<float>(static_cast<std::size_t>(batch_size_ * count))};
    if (labels_) {
      tops[1] = {tops_shapes[1], std::vector<float>(static_cast<std::size_t>(batch_size_))};
    }
    for (std::int64_t i = 0; i < batch_size_; ++i) {
      const std::int64_t position = batch * batch_size_ + i;
      set_->read(skip_ + position, record_);
      check_shape(skip_ + position);
      const RandomStream random(seed_, RandomPurpose::kTransform,
                                static_cast<std::uint32_t>(position),
                                static_cast<std::uint32_t>(position >> 32));
      transform_.apply(record_, random, tops[0].values.data() + i * count);
      if (labels_) tops[1].values[static_cast<std::size_t>(i)] = static_cast<float>(record_.label);
    }
    return tops;
  }

 private:
  void check_shape(std::int64_t position) const {
    const std::int64_t number = position % set_->size();
    if (record_.channels != shape_[0]) {
      fail("{}: record {} has {} channels, those before it have {}; {}", where_, number,
           record_.channels, shape_[0],
           record_.encoded ? "force_color (or force_gray) in transform_param makes them equal"
                           : "convert the images again, all of them color or all of them gray");
    }
    const auto shape = transform_.result_shape(record_, number);
    if (shape == shape_) return;
    fail("{}: record {} is {}, those before it are {}; crop_size or a resize would make them equal",
         where_, number, fmt::join(shape, " x "), fmt::join(shape_, " x "));
  }

  std::unique_ptr<RecordSet> set_;
  Transform transform_;
  std::int64_t batch_size_, skip_;
  bool labels_;
  std::uint64_t seed_;
  std::string where_;
  Record record_;
  std::vector<std::int64_t> shape_;  // C, H, W of every transformed record
};

}  // namespace

std::unique_ptr<BatchMaker> make_record_batches(const caffe::LayerParameter& layer,
                                                caffe::Phase phase, std::uint64_t seed,
                                                const std::string& where) {
  const bool lmdb = layer.type() == "Data";
  const auto& data = layer.data_param();
  const auto& images = layer.image_data_param();
  if (layer.top_size() > 2)
    fail("{}: has {} tops; data and label are all", where, layer.top_size());
  const std::uint32_t batch_size = lmdb ? data.batch_size() : images.batch_size();
  if (batch_size == 0) fail("{}: needs a batch_size", where);
  const std::uint32_t rand_skip = lmdb ? data.rand_skip() : images.rand_skip();
  RandomStream random(seed, RandomPurpose::kShuffle, 0, 1);
  const std::int64_t skip = rand_skip > 0 ? random.below(rand_skip) : 0;
  auto set = lmdb ? open_lmdb_records(layer, where) : open_image_list(layer, seed, where);
  return std::make_unique<RecordBatches>(std::move(set),
                                         Transform(layer.transform_param(), phase, where),
                                         batch_size, skip, layer.top_size() == 2, seed, where);
}

}  // namespace inure::data
