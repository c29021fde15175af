#include <google/protobuf/text_format.h>

#include <cmath>
#include <numeric>

#include "helpers.hpp"

namespace inure::test {
namespace {

struct Case {
  std::string name, layer;  // fields of the LayerParameter besides name, bottoms and tops
  std::vector<std::vector<std::int64_t>> bottoms;
  caffe::Phase phase = caffe::TRAIN;
  int tops = 1;
  bool labels = false;  // the last bottom holds labels
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

// Values far from each other and from zero: no step of the check crosses a kink.
std::vector<float> spread_values(std::int64_t count, std::uint32_t which) {
  RandomStream random(7, RandomPurpose::kDummyData, which, 1);
  std::vector<float> values(count);
  for (std::int64_t i = 0; i < count; ++i) {
    values[i] = (static_cast<float>(i) + 0.5f - static_cast<float>(count) / 2) * 4 / count;
  }
  for (std::int64_t i = count - 1; i > 0; --i) {
    std::swap(values[i], values[random.below(static_cast<std::uint32_t>(i + 1))]);
  }
  return values;
}

class Gradients : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const Case& c = GetParam();
    caffe::LayerParameter parameter;
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(c.layer, &parameter));
    parameter.set_name("layer");
    for (std::size_t b = 0; b < c.bottoms.size(); ++b) {
      parameter.add_bottom(fmt::format("x{}", b));
      own_.push_back(std::make_unique<Value>(parameter.bottom(b), c.bottoms[b]));
      Value& bottom = *own_.back();
      bottoms_.push_back(&bottom);
      std::vector<float> values = spread_values(bottom.count(), b);
      for (float& value : values)
        value += 0.05f * static_cast<float>(b);  // no ties between bottoms
      const bool label = c.labels && b + 1 == c.bottoms.size();
      for (std::int64_t i = 0; i < bottom.count(); ++i) {
        bottom.output()[i] = label ? static_cast<float>(i % 3) : values[i];
      }
      bottom.needs_gradient = !label;
    }
    for (int t = 0; t < c.tops; ++t) parameter.add_top(fmt::format("y{}", t));
    layer_ = make_layer(parameter);
    const auto shapes = layer_->set_up(bottoms_, 5);
    for (int t = 0; t < c.tops; ++t) {
      own_.push_back(std::make_unique<Value>(parameter.top(t), shapes[t]));
      tops_.push_back(own_.back().get());
      directions_.push_back(random_values(tops_.back()->count(), 100 + t));
    }
    for (const auto& p : layer_->parameters) {
      if (p->lr_mult == 0) continue;
      const auto values = random_values(p->data.numel(), 50);
      std::copy(values.begin(), values.end(), p->data.data_ptr<float>());
    }
    pass_ = {c.phase, 3, 11};
  }

  double objective() {
    layer_->forward(bottoms_, tops_, pass_);
    double sum = 0;
    for (std::size_t t = 0; t < tops_.size(); ++t) {
      for (std::int64_t i = 0; i < tops_[t]->count(); ++i) {
        sum += double{directions_[t][i]} * tops_[t]->floats()[i];
      }
    }
    return sum;
  }

  void check(float* at, const at::Tensor& gradient, const std::string& what) {
    const double scale = gradient.abs().max().item<float>();
    const std::int64_t step = std::max<std::int64_t>(1, gradient.numel() / 40);
    for (std::int64_t i = 0; i < gradient.numel(); i += step) {
      const float before = at[i], h = 4e-3f;
      at[i] = before + h;
      const double above = objective();
      at[i] = before - h;
      const double below = objective();
      const double by = double{before + h} - double{before - h};
      at[i] = before;
      EXPECT_NEAR(gradient.data_ptr<float>()[i], (above - below) / by, 4e-3 * (scale + 0.1))
          << what << " " << i;
    }
  }

  std::vector<std::unique_ptr<Value>> own_;
  Layer::Values bottoms_, tops_;
  std::vector<std::vector<float>> directions_;
  std::unique_ptr<Layer> layer_;
  PassContext pass_;
};

TEST_P(Gradients, AreThoseOfFiniteDifferences) {
  objective();
  for (std::size_t t = 0; t < tops_.size(); ++t) {
    tops_[t]->add_gradient(at::from_blob(directions_[t].data(), tops_[t]->shape).clone());
  }
  layer_->backward(tops_, bottoms_, pass_);
  for (Value* bottom : bottoms_) {
    if (!bottom->needs_gradient) continue;
    ASSERT_TRUE(bottom->gradient.defined());
    check(const_cast<float*>(bottom->floats()), bottom->gradient, bottom->name);
  }
  for (const auto& parameter : layer_->parameters) {
    if (parameter->lr_mult == 0) continue;
    check(parameter->data.data_ptr<float>(), parameter->gradient, parameter->name);
  }
}

