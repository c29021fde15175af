#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "inure/errors/error_model.hpp"

namespace inure {

// A batch's operands, channel by channel, as the search for wrong products goes through them.
class StageTaps {
 public:
  // negative: activations may be. Throws Error that names the layer where they are and may not.
  void arrange(const BatchOperands& batch, const std::string& layer, bool negative);

  // Of input channel c of the group, zero padding included, as bytes: [image][height][width]. A
  // channel behind the last one is all zeros.
  const std::uint8_t* plane(int group, int c) const {
    return c < channels_ ? planes_.data() + (std::int64_t{group} * channels_ + c) * plane_size_
                         : zeros_.data();
  }
  // Of the group's output channels at a tap.
  const std::int8_t* weights(int group, int c, int ky, int kx) const {
    if (c >= channels_) return zero_weights_.data();
    const std::int64_t tap = (std::int64_t{c} * kernel_ + ky) * kernel_ + kx;
    return weights_.data() + (group * taps_ + tap) * out_per_group_;
  }

 private:
  int channels_ = 0, out_per_group_ = 0, kernel_ = 0;
  std::int64_t taps_ = 0, plane_size_ = 0;
  std::vector<std::uint8_t> planes_, zeros_;
  std::vector<std::int8_t> weights_, zero_weights_;
};

}  // namespace inure
