#include "inure/train/solver.hpp"

#include <cmath>
#include <limits>

#include "inure/base/error.hpp"
#include "inure/caffe/files.hpp"
#include "inure/train/learning_rate.hpp"

namespace inure {

namespace {

void at_least(const char* field, std::int64_t value, std::int64_t least) {
  if (value < least) fail("solver: {} is {}; it must be {} or more", field, value, least);
}

constexpr double kNoLimit = std::numeric_limits<double>::infinity();

// A number of the solver's and the interval that it must lie in.
struct Range {
  const char* field;
  double least, limit;  // from `least` (with it) to `limit` (without it)
  bool least_too = true;
};

void check_range(const caffe::SolverParameter& solver, const Range& range) {
  const auto* field = caffe::SolverParameter::descriptor()->FindFieldByName(range.field);
  const float value = solver.GetReflection()->GetFloat(solver, field);
  const bool above = range.least_too ? value >= range.least : value > range.least;
  if (above && value < range.limit) return;  // false for NaN
  const std::string lower =
      fmt::format("{} {}", range.least_too ? "from" : "above", static_cast<float>(range.least));
  if (range.limit == kNoLimit) {
    fail("solver: {} is {}; it must be a finite number {}{}", range.field, value, lower,
         range.least_too ? " on" : "");
  }
  fail("solver: {} is {}; it must be {} to below {}", range.field, value, lower, range.limit);
}

void check_numbers(const caffe::SolverParameter& solver) {
  constexpr Range kRanges[] = {
      {"base_lr", 0, kNoLimit},      {"momentum", 0, 1},  {"momentum2", 0, 1},
      {"weight_decay", 0, kNoLimit}, {"rms_decay", 0, 1}, {"delta", 0, kNoLimit, false},
  };
  for (const Range& range : kRanges) check_range(solver, range);
  const float clip = solver.clip_gradients();
  if (!std::isfinite(clip) || clip == 0) {
    fail(
        "solver: clip_gradients is {}; it must be a finite number above 0, or below 0 for no "
        "clipping",
        clip);
  }
}

caffe::NetParameter with_state(caffe::NetParameter net, caffe::Phase phase,
                               const caffe::NetState& from_solver) {
  caffe::NetState state;
  state.MergeFrom(net.state());
  state.MergeFrom(from_solver);
  state.set_phase(phase);
  *net.mutable_state() = state;
  return net;
}

caffe::NetParameter train_net(const caffe::SolverParameter& solver) {
  const int named = solver.has_net() + solver.has_net_param() + solver.has_train_net() +
                    solver.has_train_net_param();
  if (named != 1) {
    fail(
        "solver: {} training networks are named; name one, as net, train_net, net_param or "
        "train_net_param",
        named);
  }
  if (solver.has_train_net_param()) return solver.train_net_param();
  if (solver.has_net_param()) return solver.net_param();
  return caffe::read_net(solver.has_train_net() ? solver.train_net() : solver.net());
}

std::vector<caffe::NetParameter> test_nets(const caffe::SolverParameter& solver,
                                           const caffe::NetParameter& train) {
  std::vector<caffe::NetParameter> nets(solver.test_net_param().begin(),
                                        solver.test_net_param().end());
  for (const std::string& file : solver.test_net()) nets.push_back(caffe::read_net(file));
  const bool generic = solver.has_net() || solver.has_net_param();
  const int named = static_cast<int>(nets.size()), wanted = solver.test_iter_size();
  if (generic ? wanted < named : wanted != named) {
    fail("solver: {} test_iter for {} test networks; give one for each", wanted, named);
  }
  while (static_cast<int>(nets.size()) < wanted) nets.push_back(train);  // net has both phases
  return nets;
}

}  // namespace

caffe::SolverParameter read_solver(const std::filesystem::path& path) {
  caffe::SolverParameter solver = caffe::read_solver(path);
  const std::string stem = path.stem().string();
  if (!solver.has_snapshot_prefix()) {
    solver.set_snapshot_prefix((path.parent_path() / stem).string());
  } else if (std::filesystem::is_directory(solver.snapshot_prefix())) {
    solver.set_snapshot_prefix((std::filesystem::path(solver.snapshot_prefix()) / stem).string());
  }
  return solver;
}

std::vector<std::string> check_solver(const caffe::SolverParameter& solver) {
  if (solver.type() != "SGD") {
    fail("solver: type \"{}\" is not available; there is \"SGD\" (with momentum)", solver.type());
  }
  if (solver.regularization_type() != "L2" && solver.regularization_type() != "L1") {
    fail("solver: regularization_type \"{}\" is not known; there are \"L2\" and \"L1\"",
         solver.regularization_type());
  }
  if (solver.snapshot_format() != caffe::SolverParameter::BINARYPROTO) {
    fail("solver: snapshot_format HDF5 is not available; there is BINARYPROTO");
  }
  check_numbers(solver);
  check_learning_rate(solver);
  at_least("max_iter", solver.max_iter(), 0);
  at_least("iter_size", solver.iter_size(), 1);
  at_least("average_loss", solver.average_loss(), 1);
  at_least("display", solver.display(), 0);
  at_least("snapshot", solver.snapshot(), 0);
  at_least("test_interval", solver.test_interval(), 0);
  for (const int iterations : solver.test_iter()) at_least("test_iter", iterations, 1);
  if (solver.test_iter_size() > 0 && solver.test_interval() == 0) {
    fail("solver: test_iter is given, but no test_interval; say every how many iterations to test");
  }
  std::vector<std::string> notes;
  if (solver.has_solver_mode() && solver.solver_mode() == caffe::SolverParameter::GPU) {
    notes.emplace_back("solver_mode GPU: the host's processor computes what no accelerator does");
  }
  if (solver.debug_info()) notes.emplace_back("debug_info has no effect");
  if (solver.snapshot_diff()) notes.emplace_back("snapshot_diff has no effect");
  return notes;
}

SgdRule sgd_rule(const caffe::SolverParameter& solver) {
  SgdRule rule;
  rule.momentum = solver.momentum();
  rule.weight_decay = solver.weight_decay();
  rule.decay = solver.regularization_type() == "L1" ? SgdRule::Decay::kL1 : SgdRule::Decay::kL2;
  rule.clip_gradients = solver.clip_gradients();
  rule.iter_size = solver.iter_size();
  return rule;
}

SolverNets read_solver_nets(const caffe::SolverParameter& solver) {
  SolverNets nets;
  nets.train = train_net(solver);
  nets.tests = test_nets(solver, nets.train);
  const int tests = static_cast<int>(nets.tests.size());
  if (solver.test_state_size() != 0 && solver.test_state_size() != tests) {
    fail("solver: {} test_state for {} test networks; give one for each or none",
         solver.test_state_size(), tests);
  }
  nets.train = with_state(nets.train, caffe::TRAIN, solver.train_state());
  for (int t = 0; t < tests; ++t) {
    const auto& state = solver.test_state_size() ? solver.test_state(t) : caffe::NetState();
    nets.tests[t] = with_state(nets.tests[t], caffe::TEST, state);
  }
  return nets;
}

}  // namespace inure
