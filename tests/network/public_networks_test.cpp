// The networks of public zoos and of the project's origin: how far each of them comes.

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>

#include "helpers.hpp"
#include "tests/common.hpp"

namespace inure::test {
namespace {

namespace fs = std::filesystem;

constexpr int kLargestInShortRun = 30;  // layers

struct Count {
  int files = 0, solvers = 0, parsed = 0, built = 0, forward = 0, backward = 0, not_run = 0;
};

std::vector<fs::path> prototxts_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".prototxt") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// A batch of one picture; the pictures' size where the layer itself does not say it.
Network::Shapes one_picture(const caffe::LayerParameter& layer, const std::string& file) {
  Network::Shapes shapes;
  if (layer.type() == "Input" || layer.type() == "DummyData") {
    const auto& p = layer.dummy_data_param();
    for (const auto& shape : p.shape()) shapes.emplace_back(shape.dim().begin(), shape.dim().end());
    for (int i = 0; i < p.num_size(); ++i) {
      shapes.push_back({1, p.channels(i), p.height(i), p.width(i)});
    }
    if (layer.type() == "Input") shapes = shapes_or({})(layer);
    if (!shapes.empty()) shapes.resize(layer.top_size(), shapes[0]);
    for (auto& shape : shapes) {
      if (!shape.empty()) shape[0] = 1;
    }
    return shapes;
  }
  const bool digits = file.find("mnist") != file.npos || file.find("/lenet") != file.npos;
  const bool small = file.find("cifar") != file.npos;
  std::int64_t size = digits ? 28 : small ? 32 : 224;
  if (layer.transform_param().crop_size() > 0) size = layer.transform_param().crop_size();
  shapes.push_back({1, digits ? 1 : 3, size, size});
  while (static_cast<int>(shapes.size()) < layer.top_size()) shapes.push_back({1});
  return shapes;
}

bool learns(const caffe::NetParameter& net) {
  return std::any_of(net.layer().begin(), net.layer().end(), [](const auto& layer) {
    return layer.type().find("Loss") != std::string::npos;
  });
}

// Drawing the weights takes most of the time of building.
void clear_fillers(caffe::NetParameter& net) {
  for (auto& layer : *net.mutable_layer()) {
    if (layer.has_convolution_param()) layer.mutable_convolution_param()->clear_weight_filler();
    if (layer.has_inner_product_param()) layer.mutable_inner_product_param()->clear_weight_filler();
  }
}

// Parses, builds and runs one network, as far as it comes. Throws Error with what stopped it.
void try_network(const fs::path& file, bool all, Count& count) {
  caffe::NetParameter net = caffe::read_net(file);
  ++count.parsed;
  const bool run = all || net.layer_size() <= kLargestInShortRun;
  if (!run) clear_fillers(net);
  const bool train = learns(net);
  if (train) net.mutable_state()->add_stage("train");  // some have rules for it
  Network network(net, train ? caffe::TRAIN : caffe::TEST, 1,
                  [&](const auto& layer) { return one_picture(layer, file.string()); });
  ++count.built;
  count.not_run += !run;
  if (!run) return;
  for (const auto& layer : network.data_layers()) {
    for (const std::string& top : layer.top()) {
      const std::int64_t values = network.blob_versions(top).front()->count();
      const bool label = values == 1;
      network.set_input(top, label ? std::vector<float>{0} : random_values(values, 1));
    }
  }
  network.forward(0);
  ++count.forward;
  if (!train) return;
  network.backward();
  ++count.backward;
}

// "... type "X" ..." and the like, without the file, so that equal reasons are counted together.
std::string reason_of(const std::string& message, const fs::path& file) {
  std::string reason = message;
  if (const auto at = reason.find(file.string()); at != reason.npos) {
    reason.erase(at, file.string().size());
  }
  if (const auto at = reason.find("; known:"); at != reason.npos) reason.erase(at);
  return reason;
}

void try_all(const fs::path& folder, bool all) {
  Count count;
  std::map<std::string, std::vector<std::string>> refused;
  for (const fs::path& file : prototxts_in(folder)) {
    ++count.files;
    const std::string error = error_of([&] {
      if (file.filename().string().find("solver") != std::string::npos) {
        caffe::read_solver(file);
        ++count.solvers;
      } else {
        try_network(file, all, count);
      }
    });
    if (error.empty()) continue;
    EXPECT_EQ(error.find('\n'), error.npos) << error;
    refused[reason_of(error, file)].push_back(fs::relative(file, folder).string());
  }
  for (const auto& [reason, files] : refused) {
    std::cout << files.size() << " refused, " << files[0] << ": " << reason << '\n';
  }
  std::cout << fmt::format(
      "{}: {} files: {} solvers read; of {} networks {} parsed, {} built, {} ran forward, {} with "
      "a "
      "loss ran backward{}\n",
      folder.filename().string(), count.files, count.solvers, count.files - count.solvers,
      count.parsed, count.built, count.forward, count.backward,
      count.not_run ? fmt::format("; {} with more than {} layers were only built", count.not_run,
                                  kLargestInShortRun)
                    : "");
  EXPECT_EQ(count.forward + count.not_run, count.built);
}

// INURE_ALL_NETWORKS=1 runs the large ones too (some minutes); INURE_NETWORKS names another folder.
TEST(PublicNetworks, RunOrAreRefusedWithTheReason) {
  const bool all = std::getenv("INURE_ALL_NETWORKS") != nullptr;
  if (const char* folder = std::getenv("INURE_NETWORKS")) return try_all(folder, all);
  NEEDS_SHARED("prototxt_zoo");
  try_all(kShared + "/prototxt_zoo", all);
  try_all(kShared + "/origin", all);
}

}  // namespace
}  // namespace inure::test
