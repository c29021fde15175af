#pragma once

#include <filesystem>

namespace inure::timing {

// A folder PARENT/unfinished-XXXXXX to work in, which its process holds locked. It vanishes with
// this object, unless keep() or fail() gave it a name; those of processes that were killed (nobody
// holds them) are removed when the next one is made.
class WorkFolder {
 public:
  explicit WorkFolder(const std::filesystem::path& parent);  // made where it is missing
  ~WorkFolder();
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

  // Writes down what each file holds (files.txt) and gives the folder this name, in one step. Where
  // another process was faster its folder stays.
  void keep(const std::filesystem::path& name);
  // For its logs: PARENT/failed-XXXXXX from now on.
  void keep_as_failed();

 private:
  std::filesystem::path path_;
  int lock_ = -1;
};

// Whether a folder that keep() named holds what it held then.
bool is_whole(const std::filesystem::path& folder);

}  // namespace inure::timing
