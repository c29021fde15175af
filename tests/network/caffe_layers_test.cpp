// Small networks, most of one layer, that BVLC Caffe ran: every blob, gradient, parameter and loss.

#include <algorithm>
#include <cmath>
#include <iostream>
#include <map>

#include <fmt/ranges.h>

#include "helpers.hpp"
#include "tests/common.hpp"

namespace inure::test {
namespace {

namespace fs = std::filesystem;

constexpr double kTolerance = 1e-4;  // of the greatest magnitude
constexpr double kRounding = 1e-6;   // what is left of sums of numbers like 1 that cancel

// One folder of reference data: a network, its phase and passes, and what Caffe computed.
class CaffeCase {
 public:
  explicit CaffeCase(const std::string& name) : folder_("caffe_layers/" + name) {
    std::istringstream(read_bytes(folder_ + "/phase")) >> phase_ >> passes_;
    std::istringstream index(read_bytes(folder_ + "/index.txt"));
    for (std::string word, what; index >> word;) {
      if (word == "loss" && index >> what) loss_ = std::stod(what);
      if (word == "blob" && index >> what) blobs_.push_back(what);
    }
  }

  // What differs from Caffe, a line each. Throws Error where the network is refused.
  std::vector<std::string> differences() {
    Network net(caffe::read_net(kShared + "/" + folder_ + "/net.prototxt"),
                phase_ == "TRAIN" ? caffe::TRAIN : caffe::TEST, 1, shapes_or({}));
    set_values(net);
    for (int pass = 0; pass < passes_; ++pass) net.forward(pass);
    net.clear_gradients();
    net.backward();
    compare_loss(net);
    for (const std::string& blob : blobs_) compare_blob(net, blob);
    for (const auto& node : net.nodes()) compare_parameters(*node.layer);
    return differences_;
  }

 private:
  std::string file(const std::string& stem) const { return folder_ + "/" + stem + ".f32"; }

  static std::string stem(std::string name) {
    std::replace(name.begin(), name.end(), '/', '_');
    std::replace(name.begin(), name.end(), ' ', '_');
    return name;
  }
  static std::string stem(const Layer& layer, std::size_t i) {
    return fmt::format("param_{}_{}", stem(layer.name()), i);
  }

  // Training moved the averages of batch normalisation before Caffe's were written.
  bool moves(const Layer& layer) const {
    return layer.type() == "BatchNorm" && phase_ == "TRAIN" &&
           !layer.parameter().batch_norm_param().use_global_stats();
  }

  void set_values(Network& net) const {
    for (const auto& layer : net.data_layers()) {
      for (const std::string& top : layer.top()) {
        net.set_input(top, read_floats(file("blob_" + stem(top))));
      }
    }
    for (const auto& node : net.nodes()) {
      for (std::size_t i = 0; i < node.layer->parameters.size() && !moves(*node.layer); ++i) {
        const std::vector<float> values = read_floats(file(stem(*node.layer, i)));
        const at::Tensor& data = node.layer->parameters[i]->data;
        ASSERT_EQ(static_cast<std::int64_t>(values.size()), data.numel());
        std::copy(values.begin(), values.end(), data.data_ptr<float>());
      }
    }
  }

  // Caffe divides 0 by 0 in some average windows outside the map: here they are 0, and what follows
  // from such a number is not compared.
  void compare(const std::vector<float>& expected, const float* actual, const std::string& what) {
    double worst = 0, greatest = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const float own = actual ? actual[i] : 0;
      if (!std::isfinite(own)) worst = HUGE_VAL;
      if (!std::isfinite(expected[i])) continue;
      worst = std::max(worst, std::abs(double{expected[i]} - own));
      greatest = std::max(greatest, std::abs(double{expected[i]}));
    }
    if (worst <= kTolerance * greatest + kRounding) return;
    differences_.push_back(fmt::format("{}: {:.3g} of {:.3g}", what, worst, greatest));
  }

  void compare_loss(const Network& net) {
    if (!std::isfinite(loss_) ||
        std::abs(net.loss() - loss_) <= kTolerance * std::abs(loss_) + kRounding)
      return;
    differences_.push_back(fmt::format("loss: {} instead of {}", net.loss(), loss_));
  }

