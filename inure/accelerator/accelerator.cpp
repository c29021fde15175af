#include "inure/accelerator/accelerator.hpp"

#include <google/protobuf/text_format.h>

#include <set>

#include "inure/accelerator/text_format.hpp"
#include "inure/base/error.hpp"
#include "inure/base/file.hpp"

namespace inure {

void Registry::add(const std::string& kind, const std::string& summary, Factory factory) {
  kinds_[kind] = {summary, std::move(factory)};
}

std::unique_ptr<Accelerator> Registry::make(const AcceleratorDescription& description) const {
  const auto found = kinds_.find(description.kind());
  if (found == kinds_.end()) {
    std::string known;
    for (const auto& [name, kind] : kinds_) known += (known.empty() ? "" : ", ") + name;
    fail("accelerator: kind \"{}\" is not known; known: {}", description.kind(), known);
  }
  return found->second.factory(description);
}

std::map<std::string, std::string> Registry::kinds() const {
  std::map<std::string, std::string> summaries;
  for (const auto& [name, kind] : kinds_) summaries[name] = kind.summary;
  return summaries;
}

namespace {

void check_layers(const AcceleratorDescription& description, const std::string& name) {
  if (!(description.clock_mhz() >= 0 && description.clock_mhz() < 1e6)) {
    fail("{}: clock_mhz is {}; give a clock in MHz, above 0", name, description.clock_mhz());
  }
  std::set<std::string> formatted;
  for (const LayerFormat& format : description.format()) {
    if (!formatted.insert(format.layer()).second) {
      fail("{}: layer \"{}\" has two formats; keep one", name, format.layer());
    }
    for (const int fraction : {format.weights(), format.input(), format.output()}) {
      if (fraction < kLeastFraction || fraction > kMostFraction) {
        fail("{}: layer \"{}\" has a fraction of {}; {} to {} make sense for 8 bits", name,
             format.layer(), fraction, kLeastFraction, kMostFraction);
      }
    }
  }
  for (const std::string& host : description.host_layer()) {
    for (const std::string& demanded : description.accelerator_layer()) {
      if (host == demanded) {
        fail("{}: layer \"{}\" is both a host_layer and an accelerator_layer; keep one", name,
             host);
      }
    }
  }
}

}  // namespace

AcceleratorDescription parse_description(const std::string& text, const std::string& name) {
  AcceleratorDescription description;
  parse_text_format(text, name, "an accelerator's description",
                    "inure/accelerator/description.proto", description);
  check_layers(description, name);
  return description;
}

AcceleratorDescription read_description(const std::string& path) {
  return parse_description(read_file(path), path);
}

std::string to_text(const AcceleratorDescription& description) {
  std::string text;
  google::protobuf::TextFormat::PrintToString(description, &text);
  return text;
}

}  // namespace inure
