#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "inure/train/testing.hpp"

namespace inure {

// What a Trainer tells those who watch it. `iteration` is the number of updates made before.
class TrainObserver {
 public:
  struct Begin {
    std::string network;
    int iteration = 0, max_iter = 0;
  };
  struct Step {  // every `display` iterations all of it; else without scores
    int iteration = 0;
    bool display = false;
    double loss = 0;  // over the window of average_loss
    float rate = 0;
    double seconds = 0;  // since the last display
    int iterations = 0;  // since the last display
    std::vector<Score> scores;
  };
  struct Test {
    int iteration = 0;
    int network = 0;  // which of the test networks
    bool with_loss = false;
    double seconds = 0;
    TestResult result;
  };

  virtual ~TrainObserver() = default;
  virtual void note(const std::string&) {}  // something that the user should know
  virtual void begun(const Begin&) {}
  virtual void stepped(const Step&) {}
  virtual void test_begun(int /*iteration*/, int /*network*/) {}
  virtual void tested(const Test&) {}
  virtual void snapshot_taken(int /*iteration*/, const std::filesystem::path&) {}
  virtual void ended(int /*iteration*/, bool /*stopped*/) {}
};

}  // namespace inure
