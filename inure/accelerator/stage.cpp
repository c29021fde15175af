#include "inure/accelerator/stage.hpp"

#include <fmt/format.h>

namespace inure {

std::string to_string(const StageSpec& s) {
  std::string text = fmt::format(
      "{}: {}x{}x{} -> {} channels, kernel {}, stride {}, pad {}, groups {}, frac {}/{}/{}", s.name,
      s.in_channels, s.in_height, s.in_width, s.out_channels, s.kernel, s.stride, s.pad, s.groups,
      s.frac_w, s.frac_in, s.frac_out);
  if (s.relu) text += ", ReLU";
  if (s.pool) text += fmt::format(", max pooling {}/{}", s.pool->size, s.pool->stride);
  if (s.lrn) text += ", LRN";
  return text;
}

std::optional<std::string> why_malformed(const StageSpec& s) {
  if (s.in_channels < 1 || s.in_height < 1 || s.in_width < 1 || s.out_channels < 1) {
    return "a size is not positive";
  }
  if (s.kernel < 1 || s.stride < 1 || s.pad < 0 || s.groups < 1) {
    return "kernel, stride and groups must be at least 1 and the padding at least 0";
  }
  if (s.in_channels % s.groups != 0 || s.out_channels % s.groups != 0) {
    return fmt::format("{} groups do not divide {} input and {} output channels", s.groups,
                       s.in_channels, s.out_channels);
  }
  if (s.kernel > s.in_height + 2 * s.pad || s.kernel > s.in_width + 2 * s.pad) {
    return fmt::format("the kernel ({}) is larger than the padded input ({}x{})", s.kernel,
                       s.in_height + 2 * s.pad, s.in_width + 2 * s.pad);
  }
  if (s.pool && (s.pool->size < 1 || s.pool->stride < 1 || s.pool->size > s.conv_height() ||
                 s.pool->size > s.conv_width())) {
    return fmt::format("the pooling window ({}) does not fit the map ({}x{})", s.pool->size,
                       s.conv_height(), s.conv_width());
  }
  return std::nullopt;
}

}  // namespace inure
