#include "inure/caffe/files.hpp"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <limits>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "inure/caffe/upgrade.hpp"

namespace inure::caffe {
namespace {

using google::protobuf::Message;
using google::protobuf::TextFormat;

// Keeps the first error as one line; those that follow from it say nothing new.
class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  explicit FirstError(const std::string& file) : file_(file) {}

  void AddError(int line, int column, const std::string& message) override {
    if (!text_.empty()) return;
    text_ = fmt::format("{}:{}:{}: {}", file_, line + 1, column + 1, tidied(message));
  }
  void AddWarning(int, int, const std::string&) override {}

  const std::string& text() const { return text_; }

 private:
  static std::string tidied(std::string message) {
    const std::string package = "inure.caffe.";
    for (std::size_t at; (at = message.find(package)) != std::string::npos;) {
      message.erase(at, package.size());
    }
    std::replace(message.begin(), message.end(), '\n', ' ');
    if (message.ends_with('.')) message.pop_back();
    if (message.find("has no field named") != std::string::npos) {
      message += "; Caffe 1.0 has none (a misspelling, or a fork's?)";
    }
    return message;
  }

  const std::string& file_;
  std::string text_;
};

bool is_text(std::string_view content) {
  return std::none_of(content.begin(),
                      content.begin() + std::min<std::ptrdiff_t>(std::ssize(content), 4096),
                      [](char c) { return static_cast<unsigned char>(c) < 9; });
}

void parse_text(const std::string& text, const std::string& file, Message& message,
                TextFormat::ParseInfoTree& lines) {
  if (!is_text(text)) fail("{}: is a binary file, a prototxt (text) is needed", file);
  TextFormat::Parser parser;
  FirstError error(file);
  parser.RecordErrorsTo(&error);
  parser.WriteLocationsTo(&lines);
  if (!parser.ParseFromString(text, &message)) throw Error(error.text());
}

// "file:line:column" of a layer's type in the text.
std::string place_of_type(const TextFormat::ParseInfoTree& lines, int layer) {
  const auto* in_net = NetParameter::descriptor()->FindFieldByName("layer");
  const auto* in_layer = LayerParameter::descriptor()->FindFieldByName("type");
  const auto* tree = lines.GetTreeForNested(in_net, layer);
  if (tree == nullptr) return "";
  const auto place = tree->GetLocation(in_layer, -1);
  return place.line < 0 ? "" : fmt::format(":{}:{}", place.line + 1, place.column + 1);
}

bool has_control_characters(const std::string& name) {
  return std::any_of(name.begin(), name.end(), [](char c) { return c >= 0 && c < ' '; });
}

void check_layer_types(const NetParameter& net, const std::string& file,
                       const TextFormat::ParseInfoTree& lines) {
  for (int i = 0; i < net.layer_size(); ++i) {
    const auto& layer = net.layer(i);
    // Messages are one line, and names stand in most of them.
    if (has_control_characters(layer.name()) || has_control_characters(layer.type())) {
      fail("{}{}: layer {} of the file has a line break in its name or type", file,
           place_of_type(lines, i), i);
    }
    if (!layer.has_type()) fail("{}: layer '{}' has no type", file, layer.name());
    if (is_layer_type(layer.type())) continue;
    fail("{}{}: layer '{}' has type '{}', which Caffe does not have; a fork of Caffe may", file,
         place_of_type(lines, i), layer.name(), layer.type());
  }
}

void upgrade_and_check(NetParameter& net, const std::string& file,
                       const TextFormat::ParseInfoTree& lines) {
  check_layer_types(net, file, lines);  // while their numbers are those of the text
  upgrade_net(net, file);
  check_layer_types(net, file, {});
  if (net.layer_size() == 0) fail("{}: has no layers; a network is needed", file);
}

int network_count(const SolverParameter& solver) {
  return solver.has_net() + solver.has_net_param() + solver.has_train_net() +
         solver.has_train_net_param();
}

// ---- Binary files

void parse_binary(const std::string& content, const std::string& file, const char* kind,
                  Message& message) {
  if (content.empty()) fail("{}: is empty; a {} is needed", file, kind);
  if (content.size() > std::numeric_limits<int>::max()) {
    fail("{}: is larger than 2 GiB, the limit of this format", file);
  }
  if (message.ParseFromArray(content.data(), static_cast<int>(content.size()))) return;
  if (is_text(content)) fail("{}: is text; a {} (binary) is needed", file, kind);
  fail("{}: is truncated, or not a {}", file, kind);
}

void write_binary(const std::filesystem::path& path, const Message& message) {
  std::string content;
  if (message.ByteSizeLong() > std::numeric_limits<int>::max() ||
      !message.SerializeToString(&content)) {
    fail("{}: would be larger than 2 GiB, the limit of this format", path.string());
  }
  write_file_atomically(path, content);
}

// Data in float, as many values as the shape says.
void check_blob(BlobProto& blob, const std::string& where) {
  if (blob.data_size() == 0 && blob.double_data_size() > 0) {
    blob.mutable_data()->Assign(blob.double_data().begin(), blob.double_data().end());
    blob.clear_double_data();
  }
  std::int64_t count = 1;
  for (const auto dim : blob_shape(blob)) {
    if (dim < 0 || (dim > 0 && count > std::numeric_limits<int>::max() / dim)) {
      fail("{}: has the impossible dimension {}", where, dim);
    }
    count *= dim;
  }
  if (blob.data_size() != count) {
    fail("{}: has {} values where its shape has {}", where, blob.data_size(), count);
  }
}

}  // namespace

