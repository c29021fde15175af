#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <vector>

#include "inure/accelerator/int8_map.hpp"

namespace inure {

// One version of a blob. A layer that works in place makes a new version under the same name, so that
// every layer's backward sees what its forward saw; a blob with several readers gets the sum of their
// gradients, which is all that Caffe's Split layer does.
//
// The values may come from an accelerator as int8; the floats are made when somebody asks for them.
class Value {
 public:
  Value(std::string blob_name, std::vector<std::int64_t> blob_shape)
      : name(std::move(blob_name)), shape(std::move(blob_shape)) {}

  std::string name;
  std::vector<std::int64_t> shape;  // N x C x H x W, or N x C, or N, or nothing (a scalar)
  at::Tensor gradient;              // undefined until a reader of the blob adds to it
  bool needs_gradient = false;      // some parameter that learns lies below

  // Contiguous float32 of `shape`.
  const at::Tensor& data();
  void set_data(at::Tensor data);

  // The int8 values, where an accelerator gave them, else null.
  const std::shared_ptr<const Int8Map>& fixed_point() const { return fixed_point_; }
  void set_fixed_point(std::shared_ptr<const Int8Map> map);

  void add_gradient(const at::Tensor& gradient);

 private:
  at::Tensor data_;
  std::shared_ptr<const Int8Map> fixed_point_;
};

}  // namespace inure
