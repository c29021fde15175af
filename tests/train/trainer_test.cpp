#include "inure/train/trainer.hpp"

#include <algorithm>
#include <cmath>

#include "inure/base/parallel.hpp"
#include "inure/caffe/files.hpp"
#include "inure/train/solver.hpp"
#include "support.hpp"

namespace inure {
namespace {

// Keeps what it is told.
class Record : public TrainObserver {
 public:
  void stepped(const Step& event) override {
    if (event.display) displays.push_back(event);
  }
  void tested(const Test& event) override { tests.push_back(event); }
  void snapshot_taken(int iteration, const std::filesystem::path&) override {
    snapshots.push_back(iteration);
  }

  std::vector<Step> displays;
  std::vector<Test> tests;
  std::vector<int> snapshots;
};

class TrainerTest : public ::testing::Test {
 protected:
  caffe::SolverParameter solver(const std::string& run, int max_iter = 30) {
    return read_solver(folder_.write(run + "_solver.prototxt",
                                     tiny_solver(net_, (folder_ / run).string(), max_iter)));
  }
  std::string model(const std::string& run, int iteration) {
    return read_file(folder_ / fmt::format("{}_iter_{}.caffemodel", run, iteration));
  }
  // The solverstate without the name of the weights, which differs between runs.
  std::string state(const std::string& run, int iteration) {
    auto state =
        caffe::read_solver_state(folder_ / fmt::format("{}_iter_{}.solverstate", run, iteration));
    state.clear_learned_net();
    return state.SerializeAsString();
  }

