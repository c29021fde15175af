#include "inure/base/progress.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <unistd.h>

#include <functional>
#include <string>

namespace inure {
namespace {

// What `action` writes to standard error while that is a terminal of `columns` columns.
std::string on_terminal(unsigned short columns, const std::function<void()>& action) {
  int reader = -1, terminal = -1;
  const winsize size{25, columns, 0, 0};
  EXPECT_EQ(openpty(&reader, &terminal, nullptr, nullptr, &size), 0);
  const int before = dup(STDERR_FILENO);
  dup2(terminal, STDERR_FILENO);
  action();
  dup2(before, STDERR_FILENO);
  close(before);
  // The terminal hands its bytes on when it likes: read until it has been silent for a while.
  std::string text;
  for (pollfd ready{reader, POLLIN, 0}; poll(&ready, 1, 500) > 0;) {
    char bytes[1024];
    const ssize_t got = read(reader, bytes, sizeof bytes);
    if (got <= 0) break;
    text.append(bytes, static_cast<std::size_t>(got));
  }
  close(reader);
  close(terminal);
  return text;
}

void work() {
  Progress progress("converting", "images", 50);
  for (int i = 0; i < 50; ++i) {
    progress.note("loss 0.31");
    progress.advance();
  }
}

TEST(Progress, IsSilentWhereThereIsNoTerminal) {
  testing::internal::CaptureStderr();
  work();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Progress, DrawsOneLineAndClearsIt) {
  const std::string text = on_terminal(100, work);
  EXPECT_NE(text.find("\rconverting 50/50 images"), std::string::npos) << text;
  EXPECT_NE(text.find("loss 0.31"), std::string::npos) << text;
  EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with("\r\033[K")) << text;
}

TEST(Progress, FitsANarrowTerminal) {
  const std::string text = on_terminal(20, work);
  EXPECT_NE(text.find("\rconverting 50/50 im\033[K"), std::string::npos) << text;
}

}  // namespace
}  // namespace inure
