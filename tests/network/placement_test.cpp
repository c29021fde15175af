// Which layers run on an accelerator, which do not and why, and what an accelerator is asked.

#include "inure/network/placement.hpp"

#include <algorithm>
#include <filesystem>

#include "placed.hpp"

namespace inure::test {
namespace {

// conv1 (ReLU, pooling), conv2 (dilated: where = "dilation: 2"), ip on 12x12 images of 3 channels.
std::string small_net(const std::string& conv2 = "") {
  return R"(name: 'small'
layer { name: 'data' type: 'Input' top: 'data' top: 'label'
  input_param { shape { dim: 2 dim: 3 dim: 12 dim: 12 } shape { dim: 2 } } }
layer { name: 'conv1' type: 'Convolution' bottom: 'data' top: 'conv1'
  convolution_param { num_output: 8 kernel_size: 3 weight_filler { type: 'xavier' } } }
layer { name: 'relu1' type: 'ReLU' bottom: 'conv1' top: 'conv1' }
layer { name: 'pool1' type: 'Pooling' bottom: 'conv1' top: 'pool1'
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: 'conv2' type: 'Convolution' bottom: 'pool1' top: 'conv2'
  convolution_param { num_output: 6 kernel_size: 2 weight_filler { type: 'xavier' } )" +
         conv2 + R"( } }
layer { name: 'ip' type: 'InnerProduct' bottom: 'conv2' top: 'ip'
  inner_product_param { num_output: 4 weight_filler { type: 'xavier' } } }
layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'ip' bottom: 'label' top: 'loss' }
)";
}

const std::string kSmallFormats =
    "format { layer: 'conv1' weights: 7 input: 5 output: 5 }"
    "format { layer: 'conv2' weights: 7 input: 5 output: 5 }"
    "format { layer: 'ip' weights: 7 input: 5 output: 4 }";

std::unique_ptr<Network> filled(const std::string& text, caffe::Phase phase = caffe::TRAIN) {
  auto net = parse(text, phase);
  net->set_input("data", random_values(net->blob("data").count(), 1));
  net->set_input("label", std::vector<float>(net->blob("label").count(), 1));
  return net;
}

std::string note_of(const Placement& placement, const std::string& layer) {
  for (const PlacementNote& note : placement.notes()) {
    if (note.layer == layer) return note.reason;
  }
  return "(no note)";
}

std::vector<std::string> stage_names(const Placement& placement) {
  std::vector<std::string> names;
  for (const StageSpec& stage : placement.stages()) names.push_back(stage.name);
  return names;
}

// --- A backend is a plug-in: this one fills its maps with a number and remembers what it was
// asked.

struct FakeLog {
  std::vector<std::string> loads;
  std::vector<RunKey> keys;
  std::vector<bool> keeps;
  std::vector<std::int8_t> first_weights;
};

class FakeProgram : public Program {
 public:
  FakeProgram(std::vector<StageSpec> stages, FakeLog& log)
      : stages_(std::move(stages)), log_(log) {}
  const std::vector<StageSpec>& stages() const override { return stages_; }
  void load(int stage, std::span<const std::int8_t> weights,
            std::span<const std::int32_t>) override {
    log_.loads.push_back(stages_[stage].name);
    log_.first_weights.push_back(weights[0]);
  }
  void run(std::shared_ptr<const Int8Map> input, const RunKey& key, bool keep,
           std::vector<StageResult>& results) override {
    log_.keys.push_back(key);
    log_.keeps.push_back(keep);
    results.assign(1, {});
    const StageSpec& s = stages_[0];
    const auto map = [&](int height, int width) {
      auto made = std::make_shared<Int8Map>();
      made->fraction = s.frac_out;
      made->reshape(input->images, height, width, s.out_channels);
      std::fill(made->values.begin(), made->values.end(), std::int8_t{24});
      return made;
    };
    results[0].output = map(s.out_height(), s.out_width());
    if (s.pool && keep) results[0].before_pool = map(s.conv_height(), s.conv_width());
  }

 private:
  std::vector<StageSpec> stages_;
  FakeLog& log_;
};

class FakeAccelerator : public Accelerator {
 public:
  explicit FakeAccelerator(FakeLog& log) : log_(log) {}
  std::string summary() const override { return "a fake"; }
  std::optional<std::string> why_not(const StageSpec& stage) const override {
    if (stage.lrn) return "fakes do not normalise";
    return std::nullopt;
  }
  int bias_bits() const override { return 32; }
  int bias_fraction(const StageSpec& stage) const override { return stage.frac_w + stage.frac_in; }
  std::unique_ptr<Program> compile(std::vector<StageSpec> stages) override {
    return std::make_unique<FakeProgram>(std::move(stages), log_);
  }

