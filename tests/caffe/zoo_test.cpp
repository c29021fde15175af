// Every prototxt of public zoos and of the project's origin: those of plain Caffe are read, those
// of forks are refused with their reason.
#include <gtest/gtest.h>

#include <filesystem>
#include <iostream>
#include <map>

#include "inure/base/error.hpp"
#include "inure/caffe/files.hpp"

namespace inure::caffe {
namespace {

namespace fs = std::filesystem;

const fs::path kShared = INURE_SHARED_DATA;

// The reason of a refusal, or nothing. Solvers are told by their names.
std::string refusal(const fs::path& path) {
  try {
    if (path.filename().string().find("solver") != std::string::npos) {
      read_solver(path);
    } else {
      const auto net = read_net(path);
      for (const Phase phase : {TRAIN, TEST}) {
        NetState state;
        state.set_phase(phase);
        filter_net(net, state);
      }
    }
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::map<std::string, std::string> refused_in(const std::string& folder, int& files) {
  std::map<std::string, std::string> refused;
  for (const auto& entry : fs::recursive_directory_iterator(kShared / folder)) {
    if (entry.path().extension() != ".prototxt") continue;
    ++files;
    const auto reason = refusal(entry.path());
    if (reason.empty()) continue;
    EXPECT_EQ(reason.find('\n'), reason.npos) << reason;
    EXPECT_TRUE(reason.starts_with(entry.path().string() + ":")) << reason;
    refused[fs::relative(entry.path(), kShared / folder).string()] = reason;
  }
  return refused;
}

// This has a layer type of a fork.
const std::string kDepthwise = "soeaver/cls/inception/deploy_xception-dw.prototxt";

TEST(Zoo, ForksAreRefusedAndAllOthersRead) {
  if (!fs::exists(kShared)) GTEST_SKIP() << "no shared data at " << kShared;
  int files = 0;
  const auto refused = refused_in("prototxt_zoo", files);
  for (const auto& [name, reason] : refused) {
    EXPECT_EQ(name, kDepthwise) << reason;
    EXPECT_NE(reason.find("has type 'ConvolutionDepthwise', which Caffe does not have"),
              reason.npos)
        << reason;
  }
  EXPECT_TRUE(refused.contains(kDepthwise));
  std::cout << "prototxt_zoo: " << files << " files, " << refused.size()
            << " refused, for a layer type of a fork\n";
}

TEST(Zoo, ModelsBesideTheirWeightsAreRead) {
  if (!fs::exists(kShared)) GTEST_SKIP() << "no shared data at " << kShared;
  int files = 0;
  for (const char* folder :
       {"origin", "lenet_mnist", "cifar10_quick", "resnet20_cifar10", "squeezenet_v1.1"}) {
    for (const auto& [name, reason] : refused_in(folder, files)) ADD_FAILURE() << reason;
  }
  EXPECT_EQ(files, 15);
}

TEST(Zoo, OriginsFractionBitsAreRead) {
  if (!fs::exists(kShared)) GTEST_SKIP() << "no shared data at " << kShared;
  const auto net = read_net(kShared / "origin/experiments_8bit_res18_only_conv_q17.prototxt");
  for (const auto& layer : net.layer()) {
    if (layer.qcodeconfig_size() == 0) continue;
    ASSERT_EQ(layer.name(), "conv1");  // the first: weights, input, output
    ASSERT_EQ(layer.qcodeconfig_size(), 3);
    EXPECT_EQ(layer.qcodeconfig(0).il(), 1);
    EXPECT_EQ(layer.qcodeconfig(0).fl(), 7);
    EXPECT_EQ(layer.qcodeconfig(2).il(), 2);
    EXPECT_EQ(layer.qcodeconfig(2).fl(), 6);
    return;
  }
  FAIL() << "no layer has a qcodeconfig";
}

}  // namespace
}  // namespace inure::caffe
