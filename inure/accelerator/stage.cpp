#include "inure/accelerator/stage.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

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

namespace {

using Reason = std::optional<std::string>;

// A bound for each number, so that what is computed from them stays within 64 bits, and those below
// that what is allocated for them can be counted.
Reason why_out_of_range(const StageSpec& s) {
  constexpr int kSide = 1 << 16, kChannels = 1 << 24;
  struct Range {
    const char* what;
    int value, least, most;
  };
  std::vector<Range> ranges = {{"input channels", s.in_channels, 1, kChannels},
                               {"input height", s.in_height, 1, kSide},
                               {"input width", s.in_width, 1, kSide},
                               {"output channels", s.out_channels, 1, kChannels},
                               {"kernel", s.kernel, 1, kSide},
                               {"stride", s.stride, 1, kSide},
                               {"padding", s.pad, 0, kSide},
                               {"groups", s.groups, 1, kChannels},
                               {"weights' fraction", s.frac_w, kLeastFraction, kMostFraction},
                               {"input's fraction", s.frac_in, kLeastFraction, kMostFraction},
                               {"output's fraction", s.frac_out, kLeastFraction, kMostFraction}};
  if (s.pool) {
    ranges.push_back({"pooling window", s.pool->size, 1, kSide});
    ranges.push_back({"pooling stride", s.pool->stride, 1, kSide});
  }
  for (const Range& range : ranges) {
    if (range.value >= range.least && range.value <= range.most) continue;
    return fmt::format("the {} is {}; {} to {} are possible", range.what, range.value, range.least,
                       range.most);
  }
  return std::nullopt;
}

// Maps and weights are indexed with 31 bits.
Reason why_too_large(const StageSpec& s) {
  const auto count = [](std::initializer_list<std::int64_t> factors) {
    std::int64_t product = 1;
    for (const std::int64_t factor : factors) {
      if (factor > 0 && product > kMostValues / factor) return kMostValues + 1;
      product *= factor;
    }
    return product;
  };
  const std::int64_t padded_height = s.in_height + 2 * s.pad, padded_width = s.in_width + 2 * s.pad;
  const std::pair<const char*, std::int64_t> sizes[] = {
      {"padded input", count({s.in_channels, padded_height, padded_width})},
      {"weights", count({s.out_channels, s.group_channels(), s.kernel, s.kernel})},
      {"output", count({s.out_channels, s.conv_height(), s.conv_width()})}};
  for (const auto& [what, values] : sizes) {
    if (values > kMostValues) {
      return fmt::format("the {} has more than {} values", what, kMostValues);
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> why_malformed(const StageSpec& s) {
  if (auto reason = why_out_of_range(s)) return reason;
  if (s.in_channels % s.groups != 0 || s.out_channels % s.groups != 0) {
    return fmt::format("{} groups do not divide {} input and {} output channels", s.groups,
                       s.in_channels, s.out_channels);
  }
  if (s.kernel > s.in_height + 2 * s.pad || s.kernel > s.in_width + 2 * s.pad) {
    return fmt::format("the kernel ({}) is larger than the padded input ({}x{})", s.kernel,
                       s.in_height + 2 * s.pad, s.in_width + 2 * s.pad);
  }
  if (s.pool && (s.pool->size > s.conv_height() || s.pool->size > s.conv_width())) {
    return fmt::format("the pooling window ({}) does not fit the map ({}x{})", s.pool->size,
                       s.conv_height(), s.conv_width());
  }
  return why_too_large(s);
}

}  // namespace inure
