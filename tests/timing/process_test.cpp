// Programs of others: they end with us, and what they leave is looked at.

#include "inure/timing/process.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "inure/timing/tool_log.hpp"
#include "inure/timing/work_folder.hpp"
#include "tests/common.hpp"

namespace inure::timing {
namespace {

namespace fs = std::filesystem;

TEST(Process, RunsInItsFolderAndReportsHowItEnded) {
  const TemporaryFolder folder;
  EXPECT_EQ(run_program({"sh", "-c", "pwd; echo wrong >&2; exit 7"}, folder.path(), "log", "dash"),
            7);
  EXPECT_EQ(read_file(folder / "log"), folder.path().string() + "\nwrong\n");
  EXPECT_EQ(run_program({"sh", "-c", "kill -9 $$"}, folder.path(), "log", "dash"), 128 + 9);
  EXPECT_EQ(error_of([&] { run_program({"no-such-tool"}, folder.path(), "log", "nowhere"); }),
            "no-such-tool: program not found; install the package nowhere");
  EXPECT_NE(error_of([&] {
              run_program({"sh"}, folder / "none", "log", "dash");
            }).find("sh: cannot be started in "),
            std::string::npos);
}

// Waits until the condition holds, or a minute at most.
template <typename Condition>
bool comes_true(const Condition& condition) {
  for (int i = 0; i < 6000 && !condition(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return condition();
}

TEST(Process, DiesWithItsParent) {
  const TemporaryFolder folder;
  const pid_t parent = fork();
  if (parent == 0) {
    run_program({"sh", "-c", "echo $$ > pid.new; mv pid.new pid; exec sleep 600"}, folder.path(),
                "log", "dash");
    _exit(0);
  }
  ASSERT_TRUE(comes_true([&] { return fs::exists(folder / "pid"); }));
  const pid_t tool = std::stoi(read_file(folder / "pid"));
  ASSERT_EQ(kill(tool, 0), 0);
  kill(parent, SIGKILL);
  waitpid(parent, nullptr, 0);
  // Gone, or a zombie that nobody collects.
  EXPECT_TRUE(comes_true([&] {
    std::ifstream status("/proc/" + std::to_string(tool) + "/stat");
    std::string pid, name, state;
    return !(status >> pid >> name >> state) || state == "Z";
  }));
}

TEST(WorkFolder, OfAKilledProcessGoesAtTheNextStart) {
  const TemporaryFolder cache;
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t process = fork();
  if (process == 0) {
    const WorkFolder work(cache.path());
    write_file_atomically(work.path() / "half", "x");
    if (write(ready[1], "x", 1) != 1) _exit(1);
    pause();
  }
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  const auto folders = [&] {
    return std::distance(fs::directory_iterator(cache.path()), fs::directory_iterator());
  };
  {
    const WorkFolder another(cache.path());
    EXPECT_EQ(folders(), 2);  // that of a process that lives stays
  }
  EXPECT_EQ(folders(), 1);
  kill(process, SIGKILL);
  waitpid(process, nullptr, 0);
  close(ready[0]), close(ready[1]);
  const WorkFolder next(cache.path());
  EXPECT_EQ(folders(), 1);
  EXPECT_FALSE(fs::exists(next.path() / "half"));
}

TEST(WorkFolder, KeepsWhatIsWholeAndKnowsWhatIsNot) {
  const TemporaryFolder cache;
  const fs::path kept = cache / "kept";
  const auto make = [&](const std::string& text) {
    WorkFolder work(cache.path());
    write_file_atomically(work.path() / "result", text);
    work.keep(kept);
  };
  EXPECT_FALSE(is_whole(kept));
  make("first");
  EXPECT_TRUE(is_whole(kept));
  make("second");  // another process was faster
  EXPECT_EQ(read_file(kept / "result"), "first");
  write_file_atomically(kept / "result", "f");
  EXPECT_FALSE(is_whole(kept));
  make("third");  // a damaged one makes way
  EXPECT_TRUE(is_whole(kept));
  EXPECT_EQ(read_file(kept / "result"), "third");
  fs::remove(kept / "result");
  EXPECT_FALSE(is_whole(kept));
  {
    WorkFolder work(cache.path());
    write_file_atomically(work.path() / "log", "why");
    work.keep_as_failed();
  }
  const WorkFolder next(cache.path());
  int failed = 0;
  for (const auto& entry : fs::directory_iterator(cache.path())) {
    failed += fs::exists(entry.path() / "log");
  }
  EXPECT_EQ(failed, 1);
}

TEST(ToolLog, IsReadLineByLineHoweverLong) {
  const TemporaryFolder folder;
  const fs::path log = folder / "log";
  EXPECT_NE(error_of([&] { complaint(log); }), "");
  const auto write = [&](const std::string& text) { std::ofstream(log, std::ios::binary) << text; };
  write("");
  EXPECT_EQ(complaint(log), "");
  write("one\ntwo\n\n");
  EXPECT_EQ(complaint(log), "two");
  write("one\nERROR: \x1B[1mbad\x1B[0m\nthree");
  EXPECT_EQ(complaint(log), "ERROR:  [1mbad [0m");
  const std::string filler(1'000'000, 'x');
  write(filler + "\nworst slack 1.5\n" + filler + filler + "\nworst slack\n worst slack -2e3 ns\n" +
        filler);
  const Numbers numbers = numbers_after(log, "worst slack");
  EXPECT_EQ(numbers.count, 2);
  EXPECT_EQ(numbers.first, 1.5);
  EXPECT_EQ(numbers.last, -2000);
  std::size_t longest = 0;
  int lines = 0;
  for_each_line(log, [&](std::string_view line) {
    longest = std::max(longest, line.size());
    return ++lines < 1000;
  });
  EXPECT_EQ(lines, 6);
  EXPECT_EQ(longest, 4096u);
}

}  // namespace
}  // namespace inure::timing
