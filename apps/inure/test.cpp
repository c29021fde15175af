#include <fmt/format.h>

#include <chrono>
#include <optional>

#include "commands.hpp"
#include "inure/base/file.hpp"
#include "inure/base/progress.hpp"
#include "inure/train/testing.hpp"

namespace inure::app {

namespace {

struct Options : NetOptions {
  int iterations = 50;
};

void note_coverage(const Feed& feed, int iterations) {
  const std::int64_t images = feed.batch_size() * iterations;
  if (feed.records() == 0 || images == feed.records()) return;
  fmt::print("Note: {} iterations of {} are {} images, the set has {}\n", iterations,
             feed.batch_size(), images, feed.records());
}

void test(const Options& options, std::uint64_t seed) {
  const OpenNet open = open_net(options, caffe::TEST, seed);
  note_coverage(*open.feed, options.iterations);
  fmt::print("Running for {} iterations.\n", options.iterations);
  Progress progress("testing", "images", options.iterations * open.feed->batch_size());
  const auto start = std::chrono::steady_clock::now();
  const auto step = [&](int iteration, const std::vector<Score>& scores) {
    progress.clear();
    for (const Score& score : scores) {
      fmt::print("Batch {}, {} = {:.6g}\n", iteration, score.name, score.value);
    }
    flush_output();
    progress.advance(open.feed->batch_size());
    return true;
  };
  const TestResult result = test_network(*open.network, *open.feed, 0, options.iterations, step);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  progress.clear();
  const double images = static_cast<double>(result.iterations * open.feed->batch_size());
  fmt::print("{:.0f} images in {:.3g} s: {:.4g} images/s\n", images, seconds.count(),
             images / seconds.count());
  fmt::print("Loss: {:.6g}\n", result.loss);
  for (const Score& score : result.scores) fmt::print("{}\n", format_score(score));
}

}  // namespace

void add_test_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("test", "Score a network: the average of each of its outputs");
  auto options = std::make_shared<Options>();
  add_model_options(*command, *options);
  add_execution_options(*command, *options);
  command->add_option("--iterations", options->iterations, "Batches to run")
      ->check(kPositive)
      ->capture_default_str()
      ->type_name("N");
  command->footer(
      "Besides: --threads N and --seed N, see inure --help.\n"
      "Ends with a line \"NAME = VALUE\" for each output, averaged over the iterations. An output "
      "of\n"
      "more than 1024 values gives its mean.\n\n"
      "Examples:\n"
      "  inure test --model lenet.prototxt --weights lenet.caffemodel --iterations 100\n"
      "  inure test --model lenet.prototxt --weights lenet.caffemodel --accelerator "
      "device.prototxt");
  command->callback([&app, options] { test(*options, global_seed(app).value_or(1)); });
}

}  // namespace inure::app
