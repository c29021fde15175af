#include "inure/train/snapshot.hpp"

#include <sys/wait.h>

#include "inure/caffe/files.hpp"
#include "support.hpp"

namespace inure {
namespace {

Snapshot make_snapshot(int iteration) {
  Snapshot snapshot;
  snapshot.iteration = iteration;
  snapshot.current_step = 2;
  snapshot.weights.set_name("n");
  snapshot.weights.add_layer()->set_name("ip");
  snapshot.weights.mutable_layer(0)->set_type("InnerProduct");
  snapshot.history = {at::arange(6, at::kFloat).reshape({2, 3}), at::full({4}, 0.1f)};
  snapshot.seed = 0xFFFFFFFFFFFFFFFFull;
  snapshot.network = "ip InnerProduct 2x3\n";
  snapshot.accelerator = "kind: \"x\"\n";
  snapshot.losses = {0.1, 0.2};
  snapshot.test_batch = {70, 8};
  return snapshot;
}

TEST(Snapshot, ReadsWhatItWrote) {
  const TemporaryFolder folder;
  const std::string prefix = (folder / "net").string();
  const Snapshot written = make_snapshot(12);
  const auto path = write_snapshot(prefix, written);
  EXPECT_EQ(path, folder / "net_iter_12.solverstate");
  const Snapshot read = read_snapshot(path);
  EXPECT_EQ(read.iteration, 12);
  EXPECT_EQ(read.current_step, 2);
  EXPECT_EQ(read.weights.name(), "n");
  ASSERT_EQ(read.history.size(), 2u);
  EXPECT_TRUE(at::equal(read.history[0], written.history[0]));
  EXPECT_TRUE(at::equal(read.history[1], written.history[1]));
  EXPECT_FALSE(read.from_caffe);
  EXPECT_EQ(read.seed, written.seed);
  EXPECT_EQ(read.network, written.network);
  EXPECT_EQ(read.accelerator, written.accelerator);
  EXPECT_EQ(read.losses, written.losses);
  EXPECT_EQ(read.test_batch, written.test_batch);
}

// Caffe knows only its own fields and must find them as it wrote them itself.
TEST(Snapshot, HasCaffesFields) {
  const TemporaryFolder folder;
  const auto path = write_snapshot((folder / "net").string(), make_snapshot(12));
  const caffe::SolverState state = caffe::read_solver_state(path);
  EXPECT_EQ(state.iter(), 12);
  EXPECT_EQ(state.learned_net(), (folder / "net_iter_12.caffemodel").string());
  EXPECT_EQ(state.current_step(), 2);
  ASSERT_EQ(state.history_size(), 2);
  EXPECT_EQ(caffe::blob_shape(state.history(0)), (std::vector<std::int64_t>{2, 3}));
}

TEST(Snapshot, FindsTheLatestThatIsWhole) {
  const TemporaryFolder folder;
  const std::string prefix = (folder / "net").string();
  EXPECT_FALSE(find_latest_snapshot(prefix).has_value());
  EXPECT_FALSE(find_latest_snapshot((folder / "missing" / "net").string()).has_value());
  write_snapshot(prefix, make_snapshot(9));
  write_snapshot(prefix, make_snapshot(100));
  write_snapshot((folder / "net_b").string(), make_snapshot(500));
  folder.write("net_iter_200.caffemodel", "its solverstate was not written any more");
  folder.write("net_iter_300.solverstate", "its weights were deleted");
  folder.write("net_iter_400x.solverstate", "another's");
  EXPECT_EQ(find_latest_snapshot(prefix), folder / "net_iter_100.solverstate");
}

TEST(Snapshot, MovesWithItsWeights) {
  const TemporaryFolder folder, other;
  write_snapshot((folder / "net").string(), make_snapshot(9));
  for (const char* name : {"net_iter_9.solverstate", "net_iter_9.caffemodel"}) {
    std::filesystem::rename(folder / name, other / name);
  }
  EXPECT_EQ(read_snapshot(other / "net_iter_9.solverstate").weights.name(), "n");
  std::filesystem::remove(other / "net_iter_9.caffemodel");
  EXPECT_EQ(error_of([&] { read_snapshot(other / "net_iter_9.solverstate"); }),
            fmt::format("{}: its weights {} are missing, also beside it",
                        (other / "net_iter_9.solverstate").string(),
                        (folder / "net_iter_9.caffemodel").string()));
}

TEST(Snapshot, RemovesWhatADeadProcessLeft) {
  const TemporaryFolder folder;
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  const auto left = folder.write(fmt::format("net_iter_7.caffemodel.tmp-{}-0", child), "half");
  const auto ours = folder.write(fmt::format("net_iter_7.caffemodel.tmp-{}-0", getpid()), "half");
  const auto another = folder.write(fmt::format("other_iter_7.caffemodel.tmp-{}-0", child), "half");
  remove_unfinished_snapshots((folder / "net").string());
  EXPECT_FALSE(std::filesystem::exists(left));
  EXPECT_TRUE(std::filesystem::exists(ours)) << "its process still lives";
  EXPECT_TRUE(std::filesystem::exists(another)) << "of another prefix";
}

// A folder that was copied has weights of its own, whatever happened to those it was copied from.
TEST(Snapshot, TakesTheWeightsBesideIt) {
  const TemporaryFolder folder, copy;
  write_snapshot((folder / "net").string(), make_snapshot(9));
  for (const char* name : {"net_iter_9.solverstate", "net_iter_9.caffemodel"}) {
    std::filesystem::copy(folder / name, copy / name);
  }
  Snapshot other = make_snapshot(9);
  other.weights.set_name("another run");
  write_snapshot((folder / "net").string(), other);
  EXPECT_EQ(read_snapshot(copy / "net_iter_9.solverstate").weights.name(), "n");
  EXPECT_EQ(read_snapshot(folder / "net_iter_9.solverstate").weights.name(), "another run");
  std::filesystem::remove(copy / "net_iter_9.caffemodel");  // only the other run's are left
  EXPECT_EQ(error_of([&] { read_snapshot(copy / "net_iter_9.solverstate"); }),
            fmt::format("{}: its weights {} are not those of this snapshot: another run wrote the "
                        "file",
                        (copy / "net_iter_9.solverstate").string(),
                        (folder / "net_iter_9.caffemodel").string()));
}

TEST(Snapshot, ADamagedOneIsNamedAndTheOneBeforeFound) {
  for (const char* ending : {".solverstate", ".caffemodel"}) {
    const TemporaryFolder folder;
    const std::string prefix = (folder / "net").string();
    for (const int iteration : {5, 10, 20, 30}) write_snapshot(prefix, make_snapshot(iteration));
    for (const int iteration : {20, 30}) {
      const auto path = folder / fmt::format("net_iter_{}{}", iteration, ending);
      std::string bytes = read_file(path);
      bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 0x10);
      write_file_atomically(path, bytes);
    }
    std::vector<std::string> damaged;
    EXPECT_EQ(find_latest_snapshot(prefix, &damaged), folder / "net_iter_10.solverstate");
    ASSERT_EQ(damaged.size(), 2u);
    EXPECT_NE(damaged[0].find(fmt::format("net_iter_30{}: is damaged", ending)), std::string::npos)
        << damaged[0];
    EXPECT_EQ(snapshot_before(folder / "net_iter_30.solverstate"),
              folder / "net_iter_10.solverstate");
    EXPECT_EQ(snapshot_before(folder / "net_iter_10.solverstate"),
              folder / "net_iter_5.solverstate");
    EXPECT_FALSE(snapshot_before(folder / "net_iter_5.solverstate").has_value());
    for (const int iteration : {5, 10}) {
      std::filesystem::remove(folder / fmt::format("net_iter_{}.solverstate", iteration));
    }
    EXPECT_NE(error_of([&] { find_latest_snapshot(prefix); }).find("no other snapshot"),
              std::string::npos)
        << "beginning anew would write over what can perhaps be saved";
  }
}

}  // namespace
}  // namespace inure