 private:
  FakeLog& log_;
};

Registry fakes(FakeLog& log) {
  Registry registry;
  registry.add("fake", "for tests", [&log](const AcceleratorDescription&) {
    return std::make_unique<FakeAccelerator>(log);
  });
  return registry;
}

TEST(Placement, RunsAnyRegisteredAccelerator) {
  FakeLog log;
  const auto net = filled(small_net());
  net->place(
      std::make_shared<Placement>(*net, describe("kind: 'fake' " + kSmallFormats), fakes(log)));
  net->forward(7);
  for (const auto& [blob, value] : {std::pair{"conv1", 0.75}, {"pool1", 0.75}, {"ip", 1.5}}) {
    EXPECT_TRUE(net->blob(blob).data().eq(value).all().item<bool>()) << blob;
  }
  EXPECT_NEAR(net->loss(), std::log(4.0), 1e-6);
  ASSERT_EQ(log.keys.size(), 3u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(log.keys[i].seed, 1u);
    EXPECT_EQ(log.keys[i].iteration, 7u);
    EXPECT_TRUE(log.keys[i].training && log.keeps[i]);
  }
  net->backward();
}

TEST(Placement, LoadsWeightsOnlyWhenTheyChange) {
  FakeLog log;
  const auto net = filled(small_net());
  net->place(
      std::make_shared<Placement>(*net, describe("kind: 'fake' " + kSmallFormats), fakes(log)));
  const auto loads_of_pass = [&] {
    log.loads.clear();
    net->forward(0);
    return log.loads;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(loads_of_pass(), (Names{"conv1", "conv2", "ip"}));
  EXPECT_EQ(loads_of_pass(), Names{});
  Parameter& weights = *net->parameters()[2];  // conv2's
  weights.data.fill_(0.5);
  EXPECT_EQ(loads_of_pass(), Names{});  // not told, not seen
  ++weights.version;
  EXPECT_EQ(loads_of_pass(), Names{"conv2"});
  EXPECT_EQ(log.first_weights.back(), 64);
  ++net->parameters()[1]->version;  // conv1's bias
  EXPECT_EQ(loads_of_pass(), Names{"conv1"});
  const auto other = parse(small_net(), caffe::TRAIN, {}, 2);
  net->load(other->save(), "other");
  EXPECT_EQ(loads_of_pass(), (Names{"conv1", "conv2", "ip"}));
  const auto third = parse(small_net(), caffe::TRAIN, {}, 3);
  for (const auto& parameter : third->parameters()) {
    parameter->version = net->parameters()[0]->version;
  }
  net->share_parameters(*third);
  EXPECT_EQ(loads_of_pass(), (Names{"conv1", "conv2", "ip"}));
}

// --- What is refused.

TEST(Placement, RefusesWithTheReason) {
  struct Case {
    std::string net, description, message;
  };
  const auto root = std::filesystem::path(__FILE__).parent_path() / "../..";
  const std::string dilated = small_net("dilation: 2");
  const std::string average = [] {
    std::string text = small_net();
    return text.replace(text.find("pool: MAX"), 9, "pool: AVE");
  }();
  const std::vector<Case> table = {
      {small_net(), "", "layer \"conv1\" has no format; write one with `inure quantize`, or name"},
      {small_net(), "format { layer: 'conv1' weights: 7 input: 5 output: 5 }",
       "layer \"conv2\" has no format"},
      {small_net(), kSmallFormats + "host_layer: 'conv9'",
       "layer \"conv9\" is placed but the network \"small\" has no such layer"},
      {small_net(), kSmallFormats + "accelerator_layer: 'conv9'", "has no such layer"},
      {small_net(),
       kSmallFormats + "errors { bit_flip { where: OUTPUTS rate: 0.1 layer: 'conv9' } }",
       "layer \"conv9\" is to err but the network \"small\" has no such layer"},
      {small_net(),
       kSmallFormats + "errors { timing { relative_clock: 1.0188 layer: 'conv9' profile: '" +
           (root / "profiles/hx8k_p3_seed1.profile").string() + "' } }",
       "layer \"conv9\" is to err but the network \"small\" has no such layer"},
      {small_net(),
       kSmallFormats + "errors { bit_flip { where: OUTPUTS rate: 0.1 layer: 'pool1' } }",
       "layer \"pool1\" is to err but does not run on it; these do: conv1, conv2"},
      {small_net(),
       kSmallFormats +
           "host_layer: 'conv2' errors { bit_flip { where: WEIGHTS rate: 0.1 layer: 'conv2' } }",
       "layer \"conv2\" is to err but does not run on it; these do: conv1"},
      {dilated, kSmallFormats + "accelerator_layer: 'conv2'",
       "layer \"conv2\" is demanded on the accelerator, which cannot run it: its dilation is 2"},
      {average, kSmallFormats + "accelerator_layer: 'pool1'",
       "layer \"pool1\" is demanded on the accelerator, which cannot run it: accelerators pool the "
       "maximum only"},
      {small_net(), kSmallFormats + "accelerator_layer: 'loss'",
       "a SoftmaxWithLoss layer is no stage there"},
      {small_net(), "host_layer: 'conv1' host_layer: 'conv2' host_layer: 'ip'",
       "no layer of \"small\" can run on it; the first reason: conv1: the description keeps it"},
      {small_net(),
       "format { layer: 'conv1' weights: 2 input: 2 output: 9 } host_layer: 'conv2' "
       "host_layer: 'ip' accelerator_layer: 'conv1'",
       "layer \"conv1\" is demanded on the accelerator, which cannot run it: weights + input - "
       "output fraction bits is -5"},
      {small_net(), "kind: 'tpu'", "kind \"tpu\" is not known; known: pipecnn"},
  };
  for (const Case& refused : table) {
    const auto net = filled(refused.net);
    const std::string message = error_of([&] { place(*net, describe(refused.description)); });
    EXPECT_NE(message.find(refused.message), std::string::npos)
        << refused.description << "\n  gave " << message << "\n  expected " << refused.message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

TEST(Placement, KeepsLayersOnTheHost) {
  const auto placed = [](Network& net, const std::string& more) -> Placement& {
    return place(net, describe(kSmallFormats + more));
  };
  auto net = filled(small_net());
  Placement& without_conv2 = placed(*net, "host_layer: 'conv2'");
  EXPECT_EQ(stage_names(without_conv2), (std::vector<std::string>{"conv1", "ip"}));
  EXPECT_EQ(note_of(without_conv2, "conv2"), "the description keeps it on the host");
  net->forward(0);
  EXPECT_TRUE(net->blob("pool1").fixed_point());
  EXPECT_FALSE(net->blob("conv2").fixed_point());
  EXPECT_TRUE(net->blob("ip").fixed_point());

  const std::vector<float> pooled = floats_of(net->blob("pool1").data());
  net = filled(small_net());
  EXPECT_FALSE(placed(*net, "host_layer: 'pool1'").stages()[0].pool);
  net->forward(0);
  EXPECT_FALSE(net->blob("pool1").fixed_point());
  EXPECT_EQ(floats_of(net->blob("pool1").data()), pooled);  // the host pools to the same values
}

// --- Real networks.

TEST(Placement, Cifar10QuickRunsButForItsPooling) {
  NEEDS_SHARED("cifar10_quick/cifar10_quick_iter_4000.caffemodel");
  const std::string folder = kShared + "/cifar10_quick/";
  Network net(caffe::read_net(folder + "cifar10_quick_train_test.prototxt"), caffe::TRAIN, 1,
              [](const caffe::LayerParameter&) {
                return Network::Shapes{{4, 3, 32, 32}, {4}};
              });
  net.load(caffe::read_model(folder + "cifar10_quick_iter_4000.caffemodel"), "cifar10_quick");
  std::vector<float> images = random_values(4 * 3072, 1);
  for (float& v : images) v *= 60;
  net.set_input("data", images);
  net.set_input("label", {1, 2, 3, 4});
  net.forward(0);
  const std::vector<float> in_float = floats_of(net.blob("ip2").data());
  Placement& placement = place(net, calibrated(net));
  EXPECT_EQ(stage_names(placement),
            (std::vector<std::string>{"conv1", "conv2", "conv3", "ip1", "ip2"}));
  EXPECT_EQ(note_of(placement, "pool1"),
            "Caffe pools 32 to 16 values (ceil mode), an accelerator drops the last window (floor "
            "mode)");
  for (const char* pool : {"pool2", "pool3"}) {
    EXPECT_EQ(note_of(placement, pool), "accelerators pool the maximum only");
  }
  EXPECT_FALSE(placement.stages()[0].relu);  // it comes after the pooling
  EXPECT_TRUE(placement.stages()[1].relu && placement.stages()[2].relu);
  for (const StageSpec& stage : placement.stages()) EXPECT_FALSE(stage.pool) << stage.name;
  net.forward(0);
  net.backward();
  EXPECT_LT(relative_error(in_float, net.blob("ip2").data()), 0.15);
  for (const auto& parameter : net.parameters()) {
    EXPECT_GT(at::count_nonzero(parameter->gradient).item<long>(), 0) << parameter->name;
  }
}

// Caffe pools conv1's 10 x 10 values to 5 x 5 (kernel 3, stride 2), rounded down to 4 x 4: only
// then it is the accelerator's pooling.
TEST(Placement, PoolingThatRoundsDownIsTheAccelerators) {
  const auto pooling = [](const std::string& rounding) {
    std::string text = small_net();
    const std::string pool = "kernel_size: 2 stride: 2";
    return text.replace(text.find(pool), pool.size(), "kernel_size: 3 stride: 2 " + rounding);
  };
  for (const std::string rounding : {"", "round_mode: CEIL", "ceil_mode: true"}) {
    const auto net = filled(pooling(rounding));
    const Placement& placement = place(*net, describe(kSmallFormats));
    EXPECT_EQ(net->blob("pool1").shape[2], 5) << rounding;
    EXPECT_FALSE(placement.stages()[0].pool) << rounding;
    EXPECT_NE(note_of(placement, "pool1").find("Caffe pools 10 to 5 values (ceil mode)"),
              std::string::npos)
        << rounding;
  }
  for (const std::string rounding : {"round_mode: FLOOR", "ceil_mode: false"}) {
    const auto net = filled(pooling(rounding)), on_host = filled(pooling(rounding));
    Placement& placement = place(*net, describe(kSmallFormats));
    EXPECT_EQ(net->blob("pool1").shape[2], 4) << rounding;
    ASSERT_TRUE(placement.stages()[0].pool) << rounding;
    EXPECT_EQ(placement.stages()[0].out_height(), 4) << rounding;
    place(*on_host, describe(kSmallFormats + "host_layer: 'pool1'"));
    net->forward(0);
    on_host->forward(0);
    EXPECT_EQ(floats_of(net->blob("pool1").data()), floats_of(on_host->blob("pool1").data()))
        << rounding;
    net->backward();
    EXPECT_TRUE(net->blob("conv1").gradient.defined());
  }
}

// The LRN of conv1 is the accelerator's where the output has no fraction bits.
TEST(Placement, LrnIsFusedOrOnTheHost) {
  std::string text = small_net();
  const std::string norm =
      "layer { name: 'norm1' type: 'LRN' bottom: 'pool1' top: 'norm1'"
      "  lrn_param { local_size: 5 alpha: 1e-4 beta: 0.75 } }\n";
  text.insert(text.find("layer { name: 'conv2'"), norm);
  text.replace(text.find("bottom: 'pool1' top: 'conv2'"), 15, "bottom: 'norm1'");
  const auto formats = [](int output, int input) {
    return fmt::format(
        "format {{ layer: 'conv1' weights: 7 input: 0 output: {} }}"
        "format {{ layer: 'conv2' weights: 7 input: {} output: 0 }}"
        "format {{ layer: 'ip' weights: 7 input: 0 output: 0 }}",
        output, input);
  };
  auto net = filled(text);
  std::vector<float> large = random_values(net->blob("data").count(), 1);
  for (float& v : large) v *= 15;
  net->set_input("data", large);
  const Placement& fused = place(*net, describe(formats(0, 0)));
  EXPECT_TRUE(fused.stages()[0].lrn);
  EXPECT_TRUE(fused.notes().empty());
  net->forward(0);
  net->backward();
  const auto& map = net->blob("norm1").fixed_point();
  ASSERT_TRUE(map);
  EXPECT_EQ(map->fraction, 0);
  EXPECT_TRUE(net->blob("pool1").fixed_point());
  EXPECT_GT(at::count_nonzero(net->parameters()[0]->gradient).item<long>(), 0);
  const std::vector<float> by_accelerator = floats_of(net->blob("norm1").data());

  net = filled(text);
  net->set_input("data", large);
  const Placement& apart = place(*net, describe(formats(1, 1)));
  EXPECT_FALSE(apart.stages()[0].lrn);
  EXPECT_EQ(note_of(apart, "conv1"),
            "its LRN runs on the host: LRN needs an output fraction of at most 0, not 1");
  net->forward(0);
  EXPECT_FALSE(net->blob("norm1").fixed_point());
  EXPECT_LT(relative_error(by_accelerator, net->blob("norm1").data()), 0.05);

  const std::string message =
      error_of([&] { place(*net, describe(formats(1, 1) + "accelerator_layer: 'norm1'")); });
  EXPECT_NE(message.find("\"norm1\" is demanded on the accelerator, which cannot run it: its LRN "
                         "runs on the host: LRN needs an output fraction"),
            std::string::npos)
      << message;
}

TEST(Placement, TheOriginsCaffeNetRunsForwardAndBackward) {
  NEEDS_SHARED("origin/alexNet_train_val_caffe.prototxt");
  Network net(caffe::read_net(kShared + "/origin/alexNet_train_val_caffe.prototxt"), caffe::TRAIN,
              1, [](const caffe::LayerParameter&) {
                return Network::Shapes{{1, 3, 227, 227}, {1}};
              });
  std::vector<float> image = random_values(3 * 227 * 227, 1);
  for (float& v : image) v *= 60;
  net.set_input("data", image);
  net.set_input("label", {7});
  AcceleratorDescription description = calibrated(net);
  for (const int i : {0, 1}) {
    description.mutable_format(i)->set_output(0);
    description.mutable_format(i + 1)->set_input(0);
  }
  const Placement& placement = place(net, description);
  EXPECT_EQ(stage_names(placement), (std::vector<std::string>{"conv1", "conv2", "conv3", "conv4",
                                                              "conv5", "fc6", "fc7", "fc8"}));
  EXPECT_TRUE(placement.notes().empty());
  for (const int i : {0, 1}) EXPECT_TRUE(placement.stages()[i].lrn && placement.stages()[i].pool);
  net.forward(0);
  EXPECT_NEAR(net.loss(), std::log(1000.0), 2);
  net.backward();
  long learning = 0;
  for (const auto& parameter : net.parameters()) {
    if (parameter->lr_mult == 0) continue;
    ++learning;
    EXPECT_GT(at::count_nonzero(parameter->gradient).item<long>(), 0) << parameter->name;
  }
  EXPECT_GT(learning, 0);
}

// --- Formats, and several networks.

TEST(Placement, FormatsOfTheLayersServeWhereTheDescriptionHasNone) {
  std::string text = small_net();
  const auto add = [&](const std::string& layer, const std::string& bits) {
    text.insert(text.find("layer { name: '" + layer + "'") + 8, bits);
  };
  add("conv1",
      "qcodeconfig { il: 1 fl: 6 } qcodeconfig { il: 2 fl: 5 } qcodeconfig { il: 4 fl: 3 } ");
  add("conv2",
      "qcodeconfig { il: 1 fl: 7 } qcodeconfig { il: 4 fl: 3 } qcodeconfig { il: 4 fl: 2 } ");
  const auto net = filled(text);
  const Placement& placement =
      place(*net, describe("format { layer: 'conv2' weights: 5 input: 3 output: 1 }"
                           "format { layer: 'ip' weights: 7 input: 1 output: 1 }"));
  const auto fractions = [&](int i) {
    const StageSpec stage = placement.stages()[i];
    return std::array{stage.frac_w, stage.frac_in, stage.frac_out};
  };
  EXPECT_EQ(fractions(0), (std::array{6, 5, 3}));
  EXPECT_EQ(fractions(1), (std::array{5, 3, 1}));
}

TEST(Placement, NetworksDoNotDisturbEachOther) {
  const auto flips = [](const char* where) {
    return kSmallFormats + "errors { bit_flip { where: " + where + " rate: 0.01 } }";
  };
  const std::vector<std::string> descriptions = {flips("PRODUCTS"),
                                                 "vec_size: 8 lane_num: 4 " + flips("OUTPUTS"),
                                                 "kind: 'pipecnn_reference' " + flips("WEIGHTS")};
  const auto pass = [](Network& net, int iteration) {
    net.forward(iteration);
    net.clear_gradients();
    net.backward();
    auto all = weight_gradients(net);
    all.push_back(floats_of(net.blob("ip").data()));
    return all;
  };
  std::vector<std::vector<std::vector<std::vector<float>>>> alone;
  for (const std::string& description : descriptions) {
    const auto net = filled(small_net());
    place(*net, describe(description));
    alone.push_back({pass(*net, 0), pass(*net, 1)});
  }
  EXPECT_NE(alone[0], alone[1]);
  EXPECT_NE(alone[0], alone[2]);
  std::vector<std::unique_ptr<Network>> together;
  for (const std::string& description : descriptions) {
    place(*together.emplace_back(filled(small_net())), describe(description));
  }
  for (int iteration = 0; iteration < 2; ++iteration) {
    for (std::size_t i = 0; i < together.size(); ++i) {
      EXPECT_EQ(pass(*together[i], iteration), alone[i][iteration]) << descriptions[i];
    }
  }
}

}  // namespace
}  // namespace inure::test
