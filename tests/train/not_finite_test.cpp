// Numbers that are none: training stops with the last good state, from which it can go on.
#include <cmath>

#include "inure/caffe/files.hpp"
#include "inure/train/solver.hpp"
#include "inure/train/trainer.hpp"
#include "support.hpp"

namespace inure {
namespace {

class NotFiniteTest : public ::testing::Test {
 protected:
  caffe::SolverParameter solver(const std::string& run, const std::string& net) {
    auto solver = read_solver(
        folder_.write(run + "_solver.prototxt", tiny_solver(net, (folder_ / run).string(), 20)));
    solver.clear_clip_gradients();
    return solver;
  }
  std::filesystem::path state(const std::string& run, int iteration) {
    return snapshot_path((folder_ / run).string(), iteration);
  }
  std::string model(const std::string& run, int iteration) {
    return read_file(folder_ / fmt::format("{}_iter_{}.caffemodel", run, iteration));
  }
  static bool all_finite(const caffe::NetParameter& net) {
    for (const auto& layer : net.layer()) {
      for (const auto& blob : layer.blobs()) {
        for (const float value : blob.data()) {
          if (!std::isfinite(value)) return false;
        }
      }
    }
    return true;
  }

  TemporaryFolder folder_;
  std::string lmdb_ = write_lmdb(folder_);
  std::string net_ = folder_.write("net.prototxt", tiny_net(lmdb_));
};

// The gradient of some weight is not a number at some iteration: nothing of that update is done.
TEST_F(NotFiniteTest, AnUpdateThatWouldDestroyAWeightIsNotMade) {
  const SgdRule rules[] = {{0, 0, SgdRule::Decay::kL2, 0, 1},
                           {0.9f, 0.1f, SgdRule::Decay::kL1, 0, 2},
                           {0.9f, 0.1f, SgdRule::Decay::kL2, 3, 1}};
  for (const SgdRule& rule : rules) {
    for (const std::int64_t at : {0, 1, 16383, 16384, 39999}) {
      for (const float value : {std::nanf(""), HUGE_VALF, -HUGE_VALF, 3e38f}) {
        std::vector<std::shared_ptr<Parameter>> parameters;
        std::vector<at::Tensor> histories;
        for (int p = 0; p < 2; ++p) {
          parameters.push_back(std::make_shared<Parameter>());
          parameters[p]->name = fmt::format("p{}", p);
          parameters[p]->data = at::ones({40000}, at::kFloat);
          parameters[p]->gradient = at::ones({40000}, at::kFloat);
          histories.push_back(at::ones({40000}, at::kFloat));
        }
        parameters[1]->gradient.data_ptr<float>()[at] = value;
        if (value == 3e38f) parameters[1]->gradient.data_ptr<float>()[at] = HUGE_VALF;
        const Parameter* bad = update_parameters(rule, 10, parameters, histories);
        ASSERT_EQ(bad, parameters[1].get()) << value << " at " << at;
        for (int p = 0; p < 2; ++p) {
          EXPECT_TRUE(at::equal(parameters[p]->data, at::ones({40000}, at::kFloat)));
          EXPECT_TRUE(at::equal(histories[p], at::ones({40000}, at::kFloat)));
          EXPECT_EQ(parameters[p]->version, 0);
        }
        EXPECT_EQ(update_parameters(rule, 10, parameters, histories, true), nullptr);
        EXPECT_FALSE(std::isfinite(parameters[1]->data.data_ptr<float>()[at]));
      }
    }
  }
}

TEST_F(NotFiniteTest, TrainingStopsWithTheLastGoodStateAndGoesOnFromThere) {
  for (const float rate : {1e6f, 1e20f, 3e38f}) {
    const std::string run = fmt::format("diverged{}", rate);
    auto diverging = solver(run, net_);
    diverging.set_base_lr(rate);
    diverging.set_lr_policy("fixed");
    diverging.set_max_iter(2000);
    diverging.clear_snapshot(), diverging.clear_test_iter(), diverging.clear_test_interval();
    Trainer trainer(diverging, {});
    const std::string message = error_of([&] { trainer.run(); });
    SCOPED_TRACE(message);
    const std::string where = fmt::format("iteration {}: ", trainer.iteration());
    ASSERT_EQ(message.find(where), 0u);
    EXPECT_NE(message.find(state(run, trainer.iteration()).string()), std::string::npos);
    EXPECT_NE(message.find("base_lr"), std::string::npos);
    EXPECT_NE(message.find("--allow-nan"), std::string::npos);
    EXPECT_TRUE(all_finite(read_snapshot(state(run, trainer.iteration())).weights));
    // The state is that of a run which stopped there by itself.
    auto shorter = diverging;
    shorter.set_max_iter(trainer.iteration());
    shorter.set_snapshot_prefix((folder_ / "shorter").string());
    Trainer before(shorter, {});
    before.run();
    before.take_snapshot();
    EXPECT_EQ(model(run, trainer.iteration()), model("shorter", trainer.iteration()));
    // It goes on with another rate.
    TrainOptions options;
    options.snapshot = state(run, trainer.iteration());
    auto calm = diverging;
    calm.set_base_lr(0);
    calm.set_momentum(0), calm.set_weight_decay(0);
    calm.set_max_iter(trainer.iteration() + 2);
    error_of([&] { EXPECT_TRUE(Trainer(calm, options).run()); });
  }
}

TEST_F(NotFiniteTest, AllowNanGoesOn) {
  auto diverging = solver("wild", net_);
  diverging.set_base_lr(3e38f);
  TrainOptions options;
  options.allow_nan = true;
  EXPECT_TRUE(Trainer(diverging, options).run());
  EXPECT_FALSE(all_finite(caffe::read_model(folder_ / "wild_iter_20.caffemodel")));
}

// Forward passes move running means before a loss that is not a number is seen.
TEST_F(NotFiniteTest, RunningStatisticsAreThoseBeforeTheIteration) {
  const std::string text = tiny_net(lmdb_) +
                           "layer { name: 'huge' type: 'InnerProduct' bottom: 'ip2' top: 'huge'\n"
                           "  inner_product_param { num_output: 2 weight_filler { type: 'constant' "
                           "value: 3e38 } } }\n"
                           "layer { name: 'norm' type: 'BatchNorm' bottom: 'conv' top: 'norm' }\n"
                           "layer { name: 'end' type: 'InnerProduct' bottom: 'norm' top: 'end'\n"
                           "  inner_product_param { num_output: 4 } }\n"
                           "layer { name: 'normed' type: 'SoftmaxWithLoss' bottom: 'end' bottom: "
                           "'label' top: 'normed' }\n"
                           "layer { name: 'overflow' type: 'Eltwise' bottom: 'huge' bottom: 'huge' "
                           "top: 'overflow' loss_weight: 3e38 }\n";
  auto overflowing = solver("norm", folder_.write("norm.prototxt", text));
  overflowing.clear_test_iter(), overflowing.clear_test_interval();
  Trainer trainer(overflowing, {});
  const caffe::NetParameter before = trainer.network().save();
  EXPECT_THROW(trainer.step(), NotFinite);
  EXPECT_EQ(trainer.network().save().SerializeAsString(), before.SerializeAsString());
  EXPECT_EQ(trainer.iteration(), 0);
}

TEST_F(NotFiniteTest, AHistoryThatIsNoNumberIsRefused) {
  Trainer(solver("a", net_), {}).run();
  auto stored = caffe::read_solver_state(state("a", 10));
  for (int h = 0; h < stored.history_size(); ++h) {
    auto bad = stored;
    bad.mutable_history(h)->set_data(0, std::nanf(""));
    TrainOptions options;
    options.snapshot = folder_.write("bad.solverstate", bad.SerializeAsString());
    const std::string message = error_of([&] { Trainer(solver("a", net_), options); });
    EXPECT_NE(message.find("bad.solverstate: value 0 of the history of "), std::string::npos)
        << message;
  }
}

// Infinity would be the largest int8, and NaN zero, without a word.
TEST_F(NotFiniteTest, TheAcceleratorGetsNumbersOnly) {
  std::string text = tiny_net(lmdb_);
  const std::string huge = "scale_param { filler { type: 'constant' value: 3e38 } } }\n";
  text.replace(text.find("layer { name: 'conv'"), 0,
               "layer { name: 'up' type: 'Scale' bottom: 'data' top: 'up' " + huge +
                   "layer { name: 'more' type: 'Scale' bottom: 'up' top: 'more' " + huge);
  text.replace(text.find("bottom: 'data' top: 'conv'"), 14, "bottom: 'more'");
  TrainOptions options;
  options.accelerator = folder_.write("device.prototxt",
                                      "vec_size: 2 lane_num: 2\n"
                                      "format { layer: 'conv' weights: 7 input: 6 output: 5 }\n"
                                      "format { layer: 'ip1' weights: 7 input: 5 output: 4 }\n"
                                      "format { layer: 'frozen' weights: 7 input: 4 output: 4 }\n"
                                      "format { layer: 'ip2' weights: 7 input: 4 output: 4 }\n");
  auto overflowing = solver("up", folder_.write("up.prototxt", text));
  overflowing.clear_test_iter(), overflowing.clear_test_interval();
  const std::string message = error_of([&] { Trainer(overflowing, options).run(); });
  EXPECT_EQ(message.find("iteration 0: layer \"conv\": value "), 0u) << message;
  options.allow_nan = true;
  EXPECT_EQ(error_of([&] { Trainer(overflowing, options).step(); }), "");
}

}  // namespace
}  // namespace inure
