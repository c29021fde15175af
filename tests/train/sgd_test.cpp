#include "inure/train/sgd.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "inure/base/parallel.hpp"
#include "inure/base/random.hpp"

namespace inure {
namespace {

using Parameters = std::vector<std::shared_ptr<Parameter>>;

at::Tensor random_tensor(std::int64_t size, std::uint32_t which) {
  RandomStream random(7, RandomPurpose::kFiller, which, 0);
  at::Tensor tensor = at::empty({size}, at::kFloat);
  for (std::int64_t i = 0; i < size; ++i) {
    tensor.data_ptr<float>()[i] = static_cast<float>(random.gaussian());
  }
  return tensor;
}

struct Problem {
  Parameters parameters;
  std::vector<at::Tensor> histories;
};

// A parameter larger than a chunk, one with rates of its own, one that is frozen.
Problem make_problem() {
  Problem problem;
  std::uint32_t which = 0;
  for (const std::int64_t size : {40000, 10, 300}) {
    auto parameter = std::make_shared<Parameter>();
    parameter->data = random_tensor(size, which++);
    parameter->gradient = random_tensor(size, which++);
    problem.histories.push_back(random_tensor(size, which++));
    problem.parameters.push_back(parameter);
  }
  problem.parameters[1]->lr_mult = 2;
  problem.parameters[1]->decay_mult = 0.5;
  problem.parameters[2]->lr_mult = 0;
  return problem;
}

// The plain twin: the formulas as one reads them, in double.
struct Twin {
  std::vector<double> data, history;
};

std::vector<Twin> plain_update(const SgdRule& rule, double rate, const Problem& problem) {
  double squares = 0;
  for (const auto& p : problem.parameters) {
    for (std::int64_t i = 0; i < p->data.numel(); ++i) {
      squares += std::pow(static_cast<double>(p->gradient.data_ptr<float>()[i]), 2);
    }
  }
  const double norm = std::sqrt(squares);
  const double clip =
      rule.clip_gradients > 0 && norm > rule.clip_gradients ? rule.clip_gradients / norm : 1;
  std::vector<Twin> twins;
  for (std::size_t k = 0; k < problem.parameters.size(); ++k) {
    const Parameter& p = *problem.parameters[k];
    Twin twin;
    for (std::int64_t i = 0; i < p.data.numel(); ++i) {
      const double w = p.data.data_ptr<float>()[i];
      const double h = problem.histories[k].data_ptr<float>()[i];
      const double penalty = rule.decay == SgdRule::Decay::kL2 ? w : (w > 0 ? 1 : w < 0 ? -1 : 0);
      const double g = p.gradient.data_ptr<float>()[i] * clip / rule.iter_size +
                       double{rule.weight_decay} * p.decay_mult * penalty;
      const double moved = p.lr_mult == 0 ? h : rule.momentum * h + rate * p.lr_mult * g;
      twin.history.push_back(moved);
      twin.data.push_back(p.lr_mult == 0 ? w : w - moved);
    }
    twins.push_back(twin);
  }
  return twins;
}

void expect_as_twin(const SgdRule& rule) {
  Problem problem = make_problem();
  const float rate = 0.125f;
  const std::vector<Twin> twins = plain_update(rule, rate, problem);
  update_parameters(rule, rate, problem.parameters, problem.histories);
  for (std::size_t k = 0; k < twins.size(); ++k) {
    const float* data = problem.parameters[k]->data.data_ptr<float>();
    const float* history = problem.histories[k].data_ptr<float>();
    for (std::size_t i = 0; i < twins[k].data.size(); ++i) {
      ASSERT_NEAR(data[i], twins[k].data[i], 2e-6) << "parameter " << k << " at " << i;
      ASSERT_NEAR(history[i], twins[k].history[i], 2e-6) << "parameter " << k << " at " << i;
    }
  }
  EXPECT_EQ(problem.parameters[0]->version, 1);
  EXPECT_EQ(problem.parameters[1]->version, 1);
  EXPECT_EQ(problem.parameters[2]->version, 0) << "a frozen parameter did not change";
}

TEST(Sgd, MatchesThePlainTwin) {
  SgdRule rule;
  expect_as_twin(rule);
  rule.momentum = 0.9f;
  expect_as_twin(rule);
  rule.weight_decay = 0.05f;
  expect_as_twin(rule);
  rule.decay = SgdRule::Decay::kL1;
  expect_as_twin(rule);
  rule.iter_size = 4;
  expect_as_twin(rule);
  rule.clip_gradients = 3;  // well below the norm, which is about 200
  expect_as_twin(rule);
  rule.decay = SgdRule::Decay::kL2;
  rule.clip_gradients = 1e6f;  // well above
  expect_as_twin(rule);
}

TEST(Sgd, GivesTheSameBitsOnAnyNumberOfThreads) {
  SgdRule rule;
  rule.momentum = 0.9f;
  rule.weight_decay = 0.01f;
  rule.clip_gradients = 3;
  std::vector<at::Tensor> results;
  for (const int count : {1, 2, 5}) {
    set_threads(count);
    Problem problem = make_problem();
    update_parameters(rule, 0.1f, problem.parameters, problem.histories);
    results.push_back(problem.parameters[0]->data);
  }
  set_threads(0);
  EXPECT_TRUE(at::equal(results[0], results[1]));
  EXPECT_TRUE(at::equal(results[0], results[2]));
}

}  // namespace
}  // namespace inure
