#pragma once

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>

#include "inure/report/json.hpp"
#include "inure/train/observer.hpp"

namespace inure::app {

// One JSON object a line: {"event": "train", "iteration": 100, "seconds": 12.5, "loss": 0.31, "lr":
// 0.01, "outputs": {"loss": 0.29}}. Events: begin, train (every display), test, snapshot, end.
// `seconds` count from the beginning of this run; `iteration` counts the updates made before.
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
  JsonLine begin_line(const char* event, int iteration) const;
  void write(const JsonLine& line);

  std::string path_;
  std::FILE* file_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace inure::app
