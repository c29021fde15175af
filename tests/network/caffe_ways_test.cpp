// What Caffe does with files that are written in an unusual way.

#include <algorithm>

#include "helpers.hpp"
#include "tests/common.hpp"

namespace inure::test {
namespace {

// Inputs x of 2 x 2 x 5 x 4 and labels y of 2, then the layers given.
std::string after_inputs(const std::string& layers) {
  return "layer { name: 'in' type: 'Input' top: 'x' top: 'y' input_param {"
         "  shape { dim: 2 dim: 2 dim: 5 dim: 4 } shape { dim: 2 } } }" +
         layers;
}

std::unique_ptr<Network> run(const std::string& layers, caffe::Phase phase = caffe::TRAIN) {
  auto net = parse(after_inputs(layers), phase);
  net->set_input("x", random_values(80, 3));
  net->set_input("y", {1, 0});
  net->forward(0);
  return net;
}

std::string inner_product(const std::string& name, const std::string& bottom,
                          const std::string& more = "") {
  return "layer { name: '" + name + "' type: 'InnerProduct' bottom: '" + bottom + "' top: 'top " +
         name + "' inner_product_param { num_output: 3 weight_filler { type: 'xavier' } } " + more +
         " }";
}

std::vector<float> values_of(const at::Tensor& tensor) {
  return {tensor.data_ptr<float>(), tensor.data_ptr<float>() + tensor.numel()};
}

// --- Names

TEST(Names, OfLayersWithoutWeightsMayBeAnother) {
  const std::string relu = "layer { name: 'a' type: 'ReLU' bottom: 'top a' top: 'top a' }";
  const std::string layers = inner_product("a", "x") + relu + relu +
                             "layer { type: 'ReLU' bottom: 'top a' top: 'r' }"
                             "layer { type: 'Sigmoid' bottom: 'r' top: 's' }" +
                             inner_product("in", "s") + inner_product("", "s");
  const auto net = run(layers), other = parse(after_inputs(layers), caffe::TRAIN, {}, 9);
  ASSERT_EQ(net->parameters().size(), 6u);
  other->load(net->save(), "weights");
  const auto shared = parse(after_inputs(layers), caffe::TEST, {}, 8);
  shared->share_parameters(*net);
  for (int i = 0; i < 6; ++i) {
    EXPECT_TRUE(other->parameters()[i]->data.equal(net->parameters()[i]->data)) << i;
    EXPECT_EQ(shared->parameters()[i], net->parameters()[i]) << i;
  }
  EXPECT_FALSE(net->parameters()[2]->data.equal(net->parameters()[4]->data));
}

TEST(Names, DropoutsOfOneNameDropOtherValues) {
  for (const std::string name : {"name: 'd'", ""}) {
    const std::string dropout = "layer { " + name + " type: 'Dropout' bottom: 'x' top: ";
    const auto net = run(dropout + "'a' }" + dropout + "'b' }");
    EXPECT_FALSE(net->blob("a").data().equal(net->blob("b").data())) << name;
  }
}

TEST(Names, OfAnInputWrittenInFrontMayBeALayers) {
  const auto net = parse(
      "input: 'data' input_dim: 1 input_dim: 3 input_dim: 6 input_dim: 6 layer { name: 'input' "
      "type: 'Convolution' bottom: 'data' top: 'c' convolution_param { num_output: 2 kernel_size: "
      "3 } }");
  EXPECT_EQ(net->blob("c").shape, (std::vector<std::int64_t>{1, 2, 4, 4}));
}

// --- Shapes

TEST(CaffeWays, WindowsGivenForOneAxis) {
  const std::vector<std::pair<std::string, std::vector<std::int64_t>>> table = {
      {"type: 'Convolution' convolution_param { num_output: 1 kernel_size: 3 pad_w: 1 }", {3, 4}},
      {"type: 'Convolution' convolution_param { num_output: 1 kernel_size: 3 pad_h: 1 }", {5, 2}},
      {"type: 'Convolution' convolution_param { num_output: 1 kernel_size: 2 stride_h: 2 }",
       {2, 3}},
      {"type: 'Convolution' convolution_param { num_output: 1 kernel_size: 2 stride_w: 2 }",
       {4, 2}},
      {"type: 'Pooling' pooling_param { kernel_size: 3 pad_w: 1 }", {3, 4}},
      {"type: 'Pooling' pooling_param { kernel_size: 3 stride_h: 2 }", {2, 2}},
      // By hand: (5 - 2) / 2 rounded up or down; larger than the map; one axis padded drops both.
      {"type: 'Pooling' pooling_param { kernel_size: 2 stride: 2 }", {3, 2}},
      {"type: 'Pooling' pooling_param { kernel_size: 2 stride: 2 round_mode: FLOOR }", {2, 2}},
      {"type: 'Pooling' pooling_param { kernel_size: 2 stride: 2 ceil_mode: false }", {2, 2}},
      {"type: 'Pooling' pooling_param { kernel_size: 6 stride: 3 }", {1, 1}},
      {"type: 'Pooling' pooling_param { pool: AVE kernel_size: 2 stride: 5 }", {2, 2}},
      {"type: 'Pooling' pooling_param { pool: AVE kernel_size: 2 stride: 5 pad_w: 1 }", {1, 1}},
  };
  for (const auto& [layer, map] : table) {
    const auto net = run("layer { name: 'l' bottom: 'x' top: 't' " + layer + " }");
    const auto& shape = net->blob("t").shape;
    EXPECT_EQ((std::vector<std::int64_t>{shape[2], shape[3]}), map) << layer;
  }
  const auto net =
      run("layer { name: 'c' type: 'Concat' bottom: 'x' bottom: 'x' top: 't' "
          "concat_param { axis: -1 } }");
  EXPECT_EQ(net->blob("t").shape, (std::vector<std::int64_t>{2, 2, 5, 8}));
}

// Every number of a layer at the ends of its type: it runs, or the layer is named.
TEST(CaffeWays, NumbersOfAnySizeRunOrNameTheirLayer) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> fields = {
      {"type: 'Convolution' convolution_param { num_output: 2 kernel_size: 1",
       {"pad", "stride", "dilation", "group", "pad_h", "pad_w", "stride_h", "stride_w", "axis"}},
      {"type: 'Convolution' convolution_param { num_output: 2", {"kernel_size", "kernel_h"}},
      {"type: 'Convolution' convolution_param { kernel_size: 1", {"num_output"}},
      {"type: 'Pooling' pooling_param { kernel_size: 2",
       {"pad", "stride", "pad_h", "pad_w", "stride_h", "stride_w"}},
      {"type: 'Pooling' pooling_param {", {"kernel_size", "kernel_h: 1 kernel_w"}},
      {"type: 'Pooling' pooling_param { kernel_size: 2147483647", {"pad", "stride"}},
      {"type: 'Pooling' pooling_param { pool: AVE kernel_size: 2147483647 stride: 2147483647",
       {"pad", "pad_w"}},
      {"type: 'InnerProduct' inner_product_param {", {"num_output"}},
      {"type: 'InnerProduct' inner_product_param { num_output: 1", {"axis"}},
      {"type: 'LRN' lrn_param {", {"local_size", "norm_region: WITHIN_CHANNEL local_size"}},
      {"type: 'Concat' concat_param {", {"axis", "concat_dim"}},
      {"type: 'Softmax' softmax_param {", {"axis"}},
      {"type: 'Scale' scale_param {", {"axis", "num_axes"}},
      {"type: 'Flatten' flatten_param {", {"axis", "end_axis"}},
      {"type: 'Reshape' reshape_param {",
       {"axis", "num_axes", "shape { dim: -1 } axis", "shape { dim: 2 } num_axes"}},
      {"type: 'Reshape' reshape_param { shape { dim: 3037000500 dim: 3037000500 dim: 0", {"dim"}},
  };
  int ran = 0, refused = 0;
  for (const auto& [layer, names] : fields) {
    for (const std::string& name : names) {
      for (const std::string number : {"-2147483648", "-1", "0", "1", "2", "3", "2147483646",
                                       "2147483647", "4294967295", "9223372036854775807"}) {
        std::string text = "name: 'odd' bottom: 'x' top: 't' " + layer + " " + name + ": " + number;
        text +=
            std::count(text.begin(), text.end(), '{') - std::count(text.begin(), text.end(), '}') ==
                    2
                ? " } }"
                : " }";
        const std::string error = error_of([&] { run("layer { " + text + " }"); });
        if (error.starts_with("test.prototxt:")) continue;  // beyond its type
        ++(error.empty() ? ran : refused);
        EXPECT_TRUE(error.empty() || error.find("layer \"odd\"") == 0) << text << ": " << error;
      }
    }
  }
  EXPECT_GT(ran, 60);
  EXPECT_GT(refused, 100);
}

// --- Learning

TEST(CaffeWays, LossWithoutATopIsOneOfWeight1) {
  const std::string loss = "layer { name: 'l' type: 'SoftmaxWithLoss' bottom: 'top a' bottom: 'y' ";
  const auto named = run(inner_product("a", "x") + loss + "top: 'loss' }");
  const auto nameless = run(inner_product("a", "x") + loss + "}");
  EXPECT_GT(nameless->loss(), 0.1);
  EXPECT_EQ(nameless->loss(), named->loss());
  EXPECT_EQ(named->outputs().size(), 1u);
  EXPECT_EQ(nameless->outputs().size(), 0u);
  named->backward();
  nameless->backward();
  EXPECT_TRUE(named->parameters()[0]->gradient.equal(nameless->parameters()[0]->gradient));
  const auto heavy = run(inner_product("a", "x") + loss + "loss_weight: 3 }");
  EXPECT_NEAR(heavy->loss(), 3 * named->loss(), 1e-6);
}

TEST(CaffeWays, WhoGivesAMultiplierDecides) {
  const auto rates = [](const std::string& first, const std::string& second) {
    const auto net = run(inner_product("a", "x", "param { name: 'w' " + first + " }") +
                         inner_product("b", "x", "param { name: 'w' " + second + " }"));
    return std::pair(net->parameters()[0]->lr_mult, net->parameters()[0]->decay_mult);
  };
  EXPECT_EQ(rates("", "lr_mult: 3"), std::pair(3.0f, 1.0f));
  EXPECT_EQ(rates("lr_mult: 3", ""), std::pair(3.0f, 1.0f));
  EXPECT_EQ(rates("lr_mult: 2 decay_mult: 0", "lr_mult: 2"), std::pair(2.0f, 0.0f));
  EXPECT_EQ(rates("lr_mult: 0", "decay_mult: 4"), std::pair(0.0f, 4.0f));
}

TEST(CaffeWays, ForceBackwardGivesFrozenParametersAGradient) {
  const std::string layers =
      "layer { name: 'c' type: 'Convolution' bottom: 'x' top: 'c' param { lr_mult: 0 } param { "
      "lr_mult: 0 } propagate_down: false convolution_param { num_output: 3 kernel_size: 2 "
      "weight_filler { type: 'xavier' } } }"
      "layer { name: 's' type: 'Scale' bottom: 'c' top: 's' param { lr_mult: 0 } }" +
      inner_product("a", "s", "param { lr_mult: 0 } param { lr_mult: 0 }") +
      "layer { name: 'l' type: 'SoftmaxWithLoss' bottom: 'top a' bottom: 'y' top: 'l' }";
  const auto gradients = [&](const std::string& front) {
    const auto net = parse(front + after_inputs(layers));
    net->set_input("x", random_values(80, 3));
    net->set_input("y", {1, 0});
    net->forward(0);
    net->backward();
    int some = 0;
    for (const auto& p : net->parameters()) some += at::count_nonzero(p->gradient).item<long>() > 0;
    return std::pair(some, net->blob("x").gradient.defined());
  };
  EXPECT_EQ(gradients(""), std::pair(0, false));
  EXPECT_EQ(gradients("force_backward: true "), std::pair(5, true));
}

// x0 x1 x2 and which of them gets the gradient.
TEST(CaffeWays, MaximumsTiesGoToTheSecondAndCoefficientsAreIgnored) {
  const auto net = parse(
      "force_backward: true layer { name: 'in' type: 'Input' top: 'a' top: 'b' top: 'c' "
      "input_param { shape { dim: 1 dim: 6 } } }"
      "layer { name: 'm' type: 'Eltwise' bottom: 'a' bottom: 'b' bottom: 'c' top: 'm' loss_weight: "
      "1 eltwise_param { operation: MAX coeff: 1 coeff: -2 coeff: 5 } }");
  net->set_input("a", {1, 1, 2, 0, 3, 1});
  net->set_input("b", {1, 1, 1, 0, 3, 2});
  net->set_input("c", {1, 0, 2, 5, 3, 1});
  net->forward(0);
  net->backward();
  EXPECT_EQ(values_of(net->blob("m").data()), (std::vector<float>{1, 1, 2, 5, 3, 2}));
  EXPECT_EQ(values_of(net->blob("a").gradient), (std::vector<float>{0, 0, 1, 0, 0, 0}));
  EXPECT_EQ(values_of(net->blob("b").gradient), (std::vector<float>{1, 1, 0, 0, 1, 1}));
  EXPECT_EQ(values_of(net->blob("c").gradient), (std::vector<float>{0, 0, 0, 1, 0, 0}));
}

TEST(CaffeWays, DropoutOf0KeepsEverything) {
  const auto net =
      run("layer { name: 'd' type: 'Dropout' bottom: 'x' top: 't' dropout_param { "
          "dropout_ratio: 0 } }");
  EXPECT_EQ(values_of(net->blob("t").data()), random_values(80, 3));
}

TEST(CaffeWays, ALayerMayHaveAPhaseOfItsOwn) {
  const std::string dropout = "layer { name: 'd' type: 'Dropout' bottom: 'x' top: 't' phase: ";
  const auto zeros = [](const Network& net) {
    return net.nodes()[0].tops[0]->data().eq(0).sum().item<long>();
  };
  EXPECT_EQ(zeros(*run(dropout + "TEST }", caffe::TRAIN)), 0);
  EXPECT_GT(zeros(*run(dropout + "TRAIN }", caffe::TEST)), 10);
}

// --- Data layers

TEST(CaffeWays, TransformFieldsOfDataParamAreNoted) {
  const auto notes = [](const std::string& layer) {
    return parse(layer, caffe::TRAIN, {{2, 3, 4, 4}})->notes();
  };
  const auto noted =
      notes("layer { name: 'd' type: 'Data' top: 'x' data_param { mirror: true crop_size: 4 } }");
  ASSERT_EQ(noted.size(), 1u);
  EXPECT_EQ(
      noted[0],
      "layer \"d\": crop_size, mirror of data_param has no effect, as in Caffe; in a layer of "
      "this format it belongs into transform_param");
  EXPECT_EQ(notes("layers { name: 'd' type: DATA top: 'x' data_param { mirror: true } }").size(),
            0u);
}

TEST(CaffeWays, RulesThatLeaveNoDataLayerAreNamed) {
  const std::string text =
      "name: 'n' layer { name: 'd' type: 'Input' top: 'x' input_param { shape { dim: 2 } } include "
      "{ stage: 'deploy' } } layer { name: 'r' type: 'ReLU' bottom: 'x' top: 'r' }";
  EXPECT_EQ(
      error_of([&] { parse(text, caffe::TEST); }),
      "network \"n\": its include and exclude rules leave no data layer for phase TEST, level "
      "0, stages []; give the phase, level or stages of one of: d");
  EXPECT_EQ(error_of([&] { parse("state { stage: 'deploy' } " + text, caffe::TEST); }), "");
}

}  // namespace
}  // namespace inure::test
