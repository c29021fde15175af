#include "inure/train/snapshot.hpp"

#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <functional>
#include <set>
#include <string_view>

#include "inure/base/error.hpp"
#include "inure/caffe/files.hpp"

namespace inure {

namespace {

namespace fs = std::filesystem;

fs::path weights_path(const std::string& prefix, int iteration) {
  return prefix + "_iter_" + std::to_string(iteration) + ".caffemodel";
}

// The N of "NAME_iter_N<ending>"; empty for other names.
std::optional<int> iteration_of(std::string_view name, std::string_view stem,
                                std::string_view ending) {
  if (!name.starts_with(stem) || !name.ends_with(ending)) return {};
  if (name.size() <= stem.size() + ending.size()) return {};
  name = name.substr(stem.size(), name.size() - stem.size() - ending.size());
  int iteration = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), iteration);
  if (error != std::errc() || end != name.data() + name.size() || iteration < 0) return {};
  return iteration;
}

fs::path folder_of(const std::string& prefix) {
  const fs::path folder = fs::path(prefix).parent_path();
  return folder.empty() ? fs::path(".") : folder;
}

std::string stem_of(const std::string& prefix) {
  return fs::path(prefix).filename().string() + "_iter_";
}

void write_tensor(const at::Tensor& tensor, caffe::BlobProto* blob) {
  for (const std::int64_t size : tensor.sizes()) blob->mutable_shape()->add_dim(size);
  const float* values = tensor.data_ptr<float>();
  blob->mutable_data()->Assign(values, values + tensor.numel());
}

at::Tensor read_tensor(const caffe::BlobProto& blob, const fs::path& path) {
  const std::vector<std::int64_t> shape = caffe::blob_shape(blob);
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  at::Tensor tensor = at::empty(shape, at::kFloat);
  float* values = tensor.data_ptr<float>();
  if (blob.data_size() == count) {
    std::copy(blob.data().begin(), blob.data().end(), values);
  } else if (blob.double_data_size() == count) {
    std::transform(blob.double_data().begin(), blob.double_data().end(), values,
                   [](double value) { return static_cast<float>(value); });
  } else {
    fail("{}: a history has {} values where its shape has {}", path.string(), blob.data_size(),
         count);
  }
  return tensor;
}

// Where the weights lie whose name a solverstate holds: beside it, so that a copied folder has its
// own, or else where they were written.
fs::path find_weights(const std::string& learned_net, const fs::path& state) {
  std::error_code ignored;
  const fs::path beside = state.parent_path() / fs::path(learned_net).filename();
  if (fs::exists(beside, ignored)) return beside;
  if (!fs::exists(learned_net, ignored)) {
    fail("{}: its weights {} are missing, also beside it", state.string(), learned_net);
  }
  return learned_net;
}

caffe::NetParameter read_weights(const caffe::SolverState& state, const fs::path& path) {
  const fs::path file = find_weights(state.learned_net(), path);
  std::uint64_t sum = 0;
  caffe::NetParameter weights = caffe::read_model(file, &sum);
  const caffe::TrainingState& training = state.training();
  if (training.has_weights_checksum() && training.weights_checksum() != sum) {
    fail("{}: its weights {} are not those of this snapshot: another run wrote the file",
         path.string(), file.string());
  }
  return weights;
}

std::string format_shape(at::IntArrayRef shape) {
  return shape.empty() ? "scalar" : fmt::format("{}", fmt::join(shape, "x"));
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

void check_same_network(const std::string& there, const std::string& here, const fs::path& path) {
  if (there == here) return;
  const auto a = lines_of(there), b = lines_of(here);
  std::size_t i = 0;
  while (i < a.size() && i < b.size() && a[i] == b[i]) ++i;
  fail("{}: was taken of another network: it has \"{}\" where this has \"{}\"", path.string(),
       i < a.size() ? a[i] : "no more layers", i < b.size() ? b[i] : "no more layers");
}

void check_same_accelerator(const std::string& there, const std::string& here,
                            const fs::path& path) {
  if (there == here) return;
  if (here.empty()) {
    fail("{}: was taken of a run on an accelerator; name the same with --accelerator",
         path.string());
  }
  if (there.empty()) {
    fail("{}: was taken of a run on the host; leave --accelerator away", path.string());
  }
  const auto a = lines_of(there), b = lines_of(here);
  std::size_t i = 0;
  while (i < a.size() && i < b.size() && a[i] == b[i]) ++i;
  fail(
      "{}: was taken of a run on another accelerator: its description has \"{}\" where this has "
      "\"{}\"",
      path.string(), i < a.size() ? a[i] : "no more lines", i < b.size() ? b[i] : "no more lines");
}

}  // namespace

std::string describe_network(const Network& network) {
  std::string text;
  for (const Network::Node& node : network.nodes()) {
    text += node.layer->name() + " " + node.layer->type();
    for (const auto& parameter : node.layer->parameters) {
      text += ' ';
      text += format_shape(parameter->data.sizes());
    }
    text += "\n";
  }
  return text;
}

