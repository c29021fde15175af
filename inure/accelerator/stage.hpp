#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace inure {

// One stage of an accelerator's program: convolution (or fully connected: a kernel as large as the
// input map), then optionally ReLU, max pooling and LRN, int8 to int8.
struct MaxPooling {
  int size = 2, stride = 2;  // no padding; windows that do not fit are dropped (floor mode)
};

struct StageSpec {
  static constexpr int kProgramInput = -1;

  std::string name;
  int input = kProgramInput;  // the earlier stage whose output it reads

  int in_channels = 0, in_height = 0, in_width = 0;
  int out_channels = 0;
  int kernel = 1, stride = 1, pad = 0, groups = 1;
  bool relu = false;
  std::optional<MaxPooling> pool;
  bool lrn = false;  // 5 channels, alpha 1e-4, beta 0.75, k 1; its output has fraction 0

  int frac_w = 0, frac_in = 0, frac_out = 0;  // frac_out: of the convolution

  int conv_height() const { return (in_height + 2 * pad - kernel) / stride + 1; }
  int conv_width() const { return (in_width + 2 * pad - kernel) / stride + 1; }
  int out_height() const { return pooled(conv_height()); }
  int out_width() const { return pooled(conv_width()); }
  int out_fraction() const { return lrn ? 0 : frac_out; }
  int group_channels() const { return in_channels / groups; }
  int taps() const { return kernel * kernel * group_channels(); }  // products an output

 private:
  int pooled(int size) const { return pool ? (size - pool->size) / pool->stride + 1 : size; }
};

// One line with all of it, for messages and to repeat a case.
std::string to_string(const StageSpec& stage);

// The fractions that make sense for 8 bits.
inline constexpr int kLeastFraction = -16, kMostFraction = 24;
// Values of a map or of the weights.
inline constexpr std::int64_t kMostValues = 2'147'483'647;

// What no accelerator could run: numbers that are out of range or do not fit together. Nothing
// where the stage is sound; its derived sizes may be asked for only then.
std::optional<std::string> why_malformed(const StageSpec& stage);

}  // namespace inure