  void compare_blob(Network& net, const std::string& blob) {
    const std::vector<Value*> versions = net.blob_versions(blob);
    const std::vector<float> expected = read_floats(file("blob_" + stem(blob)));
    if (static_cast<std::int64_t>(expected.size()) != versions.back()->count()) {
      differences_.push_back(fmt::format("{}: {} values instead of {}", blob,
                                         versions.back()->count(), expected.size()));
      return;
    }
    compare(expected, versions.back()->floats(), blob);
    // Layers in place write over the gradient: Caffe's is that of the first version.
    const at::Tensor& gradient = versions.front()->gradient;
    compare(read_floats(file("blob_" + stem(blob) + ".diff")),
            gradient.defined() ? gradient.contiguous().data_ptr<float>() : nullptr,
            "gradient of " + blob);
  }

  void compare_parameters(const Layer& layer) {
    for (std::size_t i = 0; i < layer.parameters.size(); ++i) {
      const Parameter& parameter = *layer.parameters[i];
      compare(read_floats(file(stem(layer, i) + ".diff")), parameter.gradient.data_ptr<float>(),
              "gradient of " + stem(layer, i));
      if (moves(layer) && i == 2) compare_factor(layer);
    }
  }

  // The factor of the averages was 3; here it began with 0.
  void compare_factor(const Layer& layer) {
    const double keep = layer.parameter().batch_norm_param().moving_average_fraction();
    const double factor = layer.parameters[2]->data.data_ptr<float>()[0];
    const float whole = static_cast<float>(factor + 3 * std::pow(keep, passes_));
    compare(read_floats(file(stem(layer, 2))), &whole, stem(layer, 2));
  }

  std::string folder_, phase_;
  int passes_ = 1;
  double loss_ = 0;
  std::vector<std::string> blobs_;
  std::vector<std::string> differences_;
};

// Refused for something else than a layer type that is not here.
const std::map<std::string, std::string> kRefused = {
    {"conv_1d_b", "convolution needs a bottom N x C x H x W"},
    {"conv_3d_b", "convolution needs a bottom N x C x H x W"},
    {"pool_mask", "a second top, the places of the maxima, is not supported here"},
    {"scale2_axis0", "a Scale of two bottoms, as Caffe has it, is not supported here"},
    {"scale2_axis1", "a Scale of two bottoms, as Caffe has it, is not supported here"},
    {"scale2_bias", "a Scale of two bottoms, as Caffe has it, is not supported here"},
    {"scale_two_bottoms", "a Scale of two bottoms, as Caffe has it, is not supported here"},
};

TEST(CaffeLayers, AreThoseOfCaffe) {
  NEEDS_SHARED("caffe_layers");
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kShared + "/caffe_layers")) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  int agreed = 0;
  std::map<std::string, std::vector<std::string>> refused;  // by reason
  for (const std::string& name : names) {
    std::string reason;
    try {
      const auto differences = CaffeCase(name).differences();
      agreed += differences.empty();
      EXPECT_TRUE(differences.empty())
          << name << ": " << fmt::format("{}", fmt::join(differences, "; "));
      continue;
    } catch (const Error& error) {
      reason = error.what();
    }
    const std::string type_key = "is not known here";
    if (const auto at = reason.find(type_key); at != reason.npos) {
      refused[reason.substr(reason.find("type"), at + type_key.size() - reason.find("type"))]
          .push_back(name);
      continue;
    }
    const auto known = kRefused.find(name);
    EXPECT_TRUE(known != kRefused.end() && reason.find(known->second) != reason.npos)
        << name << ": " << reason;
    refused[reason].push_back(name);
  }
  std::size_t others = 0;
  for (const auto& [reason, which] : refused) {
    others += which.size();
    std::cout << fmt::format("{:3} refused: {} ({})\n", which.size(), reason,
                             fmt::join(which, ", "));
  }
  std::cout << fmt::format("caffe_layers: of {} networks {} ran, {} agreed, {} were refused\n",
                           names.size(), names.size() - others, agreed, others);
  EXPECT_GT(agreed, 200);
}

}  // namespace
}  // namespace inure::test
