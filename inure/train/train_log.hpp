#pragma once

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "inure/base/progress.hpp"
#include "inure/train/observer.hpp"

namespace inure {

// Log lines in the style of Caffe on standard output; on a terminal a progress line below them.
class ConsoleLog : public TrainObserver {
 public:
  void note(const std::string& text) override;
  void begun(const Begin& event) override;
  void stepped(const Step& event) override;
  void test_begun(int iteration, int network) override;
  void tested(const Test& event) override;
  void snapshot_taken(int iteration, const std::filesystem::path& path) override;
  void ended(int iteration, bool stopped) override;

 private:
  void print(const std::string& line);

  std::unique_ptr<Progress> progress_;
};

// One JSON object a line: {"event": "train", "iteration": 100, "loss": ..., "lr": ..., "seconds": ...,
// "outputs": {"loss": ...}}; events: begin, train (every display), test, snapshot, end.
// `seconds` count from the beginning of the run. Numbers that are not finite are null.
class JsonLog : public TrainObserver {
 public:
  // append: a resumed run goes on in the file. Throws Error where it cannot be written.
  JsonLog(const std::filesystem::path& path, bool append);
  ~JsonLog() override;
  JsonLog(const JsonLog&) = delete;
  JsonLog& operator=(const JsonLog&) = delete;

  void begun(const Begin& event) override;
  void stepped(const Step& event) override;
  void tested(const Test& event) override;
  void snapshot_taken(int iteration, const std::filesystem::path& path) override;
  void ended(int iteration, bool stopped) override;

 private:
  void write(const char* event, int iteration, const std::string& rest);

  std::FILE* file_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace inure
