#include "inure/timing/work_folder.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <system_error>
#include <vector>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "inure/base/fingerprint.hpp"

namespace inure::timing {
namespace {

namespace fs = std::filesystem;

const std::string kUnfinished = "unfinished-";
constexpr const char* kList = "files.txt";

// The folder, locked; -1 where another process holds it or it is gone.
int lock(const fs::path& folder) {
  const int descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return -1;
  struct stat held, named;
  if (flock(descriptor, LOCK_EX | LOCK_NB) == 0 && fstat(descriptor, &held) == 0 &&
      stat(folder.c_str(), &named) == 0 && held.st_ino == named.st_ino) {
    return descriptor;
  }
  close(descriptor);
  return -1;
}

void remove_left_ones(const fs::path& parent) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(parent, ignored)) {
    if (!entry.path().filename().string().starts_with(kUnfinished)) continue;
    const int held = lock(entry.path());
    if (held < 0) continue;
    fs::remove_all(entry.path(), ignored);
    close(held);
  }
}

// A line "FINGERPRINT NAME" for each file, but for the list itself.
std::string list_of(const fs::path& folder) {
  std::vector<std::string> lines;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const fs::path name = entry.path().lexically_relative(folder);
    if (!entry.is_regular_file() || name == kList) continue;
    lines.push_back(fingerprint_of_file(entry.path()) + " " + name.string() + "\n");
  }
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const std::string& line : lines) text += line;
  return text;
}

}  // namespace

WorkFolder::WorkFolder(const fs::path& parent) {
  std::error_code error;
  fs::create_directories(parent, error);
  remove_left_ones(parent);
  while (lock_ < 0) {  // another process may take it away before it is locked
    std::string name = (parent / (kUnfinished + "XXXXXX")).string();
    if (error || !mkdtemp(name.data())) fail("{}: a folder cannot be made there", parent.string());
    path_ = name;
    lock_ = lock(path_);
  }
}

WorkFolder::~WorkFolder() {
  std::error_code ignored;
  if (path_.filename().string().starts_with(kUnfinished)) fs::remove_all(path_, ignored);
  close(lock_);
}

void WorkFolder::keep(const fs::path& name) {
  write_file_atomically(path_ / kList, list_of(path_));
  std::error_code error;
  if (fs::exists(name) && !is_whole(name)) fs::remove_all(name, error);
  fs::rename(path_, name, error);
  if (!error) {
    path_ = name;
  } else if (!is_whole(name)) {
    fail("{}: cannot be renamed to {}: {}", path_.string(), name.string(), error.message());
  }
}

void WorkFolder::keep_as_failed() {
  std::string name = path_.filename().string();
  name.replace(0, kUnfinished.size(), "failed-");
  std::error_code error;
  fs::rename(path_, path_.parent_path() / name, error);
  if (!error) path_ = path_.parent_path() / name;
}

bool is_whole(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_regular_file(folder / kList, error)) return false;
  try {
    return read_file(folder / kList) == list_of(folder);
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace inure::timing
