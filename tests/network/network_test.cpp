#include "helpers.hpp"
#include "inure/network/blas.hpp"
#include "inure/network/filler.hpp"

namespace inure::test {
namespace {

// An input x of 2 x 3 x 6 x 6 and labels y, then the layers given.
std::string with_input(const std::string& layers) {
  return "layer { name: 'x' type: 'Input' top: 'x' input_param { shape { dim: 2 dim: 3 dim: 6 dim: "
         "6 } } }\n"
         "layer { name: 'y' type: 'Input' top: 'y' input_param { shape { dim: 2 } } }\n" +
         layers;
}

struct Broken {
  const char* layers;
  const char* message;  // a part of the line
};

TEST(Network, RefusesBrokenNetworksWithTheReason) {
  const std::vector<Broken> table = {
      {"layer { name: 'a' type: 'ReLU' bottom: 'nix' top: 'a' }",
       "layer \"a\": unknown bottom \"nix\"; blobs so far: x, y"},
      {"layer { name: 'a' type: 'Sigmoid' bottom: 'x' top: 'y' }",
       "layer \"a\": top \"y\" is the top of another layer"},
      {"layer { name: 'a' type: 'Pooling' bottom: 'x' top: 'x' pooling_param { kernel_size: 2 } }",
       "Pooling cannot work in place on \"x\""},
      {"layer { name: 'a' type: 'InnerProduct' bottom: 'x' top: 'a' inner_product_param { "
       "num_output: 3 } } layer { name: 'a' type: 'Scale' bottom: 'a' top: 'b' }",
       "layer \"a\": there are two layers of this name with weights (InnerProduct and Scale); give "
       "one another name: weights are saved and loaded by it"},
      {"layer { type: 'InnerProduct' bottom: 'x' top: 'a' inner_product_param { num_output: 3 } } "
       "layer { type: 'Scale' bottom: 'a' top: 'b' }",
       "layer \"\": two layers with weights (InnerProduct and Scale) have no name; give each a "
       "name"},
      {"layer { name: 'a' type: 'ReLU' bottom: 'x' bottom: 'y' top: 'a' }",
       "layer \"a\": has 2 bottoms, but ReLU takes 1"},
      {"layer { name: 'a' type: 'SoftmaxWithLoss' bottom: 'x' top: 'a' }",
       "layer \"a\": has 1 bottoms, but SoftmaxWithLoss takes 2"},
      {"layer { name: 'a' type: 'Convolution' bottom: 'x' top: 'a' convolution_param { num_output: "
       "4 kernel_size: 9 } }",
       "kernel 9 is larger than the padded map, 6 x 6"},
      {"layer { name: 'a' type: 'Convolution' bottom: 'x' top: 'a' convolution_param { num_output: "
       "4 kernel_size: 3 group: 2 } }",
       "group 2 must divide the 3 channels and the 4 outputs"},
      {"layer { name: 'a' type: 'Convolution' bottom: 'x' top: 'a' convolution_param { num_output: "
       "4 } }",
       "kernel_size is missing"},
      {"layer { name: 'a' type: 'Convolution' bottom: 'x' top: 'a' convolution_param { "
       "kernel_size: 3 } }",
       "num_output is 0"},
      {"layer { name: 'a' type: 'Convolution' bottom: 'x' top: 'a' convolution_param { num_output: "
       "4 kernel_size: 3 kernel_h: 3 kernel_w: 3 } }",
       "give kernel once"},
      {"layer { name: 'a' type: 'Convolution' bottom: 'x' top: 'a' convolution_param { num_output: "
       "4 kernel_size: 3 stride: 0 } }",
       "stride is 0"},
      {"layer { name: 'a' type: 'Convolution' bottom: 'y' top: 'a' convolution_param { num_output: "
       "4 kernel_size: 3 } }",
       "convolution needs a bottom N x C x H x W, but \"y\" is 2"},
      {"layer { name: 'a' type: 'Pooling' bottom: 'x' top: 'a' pooling_param { kernel_size: 8 } }",
       "kernel 8 is larger than the padded map, 6 x 6, by a stride of 1 or more"},
      {"layer { name: 'a' type: 'Pooling' bottom: 'x' top: 'a' pooling_param { kernel_size: 1 "
       "stride: 4 } }",
       "layer \"a\": the last of the 3 x 3 windows lies wholly outside the map, 6 x 6, and has no "
       "maximum; round down with round_mode: FLOOR"},
      {"layer { name: 'a' type: 'Pooling' bottom: 'x' top: 'a' pooling_param { kernel_size: 2 "
       "kernel_h: 2 kernel_w: 2 } }",
       "give kernel_size, or both kernel_h and kernel_w"},
      {"layer { name: 'a' type: 'Pooling' bottom: 'x' top: 'a' pooling_param { kernel_size: 2 "
       "pad: 1 pad_w: 1 } }",
       "give stride once or stride_h and stride_w, and pad likewise"},
      {"layer { name: 'a' type: 'Pooling' bottom: 'x' top: 'a' pooling_param { global_pooling: "
       "true stride: 2 } }",
       "global_pooling takes the whole map; leave out pad and stride"},
      {"layer { name: 'a' type: 'Pooling' bottom: 'x' top: 'a' pooling_param { kernel_size: 2 "
       "round_mode: CEIL ceil_mode: false } }",
       "round_mode and ceil_mode contradict each other"},
      {"layer { name: 'a' type: 'Clip' bottom: 'x' top: 'a' clip_param { min: 1 } }",
       "clip_param needs a min and a max"},
      {"layer { name: 'a' type: 'Pooling' bottom: 'x' top: 'a' pooling_param { kernel_size: 2 pad: "
       "2 } }",
       "pad 2 must be smaller than kernel 2"},
      {"layer { name: 'a' type: 'Pooling' bottom: 'x' top: 'a' pooling_param { kernel_size: 2 "
       "pool: STOCHASTIC } }",
       "stochastic pooling is not supported"},
      {"layer { name: 'a' type: 'InnerProduct' bottom: 'x' top: 'a' inner_product_param { axis: 5 "
       "num_output: 3 } }",
       "axis 5 is outside the bottom's shape 2 x 3 x 6 x 6"},
      {"layer { name: 'a' type: 'InnerProduct' bottom: 'x' top: 'a' inner_product_param { "
       "num_output: 3 weight_filler { type: 'zeros' } } }",
       "filler \"zeros\" is not known"},
      {"layer { name: 'a' type: 'LRN' bottom: 'x' top: 'a' lrn_param { local_size: 4 } }",
       "local_size 4 is even"},
      {"layer { name: 'a' type: 'Dropout' bottom: 'x' top: 'a' dropout_param { dropout_ratio: 1 } "
       "}",
       "dropout_ratio 1 must be at least 0 and below 1"},
      {"layer { name: 'a' type: 'Concat' bottom: 'x' bottom: 'y' top: 'a' }",
       "cannot join 2 x 3 x 6 x 6 and 2 along axis 1"},
      {"layer { name: 'a' type: 'Eltwise' bottom: 'x' bottom: 'y' top: 'a' }",
       "the shapes must agree"},
      {"layer { name: 'a' type: 'Softmax' bottom: 'x' top: 'a' } layer { name: 'b' type: "
       "'SoftmaxWithLoss' bottom: 'a' bottom: 'y' top: 'b' }",
       "2 labels in \"y\" (2) for the scores"},
      {"layer { name: 'f' type: 'Flatten' bottom: 'x' top: 'f' } layer { name: 'b' type: "
       "'Accuracy' bottom: 'f' bottom: 'y' top: 'b' accuracy_param { top_k: 200 } }",
       "top_k 200 must be 1 to 108"},
      {"layer { name: 'a' type: 'Reshape' bottom: 'x' top: 'a' reshape_param { shape { dim: 5 dim: "
       "5 } } }",
       "cannot give 2 x 3 x 6 x 6 the shape 5 x 5"},
      {"layer { name: 'a' type: 'ReLU' bottom: 'x' top: 'a' loss_weight: 1 loss_weight: 1 }",
       "2 loss_weight for 1 tops"},
      {"layer { name: 'a' type: 'ReLU' bottom: 'x' top: 'a' param { lr_mult: 1 } }",
       "has 1 param, but 0 parameters"},
      {"layer { name: 'a' type: 'BatchNorm' bottom: 'x' top: 'a' param { lr_mult: 1 } }",
       "lr_mult 1 of a running mean"},
      {"layer { name: 'a' type: 'InnerProduct' bottom: 'x' top: 'a' param { name: 'w' } "
       "inner_product_param { num_output: 3 } }"
       "layer { name: 'b' type: 'InnerProduct' bottom: 'x' top: 'b' param { name: 'w' } "
       "inner_product_param { num_output: 4 } }",
       "shares param \"w\" with layer \"a\", but the shapes are 4 x 108 and 3 x 108"},
      {"layer { name: 'a' type: 'InnerProduct' bottom: 'x' top: 'a' param { name: 'w' lr_mult: 1 } "
       "inner_product_param { num_output: 3 } }"
       "layer { name: 'b' type: 'InnerProduct' bottom: 'x' top: 'b' param { name: 'w' } "
       "inner_product_param { num_output: 3 } }"
       "layer { name: 'c' type: 'InnerProduct' bottom: 'x' top: 'c' param { name: 'w' lr_mult: 2 } "
       "inner_product_param { num_output: 3 } }",
       "layer \"c\": param \"w\" has lr_mult 2, but 1 in layer \"a\", with which it is shared"},
      {"layer { name: 'a' type: 'ReLU' bottom: 'x' top: 'a' include { stage: 'other' } }"
       "layer { name: 'b' type: 'ReLU' bottom: 'a' top: 'b' }",
       "layer \"b\": bottom \"a\" is made by layer \"a\", which its include or exclude rules leave "
       "out for this phase, level and stages"},
      {"layer { name: 'a' type: 'Concat' bottom: 'x' top: 'a' concat_param { axis: 1 concat_dim: 1 "
       "} }",
       "has both axis and the older concat_dim"},
  };
  for (const Broken& broken : table) {
    try {
      parse(with_input(broken.layers));
      ADD_FAILURE() << "accepted: " << broken.layers;
    } catch (const Error& error) {
      const std::string line = error.what();
      EXPECT_NE(line.find(broken.message), std::string::npos)
          << line << "\n  for " << broken.layers;
      EXPECT_EQ(line.find('\n'), std::string::npos) << line;
    }
  }
}

TEST(Network, KeepsTheLayersOfItsPhase) {
  const std::string text = with_input(
      "layer { name: 'f' type: 'Flatten' bottom: 'x' top: 'f' }"
      "layer { name: 'acc' type: 'Accuracy' bottom: 'f' bottom: 'y' top: 'acc' include { phase: "
      "TEST } }"
      "layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'f' bottom: 'y' top: 'loss' exclude { "
      "phase: TEST } }");
  const auto train = parse(text, caffe::TRAIN), test = parse(text, caffe::TEST);
  ASSERT_EQ(train->nodes().size(), 2u);
  EXPECT_EQ(train->nodes()[1].layer->name(), "loss");
  EXPECT_EQ(test->nodes()[1].layer->name(), "acc");
}

const char* const kShared2 =
    "layer { name: 'f' type: 'Flatten' bottom: 'x' top: 'f' }"
    "layer { name: 'a' type: 'InnerProduct' bottom: 'f' top: 'a' param { name: 'w' } param { name: "
    "'b' }"
    "  inner_product_param { num_output: 108 weight_filler { type: 'xavier' } } }"
    "layer { name: 'b' type: 'InnerProduct' bottom: 'a' top: 'b' param { name: 'w' } param { name: "
    "'b' }"
    "  inner_product_param { num_output: 108 weight_filler { type: 'xavier' } } }"
    "layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'b' bottom: 'y' top: 'loss' }";

TEST(Network, SharedParametersCollectBothGradients) {
  const auto net = parse(with_input(kShared2));
  ASSERT_EQ(net->parameters().size(), 2u);
  EXPECT_EQ(net->nodes()[1].layer->parameters[0], net->nodes()[2].layer->parameters[0]);
  net->set_input("x", random_values(216, 1));
  net->set_input("y", {3, 50});
  net->clear_gradients();
  net->forward(0);
  net->backward();
  const at::Tensor both = net->parameters()[0]->gradient.clone();
  float& weight = net->parameters()[0]->data.data_ptr<float>()[3 * 108 + 7];
  const float before = weight, h = 2e-2f;
  weight = before + h;
  net->forward(0);
  const double above = net->loss();
  weight = before - h;
  net->forward(0);
  EXPECT_NEAR(both.data_ptr<float>()[3 * 108 + 7], (above - net->loss()) / (2 * h), 2e-3);
}

TEST(Network, OnlyWhatLearnsRunsBackward) {
  const auto net =
      parse(with_input("layer { name: 'r' type: 'ReLU' bottom: 'x' top: 'x' }"
                       "layer { name: 'a' type: 'InnerProduct' bottom: 'x' top: 'a' param { "
                       "lr_mult: 0 } param { lr_mult: 0 }"
                       "  inner_product_param { num_output: 4 weight_filler { type: 'xavier' } } }"
                       "layer { name: 'b' type: 'InnerProduct' bottom: 'a' top: 'b' "
                       "inner_product_param { num_output: 4 } }"
                       "layer { name: 'acc' type: 'Accuracy' bottom: 'b' bottom: 'y' top: 'acc' }"
                       "layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'b' bottom: 'y' top: "
                       "'loss' loss_weight: 2 }"));
  net->set_input("x", random_values(216, 1));
  net->set_input("y", {3, 0});
  net->forward(0);
  net->backward();
  std::vector<bool> backward;
  for (const auto& node : net->nodes()) backward.push_back(node.needs_backward);
  EXPECT_EQ(backward, (std::vector<bool>{false, false, true, false, true}));
  EXPECT_FALSE(net->blob("a").gradient.defined());
  EXPECT_EQ(net->loss(), 2 * net->blob("loss").data().item<float>());
  ASSERT_EQ(net->blob_versions("x").size(), 2u);
  const auto outputs = net->outputs();
  ASSERT_EQ(outputs.size(), 2u);
  EXPECT_EQ(outputs[0].name, "acc");
  EXPECT_EQ(outputs[1].name, "loss");
  EXPECT_EQ(outputs[1].loss_weight, 2);
}

TEST(Network, SavesAndLoadsWeights) {
  const auto first = parse(with_input(kShared2), caffe::TRAIN, {}, 1);
  const auto second = parse(with_input(kShared2), caffe::TRAIN, {}, 2);
  EXPECT_FALSE(first->parameters()[0]->data.equal(second->parameters()[0]->data));
  caffe::NetParameter weights = first->save();
  second->load(weights, "model");
  EXPECT_TRUE(first->parameters()[0]->data.equal(second->parameters()[0]->data));
  EXPECT_GT(second->parameters()[0]->version, 0);

  const auto blob = [](caffe::NetParameter& net) {
    for (auto& layer : *net.mutable_layer()) {
      if (layer.name() == "a") return layer.mutable_blobs(0);
    }
    throw std::logic_error("no layer a");
  };
  blob(weights)->clear_shape();  // as files of Caffe's first years
  blob(weights)->set_num(1), blob(weights)->set_channels(1);
  blob(weights)->set_height(108), blob(weights)->set_width(108);
  EXPECT_NO_THROW(second->load(weights, "model"));
  blob(weights)->set_height(54), blob(weights)->set_width(216);
  try {
    second->load(weights, "model");
    ADD_FAILURE() << "loaded a wrong shape";
  } catch (const Error& error) {
    EXPECT_STREQ(
        error.what(),
        "model: layer \"a\", blob 0: the file has 1 x 1 x 54 x 216, the network 108 x 108; to "
        "train the layer anew, give it another name in the network");
  }
}

TEST(Network, TestNetworkUsesTheTrainingNetworksParameters) {
  const auto train = parse(with_input(kShared2), caffe::TRAIN, {}, 1);
  const auto test = parse(with_input(kShared2), caffe::TEST, {}, 2);
  test->share_parameters(*train);
  EXPECT_EQ(test->parameters()[0], train->parameters()[0]);
}

TEST(Network, AccuracyCountsATieAgainstTheLabel) {
  const auto net = parse(
      "layer { name: 's' type: 'Input' top: 's' input_param { shape { dim: 4 dim: 3 } } }"
      "layer { name: 'y' type: 'Input' top: 'y' input_param { shape { dim: 4 } } }"
      "layer { name: 'one' type: 'Accuracy' bottom: 's' bottom: 'y' top: 'one' top: 'classes' }"
      "layer { name: 'two' type: 'Accuracy' bottom: 's' bottom: 'y' top: 'two' accuracy_param { "
      "top_k: 2 ignore_label: 2 } }");
  net->set_input("s", {5, 1, 0, /**/ 2, 2, 0, /**/ 1, 2, 3, /**/ 0, 0, 0});
  net->set_input("y", {0, 0, 2, 1});
  net->forward(0);
  EXPECT_FLOAT_EQ(net->blob("one").data().item<float>(), 0.5f);
  EXPECT_FLOAT_EQ(net->blob("two").data().item<float>(), 2 / 3.0f);
  const float* classes = net->blob("classes").floats();
  EXPECT_EQ((std::vector<float>{classes[0], classes[1], classes[2]}),
            (std::vector<float>{0.5f, 0, 1}));
  for (const float label : {7.0f, 3.0f, -1.0f, 1e30f, -1e30f, std::nanf("")}) {
    float* labels = net->blob("y").output();
    std::fill(labels, labels + 4, label);
    EXPECT_THROW(net->forward(0), Error) << label;
  }
}

// Sizes by hand, with Caffe's rounding up and its dropped last window; averages count the padding.
TEST(Network, PoolingRoundsAndAveragesAsCaffe) {
  const auto shape = [](const std::string& window, int size) {
    const auto net = parse(fmt::format(
        "layer {{ name: 'x' type: 'Input' top: 'x' input_param {{ shape {{ dim: 1 dim: 1 dim: {0} "
        "dim: {0} }} }} }}"
        "layer {{ name: 'p' type: 'Pooling' bottom: 'x' top: 'p' pooling_param {{ {1} }} }}",
        size, window));
    return net->blob("p").shape[2];
  };
  EXPECT_EQ(shape("kernel_size: 3 stride: 2", 6), 3);
  EXPECT_EQ(shape("kernel_size: 3 stride: 2", 7), 3);
  EXPECT_EQ(shape("kernel_size: 2 stride: 2 pad: 1", 5), 3);
  EXPECT_EQ(shape("kernel_size: 3 stride: 2 pad: 1", 6), 4);
  EXPECT_EQ(shape("global_pooling: true", 6), 1);
  const auto net = parse(
      "layer { name: 'x' type: 'Input' top: 'x' input_param { shape { dim: 1 dim: 1 dim: 2 dim: 2 "
      "} } }"
      "layer { name: 'p' type: 'Pooling' bottom: 'x' top: 'p' pooling_param { pool: AVE "
      "kernel_size: 3 stride: 2 pad: 1 } }");
  net->set_input("x", {1, 2, 3, 4});
  net->forward(0);
  ASSERT_EQ(net->blob("p").count(), 4);
  EXPECT_FLOAT_EQ(net->blob("p").floats()[0], 10 / 9.0f);
  EXPECT_FLOAT_EQ(net->blob("p").floats()[3], 4 / 4.0f);
}

TEST(Network, DropoutKeepsTheMeanAndChangesWithTheIteration) {
  const auto net = parse(
      "layer { name: 'x' type: 'Input' top: 'x' input_param { shape { dim: 100000 } } }"
      "layer { name: 'd' type: 'Dropout' bottom: 'x' top: 'd' dropout_param { dropout_ratio: 0.4 } "
      "}");
  net->set_input("x", std::vector<float>(100000, 1.0f));
  net->forward(0);
  const at::Tensor first = net->blob("d").data().clone();
  EXPECT_NEAR(first.mean().item<float>(), 1, 0.01);
  EXPECT_NEAR(first.eq(0).to(at::kFloat).mean().item<float>(), 0.4, 0.01);
  net->forward(1);
  EXPECT_FALSE(first.equal(net->blob("d").data()));
  net->forward(0);
  EXPECT_TRUE(first.equal(net->blob("d").data()));
}

TEST(Value, MakesFloatsOfInt8ChannelsFirst) {
  Value value("v", {1, 2, 1, 3});
  auto map = std::make_shared<Int8Map>();
  map->reshape(1, 1, 3, 2);
  map->fraction = 2;
  map->values = {1, -4, 2, -8, 3, -12};
  value.set_fixed_point(map);
  const std::vector<float> expected = {0.25f, 0.5f, 0.75f, -1, -2, -3};
  for (int i = 0; i < 6; ++i) EXPECT_EQ(value.floats()[i], expected[i]);
}

struct Moments {
  const char* filler;
  double mean, deviation;
};

TEST(Filler, HasTheMomentsThatItPromises) {
  const std::vector<Moments> table = {
      {"value: 0.5", 0.5, 0},
      {"type: 'uniform' min: -1 max: 3", 1, 4 / std::sqrt(12.0)},
      {"type: 'gaussian' mean: 2 std: 0.1", 2, 0.1},
      {"type: 'gaussian' std: 1 sparse: 30", 0, std::sqrt(0.1)},
      {"type: 'xavier'", 0, std::sqrt(1 / 200.0)},
      {"type: 'xavier' variance_norm: FAN_OUT", 0, std::sqrt(1 / 300.0)},
      {"type: 'msra' variance_norm: AVERAGE", 0, std::sqrt(2 / 250.0)},
      {"type: 'positive_unitball'", 1 / 200.0, 1 / 200.0 / std::sqrt(3.0)},
  };
  for (const Moments& wanted : table) {
    const auto net = parse(
        "layer { name: 'x' type: 'Input' top: 'x' input_param { shape { dim: 1 dim: 200 } } }"
        "layer { name: 'i' type: 'InnerProduct' bottom: 'x' top: 'i' inner_product_param {"
        "  num_output: 300 bias_term: false weight_filler { " +
        std::string(wanted.filler) + " } } }");
    const at::Tensor w = net->parameters()[0]->data.to(at::kDouble);
    const double tolerance = 0.02 * std::max(wanted.deviation, 1e-3);
    EXPECT_NEAR(w.mean().item<double>(), wanted.mean, tolerance) << wanted.filler;
    EXPECT_NEAR(w.std().item<double>(), wanted.deviation, tolerance) << wanted.filler;
  }
}

TEST(Filler, BilinearInterpolates) {
  at::Tensor data = at::empty({1, 1, 4, 4});
  caffe::FillerParameter filler;
  filler.set_type("bilinear");
  fill(data, filler, 1, "up", 0);
  EXPECT_FLOAT_EQ(data[0][0][0][0].item<float>(), 0.0625f);
  EXPECT_FLOAT_EQ(data[0][0][1][2].item<float>(), 0.5625f);
  EXPECT_FLOAT_EQ(data.sum().item<float>(), 4);
}

TEST(Blas, IsDetected) {
  for (const std::string& warning : blas_warnings()) {
    EXPECT_NE(warning.find("install libopenblas0-openmp"), std::string::npos) << warning;
  }
}

}  // namespace
}  // namespace inure::test
