#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "inure/base/file.hpp"

namespace inure {

// A folder that is there while a test runs.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    path_ = std::filesystem::temp_directory_path() /
            ("inure-" + std::string(test->name()) + "-" + std::to_string(getpid()));
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

  // Writes a file of this name and gives its path.
  std::string write(const std::string& name, const std::string& content) const {
    const std::string path = *this / name;
    write_file_atomically(path, content);
    return path;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace inure
