#include "inure/train/train_log.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cmath>
#include <cstring>

#include "inure/base/error.hpp"

namespace inure {

namespace {

std::string quote(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      quoted += fmt::format("\\u{:04x}", static_cast<int>(c));
    } else {
      quoted += c;
    }
  }
  quoted += '"';
  return quoted;
}

std::string number(double value) {
  return std::isfinite(value) ? fmt::format("{}", value) : "null";
}

// {"accuracy": 0.99, "prob": [0.1, 0.9]}: a name with several values becomes a list.
std::string outputs(const std::vector<Score>& scores) {
  std::string text = "{";
  for (std::size_t i = 0; i < scores.size();) {
    std::size_t end = i + 1;
    while (end < scores.size() && scores[end].name == scores[i].name) ++end;
    std::string values = number(scores[i].value);
    for (std::size_t j = i + 1; j < end; ++j) values += ", " + number(scores[j].value);
    if (end - i > 1) values = fmt::format("[{}]", values);
    if (i > 0) text += ", ";
    text += quote(scores[i].name) + ": " + values;
    i = end;
  }
  return text + "}";
}

}  // namespace

void ConsoleLog::print(const std::string& line) {
  if (progress_) progress_->clear();
  fmt::print("{}\n", line);
  std::fflush(stdout);
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

JsonLog::JsonLog(const std::filesystem::path& path, bool append)
    : file_(std::fopen(path.c_str(), append ? "a" : "w")) {
  if (!file_) fail("{}: cannot be written: {}", path.string(), std::strerror(errno));
}

JsonLog::~JsonLog() { std::fclose(file_); }

void JsonLog::write(const char* event, int iteration, const std::string& rest) {
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  fmt::print(file_, "{{\"event\": \"{}\", \"iteration\": {}, \"seconds\": {:.3f}{}}}\n", event, iteration,
             seconds, rest);
  std::fflush(file_);
}

void JsonLog::begun(const Begin& event) {
  write("begin", event.iteration,
        fmt::format(", \"network\": {}, \"max_iter\": {}", quote(event.network), event.max_iter));
}

void JsonLog::stepped(const Step& event) {
  if (!event.display) return;
  write("train", event.iteration,
        fmt::format(", \"loss\": {}, \"lr\": {}, \"outputs\": {}", number(event.loss),
                    number(event.rate), outputs(event.scores)));
}

void JsonLog::tested(const Test& event) {
  write("test", event.iteration,
        fmt::format(", \"network\": {}, \"loss\": {}, \"outputs\": {}", event.network,
                    number(event.result.loss), outputs(event.result.scores)));
}

void JsonLog::snapshot_taken(int iteration, const std::filesystem::path& path) {
  write("snapshot", iteration, fmt::format(", \"file\": {}", quote(path.string())));
}

void JsonLog::ended(int iteration, bool stopped) {
  write("end", iteration, fmt::format(", \"stopped\": {}", stopped));
}

}  // namespace inure
