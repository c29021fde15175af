#include "inure/network/value.hpp"

#include "inure/base/error.hpp"
#include "inure/base/memory_limit.hpp"
#include "inure/base/parallel.hpp"
#include "inure/fixed_point/format.hpp"

namespace inure {
namespace {

// A blob of N x C has H = W = 1, and one of N x (C*H*W) that came from a map is in the order in
// which Caffe flattens: channels first.
void dequantize(const Int8Map& map, float* out) {
  parallel_for(map.images, [&](std::int64_t n) {
    dequantize_from_channels_last(map.image(static_cast<int>(n)), map.channels,
                                  map.height * map.width, map.fraction, out + n * map.image_size());
  });
}

}  // namespace

std::int64_t Value::count() const {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  return count;
}

const at::Tensor& Value::data() {
  if (!filled_) {
    if (!fixed_point_) {
      fail(
          "blob \"{}\": has no values: run forward first (of the maps inside an accelerator's "
          "stage "
          "only training passes keep the values)",
          name);
    }
    if (fixed_point_->size() != count()) {
      fail("blob \"{}\": {} int8 values for a blob of {}", name, fixed_point_->size(), count());
    }
    allocate();
    dequantize(*fixed_point_, buffer_.data_ptr<float>());
    filled_ = true;
  }
  return buffer_;
}

void Value::set_data(at::Tensor data) {
  buffer_ = data.contiguous().view(shape);
  fixed_point_.reset();
  filled_ = true;
}

float* Value::output() {
  allocate();
  fixed_point_.reset();
  filled_ = true;
  return buffer_.data_ptr<float>();
}

const float* Value::floats() { return data().data_ptr<float>(); }

void Value::allocate() {
  if (buffer_.defined()) return;
  check_memory(float_bytes(shape), [&] { return fmt::format("blob \"{}\"", name); });
  buffer_ = at::empty(shape, at::kFloat);
}

void Value::set_fixed_point(std::shared_ptr<const Int8Map> map) {
  fixed_point_ = std::move(map);
  filled_ = false;
}

at::Tensor Value::fresh_gradient() {
  if (spare_.defined() && spare_.storage().use_count() == 1) return std::move(spare_);
  return at::empty(shape, at::kFloat);
}

void Value::add_gradient(const at::Tensor& more) {
  if (!gradient.defined()) {
    gradient = more.view(shape);
  } else if (gradient.storage().use_count() == 1) {
    gradient.add_(more.view(shape));
  } else {  // another blob holds the same numbers
    gradient = gradient.add(more.view(shape));
  }
}

void Value::clear_gradient() {
  if (gradient.defined()) spare_ = std::move(gradient);
  gradient = at::Tensor();
}

}  // namespace inure
