#include "inure/train/solver.hpp"

#include <google/protobuf/text_format.h>

#include <cmath>
#include <set>

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

// Every numeric field of the solver: numbers that are none and values outside its range are refused
// by its name, values inside are taken.
TEST(Solver, NumbersHaveRanges) {
  struct Field {
    const char* name;
    std::vector<double> good, bad;
    std::string besides;
  };
  const double nan = std::nan(""), infinite = HUGE_VAL, large = 1e30;
  const std::string step = "lr_policy: 'step' ", gamma = " gamma: 0.1 ", power = " power: 1 ";
  const std::vector<Field> fields = {
      {"base_lr", {0, 0.1, 10}, {-1e-9, -1}, ""},
      {"momentum", {0, 0.5, 0.999}, {-0.1, 1, 5, large}, ""},
      {"momentum2", {0, 0.999}, {-0.1, 1, 5}, ""},
      {"weight_decay", {0, 1e-4, 2}, {-1e-4}, ""},
      {"rms_decay", {0, 0.99}, {-0.5, 1, 1.5}, ""},
      {"delta", {1e-8, 1}, {0, -1e-8}, ""},
      {"clip_gradients", {-1, -35, 0.1, 35}, {0}, ""},
      {"gamma", {0, 0.1, 1, 2}, {-0.1}, step + "stepsize: 3"},
      {"gamma", {0, 0.1, 1, 2}, {-0.1}, "lr_policy: 'exp'"},
      {"gamma", {0, 0.1, 1, 2}, {-0.1}, "lr_policy: 'inv'" + power},
      {"gamma", {0, 0.1, 1, 2}, {-0.1}, "lr_policy: 'multistep' stepvalue: 3"},
      {"gamma", {-0.1, 0.1}, {}, "lr_policy: 'sigmoid' stepsize: 3"},
      {"gamma", {-0.1, 0.1}, {}, ""},
      {"power", {0, 0.75, 2}, {-0.5}, "lr_policy: 'poly' max_iter: 10"},
      {"power", {-1, 0.75, 2}, {}, "lr_policy: 'inv'" + gamma},
      {"stepsize", {1, 5}, {0, -1}, step + gamma},
      {"stepvalue", {0, 5}, {-1}, "lr_policy: 'multistep'" + gamma},
      {"max_iter", {0, 5}, {-1}, ""},
      {"max_iter", {1, 5}, {-1, 0}, "lr_policy: 'poly'" + power},
      {"iter_size", {1, 5}, {0, -1}, ""},
      {"average_loss", {1, 5}, {0, -1}, ""},
      {"display", {0, 5}, {-1}, ""},
      {"snapshot", {0, 5}, {-1}, ""},
      {"test_interval", {0, 5}, {-1}, ""},
      {"test_iter", {1, 5}, {0, -1}, "test_interval: 5"},
      {"random_seed", {-1, 0, 5}, {}, ""},
      {"device_id", {0, 5}, {}, ""},
  };
  std::set<std::string> tried;
  const auto* descriptor = caffe::SolverParameter::descriptor();
  for (const Field& field : fields) {
    tried.insert(field.name);
    std::vector<double> bad = field.bad;
    const auto* known = descriptor->FindFieldByName(field.name);
    ASSERT_NE(known, nullptr) << field.name;
    if (known->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_FLOAT) {
      bad.insert(bad.end(), {nan, infinite, -infinite});
    }
    const auto message = [&](double value) {
      const bool rate = std::string(field.name) == "base_lr";
      const bool policy = field.besides.find("lr_policy") != std::string::npos;
      return error_of([&] {
        check_solver(parse(fmt::format("{} {} {} {}: {}", rate ? "" : "base_lr: 0.1",
                                       policy ? "" : "lr_policy: 'fixed'", field.besides,
                                       field.name, value)));
      });
    };
    for (const double value : field.good) {
      EXPECT_EQ(message(value), "") << field.name << ": " << value << " " << field.besides;
    }
    for (const double value : bad) {
      const std::string text = message(value);
      EXPECT_EQ(text.find("solver: "), 0u) << field.name << ": " << value << " was taken";
      EXPECT_NE(text.find(field.name), std::string::npos) << text;
    }
  }
  for (int f = 0; f < descriptor->field_count(); ++f) {
    const auto* known = descriptor->field(f);
    using google::protobuf::FieldDescriptor;
    const bool number = known->cpp_type() == FieldDescriptor::CPPTYPE_FLOAT ||
                        known->cpp_type() == FieldDescriptor::CPPTYPE_INT32 ||
                        known->cpp_type() == FieldDescriptor::CPPTYPE_INT64;
    EXPECT_TRUE(!number || tried.count(known->name())) << known->name();
  }
}

}  // namespace
}  // namespace inure
