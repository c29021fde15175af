#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"

// What the readers of yosys's and nextpnr's JSON netlists share.
namespace inure::timing {

using Json = nlohmann::json;

inline Json parse_json(const std::filesystem::path& path) {
  try {
    return Json::parse(read_file(path));
  } catch (const Json::exception& error) {
    fail("{}: not a JSON file: {}", path.string(), error.what());
  }
}

// The one module that is not a library cell's.
inline const Json& only_module(const Json& root, const std::string& path) {
  const Json* found = nullptr;
  for (const auto& [name, module] : root.at("modules").items()) {
    const auto attributes = module.find("attributes");
    if (attributes != module.end() &&
        (attributes->contains("blackbox") || attributes->contains("whitebox"))) {
      continue;
    }
    if (found) fail("{}: several modules; expected one flat module", path);
    found = &module;
  }
  if (!found) fail("{}: no module", path);
  return *found;
}

// visit("name[3]", bit) or visit("name", bit) for every bit of a port or net that is no constant.
template <typename Visit>
void each_bit(const std::string& name, const Json& net, Visit&& visit) {
  const Json& bits = net.at("bits");
  const int offset = net.value("offset", 0);
  if (std::abs(std::int64_t{offset}) > 1'000'000) fail("net {}: an offset of {}", name, offset);
  for (std::size_t i = 0; i < bits.size(); ++i) {
    if (!bits[i].is_number()) continue;
    if (!bits[i].is_number_integer()) fail("net {}: its bit {} is no whole number", name, i);
    visit(bits.size() == 1 ? name : fmt::format("{}[{}]", name, static_cast<int>(i) + offset),
          bits[i].get<int>());
  }
}

}  // namespace inure::timing
