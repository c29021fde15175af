#pragma once

#include <string>

#include "inure/caffe/caffe.pb.h"

// Older forms of Caffe's files brought to that of Caffe 1.0, in place. Errors name the file and
// layer.
namespace inure::caffe {

// V0 layers (`layers { layer {...} }`) to V1 (`layers { type: CONVOLUTION }`). Where Caffe warns
// that a field does not fit its layer and drops it, this refuses.
void upgrade_v0_layers(NetParameter& net, const std::string& file);

// V1 layers to `layer { type: "Convolution" }`.
void upgrade_v1_layers(NetParameter& net, const std::string& file);

// All of the above, and: `input` to Input layers, V1 layers' transform fields of data_param and its
// like to transform_param, BatchNorm's three `param` away.
void upgrade_net(NetParameter& net, const std::string& file);

// A file of weights: V0 and V1 layers to layers with name, type and blobs. Weights need no more:
// of a fork's layer the type stays empty.
void upgrade_weights(NetParameter& model);

// solver_type to type.
void upgrade_solver(SolverParameter& solver, const std::string& file);

// A layer type of Caffe 1.0, or of the fork that the project comes from (ConvolutionFloat,
// InnerProductFloat, PoolingFloat, ImageOutput).
bool is_layer_type(const std::string& type);

}  // namespace inure::caffe