const std::vector<Case> kCases = {
    {"conv",
     "type:'Convolution' convolution_param{num_output:5 kernel_size:3 pad:1 stride:2}",
     {{3, 4, 7, 6}}},
    {"conv_many",
     "type:'Convolution' convolution_param{num_output:8 kernel_size:3}",
     {{11, 3, 6, 6}}},
    {"conv_group",
     "type:'Convolution' convolution_param{num_output:6 kernel_h:3 kernel_w:2 group:2 pad_h:1 "
     "pad_w:0}",
     {{2, 4, 5, 6}}},
    {"conv_dilation",
     "type:'Convolution' convolution_param{num_output:3 kernel_size:3 dilation:2 bias_term:false}",
     {{2, 2, 7, 8}}},
    {"conv_two",
     "type:'Convolution' convolution_param{num_output:3 kernel_size:2}",
     {{2, 2, 4, 4}, {2, 2, 4, 4}},
     caffe::TRAIN,
     2},
    {"ip", "type:'InnerProduct' inner_product_param{num_output:7}", {{3, 2, 2, 2}}},
    {"ip_transpose",
     "type:'InnerProductFloat' inner_product_param{num_output:70 transpose:true bias_term:false}",
     {{2, 65}}},
    {"ip_axis", "type:'InnerProduct' inner_product_param{num_output:3 axis:2}", {{2, 3, 4}}},
    {"max", "type:'Pooling' pooling_param{pool:MAX kernel_size:3 stride:2}", {{2, 2, 6, 7}}},
    {"max_pad",
     "type:'Pooling' pooling_param{pool:MAX kernel_size:3 stride:2 pad:1}",
     {{1, 2, 6, 5}}},
    {"ave_pad",
     "type:'Pooling' pooling_param{pool:AVE kernel_size:3 stride:2 pad:1}",
     {{2, 2, 6, 7}}},
    {"max_apart",
     "type:'Pooling' pooling_param{kernel_h:2 kernel_w:3 stride_h:3 stride_w:2 pad_w:1}",
     {{2, 2, 7, 6}}},
    {"ave_floor",
     "type:'PoolingFloat' pooling_param{pool:AVE kernel_size:3 stride:2 round_mode:FLOOR}",
     {{2, 2, 6, 8}}},
    {"ave_outside",
     "type:'Pooling' pooling_param{pool:AVE kernel_size:1 stride:3}",
     {{2, 2, 5, 6}}},
    {"ave_global", "type:'Pooling' pooling_param{pool:AVE global_pooling:true}", {{2, 3, 4, 5}}},
    {"relu", "type:'ReLU'", {{3, 10}}},
    {"leaky", "type:'ReLU' relu_param{negative_slope:0.1}", {{3, 10}}},
    {"sigmoid", "type:'Sigmoid'", {{3, 10}}},
    {"tanh", "type:'TanH'", {{3, 10}}},
    {"swish", "type:'Swish'", {{3, 10}}},
    {"swish_beta", "type:'Swish' swish_param{beta:-1.5}", {{3, 10}}},
    {"clip", "type:'Clip' clip_param{min:-0.9 max:1.1}", {{3, 10}}},
    {"lrn", "type:'LRN' lrn_param{local_size:5 alpha:0.5 beta:0.75 k:2}", {{2, 7, 3, 3}}},
    {"lrn_beta", "type:'LRN' lrn_param{local_size:3 alpha:1 beta:0.6}", {{1, 4, 3, 3}}},
    {"lrn_within",
     "type:'LRN' lrn_param{local_size:3 alpha:0.7 beta:0.75 norm_region:WITHIN_CHANNEL}",
     {{2, 2, 5, 4}}},
    {"dropout", "type:'Dropout' dropout_param{dropout_ratio:0.3}", {{4, 25}}},
    {"concat", "type:'Concat'", {{2, 3, 2, 2}, {2, 1, 2, 2}}},
    {"concat_0", "type:'Concat' concat_param{axis:0}", {{2, 3}, {1, 3}}},
    {"split", "type:'Split'", {{2, 5}}, caffe::TRAIN, 2},
    {"flatten", "type:'Flatten'", {{2, 3, 4}}},
    {"reshape", "type:'Reshape' reshape_param{shape{dim:0 dim:-1 dim:2}}", {{2, 3, 4}}},
    {"softmax", "type:'Softmax'", {{2, 4, 3}}},
    {"loss", "type:'SoftmaxWithLoss'", {{4, 5}, {4}}, caffe::TRAIN, 1, true},
    {"loss_ignore",
     "type:'SoftmaxWithLoss' loss_param{ignore_label:1 normalization:FULL}",
     {{2, 4, 3}, {2, 3}},
     caffe::TRAIN,
     1,
     true},
    {"loss_batch",
     "type:'SoftmaxWithLoss' loss_param{normalize:false}",
     {{2, 4, 3}, {2, 3}},
     caffe::TRAIN,
     1,
     true},
    {"sum", "type:'Eltwise' eltwise_param{coeff:1 coeff:-0.5}", {{2, 6}, {2, 6}}},
    {"prod", "type:'Eltwise' eltwise_param{operation:PROD}", {{2, 6}, {2, 6}, {2, 6}}},
    {"eltmax", "type:'Eltwise' eltwise_param{operation:MAX}", {{2, 7}, {2, 7}}},
    {"bn", "type:'BatchNorm'", {{4, 3, 2, 3}}},
    {"bn_global",
     "type:'BatchNorm' batch_norm_param{use_global_stats:true eps:0.5}",
     {{4, 3, 2, 3}}},
    {"scale", "type:'Scale' scale_param{bias_term:true}", {{2, 3, 2, 2}}},
    {"scale_last", "type:'Scale' scale_param{axis:-1}", {{2, 3, 4}}},
};

INSTANTIATE_TEST_SUITE_P(Layers, Gradients, testing::ValuesIn(kCases),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace inure::test
