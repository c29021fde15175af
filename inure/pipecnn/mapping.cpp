#include "inure/pipecnn/mapping.hpp"

#include <fmt/format.h>

#include "inure/base/error.hpp"

namespace inure::pipecnn {
namespace {

int round_up(int value, int multiple) { return (value + multiple - 1) / multiple * multiple; }

using Reason = std::optional<std::string>;

Reason why_not_size(const StageSpec& s, const Build& b) {
  if (s.in_height > 255 || s.in_width > 255) {
    return fmt::format("the input map is {}x{}; 255x255 is the most", s.in_height, s.in_width);
  }
  if (s.kernel > 15) return fmt::format("the kernel is {0}x{0}; 15x15 is the most", s.kernel);
  if (s.pad > 255) return fmt::format("the padding is {}; 255 is the most", s.pad);
  const std::int64_t vectors = round_up(s.group_channels(), b.vec_size) / b.vec_size;
  const int window = s.conv_width() == 1 ? s.kernel : s.kernel + (b.window_width - 1) * s.stride;
  const int most = b.buffer_bytes / b.vec_size;
  if (window > 255) return fmt::format("the window is {} wide; 255 is the most", window);
  if (window * s.kernel * vectors > most) {
    return fmt::format("the window takes {} vectors of the {} in its buffer",
                       window * s.kernel * vectors, most);
  }
  if (s.kernel * s.kernel * vectors > most) {
    return fmt::format("a lane's weights take {} vectors of the {} in their buffer",
                       s.kernel * s.kernel * vectors, most);
  }
  return std::nullopt;
}

Reason why_not_groups(const StageSpec& s, const Build& b) {
  if (s.groups == 1) return std::nullopt;
  if (s.groups != 2) return fmt::format("it has {} groups; 1 and 2 are possible", s.groups);
  if ((s.out_channels / 2) % b.lane_num != 0) {
    return fmt::format("each of two groups needs output channels in multiples of {}, not {}",
                       b.lane_num, s.out_channels / 2);
  }
  if (s.group_channels() % b.vec_size != 0) {
    return fmt::format("each of two groups needs input channels in multiples of {}, not {}",
                       b.vec_size, s.group_channels());
  }
  return std::nullopt;
}

Reason why_not_formats(const StageSpec& s, const Build& b) {
  const int shift = s.frac_w + s.frac_in - s.frac_out;
  const int least = b.arithmetic_2018 ? 1 : 0;
  if (shift < least || shift > 31) {
    return fmt::format("weights + input - output fraction bits is {}; {} to 31 are possible", shift,
                       least);
  }
  if (b.arithmetic_2018 && s.frac_w - s.frac_out < 1) {
    return fmt::format("weights - output fraction bits is {}; the 2018 bias needs at least 1",
                       s.frac_w - s.frac_out);
  }
  if (s.lrn && s.frac_out > 0) {
    return fmt::format("LRN needs an output fraction of at most 0, not {}", s.frac_out);
  }
  return std::nullopt;
}

Reason why_not_pooling(const StageSpec& s, const Build& b) {
  if (!s.pool) return std::nullopt;
  if (s.pool->size != 2 && s.pool->size != 3) {
    return fmt::format("its pooling window is {0}x{0}; 2x2 and 3x3 are possible", s.pool->size);
  }
  if (s.pool->stride < 2) return "its pooling stride is 1; 2 is the least";
  if (s.conv_width() > 224) {
    return fmt::format("its pooled lines are {} long; 224 is the most", s.conv_width());
  }
  if (b.arithmetic_2018 && s.conv_width() != s.conv_height()) {
    return "PipeCNN 2018 pools maps that are not square wrongly";
  }
  return std::nullopt;
}

// What PipeCNN v1.3 itself computes wrongly is refused, not imitated.
Reason why_not_2018(const StageSpec& s, const Build& b) {
  if (!b.arithmetic_2018) return std::nullopt;
  if (s.conv_width() > 1 && s.conv_width() <= b.window_width) {
    return fmt::format("PipeCNN 2018 computes maps 2 to {} wide wrongly; this one is {}",
                       b.window_width, s.conv_width());
  }
  if (s.out_channels % b.lane_num != 0) {
    return fmt::format("PipeCNN 2018 needs output channels in multiples of {}, not {}", b.lane_num,
                       s.out_channels);
  }
  if (s.stride > s.kernel) return "PipeCNN 2018 computes strides above the kernel size wrongly";
  return std::nullopt;
}

}  // namespace

Build build_of(const AcceleratorDescription& description) {
  Build build;
  build.vec_size = static_cast<int>(description.vec_size());
  build.lane_num = static_cast<int>(description.lane_num());
  build.arithmetic_2018 = description.arithmetic() == AcceleratorDescription::PIPECNN_2018;
  for (const int value : {build.vec_size, build.lane_num}) {
    if (value < 1 || value > 64 || (value & (value - 1)) != 0) {
      fail("accelerator: vec_size {} and lane_num {} must be powers of two from 1 to 64",
           description.vec_size(), description.lane_num());
    }
  }
  return build;
}

LaneGeometry geometry_of(const StageSpec& s, const Build& b) {
  LaneGeometry g;
  g.width = s.conv_width();
  g.height = s.conv_height();
  g.channels = s.out_channels;
  g.group_channels = s.group_channels();
  g.out_per_group = s.out_channels / s.groups;
  g.vec_size = b.vec_size;
  g.lane_num = b.lane_num;
  g.pad_offset = (round_up(s.out_channels, b.lane_num) - s.out_channels) / 2;
  g.kernel = s.kernel, g.stride = s.stride;
  g.steps = s.kernel * s.kernel * (round_up(s.group_channels(), b.vec_size) / b.vec_size);
  return g;
}

std::optional<std::string> why_not(const StageSpec& stage, const Build& build) {
  if (auto reason = why_malformed(stage)) return reason;
  for (const auto& check :
       {why_not_size, why_not_groups, why_not_formats, why_not_pooling, why_not_2018}) {
    if (auto reason = check(stage, build)) return reason;
  }
  return std::nullopt;
}

}  // namespace inure::pipecnn
