#include "inure/caffe/files.hpp"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "inure/base/fingerprint.hpp"
#include "inure/base/finite.hpp"
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

// Throws Error for a solver where a network is wanted, and the other way round.
void check_kind(const std::string& text, const std::string& file, const Message& wanted) {
  FirstError ignored(file);
  TextFormat::Parser parser;
  parser.RecordErrorsTo(&ignored);
  if (wanted.GetDescriptor() == NetParameter::descriptor()) {
    SolverParameter solver;
    if (!parser.ParseFromString(text, &solver)) return;
    const std::string net = solver.has_net() ? solver.net() : solver.train_net();
    fail("{}: is a solver; a network is needed{}", file,
         net.empty() ? "" : fmt::format(", it names {}", net));
  }
  NetParameter net;
  if (!parser.ParseFromString(text, &net)) return;
  fail("{}: is a network; a solver, which names one, is needed", file);
}

void parse_text(const std::string& text, const std::string& file, Message& message,
                TextFormat::ParseInfoTree& lines) {
  if (!is_text(text)) fail("{}: is a binary file, a prototxt (text) is needed", file);
  TextFormat::Parser parser;
  FirstError error(file);
  parser.RecordErrorsTo(&error);
  parser.WriteLocationsTo(&lines);
  if (!parser.ParseFromString(text, &message)) {
    check_kind(text, file, message);
    throw Error(error.text());
  }
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

std::string name_of(const Message& message) {
  const auto* layer = dynamic_cast<const LayerParameter*>(&message);
  return layer == nullptr ? "" : fmt::format("layer \"{}\": ", layer->name());
}

// Throws Error for a number of the text that is NaN or infinite. (Blobs have a check of their own.)
void check_finite(const Message& message, const std::string& where) {
  if (message.GetDescriptor() == BlobProto::descriptor()) return;
  const std::string here = where + name_of(message);
  const auto* reflection = message.GetReflection();
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const auto* field : fields) {
    using Field = google::protobuf::FieldDescriptor;
    const int count = field->is_repeated() ? reflection->FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      if (field->cpp_type() == Field::CPPTYPE_MESSAGE) {
        check_finite(field->is_repeated() ? reflection->GetRepeatedMessage(message, field, i)
                                          : reflection->GetMessage(message, field),
                     here);
      } else if (field->cpp_type() == Field::CPPTYPE_FLOAT) {
        const float value = field->is_repeated() ? reflection->GetRepeatedFloat(message, field, i)
                                                 : reflection->GetFloat(message, field);
        if (!is_finite(value)) {
          fail("{}{} is {}; a finite number is needed", here, field->name(), value);
        }
      }
    }
  }
}

int network_count(const SolverParameter& solver) {
  return solver.has_net() + solver.has_net_param() + solver.has_train_net() +
         solver.has_train_net_param();
}

// ---- Binary files

// The checksum is a field that Caffe does not know, written behind all others: number 1002, bytes.
const std::string kChecksumField = std::string("\xD2\x3E\x10", 3) + "inure:1=";
constexpr std::size_t kChecksumBytes = sizeof(std::uint64_t);

std::string to_bytes(std::uint64_t number) {
  std::string bytes;
  for (std::size_t i = 0; i < kChecksumBytes; ++i) {
    bytes.push_back(static_cast<char>(number >> (8 * i)));
  }
  return bytes;
}

// Takes the checksum off the end of the file and verifies it. 0: the file has none.
std::uint64_t take_checksum(std::string& content, const std::string& file) {
  const std::size_t size = kChecksumField.size() + kChecksumBytes;
  if (content.size() < size) return 0;
  const std::string_view end = std::string_view(content).substr(content.size() - size);
  if (!end.starts_with(kChecksumField)) return 0;
  const std::string stored(end.substr(kChecksumField.size()));
  content.resize(content.size() - size);
  const std::uint64_t found = Fingerprint().add(content).number();
  if (to_bytes(found) == stored) return found;
  fail(
      "{}: is damaged: its checksum is another (a program that edits it must leave the checksum "
      "out: DiscardUnknownFields() of protobuf)",
      file);
}

void parse_binary(const std::string& content, const std::string& file, const char* kind,
                  Message& message) {
  if (content.empty()) fail("{}: is empty; a {} is needed", file, kind);
  if (content.starts_with("\x89HDF\r\n")) {
    fail("{}: is an HDF5 file; a {} in Caffe's binary form (BINARYPROTO) is needed", file, kind);
  }
  if (content.size() > std::numeric_limits<int>::max()) {
    fail("{}: is larger than 2 GiB, the limit of this format", file);
  }
  if (message.ParseFromArray(content.data(), static_cast<int>(content.size()))) return;
  if (is_text(content)) fail("{}: is text; a {} (binary) is needed", file, kind);
  fail("{}: is truncated, or not a {}", file, kind);
}

std::string to_binary(const std::filesystem::path& path, const Message& message) {
  std::string content;
  if (message.ByteSizeLong() + kChecksumField.size() + kChecksumBytes >
          std::numeric_limits<int>::max() ||
      !message.SerializeToString(&content)) {
    fail("{}: would be larger than 2 GiB, the limit of this format", path.string());
  }
  return content;
}

