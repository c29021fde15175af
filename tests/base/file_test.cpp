#include "inure/base/file.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "inure/base/error.hpp"
#include "tests/common.hpp"

namespace inure {
namespace {

namespace fs = std::filesystem;

class File : public testing::Test {
 protected:
  std::size_t entries() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator()));
  }

  const TemporaryFolder folder_;
};

TEST_F(File, ReadsWhatWasWritten) {
  const fs::path path = folder_ / "a.bin";
  for (const std::string& content :
       {std::string(), std::string("one\0two\r\n", 9), std::string(3000000, 'x')}) {
    write_file_atomically(path, content);
    EXPECT_EQ(read_file(path), content);
    EXPECT_EQ(entries(), 1u) << "a temporary file was left";
  }
}

TEST_F(File, WritesWithoutAFolderInTheName) {
  const fs::path before = fs::current_path();
  fs::current_path(folder_.path());
  write_file_atomically("plain.txt", "here");
  fs::current_path(before);
  EXPECT_EQ(read_file(folder_ / "plain.txt"), "here");
}

TEST_F(File, AWriteThatFailsLeavesTheOldFile) {
  const fs::path path = folder_ / "model.bin";
  write_file_atomically(path, "old");
  // A limit on the size of files stands for a full disk.
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1000, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const std::string message =
      error_of([&] { write_file_atomically(path, std::string(5000, 'n')); });
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, handler);
  EXPECT_EQ(message, path.string() + ": cannot be written: File too large");
  EXPECT_EQ(read_file(path), "old");
  EXPECT_EQ(entries(), 1u) << "a temporary file was left";
}

TEST_F(File, ThreadsThatWriteTheSameNameLeaveOneWholeFile) {
  const fs::path path = folder_ / "shared.bin";
  std::vector<std::thread> writers;
  for (char c = 'a'; c < 'e'; ++c) {
    writers.emplace_back([&, c] {
      for (int i = 0; i < 20; ++i) write_file_atomically(path, std::string(20000, c));
    });
  }
  for (auto& writer : writers) writer.join();
  const std::string content = read_file(path);
  EXPECT_EQ(content, std::string(20000, content.at(0)));
  EXPECT_EQ(entries(), 1u);
}

TEST_F(File, RefusesInOneLineThatNamesTheFile) {
  const fs::path missing = folder_ / "nowhere" / "x";
  EXPECT_EQ(error_of([&] { read_file(missing); }), missing.string() + ": no such file");
  EXPECT_EQ(error_of([&] { read_file(folder_.path()); }),
            folder_.path().string() + ": is a folder, a file is needed");
  EXPECT_EQ(
      error_of([&] { write_file_atomically(missing, "x"); }),
      missing.string() + ": the folder " + missing.parent_path().string() + " does not exist");
  EXPECT_EQ(error_of([&] { write_file_atomically(folder_.path(), "x"); }),
            folder_.path().string() + ": is a folder, not a file");
}

TEST_F(File, WritesToADeviceInPlace) {
  write_file_atomically("/dev/null", "x");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST_F(File, TextBeginsBehindAUtf8MarkAndUtf16IsNamed) {
  EXPECT_EQ(read_text_file(folder_.write("plain", "name: 'x'\r\n")), "name: 'x'\r\n");
  EXPECT_EQ(read_text_file(folder_.write("marked", "\xEF\xBB\xBFname")), "name");
  EXPECT_EQ(read_text_file(folder_.write("inside", "a\xEF\xBB\xBF")), "a\xEF\xBB\xBF");
  std::vector<std::pair<std::string, const char*>> wide = {
      {std::string("\xFF\xFE"
                   "a\0",
                   4),
       "UTF-16"},
      {std::string("\xFE\xFF\0a", 4), "UTF-16"},
      {std::string("\xFF\xFE\0\0a\0\0\0", 8), "UTF-32"},
      {std::string("\0\0\xFE\xFF\0\0\0a", 8), "UTF-32"},
  };
  wide.emplace_back(std::string("n\0e\0t\0", 6), "UTF-16");  // without a mark
  wide.emplace_back(std::string("\0n\0e\0t", 6), "UTF-16");
  for (const auto& [content, name] : wide) {
    const std::string path = folder_.write("wide", content);
    EXPECT_EQ(error_of([&] { read_text_file(path); }),
              fmt::format("{}: is text in {}; save it as UTF-8", path, name));
  }
}

TEST_F(File, SaysWhetherAFolderCanBeWritten) {
  EXPECT_EQ(error_of([&] { check_folder_writable(folder_.path()); }), "");
  EXPECT_EQ(entries(), 0u) << "the file of the attempt was left";
  EXPECT_EQ(error_of([&] {
              check_folder_writable("/proc/self");
            }).find("the folder /proc/self cannot be written: "),
            0u);
}

TEST_F(File, LargerThanTheMemoryIsRefusedBeforeItIsRead) {
  const std::string path = folder_.write("sparse", "x");
  std::error_code refused;
  fs::resize_file(path, std::uintmax_t{1} << 42, refused);
  if (refused) GTEST_SKIP() << "no sparse files here: " << refused.message();
  EXPECT_EQ(error_of([&] { read_file(path); }).find(path + ": needs 4.4e+03 GB of memory; "), 0u);
}

}  // namespace
}  // namespace inure
