#include "inure/train/learning_rate.hpp"

#include <cmath>
#include <string>

#include "inure/base/error.hpp"

namespace inure {

namespace {

void need(bool present, const caffe::SolverParameter& solver, const char* field) {
  if (!present) fail("solver: lr_policy \"{}\" needs {}", solver.lr_policy(), field);
}

// NaN passes no comparison.
void check_least(const caffe::SolverParameter& solver, const char* field, float value,
                 double least) {
  if (std::isfinite(value) && value >= least) return;
  fail("solver: {} is {}; lr_policy \"{}\" needs a finite number from {} on", field, value,
       solver.lr_policy(), least);
}

void check_finite(const char* field, float value) {
  if (!std::isfinite(value)) fail("solver: {} is {}; it must be a finite number", field, value);
}

}  // namespace

void check_learning_rate(const caffe::SolverParameter& solver) {
  const std::string& policy = solver.lr_policy();
  if (!solver.has_base_lr())
    fail("solver: base_lr is missing; give the learning rate, e.g. base_lr: 0.01");
  const bool powers = policy == "step" || policy == "multistep" || policy == "exp";
  if (powers || policy == "inv") check_least(solver, "gamma", solver.gamma(), 0);
  if (policy == "poly") check_least(solver, "power", solver.power(), 0);
  check_finite("gamma", solver.gamma());
  check_finite("power", solver.power());
  if (policy == "fixed") return;
  if (policy == "step") {
    need(solver.has_gamma(), solver, "gamma");
    need(solver.stepsize() > 0, solver, "stepsize of 1 or more");
  } else if (policy == "exp") {
    need(solver.has_gamma(), solver, "gamma");
  } else if (policy == "inv") {
    need(solver.has_gamma(), solver, "gamma");
    need(solver.has_power(), solver, "power");
  } else if (policy == "multistep") {
    need(solver.has_gamma(), solver, "gamma");
    need(solver.stepvalue_size() == 0 || solver.stepvalue(0) >= 0, solver,
         "stepvalues of 0 or more");
    for (int i = 1; i < solver.stepvalue_size(); ++i) {
      need(solver.stepvalue(i) > solver.stepvalue(i - 1), solver, "stepvalues in rising order");
    }
  } else if (policy == "poly") {
    need(solver.has_power(), solver, "power");
    need(solver.max_iter() > 0, solver, "max_iter of 1 or more");
  } else if (policy == "sigmoid") {
    need(solver.has_gamma(), solver, "gamma");
    need(solver.has_stepsize(), solver, "stepsize");
  } else {
    fail(
        "solver: lr_policy \"{}\" is not known; there are fixed, step, exp, inv, multistep, poly, "
        "sigmoid",
        policy);
  }
}

int learning_rate_step(const caffe::SolverParameter& solver, int iteration) {
  if (solver.lr_policy() == "step") return iteration / solver.stepsize();
  if (solver.lr_policy() != "multistep") return 0;
  int step = 0;
  while (step < solver.stepvalue_size() && iteration >= solver.stepvalue(step)) ++step;
  return step;
}

float learning_rate(const caffe::SolverParameter& solver, int iteration) {
  const std::string& policy = solver.lr_policy();
  const double base = solver.base_lr(), gamma = solver.gamma(), power = solver.power();
  double rate = base;
  if (policy == "step" || policy == "multistep") {
    rate = base * std::pow(gamma, learning_rate_step(solver, iteration));
  } else if (policy == "exp") {
    rate = base * std::pow(gamma, iteration);
  } else if (policy == "inv") {
    rate = base * std::pow(1 + gamma * iteration, -power);
  } else if (policy == "poly") {
    rate = base * std::pow(1 - static_cast<double>(iteration) / solver.max_iter(), power);
  } else if (policy == "sigmoid") {
    rate = base / (1 + std::exp(-gamma * (iteration - solver.stepsize())));
  }
  return static_cast<float>(rate);
}

}  // namespace inure
