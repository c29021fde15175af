#pragma once

#include <memory>
#include <vector>

#include "inure/network/layer.hpp"

namespace inure {

// Stochastic gradient descent with momentum, as Caffe computes it:
//   g = gradient * min(1, clip / |all gradients|)     (clip_gradients > 0; one norm over all
//   parameters) g = g / iter_size + weight_decay * decay_mult * data     (L1: the sign of data)
//   history = momentum * history + rate * lr_mult * g
//   data = data - history
struct SgdRule {
  enum class Decay { kL1, kL2 };
  float momentum = 0;
  float weight_decay = 0;
  Decay decay = Decay::kL2;
  float clip_gradients = 0;  // 0 or less: no clipping
  int iter_size = 1;         // the gradients are sums over so many passes
};

// One update. histories: one for each parameter, of its shape. Counts the version of each parameter
// that changes; one with lr_mult 0 is left alone, but its gradient counts in the norm, as in Caffe.
// The result does not depend on the number of threads.
//
// Where the update would make a weight or a history NaN or infinite, nothing changes and the first
// parameter that would be is returned; else null. allow_nan: the update is made all the same.
const Parameter* update_parameters(const SgdRule& rule, float rate,
                                   const std::vector<std::shared_ptr<Parameter>>& parameters,
                                   const std::vector<at::Tensor>& histories,
                                   bool allow_nan = false);

}  // namespace inure
