#include <cmath>
#include <iostream>

#include "helpers.hpp"
#include "inure/base/parallel.hpp"

namespace inure::test {
namespace {

constexpr double kTolerance = 1e-4;  // of the blob's greatest magnitude

caffe::NetParameter net_of(const std::string& file) {
  return caffe::read_net(kShared + "/" + file);
}

std::string golden(const std::string& stem) { return "lenet_mnist/golden/" + stem + ".f32"; }

std::unique_ptr<Network> golden_lenet() {
  auto net = std::make_unique<Network>(net_of("lenet_mnist/lenet_train_test.prototxt"),
                                       caffe::TRAIN, 1, [](const caffe::LayerParameter&) {
                                         return Network::Shapes{{64, 1, 28, 28}, {64}};
                                       });
  for (const auto& parameter : net->parameters()) {
    const std::string& name = parameter->name;  // "conv1[0]"
    const std::string stem =
        fmt::format("{}_{}", name.substr(0, name.size() - 3), name[name.size() - 2]);
    const std::vector<float> values = read_floats(golden("param_" + stem));
    std::copy(values.begin(), values.end(), parameter->data.data_ptr<float>());
  }
  net->set_input("data", read_floats(golden("blob_000_data")));
  net->set_input("label", read_floats(golden("blob_001_label")));
  return net;
}

TEST(Golden, LenetIsThatOfCaffe) {
  NEEDS_SHARED("lenet_mnist/golden/index.txt");
  const auto net = golden_lenet();
  net->forward(0);
  net->backward();
  EXPECT_NEAR(net->loss(), 0.0085966, 1e-6);
  const std::vector<std::string> blobs = {"conv1", "pool1", "conv2", "pool2", "ip1", "ip2", "loss"};
  for (std::size_t i = 0; i < blobs.size(); ++i) {
    const std::string stem = fmt::format("blob_00{}_{}", i + 2, blobs[i]);
    EXPECT_LT(relative_error(read_floats(golden(stem)), net->blob(blobs[i]).data()), kTolerance)
        << blobs[i];
    // Caffe's ReLU in place wrote over ip1's gradient: what is left is that of the first version.
    EXPECT_LT(relative_error(read_floats(golden(stem + ".diff")),
                             net->blob_versions(blobs[i]).front()->gradient),
              kTolerance)
        << "gradient of " << blobs[i];
  }
  for (const auto& parameter : net->parameters()) {
    const std::string& name = parameter->name;
    const std::string stem =
        fmt::format("{}_{}", name.substr(0, name.size() - 3), name[name.size() - 2]);
    EXPECT_LT(relative_error(read_floats(golden("param_" + stem + ".diff")), parameter->gradient),
              kTolerance)
        << "gradient of " << name;
  }
}

struct Images {
  std::vector<float> values, labels;
  std::int64_t size = 0;
};

// Runs the network over all images in batches of 100; gives the number of right answers.
long right_answers(const std::string& prototxt, const std::string& model, const Images& images,
                   const Network::Shapes& shapes, const std::string& data) {
  Network net(net_of(prototxt), caffe::TEST, 1,
              [&](const caffe::LayerParameter&) { return shapes; });
  net.load(caffe::read_model(kShared + "/" + model), model);
  double right = 0;
  for (std::size_t n = 0; n < images.labels.size(); n += 100) {
    const auto first = images.values.begin() + n * images.size;
    net.set_input(data, {first, first + 100 * images.size});
    net.set_input(net.data_layers()[0].top(1),
                  {images.labels.begin() + n, images.labels.begin() + n + 100});
    net.forward(0);
    for (const auto& output : net.outputs()) {
      if (output.loss_weight == 0 && output.data.numel() == 1) {
        right += 100 * output.data.item<float>();
        break;
      }
    }
  }
  std::cout << prototxt << ": " << right << " of " << images.labels.size() << " right\n";
  return std::lround(right);
}

Images mnist() {
  const std::string pixels = read_gzip("mnist/t10k-images-idx3-ubyte.gz");
  const std::string labels = read_gzip("mnist/t10k-labels-idx1-ubyte.gz");
  Images images;
  images.size = 784;
  for (std::size_t i = 16; i < pixels.size(); ++i) {
    images.values.push_back(static_cast<unsigned char>(pixels[i]) / 256.0f);
  }
  for (std::size_t i = 8; i < labels.size(); ++i) images.labels.push_back(labels[i]);
  return images;
}

Images cifar() {
  const std::string bytes = read_bytes("cifar10_train4000/data_batch.bin");
  const caffe::BlobProto mean = caffe::read_mean(kShared + "/cifar10_quick/mean.binaryproto");
  Images images;
  images.size = 3072;
  for (std::size_t record = 0; record + 3073 <= bytes.size(); record += 3073) {
    images.labels.push_back(bytes[record]);
    for (int i = 0; i < 3072; ++i) {
      images.values.push_back(static_cast<unsigned char>(bytes[record + 1 + i]) - mean.data(i));
    }
  }
  return images;
}

TEST(Golden, LenetOnMnist) {
  NEEDS_SHARED("mnist/t10k-images-idx3-ubyte.gz");
  EXPECT_NEAR(right_answers("lenet_mnist/lenet_train_test.prototxt", "lenet_mnist/lenet.caffemodel",
                            mnist(), {{100, 1, 28, 28}, {100}}, "data"),
              9914, 2);
}

TEST(Golden, Cifar10Quick) {
  NEEDS_SHARED("cifar10_train4000/data_batch.bin");
  EXPECT_NEAR(right_answers("cifar10_quick/cifar10_quick_train_test.prototxt",
                            "cifar10_quick/cifar10_quick_iter_4000.caffemodel", cifar(),
                            {{100, 3, 32, 32}, {100}}, "data"),
              3092, 2);
}

TEST(Golden, Resnet20) {
  NEEDS_SHARED("resnet20_cifar10/resnet20.caffemodel");
  EXPECT_NEAR(right_answers("resnet20_cifar10/res20_cifar_train_test.prototxt",
                            "resnet20_cifar10/resnet20.caffemodel", cifar(),
                            {{100, 3, 32, 32}, {100}}, "Data1"),
              3984, 2);
}

// Every bit of every blob, gradient and weight gradient, as one string.
std::string bits_of_pass(Network& net) {
  net.clear_gradients();
  net.forward(4);
  net.backward();
  std::string bits;
  const auto append = [&](const at::Tensor& t) {
    bits.append(reinterpret_cast<const char*>(t.data_ptr<float>()), t.numel() * sizeof(float));
  };
  for (const auto& node : net.nodes()) {
    for (Value* top : node.tops) {
      append(top->data());
      if (top->gradient.defined()) append(top->gradient.contiguous());
    }
  }
  for (const auto& parameter : net.parameters()) append(parameter->gradient);
  return bits;
}

void expect_same_bits(Network& net) {
  set_threads(1);
  const std::string one = bits_of_pass(net);
  for (const int count : {2, 3}) {
    set_threads(count);
    EXPECT_TRUE(one == bits_of_pass(net)) << count << " threads give other bits than one";
  }
  set_threads(0);
}

TEST(Threads, LenetHasTheSameBits) {
  NEEDS_SHARED("lenet_mnist/golden/index.txt");
  expect_same_bits(*golden_lenet());
}

TEST(Threads, SmallNetHasTheSameBits) {
  const auto net = parse(R"(
    layer { name: 'in' type: 'Input' top: 'x' input_param { shape { dim: 24 dim: 3 dim: 33 dim: 31 } } }
    layer { name: 'y' type: 'Input' top: 'y' input_param { shape { dim: 24 } } }
    layer { name: 'a' type: 'Convolution' bottom: 'x' top: 'a'
            convolution_param { num_output: 32 kernel_size: 5 pad: 2 weight_filler { type: 'xavier' } } }
    layer { name: 'ra' type: 'ReLU' bottom: 'a' top: 'a' }
    layer { name: 'n' type: 'LRN' bottom: 'a' top: 'n' }
    layer { name: 'b' type: 'Convolution' bottom: 'n' top: 'b'
            convolution_param { num_output: 16 kernel_size: 3 pad: 1 group: 2 weight_filler { type: 'msra' } } }
    layer { name: 'c' type: 'Convolution' bottom: 'n' top: 'c'
            convolution_param { num_output: 20 kernel_size: 1 weight_filler { type: 'xavier' } } }
    layer { name: 'd' type: 'Concat' bottom: 'b' bottom: 'c' top: 'd' }
    layer { name: 'bn' type: 'BatchNorm' bottom: 'd' top: 'd' }
    layer { name: 's' type: 'Scale' bottom: 'd' top: 'd' scale_param { bias_term: true } }
    layer { name: 'p' type: 'Pooling' bottom: 'd' top: 'p' pooling_param { kernel_size: 3 stride: 2 } }
    layer { name: 'dr' type: 'Dropout' bottom: 'p' top: 'p' }
    layer { name: 'ip' type: 'InnerProduct' bottom: 'p' top: 'ip'
            inner_product_param { num_output: 200 weight_filler { type: 'xavier' } } }
    layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'ip' bottom: 'y' top: 'loss' })");
  net->set_input("x", random_values(24 * 3 * 33 * 31, 1));
  std::vector<float> labels(24);
  for (int i = 0; i < 24; ++i) labels[i] = static_cast<float>(i * 7 % 200);
  net->set_input("y", labels);
  expect_same_bits(*net);
}

}  // namespace
}  // namespace inure::test