std::uint64_t write_with_checksum(const std::filesystem::path& path, const Message& message) {
  std::string content = to_binary(path, message);
  const std::uint64_t sum = Fingerprint().add(content).number();
  content += kChecksumField + to_bytes(sum);
  write_file_atomically(path, content);
  return sum;
}

float half_to_float(std::uint16_t half) {
  const int exponent = half >> 10 & 31, mantissa = half & 1023;
  float value = exponent == 0    ? std::ldexp(static_cast<float>(mantissa), -24)
                : exponent == 31 ? (mantissa == 0 ? HUGE_VALF : NAN)
                                 : std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
  return half & 0x8000 ? -value : value;
}

template <typename Stored, typename Convert>
void unpack(const std::string& raw, BlobProto& blob, const Convert& convert) {
  for (std::size_t at = 0; at + sizeof(Stored) <= raw.size(); at += sizeof(Stored)) {
    Stored value;
    std::memcpy(&value, raw.data() + at, sizeof value);
    blob.add_data(convert(value));
  }
}

// NVIDIA's fork stores the bytes of its numbers.
void unpack_raw(BlobProto& blob, const std::string& where) {
  const std::string raw = blob.raw_data();
  if (blob.raw_data_type() == 0) {
    unpack<double>(raw, blob, [](double value) { return static_cast<float>(value); });
  } else if (blob.raw_data_type() == 1) {
    unpack<float>(raw, blob, [](float value) { return value; });
  } else if (blob.raw_data_type() == 2) {
    unpack<std::uint16_t>(raw, blob, half_to_float);
  } else {
    fail(
        "{}: its data are in a form of NVIDIA's fork of Caffe (raw, type {}) that is not read; "
        "double, float and half precision (0, 1, 2) are",
        where, blob.raw_data_type());
  }
  blob.clear_raw_data(), blob.clear_raw_data_type();
}

// Data in float, as many values as the shape says.
void check_blob(BlobProto& blob, const std::string& where) {
  if (blob.data_size() == 0 && blob.has_raw_data()) unpack_raw(blob, where);
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
  check_finite(net, name_for_errors + ": ");
  return net;
}

NetParameter read_net(const std::filesystem::path& path) {
  return parse_net(read_text_file(path), path.string());
}

SolverParameter read_solver(const std::filesystem::path& path) {
  const std::string file = path.string();
  SolverParameter solver;
  TextFormat::ParseInfoTree lines;
  parse_text(read_text_file(path), file, solver, lines);
  upgrade_solver(solver, file);
  if (network_count(solver) != 1) {
    fail(
        "{}: names {} networks to train; exactly one of net, net_param, train_net and "
        "train_net_param is needed",
        file, network_count(solver));
  }
  // The solver's own numbers are checked where their ranges are known.
  const auto check = [&](NetParameter& net) {
    upgrade_and_check(net, file, {});
    check_finite(net, file + ": ");
  };
  if (solver.has_net_param()) check(*solver.mutable_net_param());
  if (solver.has_train_net_param()) check(*solver.mutable_train_net_param());
  for (auto& net : *solver.mutable_test_net_param()) check(net);
  return solver;
}

NetParameter read_model(const std::filesystem::path& path, std::uint64_t* sum) {
  const std::string file = path.string();
  NetParameter model;
  std::string content = read_file(path);
  const std::uint64_t found = take_checksum(content, file);
  if (sum != nullptr) *sum = found;
  parse_binary(content, file, "caffemodel", model);
  if (model.layer_size() + model.layers_size() == 0) {
    fail("{}: has no layers: it is not a caffemodel", file);
  }
  upgrade_weights(model);
  for (auto& layer : *model.mutable_layer()) {
    // A fork's layer may have a type that is not known; its weights are found by its name.
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
  std::string content = read_file(path);
  take_checksum(content, file);
  parse_binary(content, file, "solverstate", state);
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
  const std::span<const float> values(mean.data().data(), mean.data_size());
  if (const auto bad = find_not_finite(values)) {
    fail("{}: value {} is {}; a mean has finite numbers", file, *bad, values[*bad]);
  }
  mean.mutable_shape()->mutable_dim()->Assign(shape.begin(), shape.end());
  return mean;
}

std::uint64_t write_model(const std::filesystem::path& path, const NetParameter& model) {
  return write_with_checksum(path, model);
}

void write_solver_state(const std::filesystem::path& path, const SolverState& state) {
  write_with_checksum(path, state);
}

void write_mean(const std::filesystem::path& path, const BlobProto& mean) {
  write_file_atomically(path, to_binary(path, mean));
}

std::vector<std::int64_t> blob_shape(const BlobProto& blob) {
  if (blob.has_shape()) return {blob.shape().dim().begin(), blob.shape().dim().end()};
  if (blob.has_num() || blob.has_channels() || blob.has_height() || blob.has_width()) {
    return {blob.num(), blob.channels(), blob.height(), blob.width()};
  }
  return {};
}

}  // namespace inure::caffe
