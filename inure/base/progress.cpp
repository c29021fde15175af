#include "inure/base/progress.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace inure {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kInterval = std::chrono::milliseconds(100);

std::string format_seconds(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds + 0.5);
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::size_t terminal_width() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 2) return 79;
  return size.ws_col - 1u;  // a full last column would wrap
}

}  // namespace

Progress::Progress(std::string label, std::string unit, std::int64_t total)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      drawn_(start_ - kInterval) {}

Progress::~Progress() { clear(); }

void Progress::advance(std::int64_t count) {
  if (first_ < 0) first_ = 0;
  done_ += count;
  draw(done_ == total_);
}

void Progress::set(std::int64_t done) {
  if (first_ < 0) {  // a resumed run does not start at 0
    first_ = done;
    start_ = Clock::now();
  }
  done_ = done;
  draw(done_ == total_);
}

void Progress::note(std::string text) { note_ = std::move(text); }

void Progress::clear() {
  if (!terminal_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  drawn_ = {};
}

void Progress::draw(bool force) {
  if (!terminal_) return;
  const auto now = Clock::now();
  if (!force && now - drawn_ < kInterval) return;
  drawn_ = now;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double speed = seconds > 0 ? static_cast<double>(done_ - first_) / seconds : 0;
  std::string line = total_ > 0 ? fmt::format("{} {}/{} {}", label_, done_, total_, unit_)
                                : fmt::format("{} {} {}", label_, done_, unit_);
  if (speed > 0) {
    line += speed < 10 ? fmt::format(", {:.2f}/s", speed) : fmt::format(", {:.0f}/s", speed);
    if (total_ > done_) {
      line += fmt::format(", {} left", format_seconds(static_cast<double>(total_ - done_) / speed));
    }
  }
  if (!note_.empty()) line += fmt::format(", {}", note_);
  line.resize(std::min(line.size(), terminal_width()));
  std::fputs(fmt::format("\r{}\033[K", line).c_str(), stderr);  // a lost terminal is no error
  std::fflush(stderr);
}

}  // namespace inure
