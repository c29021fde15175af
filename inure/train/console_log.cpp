#include "inure/train/console_log.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "inure/base/file.hpp"

namespace inure {

void ConsoleLog::print(const std::string& line) {
  if (progress_) progress_->clear();
  std::fputs((line + "\n").c_str(), stdout);
  flush_output();
}

void ConsoleLog::note(const std::string& text) { print("Note: " + text); }

void ConsoleLog::begun(const Begin& event) {
  progress_ = std::make_unique<Progress>("training", "iterations", event.max_iter);
  print(fmt::format("Solving {}", event.network));
  if (event.iteration > 0) print(fmt::format("Resuming at iteration {}", event.iteration));
}

void ConsoleLog::stepped(const Step& event) {
  if (event.display) {
    std::string speed;
    if (event.iterations > 0) {
      speed = fmt::format(" ({:.6g} iter/s, {:.4g}s/{} iters)", event.iterations / event.seconds,
                          event.seconds, event.iterations);
    }
    print(fmt::format("Iteration {}{}, loss = {:.6g}", event.iteration, speed, event.loss));
    for (std::size_t i = 0; i < event.scores.size(); ++i) {
      print(fmt::format("    Train net output #{}: {}", i, format_score(event.scores[i])));
    }
    print(fmt::format("Iteration {}, lr = {:.6g}", event.iteration, event.rate));
  }
  progress_->note(fmt::format("loss {:.4g}", event.loss));
  progress_->set(event.iteration + 1);
}

void ConsoleLog::test_begun(int iteration, int network) {
  print(fmt::format("Iteration {}, Testing net (#{})", iteration, network));
}

void ConsoleLog::tested(const Test& event) {
  if (event.with_loss) print(fmt::format("Test loss: {:.6g}", event.result.loss));
  for (std::size_t i = 0; i < event.result.scores.size(); ++i) {
    print(fmt::format("    Test net output #{}: {}", i, format_score(event.result.scores[i])));
  }
}

void ConsoleLog::snapshot_taken(int, const std::filesystem::path& path) {
  print(fmt::format("Snapshotting solver state to binary proto file {}", path.string()));
}

void ConsoleLog::ended(int iteration, bool stopped) {
  print(stopped ? fmt::format("Optimization stopped early at iteration {}.", iteration)
                : "Optimization Done.");
  progress_.reset();
}

}  // namespace inure
