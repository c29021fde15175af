#include "json_log.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <map>

#include "inure/base/error.hpp"

namespace inure::app {

namespace {

// An output of several values gives "prob[0]", "prob[1]", ...
JsonLine outputs(const std::vector<Score>& scores) {
  std::map<std::string, int> values, seen;
  for (const Score& score : scores) ++values[score.name];
  JsonLine line;
  for (const Score& score : scores) {
    const bool one = values[score.name] == 1;
    line.add(one ? score.name : fmt::format("{}[{}]", score.name, seen[score.name]++), score.value);
  }
  return line;
}

}  // namespace

JsonLog::JsonLog(const std::filesystem::path& path, bool append)
    : path_(path.string()), file_(std::fopen(path.c_str(), append ? "a" : "w")) {
  if (!file_) fail("{}: cannot be written: {}", path.string(), std::strerror(errno));
}

JsonLog::~JsonLog() { std::fclose(file_); }

JsonLine JsonLog::begin_line(const char* event, int iteration) const {
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start_;
  JsonLine line;
  line.add("event", event).add("iteration", iteration).add("seconds", passed.count());
  return line;
}

void JsonLog::write(const JsonLine& line) {
  const std::string text = line.text() + "\n";
  if (std::fputs(text.c_str(), file_) < 0 || std::fflush(file_) != 0) {
    fail("{}: cannot be written: {}", path_, std::strerror(errno));
  }
}

void JsonLog::begun(const Begin& event) {
  write(begin_line("begin", event.iteration)
            .add("network", event.network)
            .add("max_iter", event.max_iter));
}

void JsonLog::stepped(const Step& event) {
  if (!event.display) return;
  write(begin_line("train", event.iteration)
            .add("loss", event.loss)
            .add("lr", static_cast<double>(event.rate))
            .add("outputs", outputs(event.scores)));
}

void JsonLog::tested(const Test& event) {
  write(begin_line("test", event.iteration)
            .add("network", event.network)
            .add("loss", event.result.loss)
            .add("outputs", outputs(event.result.scores)));
}

void JsonLog::snapshot_taken(int iteration, const std::filesystem::path& path) {
  write(begin_line("snapshot", iteration).add("file", path.string()));
}

void JsonLog::ended(int iteration, bool stopped) {
  write(begin_line("end", iteration).add("stopped", stopped));
}

}  // namespace inure::app
