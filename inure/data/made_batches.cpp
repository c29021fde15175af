#include <algorithm>

#include "inure/base/error.hpp"
#include "inure/base/random.hpp"
#include "inure/data/batches.hpp"

// Batches that come from no file: Input and DummyData.
namespace inure::data {
namespace {

using Shape = std::vector<std::int64_t>;

std::size_t count_of(const Shape& shape) {
  std::int64_t count = 1;
  for (const auto dim : shape) count *= dim;
  return static_cast<std::size_t>(count);
}

class DummyBatches : public BatchMaker {
 public:
  DummyBatches(std::vector<Shape> shapes, std::vector<caffe::FillerParameter> fillers,
               std::uint64_t seed)
      : shapes_(std::move(shapes)), fillers_(std::move(fillers)), seed_(seed) {}

  std::vector<Shape> shapes() const override { return shapes_; }
  std::int64_t records() const override { return 0; }

  std::vector<Array> make(std::int64_t batch) override {
    std::vector<Array> tops;
    for (std::size_t t = 0; t < shapes_.size(); ++t) {
      tops.push_back({shapes_[t], std::vector<float>(count_of(shapes_[t]))});
      const RandomStream random(seed_, RandomPurpose::kDummyData, static_cast<std::uint32_t>(batch),
                                static_cast<std::uint32_t>(t));
      fill(fillers_[t], random, tops.back().values);
    }
    return tops;
  }

 private:
  static void fill(const caffe::FillerParameter& filler, RandomStream random,
                   std::vector<float>& values) {
    if (filler.type() == "constant") {
      std::fill(values.begin(), values.end(), filler.value());
    } else if (filler.type() == "uniform") {
      const double range = double{filler.max()} - filler.min();
      for (float& value : values) {
        value = static_cast<float>(filler.min() + range * random.uniform());
      }
    } else {
      for (float& value : values) {
        value = static_cast<float>(filler.mean() + filler.std() * random.gaussian());
      }
    }
  }

  std::vector<Shape> shapes_;
  std::vector<caffe::FillerParameter> fillers_;  // one a top
  std::uint64_t seed_;
};

void check_filler(const caffe::FillerParameter& filler, const std::string& where) {
  if (filler.type() != "constant" && filler.type() != "uniform" && filler.type() != "gaussian") {
    fail("{}: data_filler '{}': constant, uniform and gaussian make data", where, filler.type());
  }
  if (filler.type() == "gaussian" && filler.sparse() >= 0) {
    fail("{}: data_filler: sparse gaussian data is not made", where);
  }
}

// Caffe's rule for a repeated field: one for all tops, or one for each.
template <typename Field>
const typename Field::value_type& for_top(const Field& field, int top, int tops, const char* name,
                                          const std::string& where) {
  if (field.size() != 1 && field.size() != tops) {
    fail("{}: has {} {} for {} tops; one for all or one for each is needed", where, field.size(),
         name, tops);
  }
  return field.Get(field.size() == 1 ? 0 : top);
}

Shape dummy_shape(const caffe::DummyDataParameter& param, int top, int tops,
                  const std::string& where) {
  if (param.shape_size() > 0) {
    const auto& shape = for_top(param.shape(), top, tops, "shape", where);
    return {shape.dim().begin(), shape.dim().end()};
  }
  return {for_top(param.num(), top, tops, "num", where),
          for_top(param.channels(), top, tops, "channels", where),
          for_top(param.height(), top, tops, "height", where),
          for_top(param.width(), top, tops, "width", where)};
}

}  // namespace

std::unique_ptr<BatchMaker> make_input_batches(const caffe::LayerParameter& layer,
                                               const std::string& where) {
  std::vector<Shape> shapes;
  for (int t = 0; t < layer.top_size(); ++t) {
    const auto& shape =
        for_top(layer.input_param().shape(), t, layer.top_size(), "input_param shape", where);
    shapes.emplace_back(shape.dim().begin(), shape.dim().end());
    check_batch(shapes.back(), where);
  }
  std::vector<caffe::FillerParameter> zeros(shapes.size());
  return std::make_unique<DummyBatches>(std::move(shapes), std::move(zeros), 0);
}

std::unique_ptr<BatchMaker> make_dummy_batches(const caffe::LayerParameter& layer,
                                               std::uint64_t seed, const std::string& where) {
  const auto& param = layer.dummy_data_param();
  const int tops = layer.top_size();
  std::vector<Shape> shapes;
  std::vector<caffe::FillerParameter> fillers;
  for (int t = 0; t < tops; ++t) {
    shapes.push_back(dummy_shape(param, t, tops, where));
    check_batch(shapes.back(), where);
    fillers.push_back(param.data_filler_size() == 0
                          ? caffe::FillerParameter()
                          : for_top(param.data_filler(), t, tops, "data_filler", where));
    check_filler(fillers.back(), where);
  }
  return std::make_unique<DummyBatches>(std::move(shapes), std::move(fillers), seed);
}

}  // namespace inure::data