fs::path snapshot_path(const std::string& prefix, int iteration) {
  return prefix + "_iter_" + std::to_string(iteration) + ".solverstate";
}

fs::path write_snapshot(const std::string& prefix, const Snapshot& snapshot) {
  const fs::path weights = weights_path(prefix, snapshot.iteration);
  caffe::SolverState state;
  state.set_iter(snapshot.iteration);
  state.set_learned_net(weights.string());
  state.set_current_step(snapshot.current_step);
  for (const at::Tensor& history : snapshot.history) write_tensor(history, state.add_history());
  caffe::TrainingState* training = state.mutable_training();
  training->set_seed(snapshot.seed);
  training->set_network(snapshot.network);
  training->set_accelerator(snapshot.accelerator);
  for (const double loss : snapshot.losses) training->add_losses(loss);
  for (const std::int64_t batch : snapshot.test_batch) training->add_test_batch(batch);

  training->set_weights_checksum(caffe::write_model(weights, snapshot.weights));
  const fs::path path = snapshot_path(prefix, snapshot.iteration);
  caffe::write_solver_state(path, state);
  return path;
}

Snapshot read_snapshot(const fs::path& path) {
  const caffe::SolverState state = caffe::read_solver_state(path);
  if (!state.has_learned_net()) {
    fail("{}: names no weights (learned_net); give a .solverstate that belongs to a .caffemodel",
         path.string());
  }
  Snapshot snapshot;
  snapshot.iteration = state.iter();
  snapshot.current_step = state.current_step();
  snapshot.weights = read_weights(state, path);
  for (const caffe::BlobProto& blob : state.history()) {
    snapshot.history.push_back(read_tensor(blob, path));
  }
  snapshot.from_caffe = !state.has_training();
  const caffe::TrainingState& training = state.training();
  snapshot.seed = training.seed();
  snapshot.network = training.network();
  snapshot.accelerator = training.accelerator();
  snapshot.losses.assign(training.losses().begin(), training.losses().end());
  snapshot.test_batch.assign(training.test_batch().begin(), training.test_batch().end());
  return snapshot;
}

void check_snapshot(const Snapshot& snapshot, const fs::path& path, const Network& network,
                    const std::string& accelerator) {
  if (!snapshot.from_caffe) {
    check_same_network(snapshot.network, describe_network(network), path);
    check_same_accelerator(snapshot.accelerator, accelerator, path);
  }
  const auto& parameters = network.parameters();
  if (snapshot.history.size() != parameters.size()) {
    fail("{}: has {} histories, the network has {} parameters: it was taken of another network",
         path.string(), snapshot.history.size(), parameters.size());
  }
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    // Caffe's old files have four dimensions everywhere.
    if (snapshot.history[p].numel() == parameters[p]->data.numel()) continue;
    fail("{}: the history of {} is {}, the parameter {}: it was taken of another network",
         path.string(), parameters[p]->name, format_shape(snapshot.history[p].sizes()),
         format_shape(parameters[p]->data.sizes()));
  }
}

std::optional<fs::path> find_latest_snapshot(const std::string& prefix,
                                             std::vector<std::string>* damaged, int below) {
  std::set<int, std::greater<>> iterations;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder_of(prefix), error)) {
    const auto iteration =
        iteration_of(entry.path().filename().string(), stem_of(prefix), ".solverstate");
    if (!iteration || *iteration >= below || !fs::exists(weights_path(prefix, *iteration)))
      continue;
    iterations.insert(*iteration);
  }
  std::string first;  // what is wrong with the newest
  for (const int iteration : iterations) {
    const fs::path path = snapshot_path(prefix, iteration);
    try {
      read_snapshot(path);
      return path;
    } catch (const Error& bad) {
      if (damaged != nullptr) damaged->push_back(bad.what());
      if (first.empty()) first = bad.what();
    }
  }
  if (first.empty()) return {};
  fail("{}; no other snapshot {}_iter_N.solverstate is whole", first, prefix);
}

std::optional<fs::path> snapshot_before(const fs::path& path) {
  const std::string name = path.string();
  const std::string prefix = name.substr(0, name.rfind("_iter_"));
  const auto iteration = iteration_of(path.filename().string(), stem_of(prefix), ".solverstate");
  if (!iteration) return {};
  try {
    return find_latest_snapshot(prefix, nullptr, *iteration);
  } catch (const Error&) {
    return {};  // those before are damaged too
  }
}

void remove_unfinished_snapshots(const std::string& prefix) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder_of(prefix), error)) {
    const std::string name = entry.path().filename().string();
    const std::size_t mark = name.rfind(".tmp-");  // as write_file_atomically names them
    if (mark == std::string::npos) continue;
    const std::string_view target = std::string_view(name).substr(0, mark);
    const std::string stem = stem_of(prefix);
    if (!iteration_of(target, stem, ".solverstate") && !iteration_of(target, stem, ".caffemodel"))
      continue;
    int process = 0;
    std::from_chars(name.data() + mark + 5, name.data() + name.size(), process);
    if (process > 0 && kill(process, 0) != 0 && errno == ESRCH) fs::remove(entry.path(), error);
  }
}

}  // namespace inure
