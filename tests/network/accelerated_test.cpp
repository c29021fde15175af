// What a network on an accelerator computes: forward, backward, learning.

#include <algorithm>

#include "inure/base/parallel.hpp"
#include "placed.hpp"

namespace inure::test {
namespace {

constexpr const char* kProductFlips = "errors { bit_flip { where: PRODUCTS rate: 1e-4 } }";

std::vector<std::vector<std::int8_t>> int8_of_pass(const std::string& text, int batch) {
  const auto net = trained_lenet(batch);
  place(*net, calibrated(*net, text));
  net->forward(3);
  std::vector<std::vector<std::int8_t>> maps;
  for (const Value* value : int8_values(*net)) maps.push_back(value->fixed_point()->values);
  return maps;
}

TEST(Accelerated, LenetIsThatOfTheReference) {
  NEEDS_SHARED("lenet_mnist/lenet.caffemodel");
  const std::vector<std::string> all_errors = {
      "", kProductFlips, "errors { bit_flip { where: WEIGHTS rate: 1e-3 } }",
      "errors { stuck_at { lane: 3 multiplier: 1 bit: 9 value: 1 } }"};
  std::vector<std::vector<std::vector<std::int8_t>>> results;
  for (const std::string& errors : all_errors) {
    const auto fast = int8_of_pass("kind: 'pipecnn' " + errors, 4);
    EXPECT_EQ(fast.size(), 7u);  // conv1, pool1, conv2, pool2, ip1 before and after ReLU, ip2
    EXPECT_EQ(fast, int8_of_pass("kind: 'pipecnn_reference' " + errors, 4)) << errors;
    for (const auto& other : results) EXPECT_NE(fast, other) << errors << " changed nothing";
    results.push_back(fast);
  }
}

TEST(Accelerated, ValuesAreThoseOfTheMaps) {
  NEEDS_SHARED("lenet_mnist/lenet.caffemodel");
  const auto net = trained_lenet(5);
  place(*net, calibrated(*net, kProductFlips));
  net->forward(0);
  for (Value* value : int8_values(*net)) {
    const Int8Map& map = *value->fixed_point();
    const std::vector<float> values = floats_of(value->data());
    ASSERT_EQ(value->data().sizes().vec(), value->shape);
    std::size_t i = 0;
    for (int n = 0; n < map.images; ++n) {
      for (int c = 0; c < map.channels; ++c) {
        for (int p = 0; p < map.height * map.width; ++p, ++i) {
          const int q = map.image(n)[p * map.channels + c];
          ASSERT_EQ(values[i], std::ldexp(static_cast<float>(q), -map.fraction)) << value->name;
        }
      }
    }
    EXPECT_EQ(i, values.size()) << value->name;
  }
  for (const auto& [conv, pool] : {std::pair{"conv1", "pool1"}, {"conv2", "pool2"}}) {
    const at::Tensor before = net->blob(conv).data();
    const at::Tensor expected = before.unfold(2, 2, 2).unfold(3, 2, 2).amax({4, 5});
    EXPECT_TRUE(expected.equal(net->blob(pool).data())) << pool;
  }
}

TEST(Accelerated, Int8CostsLenetLittle) {
  NEEDS_SHARED("mnist/t10k-images-idx3-ubyte.gz");
  constexpr int kImages = 2000, kBatch = 100;
  const Digits digits = test_digits(kImages);
  const auto net = trained_lenet(kBatch, caffe::TEST);
  const auto percent = [&](int images) {
    double sum = 0;
    for (int first = 0; first < images; first += kBatch) {
      set_digits(*net, digits, first);
      net->forward(0);
      sum += net->blob("accuracy").data().item<float>();
    }
    return 100 * sum / (images / kBatch);
  };
  const double in_float = percent(kImages);
  EXPECT_GT(in_float, 98);
  place(*net, calibrated(*net));
  const double in_int8 = percent(kImages);
  EXPECT_NEAR(in_int8, in_float, 0.5);
  place(*net, calibrated(*net, "errors { bit_flip { where: PRODUCTS rate: 1e-2 } }"));
  EXPECT_LT(percent(300), in_float - 10);
}

// Backward is the host layers', from the accelerator's activations and the float weights.
TEST(Accelerated, BackwardIsTheHostsFromTheAcceleratorsValues) {
  NEEDS_SHARED("lenet_mnist/lenet.caffemodel");
  const auto placed = trained_lenet(16), host = trained_lenet(16);
  place(*placed, calibrated(*placed, kProductFlips));
  placed->forward(0);
  placed->backward();
  host->forward(0);
  host->backward();
  const auto float_gradients = weight_gradients(*host);
  const auto set_values = [&] {
    for (std::size_t i = 0; i < placed->nodes().size(); ++i) {
      const auto& tops = placed->nodes()[i].tops;
      for (std::size_t t = 0; t < tops.size(); ++t) {
        host->nodes()[i].tops[t]->set_data(tops[t]->data().clone());
      }
    }
  };
  set_values();
  host->clear_gradients();
  host->backward();
  const auto gradients = weight_gradients(*placed);
  EXPECT_EQ(gradients, weight_gradients(*host));
  for (std::size_t p = 0; p < gradients.size(); ++p) {
    EXPECT_NE(gradients[p], float_gradients[p]) << placed->parameters()[p]->name;
    EXPECT_GT(at::count_nonzero(placed->parameters()[p]->gradient).item<long>(),
              static_cast<long>(gradients[p].size() / 4))
        << placed->parameters()[p]->name;
  }
}

// Where each window of 2x2 took its maximum there flows the pooled gradient, elsewhere nothing; the
// first of equal values wins, as in Caffe.
std::vector<float> route(const at::Tensor& before, const at::Tensor& pooled_gradient) {
  std::vector<float> routed(before.numel(), 0.0f);
  const float* x = before.data_ptr<float>();
  const std::vector<float> dy = floats_of(pooled_gradient);
  const std::int64_t planes = before.size(0) * before.size(1), size = before.size(2);
  for (std::int64_t plane = 0, out = 0; plane < planes; ++plane) {
    for (std::int64_t y = 0; y < size; y += 2) {
      for (std::int64_t column = 0; column < size; column += 2, ++out) {
        std::int64_t best = plane * size * size + y * size + column;
        for (const std::int64_t step : {std::int64_t{1}, size, size + 1}) {
          const std::int64_t at = plane * size * size + y * size + column + step;
          if (x[at] > x[best]) best = at;
        }
        routed[best] = dy[out];
      }
    }
  }
  return routed;
}

TEST(Accelerated, PoolingRoutesGradientsByTheAcceleratorsOwnMap) {
  NEEDS_SHARED("lenet_mnist/lenet.caffemodel");
  const auto net = trained_lenet(8), host = trained_lenet(8);
  const auto flips = "errors { bit_flip { where: OUTPUTS rate: 0.01 } }";
  place(*net, calibrated(*net, flips));
  net->forward(0);
  net->backward();
  host->forward(0);
  for (const auto& [conv, pool] : {std::pair{"conv1", "pool1"}, {"conv2", "pool2"}}) {
    const at::Tensor gradient = net->blob(pool).gradient;
    EXPECT_EQ(floats_of(net->blob(conv).gradient), route(net->blob(conv).data(), gradient));
    EXPECT_NE(floats_of(net->blob(conv).gradient), route(host->blob(conv).data(), gradient));
  }
}

TEST(Accelerated, SaturationMaskStopsGradientsWhereOutputsSaturate) {
  NEEDS_SHARED("lenet_mnist/lenet.caffemodel");
  const auto net = trained_lenet(8);
  AcceleratorDescription description = calibrated(*net);
  for (LayerFormat& format : *description.mutable_format()) format.set_output(format.output() + 1);
  for (int i = 1; i < description.format_size(); ++i) {
    description.mutable_format(i)->set_input(description.format(i - 1).output());
  }
  Placement& placement = place(*net, description);
  net->forward(0);
  net->backward();
  const std::vector<float> free_ip2 = floats_of(net->blob("ip2").gradient);
  placement.set_saturation_mask(true);
  net->backward();

  const auto masked = [](Value& value, std::vector<float> gradient, int& stopped) {
    const std::vector<float> values = floats_of(value.data());
    const float step = std::ldexp(1.0f, -value.fixed_point()->fraction);
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (values[i] != 127 * step && values[i] != -128 * step) continue;
      stopped += gradient[i] != 0;
      gradient[i] = 0;
    }
    return gradient;
  };
  int stopped = 0;
  EXPECT_EQ(floats_of(net->blob("ip2").gradient), masked(net->blob("ip2"), free_ip2, stopped));
  EXPECT_GT(stopped, 0);
  for (const auto& [conv, pool] : {std::pair{"conv1", "pool1"}, {"conv2", "pool2"}}) {
    int here = 0;
    Value& value = net->blob(conv);
    const auto routed = route(value.data(), net->blob(pool).gradient);
    EXPECT_EQ(floats_of(value.gradient), masked(value, routed, here)) << conv;
    EXPECT_GT(here, 0) << conv;
    EXPECT_GT(at::count_nonzero(value.gradient).item<long>(), 0) << conv;
  }
}

TEST(Accelerated, LenetLearns) {
  NEEDS_SHARED("mnist/t10k-images-idx3-ubyte.gz");
  constexpr int kBatch = 64, kIterations = 30;
  const Digits digits = test_digits(kBatch * kIterations);
  for (const std::string errors : {"", "errors { bit_flip { where: PRODUCTS rate: 1e-5 } }"}) {
    Network net(caffe::read_net(kShared + "/lenet_mnist/lenet_train_test.prototxt"), caffe::TRAIN,
                5, [&](const caffe::LayerParameter&) {
                  return Network::Shapes{{kBatch, 1, 28, 28}, {kBatch}};
                });
    set_digits(net, digits, 0);
    place(net, calibrated(net, errors, 1));
    const std::vector<float> conv1 = floats_of(net.parameters()[0]->data);
    double first = 0, last = 0;
    for (int i = 0; i < kIterations; ++i) {
      set_digits(net, digits, i * kBatch);
      net.forward(i);
      net.clear_gradients();
      net.backward();
      (i < 5 ? first : last) += i < 5 || i >= kIterations - 5 ? net.loss() / 5 : 0;
      for (const auto& parameter : net.parameters()) {
        parameter->data.sub_(parameter->gradient, 0.05);
        ++parameter->version;
      }
    }
    EXPECT_LT(last, 0.5 * first) << errors;
    EXPECT_NE(floats_of(net.parameters()[0]->data), conv1);
  }
}

TEST(Accelerated, ResultsDoNotDependOnThreads) {
  NEEDS_SHARED("lenet_mnist/lenet.caffemodel");
  const auto pass = [](int count) {
    set_threads(count);
    const auto net = trained_lenet(7);
    place(*net, calibrated(*net, kProductFlips)).set_saturation_mask(true);
    net->forward(2);
    net->backward();
    auto all = weight_gradients(*net);
    for (Value* value : int8_values(*net)) all.push_back(floats_of(value->data()));
    return all;
  };
  const auto one = pass(1), two = pass(2), three = pass(3);
  set_threads(0);
  EXPECT_EQ(one, two);
  EXPECT_EQ(one, three);
}

// The same errors in the same pass, others in the next one, and others in testing.
TEST(Accelerated, ErrorsAreKeyedByThePass) {
  NEEDS_SHARED("lenet_mnist/lenet.caffemodel");
  const auto train = trained_lenet(4), test = trained_lenet(4, caffe::TEST);
  const AcceleratorDescription description = calibrated(*train, kProductFlips);
  place(*train, description), place(*test, description);
  const auto answers = [](Network& net, int iteration) {
    net.forward(iteration);
    return floats_of(net.blob("ip2").data());
  };
  const auto first = answers(*train, 0);
  EXPECT_NE(answers(*train, 1), first);
  EXPECT_EQ(answers(*train, 0), first);
  EXPECT_NE(answers(*test, 0), first);
}

}  // namespace
}  // namespace inure::test
