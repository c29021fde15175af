#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace inure::fuzz {

// A reader of users' files.
struct Target {
  const char* name;
  const char* file;                            // the name that its input gets
  void (*read)(const std::filesystem::path&);  // of that file; throws Error where it refuses it
  // What the input becomes before it is written: a checksum made right, say. Null: itself.
  std::string (*prepare)(std::string_view);
};

const std::vector<Target>& targets();

// Sound files of each kind, as DIR/TARGET/NUMBER.
void write_seeds(const std::filesystem::path& folder);

}  // namespace inure::fuzz
