// Runs `inure sweep` and `inure trace` themselves, on a small network; killed and interrupted.
#ifdef INURE_PROGRAM

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include <random>
#include <thread>

#include "inure/errors/operand_trace.hpp"
#include "inure/errors/timing_profile.hpp"
#include "tests/train/support.hpp"

namespace inure {
namespace {

using Arguments = std::vector<std::string>;
namespace fs = std::filesystem;

class SweepProgram : public testing::Test {
 protected:
  SweepProgram() {
    const std::string net = folder_.write("net.prototxt", tiny_net(write_lmdb(folder_)));
    solver_ = folder_.write("solver.prototxt", tiny_solver(net, (folder_ / "tiny").string()));
    device_ = folder_.write("device.prototxt",
                            "vec_size: 2 lane_num: 2\n"
                            "format { layer: 'conv' weights: 7 input: 6 output: 5 }\n"
                            "format { layer: 'ip1' weights: 7 input: 5 output: 4 }\n"
                            "format { layer: 'frozen' weights: 7 input: 4 output: 4 }\n"
                            "format { layer: 'ip2' weights: 7 input: 4 output: 4 }\n"
                            "errors { timing { profile: '" +
                                write_profile() + "' } }\n");
    EXPECT_EQ(run({"train", "--solver", solver_}), 0) << errors();
    weights_ = (folder_ / "tiny_iter_30.caffemodel").string();
  }

  std::string write_profile() {
    TimingProfile profile;
    profile.set_design("by hand");
    profile.set_corner("none");
    profile.set_netlist(1);
    profile.set_critical_ps(10000);
    profile.set_vec_size(2);
    profile.set_negative_activations(true);
    for (const unsigned period : {9800u, 9500u}) {
      ClockProfile& clock = *profile.add_clock();
      clock.set_period_ps(period);
      clock.add_product(), clock.add_product();
      clock.mutable_accumulator()->add_split(0);  // one class of all steps
      ErrorClass& what = *clock.mutable_accumulator()->add_error_class();
      what.set_id(0);
      what.set_rate(period == 9800u ? 0.01 : 0.2);
      what.add_delta(-4096);
      what.add_count(1);
    }
    write_timing_profile(folder_ / "profile", profile);
    return (folder_ / "profile").string();
  }

  Arguments sweep(const std::string& output) {
    return {"sweep",
            "--solver",
            solver_,
            "--weights",
            weights_,
            "--accelerator",
            device_,
            "--clocks",
            "1,1.0204,1.0526",
            "--seeds",
            "2",
            "--threads",
            "1",
            "--output",
            (folder_ / output).string(),
            "--chain",
            "--retrain-iterations",
            "60"};
  }

