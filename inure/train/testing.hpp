#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "inure/network/network.hpp"
#include "inure/train/feed.hpp"

namespace inure {

// One number that a network puts out. A large output (more than 1024 values, e.g. the probabilities
// of a batch) gives one score, its mean.
struct Score {
  std::string name;
  double value = 0;
  float loss_weight = 0;
};

std::vector<Score> read_scores(Network& network);

// "accuracy = 0.9914", "loss = 0.027 (* 1 = 0.027 loss)": as Caffe prints it.
std::string format_score(const Score& score);

// Averages over iterations.
struct TestResult {
  std::vector<Score> scores;
  double loss = 0;
  int iterations = 0;
};

// Called after each iteration (0, 1, ...) with its scores; false ends the test.
using TestStep = std::function<bool(int iteration, const std::vector<Score>& scores)>;

// Forward passes over the batches first_batch, first_batch + 1, ...
TestResult test_network(Network& network, Feed& feed, std::int64_t first_batch, int iterations,
                        const TestStep& step = {});

}  // namespace inure
