#include <algorithm>
#include <array>
#include <string_view>

#include "inure/caffe/upgrade.hpp"

namespace inure::caffe {
namespace {

constexpr auto kLayerTypes = std::to_array<std::string_view>({
    "AbsVal",
    "Accuracy",
    "ArgMax",
    "BNLL",
    "BatchNorm",
    "BatchReindex",
    "Bias",
    "Clip",
    "Concat",
    "ContrastiveLoss",
    "Convolution",
    "Crop",
    "Data",
    "Deconvolution",
    "Dropout",
    "DummyData",
    "ELU",
    "Eltwise",
    "Embed",
    "EuclideanLoss",
    "Exp",
    "Filter",
    "Flatten",
    "HDF5Data",
    "HDF5Output",
    "HingeLoss",
    "Im2col",
    "ImageData",
    "InfogainLoss",
    "InnerProduct",
    "Input",
    "LRN",
    "LSTM",
    "LSTMUnit",
    "Log",
    "MVN",
    "MemoryData",
    "MultinomialLogisticLoss",
    "PReLU",
    "Parameter",
    "Pooling",
    "Power",
    "Python",
    "RNN",
    "ReLU",
    "Reduction",
    "Reshape",
    "SPP",
    "Scale",
    "Sigmoid",
    "SigmoidCrossEntropyLoss",
    "Silence",
    "Slice",
    "Softmax",
    "SoftmaxWithLoss",
    "Split",
    "Swish",
    "TanH",
    "Threshold",
    "Tile",
    "WindowData",
    // The fork's.
    "ConvolutionFloat",
    "ImageOutput",
    "InnerProductFloat",
    "PoolingFloat",
});

}  // namespace

bool is_layer_type(const std::string& type) {
  return std::find(kLayerTypes.begin(), kLayerTypes.end(), type) != kLayerTypes.end();
}

}  // namespace inure::caffe
