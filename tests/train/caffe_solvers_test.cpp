// The same runs as BVLC Caffe's, from the same weights on the same images.
#include <cmath>
#include <sstream>

#include "inure/caffe/files.hpp"
#include "inure/data/convert.hpp"
#include "inure/train/solver.hpp"
#include "inure/train/trainer.hpp"
#include "support.hpp"

namespace inure {
namespace {

namespace fs = std::filesystem;
const fs::path kRuns = INURE_SHARED_DATA "/caffe_solvers";

class Losses : public TrainObserver {
 public:
  void stepped(const Step& event) override {
    if (event.display) losses.push_back(event.loss);
  }
  std::vector<double> losses;
};

class CaffeSolvers : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(kRuns)) GTEST_SKIP() << kRuns << " is absent";
    data::convert_idx(kRuns / "images.idx.gz", kRuns / "labels.idx.gz", folder_ / "m320_lmdb");
    std::string net = read_file(kRuns / "net.prototxt");
    net.replace(net.find("m320_lmdb"), 9, (folder_ / "m320_lmdb").string());
    net_ = folder_.write("net.prototxt", net);
  }

  caffe::SolverParameter solver(const std::string& name) {
    auto solver = read_solver(kRuns / (name + ".solver"));
    solver.set_net(net_);
    solver.set_snapshot_prefix((folder_ / name).string());
    return solver;
  }

  TemporaryFolder folder_;
  std::string net_;
};

std::vector<double> caffes_losses(const std::string& name) {
  std::istringstream lines(read_file(kRuns / (name + ".losses")));
  std::vector<double> losses;
  for (std::string line; std::getline(lines, line);) {
    losses.push_back(std::stod(line.substr(line.rfind(' '))));
  }
  return losses;
}

void expect_near(const google::protobuf::RepeatedField<float>& ours,
                 const google::protobuf::RepeatedField<float>& caffes, const std::string& what) {
  ASSERT_EQ(ours.size(), caffes.size()) << what;
  double largest = 0;
  for (const float value : caffes) largest = std::max(largest, std::abs(double{value}));
  for (int i = 0; i < ours.size(); ++i) {
    ASSERT_NEAR(ours[i], caffes[i], 1e-5 * largest) << what << " at " << i;
  }
}

TEST_F(CaffeSolvers, SgdGivesCaffesLossesWeightsAndHistory) {
  for (const std::string name : {"sgd", "sgd_l1"}) {
    SCOPED_TRACE(name);
    auto solver = this->solver(name);
    solver.add_weights((kRuns / "init_iter_1.caffemodel").string());  // the solver's own field
    Losses ours;
    Trainer(solver, {}, {&ours}).run();
    const std::vector<double> caffes = caffes_losses(name);
    ASSERT_EQ(ours.losses.size(), caffes.size());
    for (std::size_t i = 0; i < caffes.size(); ++i) {
      EXPECT_NEAR(ours.losses[i], caffes[i], 1e-5 * caffes[i]) << "iteration " << i;
    }
    const auto file = [&](const fs::path& folder, const char* ending) {
      return folder / (name + "_iter_20" + ending);
    };
    const auto model = caffe::read_model(file(folder_.path(), ".caffemodel"));
    const auto caffes_model = caffe::read_model(file(kRuns, ".caffemodel"));
    int compared = 0;
    for (const auto& theirs : caffes_model.layer()) {
      for (const auto& layer : model.layer()) {
        for (int b = 0; layer.name() == theirs.name() && b < theirs.blobs_size(); ++b, ++compared) {
          expect_near(layer.blobs(b).data(), theirs.blobs(b).data(), layer.name());
        }
      }
    }
    EXPECT_EQ(compared, 4);
    const auto state = caffe::read_solver_state(file(folder_.path(), ".solverstate"));
    const auto caffes_state = caffe::read_solver_state(file(kRuns, ".solverstate"));
    ASSERT_EQ(state.history_size(), caffes_state.history_size());
    for (int h = 0; h < state.history_size(); ++h) {
      expect_near(state.history(h).data(), caffes_state.history(h).data(), "history");
    }
  }
}

TEST_F(CaffeSolvers, ResumesFromCaffesSnapshotWithoutAChecksum) {
  TrainOptions options;
  options.snapshot = kRuns / "sgd_iter_20.solverstate";
  auto solver = this->solver("sgd");
  solver.set_max_iter(22);
  Trainer trainer(solver, options);
  EXPECT_EQ(trainer.iteration(), 20);
  EXPECT_TRUE(trainer.run());
}

// As Caffe's tools/caffe.cpp: weights of the command line replace the solver's.
TEST_F(CaffeSolvers, WeightsOfTheCommandLineReplaceTheSolvers) {
  auto solver = this->solver("sgd");
  const std::string init = (kRuns / "init_iter_1.caffemodel").string();
  const std::string other = (kRuns / "sgd_iter_20.caffemodel").string();
  const auto first_loss = [&](const std::vector<std::string>& own,
                              const std::vector<std::string>& given) {
    solver.clear_weights();
    for (const auto& file : own) solver.add_weights(file);
    TrainOptions options;
    options.weights = given;
    return Trainer(solver, options).step();
  };
  const double at_init = first_loss({}, {init}), at_other = first_loss({}, {other});
  EXPECT_NE(at_init, at_other);
  EXPECT_EQ(first_loss({init}, {}), at_init);
  EXPECT_EQ(first_loss({other + "," + init}, {}), at_init) << "the later file counts";
  EXPECT_EQ(first_loss({other, init}, {}), at_init);
  EXPECT_EQ(first_loss({"no such file"}, {other}), at_other);
}

}  // namespace
}  // namespace inure