NetParameter parse_net(const std::string& text, const std::string& name_for_errors) {
  NetParameter net;
  TextFormat::ParseInfoTree lines;
  parse_text(text, name_for_errors, net, lines);
  upgrade_and_check(net, name_for_errors, lines);
  return net;
}

NetParameter read_net(const std::filesystem::path& path) {
  return parse_net(read_file(path), path.string());
}

SolverParameter read_solver(const std::filesystem::path& path) {
  const std::string file = path.string();
  SolverParameter solver;
  TextFormat::ParseInfoTree lines;
  parse_text(read_file(path), file, solver, lines);
  upgrade_solver(solver, file);
  if (network_count(solver) != 1) {
    fail(
        "{}: names {} networks to train; exactly one of net, net_param, train_net and "
        "train_net_param is needed",
        file, network_count(solver));
  }
  if (solver.has_net_param()) upgrade_and_check(*solver.mutable_net_param(), file, {});
  if (solver.has_train_net_param()) upgrade_and_check(*solver.mutable_train_net_param(), file, {});
  for (auto& net : *solver.mutable_test_net_param()) upgrade_and_check(net, file, {});
  return solver;
}

NetParameter read_model(const std::filesystem::path& path) {
  const std::string file = path.string();
  NetParameter model;
  parse_binary(read_file(path), file, "caffemodel", model);
  if (model.layer_size() + model.layers_size() == 0) {
    fail("{}: has no layers: it is not a caffemodel", file);
  }
  upgrade_weights(model);
  for (auto& layer : *model.mutable_layer()) {
    if (layer.type().empty() && layer.name().empty()) {
      fail("{}: has a layer without name and type: it is not a caffemodel", file);
    }
    for (int i = 0; i < layer.blobs_size(); ++i) {
      check_blob(*layer.mutable_blobs(i),
                 fmt::format("{}: layer '{}', blob {}", file, layer.name(), i));
    }
  }
  return model;
}

SolverState read_solver_state(const std::filesystem::path& path) {
  const std::string file = path.string();
  SolverState state;
  parse_binary(read_file(path), file, "solverstate", state);
  if (!state.has_iter()) fail("{}: has no iteration: it is not a solverstate", file);
  for (int i = 0; i < state.history_size(); ++i) {
    check_blob(*state.mutable_history(i), fmt::format("{}: history {}", file, i));
  }
  return state;
}

BlobProto read_mean(const std::filesystem::path& path) {
  const std::string file = path.string();
  BlobProto mean;
  parse_binary(read_file(path), file, "mean binaryproto", mean);
  auto shape = blob_shape(mean);
  if (shape.size() == 3) shape.insert(shape.begin(), 1);
  if (shape.size() != 4 || shape[0] != 1) {
    fail("{}: has the shape {}; a mean image has 1 x channels x height x width", file,
         fmt::join(shape, " x "));
  }
  check_blob(mean, file);
  mean.mutable_shape()->mutable_dim()->Assign(shape.begin(), shape.end());
  return mean;
}

void write_model(const std::filesystem::path& path, const NetParameter& model) {
  write_binary(path, model);
}

void write_solver_state(const std::filesystem::path& path, const SolverState& state) {
  write_binary(path, state);
}

void write_mean(const std::filesystem::path& path, const BlobProto& mean) {
  write_binary(path, mean);
}

std::vector<std::int64_t> blob_shape(const BlobProto& blob) {
  if (blob.has_shape()) return {blob.shape().dim().begin(), blob.shape().dim().end()};
  if (blob.has_num() || blob.has_channels() || blob.has_height() || blob.has_width()) {
    return {blob.num(), blob.channels(), blob.height(), blob.width()};
  }
  return {};
}

}  // namespace inure::caffe
