#include "inure/train/testing.hpp"

#include <fmt/format.h>

namespace inure {

namespace {

constexpr std::int64_t kMaxValues = 1024;

}  // namespace

std::vector<Score> read_scores(Network& network) {
  std::vector<Score> scores;
  for (const Network::Output& output : network.outputs()) {
    const at::Tensor data = output.data.contiguous();
    const float* values = data.data_ptr<float>();
    const std::int64_t count = data.numel();
    if (count <= kMaxValues) {
      for (std::int64_t i = 0; i < count; ++i) {
        scores.push_back({output.name, values[i], output.loss_weight});
      }
      continue;
    }
    double sum = 0;
    for (std::int64_t i = 0; i < count; ++i) sum += values[i];
    scores.push_back({fmt::format("{} (mean of {} values)", output.name, count),
                      sum / static_cast<double>(count), output.loss_weight});
  }
  return scores;
}

std::string format_score(const Score& score) {
  std::string line = fmt::format("{} = {:.6g}", score.name, score.value);
  if (score.loss_weight != 0) {
    line += fmt::format(" (* {:.6g} = {:.6g} loss)", score.loss_weight,
                        score.value * static_cast<double>(score.loss_weight));
  }
  return line;
}

TestResult test_network(Network& network, Feed& feed, std::int64_t first_batch, int iterations,
                        const TestStep& step) {
  TestResult result;
  for (int i = 0; i < iterations; ++i) {
    feed.feed(network, first_batch + i);
    network.forward(first_batch + i);
    const std::vector<Score> scores = read_scores(network);
    if (result.scores.empty()) {
      result.scores = scores;
    } else {
      for (std::size_t s = 0; s < scores.size(); ++s) result.scores[s].value += scores[s].value;
    }
    result.loss += network.loss();
    ++result.iterations;
    if (step && !step(i, scores)) break;
  }
  for (Score& score : result.scores) score.value /= result.iterations;
  if (result.iterations > 0) result.loss /= result.iterations;
  return result;
}

}  // namespace inure
