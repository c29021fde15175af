#include "inure/caffe/files.hpp"

#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <sstream>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "tests/common.hpp"

namespace inure::caffe {
namespace {

const std::filesystem::path kShared = INURE_SHARED_DATA;

#define SKIP_WITHOUT_SHARED_DATA() \
  if (!std::filesystem::exists(kShared)) GTEST_SKIP() << "no shared data at " << kShared

using Shape = std::vector<std::int64_t>;

bool same(const google::protobuf::Message& a, const google::protobuf::Message& b) {
  return google::protobuf::util::MessageDifferencer::Equals(a, b);
}

const LayerParameter& layer_named(const NetParameter& net, const std::string& name) {
  for (const auto& layer : net.layer()) {
    if (layer.name() == name) return layer;
  }
  throw std::runtime_error("no layer " + name);
}

TEST(Models, LenetHasTheGoldenParameters) {
  SKIP_WITHOUT_SHARED_DATA();
  const auto model = read_model(kShared / "lenet_mnist/lenet.caffemodel");
  std::istringstream index(read_file(kShared / "lenet_mnist/golden/index.txt"));
  int compared = 0;
  for (std::string line; std::getline(index, line);) {
    const auto bracket = line.find('[');
    if (bracket == line.npos) continue;  // a blob; parameters are written as conv1[0]
    const auto& blob = layer_named(model, line.substr(0, bracket)).blobs(line[bracket + 1] - '0');
    const auto golden =
        read_file(kShared / "lenet_mnist/golden" / line.substr(line.rfind(' ') + 1));
    ASSERT_EQ(golden.size(), sizeof(float) * static_cast<std::size_t>(blob.data_size())) << line;
    EXPECT_EQ(std::memcmp(golden.data(), blob.data().data(), golden.size()), 0) << line;
    std::ostringstream shape;
    for (const auto dim : blob_shape(blob)) shape << ' ' << dim;
    EXPECT_EQ(line.substr(bracket + 3, line.find('(') - bracket - 4), shape.str()) << line;
    ++compared;
  }
  EXPECT_EQ(compared, 8);
}

TEST(Models, OthersAreReadAndWrittenBackEqual) {
  SKIP_WITHOUT_SHARED_DATA();
  const TemporaryFolder folder;
  const std::map<std::string, std::pair<std::string, Shape>> models = {
      {"lenet_mnist/lenet.caffemodel", {"conv1", {20, 1, 5, 5}}},
      {"squeezenet_v1.1/squeezenet_v1.1.caffemodel", {"conv10", {1000, 512, 1, 1}}},
      {"cifar10_quick/cifar10_quick_iter_4000.caffemodel", {"ip2", {10, 64}}},
      {"resnet20_cifar10/resnet20.caffemodel", {"", {16, 3, 3, 3}}},
  };
  for (const auto& [name, expected] : models) {
    const auto model = read_model(kShared / name);
    const LayerParameter* layer = nullptr;
    for (const auto& candidate : model.layer()) {
      const bool chosen = expected.first.empty() ? layer == nullptr && candidate.blobs_size() > 0
                                                 : candidate.name() == expected.first;
      if (chosen) layer = &candidate;
    }
    ASSERT_NE(layer, nullptr) << name;
    EXPECT_EQ(blob_shape(layer->blobs(0)), expected.second) << name;
    write_model(folder / "copy.caffemodel", model);
    EXPECT_TRUE(same(model, read_model(folder / "copy.caffemodel"))) << name;
  }
}

TEST(Models, SolverStateIsReadAndWrittenBackEqual) {
  SKIP_WITHOUT_SHARED_DATA();
  const TemporaryFolder folder;
  const auto state =
      read_solver_state(kShared / "cifar10_quick/cifar10_quick_iter_4000.solverstate");
  EXPECT_EQ(state.iter(), 4000);
  ASSERT_EQ(state.history_size(), 10);  // weights and biases of three convolutions, two products
  EXPECT_EQ(blob_shape(state.history(0)), (Shape{32, 3, 5, 5}));
  write_solver_state(folder / "copy.solverstate", state);
  EXPECT_TRUE(same(state, read_solver_state(folder / "copy.solverstate")));
}

TEST(Models, MeanHasFourDimensionsAndPixelValues) {
  SKIP_WITHOUT_SHARED_DATA();
  const TemporaryFolder folder;
  const auto mean = read_mean(kShared / "cifar10_quick/mean.binaryproto");
  EXPECT_EQ(blob_shape(mean), (Shape{1, 3, 32, 32}));
  for (const float value : mean.data()) {
    ASSERT_GT(value, 80);
    ASSERT_LT(value, 180);
  }
  write_mean(folder / "copy.binaryproto", mean);
  EXPECT_TRUE(same(mean, read_mean(folder / "copy.binaryproto")));
}

TEST(Models, DoubleDataBecomesFloat) {
  const TemporaryFolder folder;
  NetParameter model;
  auto& layer = *model.add_layer();
  layer.set_name("ip");
  layer.set_type("InnerProduct");
  auto& blob = *layer.add_blobs();
  blob.mutable_shape()->add_dim(2);
  blob.add_double_data(0.5);
  blob.add_double_data(-3);
  write_model(folder / "double.caffemodel", model);
  const auto read = read_model(folder / "double.caffemodel").layer(0).blobs(0);
  EXPECT_EQ(read.double_data_size(), 0);
  EXPECT_EQ(std::vector<float>(read.data().begin(), read.data().end()),
            (std::vector<float>{0.5f, -3.0f}));
}

TEST(Models, UnknownFieldsAreIgnoredAndKept) {
  const TemporaryFolder folder;
  NetParameter model;
  model.add_layer()->set_type("ReLU");
  std::string bytes = model.SerializeAsString();
  const std::string unknown("\xba\x3e\x03xyz", 6);  // field 999, 3 bytes
  const auto path = folder.write("more.caffemodel", bytes + unknown);
  const auto read = read_model(path);
  EXPECT_EQ(read.layer_size(), 1);
  EXPECT_EQ(read.SerializeAsString(), bytes + unknown);
}

TEST(Upgrade, InputsBecomeAnInputLayerInFront) {
  const auto net = parse_net(
      "input: 'a' input: 'b' input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 4 "
      "input_dim: 5 input_dim: 6 input_dim: 7 input_dim: 8 layer { name: 'r' type: 'ReLU' }",
      "net");
  ASSERT_EQ(net.layer_size(), 2);
  EXPECT_EQ(net.input_size() + net.input_dim_size(), 0);
  EXPECT_EQ(net.layer(0).type(), "Input");
  EXPECT_EQ(net.layer(0).top(1), "b");
  EXPECT_EQ(net.layer(0).input_param().shape(1).dim(3), 8);
  EXPECT_EQ(net.layer(1).name(), "r");
  const auto shaped =
      parse_net("input: 'a' input_shape { dim: 3 dim: 9 } layer { name: 'r' type: 'ReLU' }", "net");
  EXPECT_EQ(shaped.layer(0).input_param().shape(0).dim(1), 9);
}

// As in Caffe: input_shape goes before input_dim, and inputs without either are left-overs.
TEST(Upgrade, InputsWithoutShapesAndDimsWithoutInputsAreLeftOvers) {
  const std::string relu = " layer { name: 'r' type: 'ReLU' }";
  for (const std::string front : {"input: 'a'", "input_dim: 3", "input_shape { dim: 2 }"}) {
    const auto net = parse_net(front + relu, "net");
    EXPECT_EQ(net.layer_size(), 1) << front;
    EXPECT_EQ(net.input_size() + net.input_dim_size() + net.input_shape_size(), 0) << front;
  }
  const auto both = parse_net(
      "input: 'a' input_shape { dim: 3 dim: 9 } input_dim: 1 input_dim: 1 input_dim: 1" + relu,
      "net");
  EXPECT_EQ(both.layer(0).input_param().shape(0).dim(1), 9);
}

TEST(Models, OldLayersOfForksAreReadForTheirWeights) {
  const TemporaryFolder folder;
  NetParameter model;
  const auto add = [&](const std::string& name, float weight) {
    V1LayerParameter& layer = *model.add_layers();
    layer.set_name(name);
    layer.add_blobs()->add_data(weight);
    layer.mutable_blobs(0)->set_num(1), layer.mutable_blobs(0)->set_channels(1);
    layer.mutable_blobs(0)->set_height(1), layer.mutable_blobs(0)->set_width(1);
    return &layer;
  };
  add("ip", 3)->set_type(V1LayerParameter::INNER_PRODUCT);
  add("forks", 4)->mutable_unknown_fields()->AddVarint(5, 77);  // a type that Caffe lacks
  V0LayerParameter& first = *add("", 0)->mutable_layer();
  first.set_name("v0");
  first.set_type("forks_too");
  *first.add_blobs() = model.layers(0).blobs(0);
  write_model(folder / "old.caffemodel", model);
  const auto read = read_model(folder / "old.caffemodel");
  ASSERT_EQ(read.layer_size(), 3);
  EXPECT_EQ(read.layer(0).type(), "InnerProduct");
  EXPECT_EQ(read.layer(1).name(), "forks");
  EXPECT_EQ(read.layer(1).blobs(0).data(0), 4);
  EXPECT_EQ(read.layer(2).name(), "v0");
  EXPECT_EQ(read.layer(2).blobs(0).data(0), 3);
}

TEST(Upgrade, V1LayersKeepParametersAndNames) {
  const auto net = parse_net(
      "layers { name: 'c' type: CONVOLUTION bottom: 'x' top: 'y' blobs_lr: 1 blobs_lr: 2 "
      "weight_decay: 1 weight_decay: 0 param: 'w' loss_weight: 0.5 include { phase: TEST } "
      "convolution_param { num_output: 7 kernel_size: 3 } blobs { num: 1 channels: 1 height: 1 "
      "width: 2 data: 4 data: 5 } }",
      "net");
  ASSERT_EQ(net.layers_size(), 0);
  const auto& layer = net.layer(0);
  EXPECT_EQ(layer.type(), "Convolution");
  EXPECT_EQ(layer.name(), "c");
  EXPECT_EQ(layer.bottom(0), "x");
  EXPECT_EQ(layer.top(0), "y");
  ASSERT_EQ(layer.param_size(), 2);
  EXPECT_EQ(layer.param(0).name(), "w");
  EXPECT_EQ(layer.param(1).lr_mult(), 2);
  EXPECT_EQ(layer.param(1).decay_mult(), 0);
  EXPECT_EQ(layer.loss_weight(0), 0.5f);
  EXPECT_EQ(layer.include(0).phase(), TEST);
  EXPECT_EQ(layer.convolution_param().num_output(), 7u);
  EXPECT_EQ(layer.blobs(0).data(1), 5);
}

TEST(Upgrade, EveryV1TypeHasALayerType) {
  const auto* types = V1LayerParameter::LayerType_descriptor();
  for (int i = 0; i < types->value_count(); ++i) {
    const auto& name = types->value(i)->name();
    if (name == "NONE") continue;
    EXPECT_NO_THROW(parse_net("layers { name: 'x' type: " + name + " }", "net")) << name;
  }
}

TEST(Upgrade, V0LayersGoAllTheWayAndPaddingMerges) {
  const auto net = parse_net(R"(
    layers { layer { name: "data" type: "data" source: "db" meanfile: "m" batchsize: 64
                     cropsize: 227 mirror: true scale: 0.5 } top: "data" top: "label" }
    layers { layer { name: "pad" type: "padding" pad: 2 } bottom: "data" top: "padded" }
    layers { layer { name: "conv" type: "conv" num_output: 96 kernelsize: 11 stride: 4 group: 2
                     biasterm: false blobs_lr: 1. blobs_lr: 2. weight_decay: 1. } bottom: "padded"
             top: "conv" }
    layers { layer { name: "pool" type: "pool" pool: AVE kernelsize: 3 stride: 2 } bottom: "conv"
             top: "pool" }
    layers { layer { name: "norm" type: "lrn" local_size: 5 alpha: 0.1 } bottom: "pool" top: "n" }
    layers { layer { name: "fc" type: "innerproduct" num_output: 10 } bottom: "n" top: "fc" })",
                             "net");
  ASSERT_EQ(net.layer_size(), 5);
  EXPECT_EQ(net.layer(0).data_param().batch_size(), 64u);
  EXPECT_EQ(net.layer(0).transform_param().crop_size(), 227u);
  EXPECT_EQ(net.layer(0).transform_param().mean_file(), "m");
  EXPECT_TRUE(net.layer(0).transform_param().mirror());
  EXPECT_EQ(net.layer(0).transform_param().scale(), 0.5f);
  const auto& conv = net.layer(1);
  EXPECT_EQ(conv.bottom(0), "data");
  EXPECT_EQ(conv.convolution_param().pad(0), 2u);
  EXPECT_EQ(conv.convolution_param().kernel_size(0), 11u);
  EXPECT_EQ(conv.convolution_param().stride(0), 4u);
  EXPECT_EQ(conv.convolution_param().group(), 2u);
  EXPECT_FALSE(conv.convolution_param().bias_term());
  EXPECT_EQ(conv.param(1).lr_mult(), 2);
  EXPECT_EQ(net.layer(2).pooling_param().pool(), PoolingParameter::AVE);
  EXPECT_EQ(net.layer(3).lrn_param().alpha(), 0.1f);
  EXPECT_EQ(net.layer(4).inner_product_param().num_output(), 10u);
}

TEST(Upgrade, TransformFieldsMove) {
  const auto net = parse_net(
      "layers { name: 'd' type: DATA data_param { source: 's' scale: 0.25 mean_file: 'm' "
      "crop_size: 3 mirror: true } } layers { name: 'i' type: IMAGE_DATA image_data_param { "
      "scale: 2 } }",
      "net");
  const auto& transform = net.layer(0).transform_param();
  EXPECT_EQ(transform.scale(), 0.25f);
  EXPECT_EQ(transform.mean_file(), "m");
  EXPECT_EQ(transform.crop_size(), 3u);
  EXPECT_TRUE(transform.mirror());
  EXPECT_FALSE(net.layer(0).data_param().has_scale());
  EXPECT_EQ(net.layer(1).transform_param().scale(), 2);
  const auto later =
      parse_net("layer { name: 'd' type: 'Data' data_param { scale: 0.25 } }", "net");
  EXPECT_FALSE(later.layer(0).has_transform_param());  // Caffe ignores it there
}

TEST(Upgrade, BatchNormLosesItsThreeParams) {
  const std::string batch_norm = "layer { name: 'b' type: 'BatchNorm' ";
  EXPECT_EQ(parse_net(batch_norm + "param {} param {} param {} }", "n").layer(0).param_size(), 0);
  EXPECT_EQ(parse_net(batch_norm + "param {} }", "n").layer(0).param_size(), 1);
}

TEST(Upgrade, SolverTypeBecomesType) {
  const TemporaryFolder folder;
  const auto solver =
      read_solver(folder.write("solver.prototxt", "net: 'n' solver_type: NESTEROV base_lr: 0.5"));
  EXPECT_EQ(solver.type(), "Nesterov");
  EXPECT_FALSE(solver.has_solver_type());
  EXPECT_EQ(read_solver(folder.write("plain.prototxt", "net: 'n'")).type(), "SGD");
}

std::string kept_layers(const std::string& rules, const NetState& state) {
  const auto net = parse_net(
      "layer { name: 'a' type: 'ReLU' " + rules + " }" + "layer { name: 'b' type: 'ReLU' }", "net");
  std::string names;
  const auto filtered = filter_net(net, state);
  for (const auto& layer : filtered.layer()) names += layer.name();
  return names;
}

TEST(Filter, FollowsCaffesRules) {
  NetState state;
  state.set_phase(TRAIN);
  state.set_level(2);
  state.add_stage("deploy");
  EXPECT_EQ(kept_layers("", state), "ab");
  EXPECT_EQ(kept_layers("include { phase: TRAIN }", state), "ab");
  EXPECT_EQ(kept_layers("include { phase: TEST }", state), "b");
  EXPECT_EQ(kept_layers("include { phase: TEST } include { phase: TRAIN }", state), "ab");
  EXPECT_EQ(kept_layers("exclude { phase: TRAIN }", state), "b");
  EXPECT_EQ(kept_layers("exclude { phase: TEST }", state), "ab");
  EXPECT_EQ(kept_layers("include { min_level: 3 }", state), "b");
  EXPECT_EQ(kept_layers("include { min_level: 2 max_level: 2 }", state), "ab");
  EXPECT_EQ(kept_layers("include { max_level: 1 }", state), "b");
  EXPECT_EQ(kept_layers("include { stage: 'deploy' }", state), "ab");
  EXPECT_EQ(kept_layers("include { stage: 'deploy' stage: 'other' }", state), "b");
  EXPECT_EQ(kept_layers("include { not_stage: 'deploy' }", state), "b");
  EXPECT_EQ(kept_layers("exclude { not_stage: 'other' }", state), "b");
  EXPECT_EQ(kept_layers("include { phase: TRAIN stage: 'other' }", state), "b");
}

}  // namespace
}  // namespace inure::caffe
