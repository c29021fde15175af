#pragma once

#include "helpers.hpp"
#include "inure/accelerator/accelerator.hpp"
#include "inure/network/calibration.hpp"
#include "inure/network/placement.hpp"
#include "tests/common.hpp"

// Networks on accelerators, for tests.
namespace inure::test {

// The first `count` images of MNIST's test set and their labels.
struct Digits {
  std::vector<float> images, labels;
};

inline Digits test_digits(int count) {
  const std::string pixels = read_gzip("mnist/t10k-images-idx3-ubyte.gz");
  const std::string labels = read_gzip("mnist/t10k-labels-idx1-ubyte.gz");
  Digits digits;
  for (int i = 0; i < count * 784; ++i) {
    digits.images.push_back(static_cast<unsigned char>(pixels[16 + i]) / 256.0f);
  }
  for (int i = 0; i < count; ++i) digits.labels.push_back(labels[8 + i]);
  return digits;
}

inline void set_digits(Network& net, const Digits& digits, int first) {
  const auto count = net.blob("label").shape[0];
  const auto image = digits.images.begin() + first * 784;
  const auto label = digits.labels.begin() + first;
  net.set_input("data", {image, image + count * 784});
  net.set_input("label", {label, label + count});
}

// BVLC's LeNet, trained on MNIST, with its first images as input.
inline std::unique_ptr<Network> trained_lenet(int batch, caffe::Phase phase = caffe::TRAIN) {
  const std::string folder = kShared + "/lenet_mnist/";
  auto net = std::make_unique<Network>(caffe::read_net(folder + "lenet_train_test.prototxt"), phase,
                                       1, [&](const caffe::LayerParameter&) {
                                         return Network::Shapes{{batch, 1, 28, 28}, {batch}};
                                       });
  net->load(caffe::read_model(folder + "lenet.caffemodel"), "lenet.caffemodel");
  set_digits(*net, test_digits(batch), 0);
  return net;
}

inline AcceleratorDescription describe(const std::string& text) {
  return parse_description(text, "test");
}

// The description with formats from one float pass over the network's inputs.
inline AcceleratorDescription calibrated(Network& net, const std::string& text = "",
                                         int headroom = 0) {
  AcceleratorDescription description = describe(text);
  const auto accelerator = all_accelerators().make(description);
  const Calibration found = calibrate(
      net, *accelerator, 1, [&](int pass) { net.forward(pass); }, headroom);
  for (const CalibratedLayer& layer : found.layers) *description.add_format() = layer.format;
  return description;
}

inline Placement& place(Network& net, const AcceleratorDescription& description) {
  net.place(std::make_shared<Placement>(net, description, all_accelerators()));
  return *net.placement();
}

// Every version of every blob with int8 values, in the order of the network.
inline std::vector<Value*> int8_values(Network& net) {
  std::vector<Value*> values;
  for (const Network::Node& node : net.nodes()) {
    for (Value* top : node.tops) {
      if (top->fixed_point()) values.push_back(top);
    }
  }
  return values;
}

inline std::vector<float> floats_of(const at::Tensor& tensor) {
  const at::Tensor whole = tensor.contiguous();
  return {whole.data_ptr<float>(), whole.data_ptr<float>() + whole.numel()};
}

inline std::vector<std::vector<float>> weight_gradients(const Network& net) {
  std::vector<std::vector<float>> gradients;
  for (const auto& parameter : net.parameters()) {
    gradients.push_back(floats_of(parameter->gradient));
  }
  return gradients;
}
}  // namespace inure::test
