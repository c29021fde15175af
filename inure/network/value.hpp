#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "inure/accelerator/int8_map.hpp"

namespace inure {

// One version of a blob. A layer that works in place makes a new version under the same name, so
// that every layer's backward sees what its forward saw; a blob with several readers gets the sum
// of their gradients, which is all that Caffe's Split layer does.
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

  std::int64_t count() const;

  // Contiguous float32 of `shape`. The buffer is used again by the next pass: clone what must stay.
  const at::Tensor& data();
  void set_data(at::Tensor data);

  // For layers: the values to read, and the place to write new ones (whatever was there is void).
  const float* floats();
  float* output();

  // The int8 values, where an accelerator gave them, else null.
  const std::shared_ptr<const Int8Map>& fixed_point() const { return fixed_point_; }
  void set_fixed_point(std::shared_ptr<const Int8Map> map);

  // Takes the first gradient as it is (it may be shared with another blob), adds those that follow.
  void add_gradient(const at::Tensor& more);
  // A buffer of `shape` for a layer to fill and give to add_gradient(): that of the last pass if
  // free.
  at::Tensor fresh_gradient();
  void clear_gradient();

 private:
  void allocate();

  at::Tensor buffer_, spare_;
  bool filled_ = false;  // buffer_ holds the values; else fixed_point_ does, or nobody
  std::shared_ptr<const Int8Map> fixed_point_;
};

}  // namespace inure
