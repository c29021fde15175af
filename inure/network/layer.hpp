#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "inure/caffe/caffe.pb.h"
#include "inure/network/value.hpp"

namespace inure {

// A weight or bias. Layers that name the same parameter (ParamSpec.name) share one object.
struct Parameter {
  std::string name;  // "conv1[0]", or the ParamSpec's name
  at::Tensor data;   // the master weights, float32, contiguous
  at::Tensor gradient;
  float lr_mult = 1, decay_mult = 1;
  std::int64_t version = 0;  // counts the changes of `data`: who keeps a quantised copy compares it
};

// What a pass is: the phase decides about dropout, the iteration keys its random numbers.
struct PassContext {
  caffe::Phase phase = caffe::TEST;
  std::uint64_t seed = 0;
  std::int64_t iteration = 0;
};

// A layer of Caffe's on the host. Shapes, parameters and defaults mean what they mean in Caffe.
//
// backward() may use only the bottoms' and tops' values and the parameters, never something kept
// by forward(): the values may have been computed by an accelerator, with its errors, and forward()
// not have been called. (So max pooling finds its arg max, and LRN its scale, in the values
// themselves.)
class Layer {
 public:
  using Values = std::vector<Value*>;

  explicit Layer(const caffe::LayerParameter& parameter) : parameter_(parameter) {}
  virtual ~Layer() = default;
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;

  // Checks the bottoms' shapes, returns the tops' shapes and creates the parameters (filled under
  // `seed`). Throws Error that names the layer, what is wrong and what would be right.
  virtual std::vector<std::vector<std::int64_t>> set_up(const Values& bottoms,
                                                        std::uint64_t seed) = 0;
  virtual void forward(const Values& bottoms, const Values& tops, const PassContext& pass) = 0;
  // Adds to the bottoms' gradients (where needs_gradient) and the parameters' (wants_gradient).
  virtual void backward(const Values& tops, const Values& bottoms, const PassContext& pass) = 0;

  const caffe::LayerParameter& parameter() const { return parameter_; }
  const std::string& name() const { return parameter_.name(); }
  const std::string& type() const { return parameter_.type(); }

  // Whether backward is to add to parameter i's gradient: Caffe decides so layer by layer, from its
  // own ParamSpec, whatever a sharer of the parameter says.
  bool wants_gradient(int i) const {
    return forced_backward || i >= parameter_.param_size() || parameter_.param(i).lr_mult() != 0;
  }

  std::vector<std::shared_ptr<Parameter>> parameters;
  bool forced_backward = false;  // of the network's force_backward: for frozen parameters too
  int namesakes_before = 0;      // layers before it with the same name, which none with weights has

 protected:
  caffe::LayerParameter parameter_;
};

// Throws Error for a type that is not known, with the list of those that are.
std::unique_ptr<Layer> make_layer(const caffe::LayerParameter& parameter);

}  // namespace inure
