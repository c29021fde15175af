#include "inure/train/learning_rate.hpp"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support.hpp"

namespace inure {
namespace {

caffe::SolverParameter parse(const std::string& text) {
  caffe::SolverParameter solver;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString("base_lr: 0.02 max_iter: 100 " + text,
                                                            &solver));
  return solver;
}

void expect_rate(const std::string& text, int iteration, double rate) {
  EXPECT_NEAR(learning_rate(parse(text), iteration), rate, 1e-7 * rate)
      << text << " at " << iteration;
}

// The right sides are worked out from the formulas in the comments of Caffe's SolverParameter.
TEST(LearningRate, FollowsEveryPolicy) {
  expect_rate("lr_policy: 'fixed'", 99, 0.02);
  const std::string step = "lr_policy: 'step' gamma: 0.1 stepsize: 10";
  expect_rate(step, 9, 0.02);
  expect_rate(step, 10, 0.002);
  expect_rate(step, 25, 0.0002);
  expect_rate("lr_policy: 'exp' gamma: 0.5", 3, 0.02 / 8);
  expect_rate("lr_policy: 'inv' gamma: 1 power: 2", 4, 0.02 / 25);
  const std::string steps = "lr_policy: 'multistep' gamma: 0.5 stepvalue: 5 stepvalue: 7";
  expect_rate(steps, 4, 0.02);
  expect_rate(steps, 5, 0.01);
  expect_rate(steps, 6, 0.01);
  expect_rate(steps, 7, 0.005);
  expect_rate(steps, 70, 0.005);
  expect_rate("lr_policy: 'poly' power: 2", 50, 0.02 / 4);
  expect_rate("lr_policy: 'poly' power: 1", 75, 0.02 / 4);
  expect_rate("lr_policy: 'sigmoid' gamma: -0.1 stepsize: 20", 20, 0.01);
  expect_rate("lr_policy: 'sigmoid' gamma: -0.1 stepsize: 20", 30, 0.02 / (1 + std::exp(1.0)));
}

TEST(LearningRate, CountsStepsAsCaffe) {
  EXPECT_EQ(learning_rate_step(parse("lr_policy: 'step' gamma: 0.1 stepsize: 10"), 29), 2);
  EXPECT_EQ(
      learning_rate_step(parse("lr_policy: 'multistep' gamma: 1 stepvalue: 5 stepvalue: 7"), 6), 1);
  EXPECT_EQ(learning_rate_step(parse("lr_policy: 'fixed'"), 29), 0);
}

TEST(LearningRate, SaysWhatIsMissing) {
  const auto message = [](const std::string& text) {
    return error_of([&] { check_learning_rate(parse(text)); });
  };
  EXPECT_EQ(message("lr_policy: 'step' gamma: 0.1"),
            "solver: lr_policy \"step\" needs stepsize of 1 or more");
  EXPECT_EQ(message("lr_policy: 'inv' gamma: 0.1"), "solver: lr_policy \"inv\" needs power");
  EXPECT_EQ(message("lr_policy: 'multistep' gamma: 0.1 stepvalue: 7 stepvalue: 5"),
            "solver: lr_policy \"multistep\" needs stepvalues in rising order");
  EXPECT_EQ(message("lr_policy: 'cosine'"),
            "solver: lr_policy \"cosine\" is not known; there are fixed, step, exp, inv, "
            "multistep, poly, "
            "sigmoid");
  EXPECT_EQ(message("lr_policy: 'fixed'"), "");
}

}  // namespace
}  // namespace inure
