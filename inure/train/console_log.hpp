#pragma once

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

}  // namespace inure
