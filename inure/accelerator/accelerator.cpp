#include "inure/accelerator/accelerator.hpp"

#include <google/protobuf/text_format.h>

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
  check_description(description, "accelerator");
  return found->second.factory(description);
}

std::map<std::string, std::string> Registry::kinds() const {
  std::map<std::string, std::string> summaries;
  for (const auto& [name, kind] : kinds_) summaries[name] = kind.summary;
  return summaries;
}

AcceleratorDescription parse_description(const std::string& text, const std::string& name) {
  AcceleratorDescription description;
  parse_text_format(text, name, "an accelerator's description",
                    "inure/accelerator/description.proto", description);
  check_description(description, name);
  return description;
}

AcceleratorDescription read_description(const std::string& path) {
  return parse_description(read_text_file(path), path);
}

std::string to_text(const AcceleratorDescription& description) {
  std::string text;
  google::protobuf::TextFormat::PrintToString(description, &text);
  return text;
}

}  // namespace inure
