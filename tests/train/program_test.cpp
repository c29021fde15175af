// Runs the program itself: killed, interrupted, and with bad input.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <random>
#include <thread>

#include "support.hpp"

namespace inure {
namespace {

using Clock = std::chrono::steady_clock;
using Arguments = std::vector<std::string>;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The program in a process of its own, with its output in two files.
class Program {
 public:
  Program(const TemporaryFolder& folder, Arguments arguments) : folder_(folder) {
    arguments.insert(arguments.begin(), INURE_PROGRAM);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const std::string out = (folder / "stdout").string(), err = (folder / "stderr").string();
    process_ = fork();
    if (process_ == 0) {
      const int flags = O_WRONLY | O_CREAT | O_TRUNC;
      dup2(open(out.c_str(), flags, 0666), STDOUT_FILENO);
      dup2(open(err.c_str(), flags, 0666), STDERR_FILENO);
      execv(INURE_PROGRAM, argv.data());
      _exit(127);
    }
  }

  void send(int signal) const { kill(process_, signal); }

  // The exit code; 128 + the signal that ended it.
  int wait() const {
    int status = 0;
    waitpid(process_, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  std::string output() const {  // empty while the process has not begun
    return std::filesystem::exists(folder_ / "stdout") ? read_file(folder_ / "stdout") : "";
  }
  std::string errors() const { return read_file(folder_ / "stderr"); }

  // Waits until the output holds `text`; false if it does not come.
  bool wait_for(const std::string& text) const {
    const auto start = Clock::now();
    while (seconds_since(start) < 30) {
      if (output().find(text) != std::string::npos) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return false;
  }

 private:
  const TemporaryFolder& folder_;
  pid_t process_;
};

class ProgramTest : public ::testing::Test {
 protected:
  std::string solver(const std::string& run, int max_iter) {
    return folder_.write(run + "_solver.prototxt",
                         tiny_solver(net_, (folder_ / run).string(), max_iter));
  }
  Arguments train(const std::string& solver_file, const std::string& snapshot) {
    return {"train", "--solver", solver_file, "--snapshot", snapshot, "--threads", "1"};
  }
  std::string model(const std::string& run, int iteration) {
    return read_file(folder_ / fmt::format("{}_iter_{}.caffemodel", run, iteration));
  }
  void remove_snapshots(const std::string& run) {
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path().string())) {
      if (entry.path().filename().string().starts_with(run + "_iter_")) {
        std::filesystem::remove(entry.path());
      }
    }
  }

  TemporaryFolder folder_;
  std::string lmdb_ = write_lmdb(folder_);
  std::string net_ = folder_.write("net.prototxt", tiny_net(lmdb_));
};

TEST_F(ProgramTest, ResumesAfterEveryKill) {
  constexpr int kIterations = 1200, kKills = 20;
  const auto seed = std::random_device{}();
  std::mt19937 random(seed);
  SCOPED_TRACE(fmt::format("repeat with the seed {}", seed));

  const auto start = Clock::now();
  ASSERT_EQ(Program(folder_, train(solver("whole", kIterations), "latest")).wait(), 0);
  const double whole = seconds_since(start);
  const std::string expected = model("whole", kIterations);

  const std::string killed = solver("killed", kIterations);
  const auto last = folder_ / fmt::format("killed_iter_{}.caffemodel", kIterations);
  int kills = 0, resumed = 0;
  while (kills < kKills || (resumed < 5 && kills < 3 * kKills)) {
    const Program program(folder_, train(killed, "latest"));
    std::this_thread::sleep_for(std::chrono::duration<double>(
        std::uniform_real_distribution<>(0.3 * whole, 1.0 * whole)(random)));
    program.send(SIGKILL);
    const int code = program.wait();
    resumed += program.output().find("Resuming at iteration") != std::string::npos;
    if (code == 128 + SIGKILL) {
      ++kills;
      continue;
    }
    ASSERT_EQ(code, 0) << program.errors();  // it was faster
    ASSERT_EQ(model("killed", kIterations), expected) << "after " << kills << " kills";
    remove_snapshots("killed");
  }
  const Program program(folder_, train(killed, "latest"));
  ASSERT_EQ(program.wait(), 0) << program.errors();
  EXPECT_EQ(model("killed", kIterations), expected);
  EXPECT_GE(resumed, 5) << "the kills came too early to test anything";
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path().string())) {
    EXPECT_EQ(entry.path().string().find(".tmp-"), std::string::npos) << entry.path();
  }
}

TEST_F(ProgramTest, TakesASnapshotWhenInterrupted) {
  constexpr int kIterations = 20000;  // long enough to be interrupted
  const std::string file = solver("a", kIterations);
  const Program program(folder_, {"train", "-solver=" + file, "--threads", "1"});
  ASSERT_TRUE(program.wait_for("Iteration 40,")) << program.errors();
  program.send(SIGINT);
  EXPECT_EQ(program.wait(), 130);
  const std::string output = program.output();
  const std::string go_on = "To go on: the same command with --snapshot ";
  const auto found = output.find(go_on);
  ASSERT_NE(found, std::string::npos) << output;
  const std::string snapshot =
      output.substr(found + go_on.size(), output.size() - found - go_on.size() - 1);
  const int stopped = std::stoi(snapshot.substr(snapshot.rfind('_') + 1));
  const std::string end = std::to_string(stopped + 25);

  auto arguments = train(file, snapshot);
  arguments.insert(arguments.end(), {"--iterations", end});
  ASSERT_EQ(Program(folder_, arguments).wait(), 0);
  const Arguments whole{"train", "--solver", solver("whole", kIterations), "--iterations", end};
  ASSERT_EQ(Program(folder_, whole).wait(), 0);
  EXPECT_EQ(model("a", stopped + 25), model("whole", stopped + 25)) << "interrupted at " << stopped;
}

TEST_F(ProgramTest, EndsAtOnceWhenInterruptedTwice) {
  const Program program(folder_, {"train", "--solver", solver("a", 20000)});
  ASSERT_TRUE(program.wait_for("Iteration 10,")) << program.errors();
  const auto start = Clock::now();
  program.send(SIGINT);
  program.send(SIGTERM);
  EXPECT_EQ(program.wait(), 130);
  EXPECT_LT(seconds_since(start), 5);
}

TEST_F(ProgramTest, WritesALogForMachines) {
  const std::string log = (folder_ / "log").string();
  const Program program(folder_, {"train", "--solver", solver("a", 30), "--log-json", log});
  ASSERT_EQ(program.wait(), 0) << program.errors();
  const std::string text = read_file(log);
  EXPECT_EQ(text.find("{\"event\":"), 0u) << text;
  for (const char* part : {"\"begin\"", "\"train\"", "\"test\"", "\"snapshot\"", "\"end\"",
                           "\"lr\":", "\"iteration\":30", "\"accuracy\":"}) {
    std::string dense = text;
    std::erase(dense, ' ');
    EXPECT_NE(dense.find(part), std::string::npos) << part << " is not in\n" << text;
  }
}

TEST_F(ProgramTest, TestEndsWithCaffesLines) {
  ASSERT_EQ(Program(folder_, {"train", "--solver", solver("a", 30)}).wait(), 0);
  const Program program(folder_, {"test", "-model", net_, "-weights",
                                  (folder_ / "a_iter_30.caffemodel").string(), "-iterations=20"});
  ASSERT_EQ(program.wait(), 0) << program.errors();
  const std::string output = program.output();
  const auto accuracy = output.rfind("\naccuracy = "), loss = output.rfind("\nloss = ");
  ASSERT_NE(accuracy, std::string::npos) << output;
  ASSERT_NE(loss, std::string::npos) << output;
  EXPECT_LT(accuracy, loss);
  EXPECT_NE(output.find(" (* 1 = ", loss), std::string::npos) << output;
  EXPECT_NE(output.find("120 images in "), std::string::npos) << output;
}

TEST_F(ProgramTest, TimesEveryLayer) {
  const Program program(folder_, {"time", "--model", net_, "--iterations", "3"});
  ASSERT_EQ(program.wait(), 0) << program.errors();
  for (const char* part : {"conv\tforward:", "ip2\tbackward:", "Average Forward-Backward: "}) {
    EXPECT_NE(program.output().find(part), std::string::npos) << program.output();
  }
}

TEST_F(ProgramTest, RefusesBadInputInOneLine) {
  const std::string good = solver("a", 30);
  ASSERT_EQ(Program(folder_, {"train", "--solver", good}).wait(), 0);
  const std::string in = folder_.path().string() + "/";
  const std::string weights = in + "a_iter_30.caffemodel", state = in + "a_iter_30.solverstate";
  const std::string wide_net = folder_.write("wide.prototxt", tiny_net(lmdb_, 9));
  const std::string wide = folder_.write("w_solver.prototxt", tiny_solver(wide_net, in + "w"));
  const std::string lost_net = folder_.write("lost.prototxt", tiny_net(in + "nowhere"));
  const std::string adam =
      folder_.write("adam.prototxt", tiny_solver(net_, in + "x") + "type: 'Adam'");
  const std::string cut = folder_.write("cut.solverstate", read_file(state).substr(0, 900));
  const std::string text = folder_.write("text.caffemodel", "layer {}");
  const std::string device = folder_.write("device.prototxt", "kind: 'abacus'");
  const std::string unfed = folder_.write(
      "unfed.prototxt",
      "layer { name: 'in' type: 'Input' top: 'a' input_param { shape { dim: 1 dim: 4 } } }\n"
      "layer { name: 'ip' type: 'InnerProduct' bottom: 'a' top: 'b' "
      "inner_product_param { num_output: 2 } }\n");
  const std::string unfed_solver =
      folder_.write("unfed_solver.prototxt",
                    fmt::format("net: '{}' base_lr: 0.1 lr_policy: 'fixed' max_iter: 3", unfed));

  const struct {
    Arguments arguments;
    int code;
    std::string message;
  } table[] = {
      {{}, 2, "a command is missing; the commands are train, "},
      {{"trian"}, 2, "there is no command \"trian\"; the commands are train, "},
      {{"train"}, 2, "--solver is required; inure train --help lists the options"},
      {{"test"}, 2, "--model is required"},
      {{"train", "--solver", good, "--frobnicate", "1"}, 2, "--frobnicate"},
      {{"train", "--solver"}, 2, "--solver"},
      {{"train", "--solver", good, "--iterations", "0"}, 2, "--iterations"},
      {{"train", "--solver", good, "--iterations", "many"}, 2, "--iterations"},
      {{"train", "--solver", good, "--threads", "-1"}, 2, "--threads"},
      {{"train", "--solver", good, "--seed", "abc"}, 2, "--seed"},
      {{"time", "--model", net_, "--phase", "BOTH"}, 2, "--phase"},
      {{"train", "--solver", in + "none.prototxt"}, 1, in + "none.prototxt: no such file"},
      {{"train", "--solver", folder_.path().string()},
       1,
       folder_.path().string() + ": is a folder"},
      {{"train", "--solver", net_}, 1, net_},
      {{"train", "--solver", adam}, 1, "solver: type \"Adam\" is not available"},
      {{"train", "--solver", good, "--snapshot", in + "none"}, 1, in + "none: no such file"},
      {{"train", "--solver", good, "--snapshot", cut}, 1, cut},
      {{"train", "--solver", good, "--snapshot", weights}, 1, weights},
      {{"train", "--solver", wide, "--snapshot", state}, 1, "was taken of another network"},
      {{"train", "--solver", good, "--snapshot", state, "--seed", "9"}, 1, "with seed 3"},
      {{"train", "--solver", wide, "--weights", weights}, 1, "layer \"ip1\""},
      {{"train", "--solver", good, "--log-json", in + "no/log"},
       1,
       in + "no/log: cannot be written"},
      {{"test", "--model", net_, "--weights", in + "none"}, 1, in + "none: no such file"},
      {{"test", "--model", net_, "--weights", text}, 1, text},
      {{"test", "--model", lost_net}, 1, in + "nowhere"},
      {{"test", "--model", net_, "--synthetic-data", "3x"}, 1, "--synthetic-data 3x: is not"},
      {{"quantize", "--model", unfed, "--output", in + "q"}, 1, "is fed by nothing"},
      {{"trace", "--model", unfed, "--layer", "a", "--images", "1", "--accelerator", device,
        "--output", in + "t"},
       1,
       "is fed by nothing"},
      {{"train", "--solver", unfed_solver}, 1, "layer \"in\" (Input) is fed by nothing"},
      {{"test", "--model", net_, "--accelerator", in + "none"}, 1, in + "none"},
      {{"test", "--model", net_, "--accelerator", device}, 1, device},
  };
  for (const auto& bad : table) {
    const Program program(folder_, bad.arguments);
    const int code = program.wait();
    const std::string errors = program.errors();
    SCOPED_TRACE(fmt::format("inure {}\n{}", fmt::join(bad.arguments, " "), errors));
    EXPECT_EQ(code, bad.code);
    EXPECT_EQ(errors.find("inure: error: "), 0u);
    EXPECT_EQ(errors.find('\n'), errors.size() - 1) << "one line";
    EXPECT_NE(errors.find(bad.message), std::string::npos) << bad.message;
  }
}

}  // namespace
}  // namespace inure
