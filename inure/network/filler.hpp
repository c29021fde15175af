#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>

#include "inure/caffe/caffe.pb.h"

namespace inure {

// Caffe's fillers: constant, uniform, gaussian (sparse too), xavier, msra, positive_unitball,
// bilinear. The numbers depend on the seed, the layer's name and the parameter's index in the layer
// only, so that adding a layer leaves the others' weights alone. Throws Error that names the layer.
void fill(at::Tensor& data, const caffe::FillerParameter& filler, std::uint64_t seed,
          const std::string& layer, int index);

// A name as a word for a random key (FNV-1a).
std::uint32_t name_key(const std::string& name);

}  // namespace inure
