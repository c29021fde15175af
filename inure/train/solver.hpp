#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "inure/caffe/caffe.pb.h"
#include "inure/train/sgd.hpp"

namespace inure {

// A solver file. Where snapshot_prefix is missing or names a folder, the file's own name serves, as
// in Caffe. Throws Error.
caffe::SolverParameter read_solver(const std::filesystem::path& path);

// Throws Error, one line that says what is wrong and what would be right, for what Inure cannot
// train by. Returns notes on fields that have no effect here.
std::vector<std::string> check_solver(const caffe::SolverParameter& solver);

SgdRule sgd_rule(const caffe::SolverParameter& solver);

// The networks that a solver names, each with its whole NetState (phase, level, stages) in `state`;
// the include/exclude rules are not applied yet. Throws Error as Caffe checks: one training net; as
// many test_iter as test nets.
struct SolverNets {
  caffe::NetParameter train;
  std::vector<caffe::NetParameter> tests;
};
SolverNets read_solver_nets(const caffe::SolverParameter& solver);

}  // namespace inure
