#pragma once

#include "inure/caffe/caffe.pb.h"

namespace inure {

// Throws Error where the policy is unknown or lacks a field that it needs.
void check_learning_rate(const caffe::SolverParameter& solver);

// The number of steps that a step or multistep policy has taken before this iteration (Caffe's
// current_step); 0 for the other policies.
int learning_rate_step(const caffe::SolverParameter& solver, int iteration);

// The rate of an iteration under lr_policy: fixed, step, exp, inv, multistep, poly or sigmoid. The
// formulas are those of the comments in Caffe's SolverParameter.
float learning_rate(const caffe::SolverParameter& solver, int iteration);

}  // namespace inure