  TemporaryFolder folder_;
  std::string lmdb_ = write_lmdb(folder_);
  std::string net_ = folder_.write("net.prototxt", tiny_net(lmdb_));
};

TEST_F(TrainerTest, LearnsTestsAndTakesSnapshots) {
  Record record;
  Trainer trainer(solver("a", 200), {}, {&record});
  EXPECT_TRUE(trainer.run());
  EXPECT_EQ(trainer.iteration(), 200);
  ASSERT_EQ(record.displays.size(), 21u);
  EXPECT_LT(record.displays.back().loss, 0.8 * record.displays.front().loss);
  ASSERT_EQ(record.tests.size(), 14u);  // at 0, 15, ..., 195
  ASSERT_EQ(record.tests.back().result.scores.size(), 2u);
  EXPECT_EQ(record.tests.back().result.scores[0].name, "accuracy");
  EXPECT_GT(record.tests.back().result.scores[0].value, 0.5);
  EXPECT_EQ(record.snapshots.size(), 20u);
}

TEST_F(TrainerTest, ResumesWithTheSameBits) {
  Record whole;
  Trainer(solver("a"), {}, {&whole}).run();
  EXPECT_EQ(whole.snapshots, (std::vector<int>{10, 20, 30}));
  for (const int from : {10, 20}) {
    const std::string run = fmt::format("from_{}", from);
    Record rest;
    TrainOptions options;
    options.snapshot = folder_ / fmt::format("a_iter_{}.solverstate", from);
    Trainer(solver(run), options, {&rest}).run();
    EXPECT_EQ(model(run, 30), model("a", 30)) << "resumed from " << from;
    EXPECT_EQ(state(run, 30), state("a", 30)) << "resumed from " << from;
    ASSERT_FALSE(rest.tests.empty());
    EXPECT_EQ(rest.tests.back().result.loss, whole.tests.back().result.loss);
    EXPECT_EQ(rest.displays.back().loss, whole.displays.back().loss);
  }
}

TEST_F(TrainerTest, GivesTheSameBitsOnAnyNumberOfThreads) {
  for (const int count : {1, 2, 3}) {
    set_threads(count);
    Trainer(solver(fmt::format("t{}", count)), {}).run();
  }
  set_threads(0);
  EXPECT_EQ(model("t1", 30), model("t2", 30));
  EXPECT_EQ(model("t1", 30), model("t3", 30));
}

TEST_F(TrainerTest, TheSeedDecides) {
  TrainOptions options;
  options.seed = 8;
  Trainer(solver("a"), options).run();
  Trainer(solver("b"), options).run();
  Trainer(solver("c"), {}).run();  // random_seed of the solver
  EXPECT_EQ(model("a", 30), model("b", 30));
  EXPECT_NE(model("a", 30), model("c", 30));
}

TEST_F(TrainerTest, LeavesFrozenParametersAlone) {
  Trainer trainer(solver("a"), {});
  const auto& parameters = trainer.network().parameters();
  std::vector<at::Tensor> before;
  for (const auto& parameter : parameters) before.push_back(parameter->data.clone());
  trainer.step();
  int frozen = 0;
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    const bool same = at::equal(parameters[p]->data, before[p]);
    EXPECT_EQ(same, parameters[p]->lr_mult == 0) << parameters[p]->name;
    EXPECT_EQ(parameters[p]->version == 0, same) << parameters[p]->name;
    frozen += same;
  }
  EXPECT_EQ(frozen, 2);
}

TEST_F(TrainerTest, StopsWithASnapshot) {
  const std::atomic<bool> stop = true;
  Record record;
  Trainer trainer(solver("a"), {}, {&record});
  for (int i = 0; i < 13; ++i) trainer.step();
  EXPECT_FALSE(trainer.run(&stop));
  EXPECT_EQ(record.snapshots, std::vector<int>{13});
  TrainOptions options;
  options.snapshot = folder_ / "a_iter_13.solverstate";
  Trainer(solver("b"), options).run();
  Trainer(solver("whole"), {}).run();
  EXPECT_EQ(model("b", 30), model("whole", 30));
}

TEST_F(TrainerTest, RefusesSnapshotsOfAnother) {
  Trainer(solver("a"), {}).run();
  TrainOptions options;
  options.snapshot = folder_ / "a_iter_10.solverstate";
  const std::string file = options.snapshot.string();
  options.seed = 4;
  EXPECT_EQ(error_of([&] { Trainer(solver("b"), options); }),
            file + ": was taken of a run with seed 3; resume it with that or without --seed");
  options.seed.reset();
  options.weights = {"w.caffemodel"};
  EXPECT_EQ(error_of([&] { Trainer(solver("b"), options); }),
            file +
                ": a snapshot holds weights of its own; give --snapshot to resume or --weights to "
                "fine-tune");
  options.weights.clear();
  net_ = folder_.write("wider.prototxt", tiny_net(lmdb_, 9));
  EXPECT_EQ(error_of([&] { Trainer(solver("b"), options); }),
            file +
                ": was taken of another network: it has \"ip1 InnerProduct 8x36 8\" where this has "
                "\"ip1 InnerProduct 9x36 9\"");
}

TEST_F(TrainerTest, WantsAFolderForSnapshots) {
  auto lost = solver("a");
  lost.set_snapshot_prefix("/no/such/folder/a");
  EXPECT_EQ(
      error_of([&] { Trainer(lost, {}); }),
      "solver: snapshot_prefix \"/no/such/folder/a\": the folder /no/such/folder does not exist; "
      "make it, or name another");
}

// A state that Caffe itself wrote: its net reads a dataset that is not here, so it gets random
// images.
TEST_F(TrainerTest, ResumesFromCaffesOwnState) {
  const std::filesystem::path data = INURE_SHARED_DATA "/cifar10_quick";
  if (!std::filesystem::exists(data)) GTEST_SKIP() << data << " is absent";
  auto quick = read_solver(data / "cifar10_quick_solver.prototxt");
  quick.set_net((data / "cifar10_quick_train_test.prototxt").string());
  quick.set_snapshot_prefix((folder_ / "quick").string());
  TrainOptions options;
  options.snapshot = data / "cifar10_quick_iter_4000.solverstate";
  options.synthetic = parse_synthetic_data("3x32x32");
  Trainer trainer(quick, options);
  EXPECT_EQ(trainer.iteration(), 4000);
  const auto state = caffe::read_solver_state(options.snapshot);
  ASSERT_EQ(trainer.history().size(), static_cast<std::size_t>(state.history_size()));
  for (int p = 0; p < state.history_size(); ++p) {
    const at::Tensor& history = trainer.history()[p];
    EXPECT_EQ(history.sizes(), trainer.network().parameters()[p]->data.sizes());
    ASSERT_EQ(history.numel(), state.history(p).data_size());
    EXPECT_TRUE(std::equal(state.history(p).data().begin(), state.history(p).data().end(),
                           history.data_ptr<float>()));
  }
  trainer.step();
  EXPECT_EQ(trainer.iteration(), 4001);
}

// Caffe gives the last line the loss over the window of average_loss, as it does all others.
TEST_F(TrainerTest, TheFinalLossIsAveraged) {
  auto averaged = solver("a", 20), single = solver("b", 20);
  averaged.set_average_loss(4), averaged.set_display(1);
  single.set_average_loss(1), single.set_display(1);
  Record window, each;
  Trainer(averaged, {}, {&window}).run();
  Trainer(single, {}, {&each}).run();
  ASSERT_EQ(window.displays.size(), 21u);
  for (std::size_t i = 0; i < 21; ++i) {
    double sum = 0;
    const std::size_t first = i < 3 ? 0 : i - 3;
    for (std::size_t k = first; k <= i; ++k) sum += each.displays[k].loss;
    EXPECT_NEAR(window.displays[i].loss, sum / static_cast<double>(i - first + 1), 1e-6) << i;
  }
}

// Under force_backward Caffe computes gradients of frozen parameters too, and they count in the
// norm.
TEST_F(TrainerTest, GradientsOfFrozenParametersCountWhenForced) {
  const auto gradient_norm = [&](const std::string& net, bool frozen_too) {
    Trainer trainer(read_solver(folder_.write("s", tiny_solver(net, (folder_ / "n").string()))),
                    {});
    trainer.step();
    double squares = 0;
    for (const auto& parameter : trainer.network().parameters()) {
      if (parameter->lr_mult != 0 || frozen_too) {
        squares += std::pow(parameter->gradient.norm().item<double>(), 2);
      }
    }
    return std::sqrt(squares);
  };
  const std::string forced =
      folder_.write("forced.prototxt", "force_backward: true\n" + tiny_net(lmdb_));
  EXPECT_EQ(gradient_norm(net_, false), gradient_norm(net_, true)) << "not forced: none";
  EXPECT_GT(gradient_norm(forced, true), 1.01 * gradient_norm(forced, false));

  const auto moved = [&](const std::string& net) {  // how far a weight moves under clipping
    auto clipped = read_solver(folder_.write("s", tiny_solver(net, (folder_ / "n").string())));
    clipped.set_clip_gradients(1e-3f);
    clipped.set_weight_decay(0);
    Trainer trainer(clipped, {});
    const at::Tensor before = trainer.network().parameters()[0]->data.clone();
    trainer.step();
    return (trainer.network().parameters()[0]->data - before).norm().item<double>();
  };
  const double expected = gradient_norm(forced, false) / gradient_norm(forced, true);
  EXPECT_NEAR(moved(forced) / moved(net_), expected, 2e-3);
}

TEST_F(TrainerTest, WeightsOfAnotherNetworkAreRefusedAndInPartNoted) {
  class Notes : public TrainObserver {
   public:
    void note(const std::string& text) override { notes.push_back(text); }
    std::vector<std::string> notes;
  };
  Trainer(solver("a"), {}).run();
  TrainOptions options;
  options.weights = {(folder_ / "a_iter_30.caffemodel").string()};
  std::string text = tiny_net(lmdb_);
  for (auto at = text.find("'ip2'"); at != std::string::npos; at = text.find("'ip2'")) {
    text.replace(at, 5, "'new'");
  }
  net_ = folder_.write("renamed.prototxt", text);
  Notes notes;
  Trainer(solver("b"), options, {&notes});
  ASSERT_EQ(notes.notes.size(), 2u);
  EXPECT_NE(notes.notes[0].find("the network does not have: \"ip2\""), std::string::npos);
  EXPECT_NE(notes.notes[1].find("no weights for the layers \"new\""), std::string::npos);
}

TEST_F(TrainerTest, AFolderThatCannotBeWrittenIsNoticedBeforeTraining) {
  auto lost = solver("a");
  lost.set_snapshot_prefix("/proc/self/a");
  EXPECT_EQ(error_of([&] { Trainer(lost, {}); })
                .find("solver: snapshot_prefix \"/proc/self/a\": the folder /proc/self cannot be "
                      "written: "),
            0u);
}

TEST_F(TrainerTest, WhatIsDoneIsKeptWhenAnObserverCannotWrite) {
  class Full : public TrainObserver {
   public:
    void stepped(const Step& event) override {
      if (event.iteration == 6) fail("log: cannot be written");
    }
  } full;
  const std::string message = error_of([&] { Trainer(solver("a"), {}, {&full}).run(); });
  EXPECT_EQ(message, "log: cannot be written; the state after iteration 7 is in " +
                         (folder_ / "a_iter_7.solverstate").string());
  TrainOptions options;
  options.snapshot = folder_ / "a_iter_7.solverstate";
  Trainer(solver("b"), options).run();
  Trainer(solver("whole"), {}).run();
  EXPECT_EQ(model("b", 30), model("whole", 30));
}

}  // namespace
}  // namespace inure