  pid_t start(Arguments arguments) {
    arguments.insert(arguments.begin(), INURE_PROGRAM);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const std::string out = (folder_ / "stdout").string(), err = (folder_ / "stderr").string();
    const pid_t process = fork();
    if (process == 0) {
      const int flags = O_WRONLY | O_CREAT | O_TRUNC;
      dup2(open(out.c_str(), flags, 0666), STDOUT_FILENO);
      dup2(open(err.c_str(), flags, 0666), STDERR_FILENO);
      execv(INURE_PROGRAM, argv.data());
      _exit(127);
    }
    return process;
  }
  static int wait(pid_t process) {
    int status = 0;
    waitpid(process, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  int run(const Arguments& arguments) { return wait(start(arguments)); }
  std::string output() { return read_file(folder_ / "stdout"); }
  std::string errors() { return read_file(folder_ / "stderr"); }

  // Files by name with their contents; of points the accuracies without the times.
  std::map<std::string, std::string> files(const std::string& name, const std::string& sub) {
    std::map<std::string, std::string> found;
    for (const auto& entry : fs::directory_iterator(folder_ / name / sub)) {
      const std::string text = read_file(entry.path());
      found[entry.path().filename().string()] = text.substr(0, text.find("\nseconds"));
    }
    return found;
  }

  TemporaryFolder folder_;
  std::string solver_, device_, weights_;
};

TEST_F(SweepProgram, GoesOnToTheSameBitsAfterKillsAndInterrupts) {
  const auto seed = std::random_device{}();
  std::mt19937 random(seed);
  SCOPED_TRACE(fmt::format("repeat with the seed {}", seed));
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(run(sweep("whole")), 0) << errors();
  const std::chrono::duration<double> whole = std::chrono::steady_clock::now() - begin;
  EXPECT_NE(output().find("Without errors: "), std::string::npos) << output();

  int stopped = 0, code = -1;
  for (int tries = 0; tries < 100 && code != 0; ++tries) {
    const pid_t process = start(sweep("stopped"));
    const double part = tries < 12 ? 0.3 : 1;  // then it may end
    std::this_thread::sleep_for(whole * std::uniform_real_distribution<>(0.1 * part, part)(random));
    const int signal = tries % 2 == 0 ? SIGKILL : SIGINT;
    if (tries < 20) kill(process, signal);
    code = wait(process);
    ASSERT_TRUE(code == 0 || code == 130 || code == 128 + SIGKILL) << code << errors();
    stopped += code != 0;
  }
  EXPECT_EQ(code, 0);
  EXPECT_GT(stopped, 2);
  EXPECT_EQ(files("stopped", "points"), files("whole", "points"));
  EXPECT_EQ(files("stopped", "networks"), files("whole", "networks"));
  EXPECT_EQ(files("whole", "points").size(), 15u);
  // Weights; a description for the control and for each clock with errors.
  EXPECT_EQ(files("whole", "networks").size(), 8u + 3u);
  EXPECT_EQ(read_file(folder_ / "stopped/sweep.csv"), read_file(folder_ / "whole/sweep.csv"));
}

TEST_F(SweepProgram, ErrorsTellAndRetrainingMayComeLater) {
  Arguments arguments = sweep("a");
  arguments.push_back("--no-retraining");
  ASSERT_EQ(run(arguments), 0) << errors();
  const auto points = files("a", "points");
  EXPECT_EQ(points.size(), 7u);
  EXPECT_EQ(points.at("before_1.0000_seed1.txt"), points.at("exact.txt"));
  int differ = 0;  // one step in a hundred wrong, or one in five
  for (const char* name : {"before_1.0204_seed1", "before_1.0204_seed2", "before_1.0526_seed1",
                           "before_1.0526_seed2"}) {
    differ += points.at(std::string(name) + ".txt") != points.at("exact.txt");
  }
  EXPECT_GT(differ, 0);
  ASSERT_EQ(run(sweep("a")), 0) << errors();  // retraining may come later
  EXPECT_NE(output().find("runs: 15, done before: 7"), std::string::npos) << output();
}

TEST_F(SweepProgram, RefusesBadInputInOneLine) {
  const auto message = [&](const Arguments& more, Arguments arguments) {
    arguments.insert(arguments.end(), more.begin(), more.end());
    EXPECT_NE(run(arguments), 0);
    const std::string text = errors();
    EXPECT_EQ(text.find('\n'), text.size() - 1) << text;
    return text;
  };
  Arguments without_clocks = sweep("x");
  without_clocks.erase(without_clocks.begin() + 7, without_clocks.begin() + 9);
  EXPECT_NE(message({"--clocks", "1.03"}, without_clocks).find("at 1.03 f_STA: "),
            std::string::npos);
  EXPECT_NE(message({"--clocks", "fast"}, without_clocks).find("clocks fast: "), std::string::npos);
  EXPECT_NE(message({"--score", "top5"}, sweep("x")).find("\"top5\"; name one with --score: "),
            std::string::npos);
  EXPECT_NE(message({"--profile", (folder_ / "none").string()}, sweep("x")).find("/none: "),
            std::string::npos);
}

TEST_F(SweepProgram, TraceFollowsALayer) {
  const std::string net = (folder_ / "net.prototxt").string();
  const Arguments arguments{"trace",
                            "--model",
                            net,
                            "--weights",
                            weights_,
                            "--accelerator",
                            device_,
                            "--layer",
                            "conv",
                            "--images",
                            "2",
                            "--first-image",
                            "7",
                            "--lanes",
                            "0,1",
                            "--output",
                            (folder_ / "t.trace").string()};
  ASSERT_EQ(run(arguments), 0) << errors();
  const OperandTrace trace = read_operand_trace(folder_ / "t.lane1.trace");
  EXPECT_EQ(trace.lane, 1);
  // 1 channel on vectors of 2, 3x3: 9 steps; 6x6 outputs of 2 blocks of lanes, 2 images.
  EXPECT_EQ(trace.steps(), 9 * 36 * 2 * 2);
  EXPECT_EQ(read_operand_trace(folder_ / "t.lane0.trace").activations, trace.activations);
  Arguments wrong = arguments;
  wrong[8] = "conv9";
  EXPECT_NE(run(wrong), 0);
  EXPECT_NE(errors().find("layer \"conv9\" does not run on the accelerator; these do: conv, ip1"),
            std::string::npos)
      << errors();
}

}  // namespace
}  // namespace inure

#endif
