#include "inure/train/solver.hpp"

#include <google/protobuf/text_format.h>

#include "support.hpp"

namespace inure {
namespace {

caffe::SolverParameter parse(const std::string& text) {
  caffe::SolverParameter solver;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &solver));
  return solver;
}

TEST(Solver, RefusesWhatItCannotTrainBy) {
  const struct {
    const char *text, *message;
  } cases[] = {
      {"type: 'Adam'", "solver: type \"Adam\" is not available; there is \"SGD\" (with momentum)"},
      {"regularization_type: 'L3'",
       "solver: regularization_type \"L3\" is not known; there are \"L2\" and \"L1\""},
      {"snapshot_format: HDF5",
       "solver: snapshot_format HDF5 is not available; there is BINARYPROTO"},
      {"max_iter: -1", "solver: max_iter is -1; it must be 0 or more"},
      {"iter_size: 0", "solver: iter_size is 0; it must be 1 or more"},
      {"average_loss: 0", "solver: average_loss is 0; it must be 1 or more"},
      {"test_iter: 0", "solver: test_iter is 0; it must be 1 or more"},
      {"test_iter: 5",
       "solver: test_iter is given, but no test_interval; say every how many iterations to test"},
  };
  for (const auto& bad : cases) {
    const auto solver = parse(std::string("base_lr: 0.1 lr_policy: 'fixed' ") + bad.text);
    EXPECT_EQ(error_of([&] { check_solver(solver); }), bad.message);
  }
  EXPECT_EQ(error_of([&] { check_solver(parse("lr_policy: 'fixed'")); }),
            "solver: base_lr is missing; give the learning rate, e.g. base_lr: 0.01");
}

TEST(Solver, NotesWhatHasNoEffect) {
  const auto notes =
      check_solver(parse("base_lr: 0.1 lr_policy: 'fixed' solver_mode: GPU debug_info: true"));
  ASSERT_EQ(notes.size(), 2u);
  EXPECT_EQ(notes[0], "solver_mode GPU: the host's processor computes what no accelerator does");
}

const char* const kNet = "net_param { name: 'n' state { stage: 'own' } } ";

TEST(Solver, FindsOneTrainingNet) {
  EXPECT_EQ(error_of([] { read_solver_nets(parse("")); }),
            "solver: 0 training networks are named; name one, as net, train_net, net_param or "
            "train_net_param");
  EXPECT_EQ(
      error_of([] { read_solver_nets(parse(std::string(kNet) + "train_net: 'x'")); }).substr(0, 37),
      "solver: 2 training networks are named");
}

TEST(Solver, GivesEveryNetItsState) {
  const SolverNets nets = read_solver_nets(
      parse(std::string(kNet) +
            "train_state { level: 2 stage: 's' } test_net_param { name: 't' } test_iter: 1 "
            "test_iter: 2 test_state { stage: 'a' } test_state { stage: 'b' }"));
  EXPECT_EQ(nets.train.state().phase(), caffe::TRAIN);
  EXPECT_EQ(nets.train.state().level(), 2);
  ASSERT_EQ(nets.train.state().stage_size(), 2);
  EXPECT_EQ(nets.train.state().stage(0), "own");
  EXPECT_EQ(nets.train.state().stage(1), "s");
  ASSERT_EQ(nets.tests.size(), 2u);
  EXPECT_EQ(nets.tests[0].name(), "t");  // test nets of their own come first, as in Caffe
  EXPECT_EQ(nets.tests[0].state().stage(0), "a");
  EXPECT_EQ(nets.tests[1].name(), "n");
  EXPECT_EQ(nets.tests[1].state().phase(), caffe::TEST);
  EXPECT_EQ(nets.tests[1].state().stage(1), "b");
}

TEST(Solver, CountsTestNets) {
  EXPECT_EQ(error_of([] { read_solver_nets(parse("train_net_param {} test_net_param {}")); }),
            "solver: 0 test_iter for 1 test networks; give one for each");
  EXPECT_EQ(
      error_of([] {
        read_solver_nets(parse(std::string(kNet) + "test_iter: 1 test_state {} test_state {}"));
      }),
      "solver: 2 test_state for 1 test networks; give one for each or none");
}

TEST(Solver, NamesSnapshotsAfterItsFile) {
  const TemporaryFolder folder;
  const auto plain = folder.write("my_solver.prototxt", "base_lr: 1 net: 'n'");
  EXPECT_EQ(read_solver(plain).snapshot_prefix(), (folder / "my_solver").string());
  const auto in_folder = folder.write(
      "other.prototxt", fmt::format("net: 'n' snapshot_prefix: '{}'", folder.path().string()));
  EXPECT_EQ(read_solver(in_folder).snapshot_prefix(), (folder / "other").string());
}

}  // namespace
}  // namespace inure
