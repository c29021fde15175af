#include "inure/base/file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <new>

#include "inure/base/error.hpp"
#include "inure/base/memory_limit.hpp"

namespace inure {
namespace {

// A file descriptor that is open while this lives.
class Descriptor {
 public:
  Descriptor(const std::filesystem::path& path, int flags) : fd_(open(path.c_str(), flags, 0666)) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  bool is_open() const { return fd_ >= 0; }
  bool sync() const { return fsync(fd_) == 0; }

  bool write_all(std::string_view content) const {
    while (!content.empty()) {
      const ssize_t written = write(fd_, content.data(), content.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return false;
      content.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
  }

 private:
  int fd_;
};

[[noreturn]] void fail_writing(const std::filesystem::path& path, int error) {
  fail("{}: cannot be written: {}", path.string(), std::strerror(error));
}

// The number keeps two threads, and the leavings of a killed process, apart.
std::filesystem::path temporary_name(const std::filesystem::path& path) {
  for (int number = 0;; ++number) {
    std::filesystem::path name = path;
    name += fmt::format(".tmp-{}-{}", getpid(), number);
    if (Descriptor(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC).is_open()) return name;
    if (errno != EEXIST) fail_writing(path, errno);
  }
}

}  // namespace

std::string read_file(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) fail("{}: no such file", path.string());
  if (std::filesystem::is_directory(path, ignored)) {
    fail("{}: is a folder, a file is needed", path.string());
  }
  const auto size = std::filesystem::file_size(path, ignored);
  if (!ignored) check_memory(size, [&] { return path.string(); });
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("{}: cannot be read: {}", path.string(), std::strerror(errno));
  std::string content;
  try {
    content.assign(std::istreambuf_iterator<char>(file), {});
  } catch (const std::bad_alloc&) {
    fail("{}: is larger than the memory there is", path.string());
  }
  if (file.bad()) fail("{}: reading failed", path.string());
  return content;
}

std::string read_text_file(const std::filesystem::path& path) {
  std::string text = read_file(path);
  const auto begins = [&](std::string_view mark) { return text.starts_with(mark); };
  using namespace std::string_view_literals;
  if (begins("\xEF\xBB\xBF"sv)) return text.substr(3);
  // Without a mark: every other byte of the first characters is zero.
  const bool little = text.size() > 3 && text[0] && !text[1] && text[2] && !text[3];
  const bool big = text.size() > 3 && !text[0] && text[1] && !text[2] && text[3];
  const bool wide = begins("\xFF\xFE\0\0"sv) || begins("\0\0\xFE\xFF"sv);
  if (wide || little || big || begins("\xFF\xFE"sv) || begins("\xFE\xFF"sv)) {
    fail("{}: is text in {}; save it as UTF-8", path.string(), wide ? "UTF-32" : "UTF-16");
  }
  return text;
}

void write_file_atomically(const std::filesystem::path& path, std::string_view content) {
  std::error_code ignored;
  const auto status = std::filesystem::status(path, ignored);
  if (std::filesystem::is_directory(status)) fail("{}: is a folder, not a file", path.string());
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    const Descriptor device(path, O_WRONLY | O_CLOEXEC);  // a pipe, a terminal, /dev/null
    if (!device.is_open() || !device.write_all(content)) fail_writing(path, errno);
    return;
  }
  const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  if (!std::filesystem::is_directory(folder, ignored)) {
    fail("{}: the folder {} does not exist", path.string(), folder.string());
  }
  const auto temporary = temporary_name(path);
  const auto written = [&] {
    const Descriptor file(temporary, O_WRONLY | O_CLOEXEC);
    return file.is_open() && file.write_all(content) && file.sync();
  }();
  if (!written || rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    unlink(temporary.c_str());
    fail_writing(path, error);
  }
  const Descriptor entry(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (entry.is_open()) entry.sync();  // some file systems cannot; the file itself is safe
}

void check_folder_writable(const std::filesystem::path& folder) {
  try {
    unlink(temporary_name(folder / "probe").c_str());
  } catch (const Error&) {
    fail("the folder {} cannot be written: {}", folder.string(), std::strerror(errno));
  }
}

void flush_output() {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return;
  const int error = errno;
  fail("standard output: cannot be written{}{}", error == 0 ? "" : ": ",
       error == 0 ? "" : std::strerror(error));
}

}  // namespace inure
