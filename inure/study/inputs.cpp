#include "inure/study/inputs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "inure/base/fingerprint.hpp"
#include "inure/caffe/files.hpp"
#include "inure/data/image_list.hpp"

namespace inure {
namespace {

namespace fs = std::filesystem;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr std::uintmax_t kReadWhole = std::uintmax_t{1} << 30;

// Size and time of the last change.
std::string state_of(const fs::path& file) {
  std::error_code error;
  const auto size = fs::file_size(file, error);
  const auto time = error ? fs::file_time_type() : fs::last_write_time(file, error);
  if (error) return "none";
  return fmt::format("{} {}", size, time.time_since_epoch().count());
}

std::string content_of(const fs::path& file) {
  std::error_code error;
  const auto size = fs::file_size(file, error);
  return error || size > kReadWhole ? state_of(file) : fingerprint_of_file(file);
}

// Adds the paths that a layer names, wherever in it.
void add_paths(const Message& message, std::vector<std::string>& paths) {
  std::vector<const FieldDescriptor*> fields;
  const auto* reflection = message.GetReflection();
  reflection->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      const int size = field->is_repeated() ? reflection->FieldSize(message, field) : 1;
      for (int i = 0; i < size; ++i) {
        add_paths(field->is_repeated() ? reflection->GetRepeatedMessage(message, field, i)
                                       : reflection->GetMessage(message, field),
                  paths);
      }
    } else if (field->name() == "source" || field->name() == "mean_file") {
      paths.push_back(reflection->GetString(message, field));
    }
  }
}

}  // namespace

std::string fingerprint_of_path(const fs::path& path) {
  std::error_code error;
  if (fs::is_regular_file(path, error)) return content_of(path);
  if (!fs::is_directory(path, error)) return "none";
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(path, error)) {
    const std::string name = entry.path().filename().string();
    if (name != "lock.mdb") files[name] = content_of(entry.path());
  }
  Fingerprint all;
  for (const auto& [name, content] : files) all.add(name).add(content);
  return all.text();
}

std::string fingerprint_of_inputs(const caffe::NetParameter& net) {
  Fingerprint all;
  std::map<std::string, std::string> known;  // train and test layers often share them
  for (const caffe::LayerParameter& layer : net.layer()) {
    std::vector<std::string> paths;
    add_paths(layer, paths);
    for (const std::string& path : paths) {
      const auto [at, fresh] = known.try_emplace(path);
      if (fresh) at->second = fingerprint_of_path(path);
      all.add(at->second);
    }
    const auto& list = layer.image_data_param();
    if (layer.type() != "ImageData" || !fs::exists(list.source())) continue;
    for (const auto& file : data::read_image_list(list.source(), layer.name())) {
      all.add(state_of(list.root_folder() + file.path));
    }
  }
  return all.text();
}

std::string fingerprint_of(const AcceleratorDescription& description) {
  AcceleratorDescription nameless = description;
  Fingerprint all;
  TimingDescription& timing = *nameless.mutable_errors()->mutable_timing();
  for (const std::string& profile : timing.profile()) all.add(fingerprint_of_path(profile));
  for (const std::string& tables : timing.tables()) all.add(fingerprint_of_path(tables));
  timing.clear_profile(), timing.clear_tables();
  timing.clear_clock_mhz(), timing.clear_relative_clock();
  return all.add(to_text(nameless)).text();
}

std::string fingerprint_of(const caffe::SolverParameter& solver, bool with_inputs) {
  caffe::SolverParameter nameless = solver;
  nameless.clear_snapshot_prefix(), nameless.clear_snapshot();
  nameless.clear_net(), nameless.clear_train_net();
  Fingerprint all;
  all.add(nameless.SerializeAsString());
  const auto add_net = [&](const caffe::NetParameter& net) {
    all.add(net.SerializeAsString());
    if (with_inputs) all.add(fingerprint_of_inputs(net));
  };
  for (const std::string& file : {solver.net(), solver.train_net()}) {
    if (!file.empty()) add_net(caffe::read_net(file));
  }
  if (solver.has_net_param()) add_net(solver.net_param());
  if (solver.has_train_net_param()) add_net(solver.train_net_param());
  return all.text();
}

}  // namespace inure
