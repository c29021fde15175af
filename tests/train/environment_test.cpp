// Runs the program where something around it is wrong: output that cannot be written, closed
// descriptors, limits, signals.
#include <signal.h>
#include <sys/wait.h>

#include <cmath>
#include <cstdlib>
#include <thread>

#include "support.hpp"

namespace inure {
namespace {

struct Result {
  int code;  // 128 + the signal that ended it
  std::string output, errors;
};

class Environment : public ::testing::Test {
 protected:
  // A line for the shell, in which $INURE is the program; its output goes to files.
  Result shell(const std::string& line) {
    const std::string out = (folder_ / "stdout").string(), err = (folder_ / "stderr").string();
    const std::string script = folder_.write(
        "script",
        fmt::format("INURE='{}'; cd '{}'\n{}\n", INURE_PROGRAM, folder_.path().string(), line));
    const int status =
        std::system(fmt::format("bash '{}' >'{}' 2>'{}' </dev/null", script, out, err).c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_file(out),
            read_file(err)};
  }
  std::string solver(const std::string& run, int max_iter = 30) {
    return folder_.write(run + "_solver.prototxt",
                         tiny_solver(net_, (folder_ / run).string(), max_iter));
  }
  void expect_line(const Result& result, int code, const std::string& message) {
    EXPECT_EQ(result.code, code) << result.errors;
    EXPECT_EQ(result.errors.find("inure: error: "), 0u) << result.errors;
    EXPECT_EQ(result.errors.find('\n'), result.errors.size() - 1) << result.errors;
    EXPECT_NE(result.errors.find(message), std::string::npos) << result.errors;
  }

  TemporaryFolder folder_;
  std::string lmdb_ = write_lmdb(folder_);
  std::string net_ = folder_.write("net.prototxt", tiny_net(lmdb_));
};

TEST_F(Environment, OutputThatCannotBeWrittenIsAnError) {
  const std::string a = solver("a");
  const std::string test = "$INURE test --model net.prototxt --iterations 3";
  const std::vector<std::string> commands = {test, "$INURE train --solver " + a, "$INURE --help",
                                             "$INURE time --model net.prototxt --iterations 1",
                                             "$INURE devices"};
  for (const std::string& command : commands) {
    SCOPED_TRACE(command);
    expect_line(shell(command + " > /dev/full"), 1, "standard output: cannot be written");
  }
  expect_line(shell("$INURE train --solver " + a + " --log-json /dev/full"), 1,
              "/dev/full: cannot be written: No space left on device");
  // A pipe whose reader is gone.
  for (const std::string& command : {"$INURE train --solver " + a, test}) {
    SCOPED_TRACE(command);
    const Result result = shell("set -o pipefail; " + command + " | true");
    expect_line(result, 1, "standard output: cannot be written: Broken pipe");
  }
}

TEST_F(Environment, AFolderThatCannotBeWrittenEndsBeforeTheFirstIteration) {
  const std::string file = folder_.write("s", tiny_solver(net_, "/proc/self/a"));
  const Result result = shell("$INURE train --solver " + file);
  expect_line(result, 1, "the folder /proc/self cannot be written: ");
  EXPECT_EQ(result.output.find("Iteration"), std::string::npos) << result.output;
}

TEST_F(Environment, ClosedDescriptorsAreNoHarm) {
  const std::string a = solver("a");
  EXPECT_EQ(shell("$INURE test --model nosuch 2>&-").code, 1);
  EXPECT_EQ(shell("$INURE test --model nosuch 2>/dev/full").code, 1);
  const Result closed = shell("$INURE train --solver " + a + " <&- >&- 2>&-");
  EXPECT_EQ(closed.code, 0);
  const std::string expected = read_file(folder_ / "a_iter_30.caffemodel");
  EXPECT_EQ(shell("$INURE train --solver " + solver("b")).code, 0);
  EXPECT_EQ(expected, read_file(folder_ / "b_iter_30.caffemodel"))
      << "a file got the number of a standard descriptor";
}

TEST_F(Environment, MoreThreadsThanCanBeAreRefusedOrLowered) {
  const std::string test = "$INURE test --model net.prototxt --iterations 1";
  for (const char* count : {"257", "40000", "100000", "3000000000"}) {
    expect_line(shell(test + " --threads " + count), 2, "--threads");
  }
  for (const char* count : {"257", "40000", "100000", "2147483647"}) {
    const Result result = shell(fmt::format("OMP_NUM_THREADS={} {}", count, test));
    EXPECT_EQ(result.code, 0) << count << ": " << result.errors;
  }
}

// With any limit it works or says in a line why not; it never hangs and never crashes.
TEST_F(Environment, ALimitOfAddressSpaceWorksOrIsNamed) {
  for (const int megabytes : {700, 1100, 1600, 2500}) {
    for (const int threads : {1, 200}) {
      const Result result = shell(fmt::format(
          "ulimit -v {}; timeout 60 $INURE test --model net.prototxt --iterations 1 --threads {}",
          megabytes * 1024, threads));
      SCOPED_TRACE(fmt::format("{} MB, {} threads: {}", megabytes, threads, result.errors));
      if (result.code == 0) continue;
      EXPECT_EQ(result.code, 1);
      EXPECT_EQ(result.errors.find("inure: error: "), 0u);
      EXPECT_TRUE(result.errors.find("ulimit -v") != std::string::npos ||
                  result.errors.find("threads: the system does not give ") != std::string::npos);
    }
  }
}

TEST_F(Environment, AHangUpTakesASnapshotUnlessItIsIgnored) {
  for (const char* signal : {"HUP", "TERM", "INT"}) {
    const std::string file = solver(signal, 20000);
    const Result result = shell(fmt::format(
        "set -m; $INURE train --solver {} --threads 1 > log & until grep -q 'Iteration 40' log; do "
        "sleep 0.05; done; kill -{} $!; wait $!",
        file, signal));
    EXPECT_EQ(result.code, 130) << signal << ": " << result.errors;
    EXPECT_NE(read_file(folder_ / "log").find("To go on: the same command with --snapshot"),
              std::string::npos)
        << signal;
  }
  const Result ignored = shell("trap '' HUP; $INURE train --solver " + solver("kept", 300) +
                               " --threads 1 > log & until grep -q 'Iteration 40' log; do sleep "
                               "0.05; done; kill -HUP $!; wait $!");
  EXPECT_EQ(ignored.code, 0) << "nohup asks for that";
}

TEST_F(Environment, WrongUsageIsNamed) {
  expect_line(shell("$INURE trian --help"), 2, "there is no command \"trian\"");
  expect_line(shell("$INURE --threads 1 trian --help"), 2, "there is no command \"trian\"");
  EXPECT_EQ(shell("$INURE --help").code, 0);
  EXPECT_EQ(shell("$INURE train --help").code, 0);
  for (const char* seed : {"-1", "18446744073709551616", "1.5", "1e3", "0x10", "' 7'", "''"}) {
    SCOPED_TRACE(seed);
    expect_line(
        shell(fmt::format("$INURE time --model net.prototxt --iterations 1 --seed={}", seed)), 2,
        "--seed");
  }
  const Result largest =
      shell("$INURE test --model net.prototxt --iterations 1 --seed 18446744073709551615");
  EXPECT_EQ(largest.code, 0) << largest.errors;
}

TEST_F(Environment, WeightsThatAreNoNumbersStopQuantizeAndTest) {
  ASSERT_EQ(shell("$INURE train --solver " + solver("a")).code, 0);
  caffe::NetParameter model;
  ASSERT_TRUE(model.ParseFromString(read_file(folder_ / "a_iter_30.caffemodel")));
  model.DiscardUnknownFields();
  for (auto& layer : *model.mutable_layer()) {
    if (layer.name() == "ip1") layer.mutable_blobs(0)->set_data(5, std::nanf(""));
  }
  const std::string bad = folder_.write("nan.caffemodel", model.SerializeAsString());
  const std::string with = " --model net.prototxt --weights nan.caffemodel --iterations 1 ";
  const std::string message = "nan.caffemodel: layer \"ip1\", blob 0: value 5 is nan";
  expect_line(shell("$INURE test" + with), 1, message);
  expect_line(shell("$INURE quantize --output q" + with), 1, message);
  EXPECT_EQ(shell("$INURE test --allow-nan" + with).code, 0);
  expect_line(shell("$INURE quantize --allow-nan --output q" + with), 1, "no format holds it");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "q"));
}

TEST_F(Environment, DivergingTrainingEndsWithTheStateBefore) {
  const std::string file = folder_.write(
      "wild.prototxt", fmt::format("net: '{}' base_lr: 1e20 lr_policy: 'fixed' momentum: 0.9 "
                                   "max_iter: 300 snapshot_prefix: '{}'",
                                   net_, (folder_ / "wild").string()));
  const Result result = shell("$INURE train --solver " + file);
  expect_line(result, 1, "the state after iteration ");
  EXPECT_EQ(result.output.find("Optimization Done"), std::string::npos);
  EXPECT_EQ(shell("$INURE train --allow-nan --solver " + file).code, 0);
}

// The newest snapshot is damaged: it is named, and the run goes on from the one before.
TEST_F(Environment, LatestPassesOverADamagedSnapshot) {
  const std::string file = solver("a", 25);
  ASSERT_EQ(shell("$INURE train --solver " + file).code, 0);
  const std::string right = read_file(folder_ / "a_iter_25.caffemodel");
  const std::string state = (folder_ / "a_iter_25.solverstate").string();
  std::string bytes = read_file(state);
  bytes[bytes.size() / 2] ^= 1;
  write_file_atomically(state, bytes);
  expect_line(shell("$INURE train --solver " + file + " --snapshot " + state), 1,
              "a_iter_25.solverstate: is damaged");
  EXPECT_NE(read_file(folder_ / "stderr")
                .find("the snapshot before it is " + (folder_ / "a_iter_20.solverstate").string()),
            std::string::npos);
  const Result result = shell("$INURE train --solver " + file + " --snapshot latest");
  EXPECT_EQ(result.code, 0) << result.errors;
  EXPECT_NE(result.output.find("Note: " + state + ": is damaged"), std::string::npos);
  EXPECT_NE(result.output.find("Resuming at iteration 20"), std::string::npos) << result.output;
  EXPECT_EQ(read_file(folder_ / "a_iter_25.caffemodel"), right);
}

}  // namespace
}  // namespace inure
