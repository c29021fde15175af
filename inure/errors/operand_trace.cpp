#include "inure/errors/operand_trace.hpp"

#include <bit>
#include <cstring>
#include <limits>
#include <string_view>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"

namespace inure {
namespace {

static_assert(std::endian::native == std::endian::little, "the file is little-endian");

constexpr std::string_view kMagic = "INURETR\n";
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kMostOperands = 1024;  // a vec_size above is damage, not a design

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_text(std::string& out, const std::string& text) {
  put(out, static_cast<std::uint32_t>(text.size()));
  out += text;
}

// Takes a file apart from its beginning.
class Reader {
 public:
  Reader(const std::filesystem::path& path, std::string_view text) : path_(path), text_(text) {}

  std::string_view take(std::size_t count) {
    if (count > text_.size()) damaged("it ends too early");
    const std::string_view taken = text_.substr(0, count);
    text_.remove_prefix(count);
    return taken;
  }
  template <typename T>
  T get() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string get_text() { return std::string(take(get<std::uint32_t>())); }
  std::size_t left() const { return text_.size(); }
  [[noreturn]] void damaged(std::string_view what) const {
    fail("{}: a damaged operand trace: {}; make it anew with inure trace", path_.string(), what);
  }

 private:
  const std::filesystem::path& path_;
  std::string_view text_;
};

}  // namespace

OperandTracer::OperandTracer(const StageSpec& stage, const LaneGeometry& geometry, int lane,
                             const Limits& limits, const std::string& about)
    : stage_(stage), geometry_(geometry), limits_(limits) {
  if (lane < 0 || lane >= geometry.lane_num) {
    fail("layer \"{}\": lane {} does not exist; there are 0 to {}", stage.name, lane,
         geometry.lane_num - 1);
  }
  if (limits.every_row < 1) {
    fail("layer \"{}\": every {}th row; 1 (all) is the least", stage.name, limits.every_row);
  }
  if (limits.steps < geometry.steps) {
    fail("layer \"{}\": one output takes {} steps; a trace of at most {} has none", stage.name,
         geometry.steps, limits.steps);
  }
  trace_.vec_size = geometry.vec_size;
  trace_.lane = lane;
  trace_.layer = stage.name;
  trace_.about =
      fmt::format("{}; vec_size {} lane_num {} pad_offset {}, {} steps an output, every_row {}; {}",
                  to_string(stage), geometry.vec_size, geometry.lane_num, geometry.pad_offset,
                  geometry.steps, limits.every_row, about);
}

void OperandTracer::add_image(const std::int8_t* image, std::span<const std::int8_t> weights) {
  const LaneGeometry& g = geometry_;
  const int blocks = (g.channels + g.lane_num - 1) / g.lane_num;
  for (int z = 0; z < blocks; ++z) {
    for (int y = 0; y < g.height; ++y) {
      if (row_++ % limits_.every_row != 0) continue;
      for (int x = 0; x < g.width; ++x) {
        full_ = full_ || trace_.steps() + g.steps > limits_.steps;
        if (full_) return;
        add_output(image, weights, z, y, x);
      }
    }
  }
}

void OperandTracer::add_output(const std::int8_t* image, std::span<const std::int8_t> weights,
                               int z, int y, int x) {
  const StageSpec& s = stage_;
  const LaneGeometry& g = geometry_;
  const int m = z * g.lane_num + trace_.lane - g.pad_offset;
  const bool padded = m < 0 || m >= g.channels;
  // Groups are whole blocks, so that a padded channel exists only where there is one group.
  const int group = padded ? 0 : m / g.out_per_group;
  for (int step = 0; step < g.steps; ++step) {
    const int kx = step % s.kernel, ky = step / s.kernel % s.kernel;
    const int row = y * s.stride + ky - s.pad, column = x * s.stride + kx - s.pad;
    const bool inside = row >= 0 && row < s.in_height && column >= 0 && column < s.in_width;
    const std::int64_t pixel = (std::int64_t{row} * s.in_width + column) * s.in_channels;
    for (int v = 0; v < g.vec_size; ++v) {
      const int c = step / (s.kernel * s.kernel) * g.vec_size + v;
      const bool exists = c < g.group_channels;
      trace_.activations.push_back(exists && inside ? image[pixel + group * g.group_channels + c]
                                                    : std::int8_t{0});
      const std::int64_t at =
          ((std::int64_t{m} * g.group_channels + c) * s.kernel + ky) * s.kernel + kx;
      trace_.weights.push_back(exists && !padded ? weights[at] : std::int8_t{0});
    }
    trace_.first.push_back(step == 0);
  }
}

void write_operand_trace(const std::filesystem::path& path, const OperandTrace& trace) {
  std::string out(kMagic);
  put(out, kVersion);
  put(out, static_cast<std::uint32_t>(trace.vec_size));
  put(out, static_cast<std::uint32_t>(trace.lane));
  put_text(out, trace.layer);
  put_text(out, trace.about);
  put(out, static_cast<std::uint64_t>(trace.steps()));
  const auto vec_size = static_cast<std::size_t>(trace.vec_size);
  out.reserve(out.size() + trace.first.size() * (2 * vec_size + 1));
  for (std::int64_t step = 0; step < trace.steps(); ++step) {
    out.append(reinterpret_cast<const char*>(trace.activations_at(step).data()), vec_size);
    out.append(reinterpret_cast<const char*>(trace.weights_at(step).data()), vec_size);
    out += static_cast<char>(trace.first[static_cast<std::size_t>(step)]);
  }
  write_file_atomically(path, out);
}

OperandTrace read_operand_trace(const std::filesystem::path& path) {
  const std::string text = read_file(path);
  if (!text.starts_with(kMagic)) fail("{}: not an operand trace", path.string());
  Reader reader(path, std::string_view(text).substr(kMagic.size()));
  const auto version = reader.get<std::uint32_t>();
  if (version != kVersion) {
    fail("{}: an operand trace of version {}; expected {}", path.string(), version, kVersion);
  }
  OperandTrace trace;
  const auto vec_size = reader.get<std::uint32_t>(), lane = reader.get<std::uint32_t>();
  if (vec_size < 1 || vec_size > kMostOperands) reader.damaged("its vec_size is impossible");
  if (lane > std::numeric_limits<std::uint16_t>::max()) reader.damaged("its lane is impossible");
  trace.vec_size = static_cast<int>(vec_size);
  trace.lane = static_cast<int>(lane);
  trace.layer = reader.get_text();
  trace.about = reader.get_text();
  const auto steps = reader.get<std::uint64_t>();
  const std::size_t bytes = 2 * vec_size + 1;
  if (reader.left() % bytes != 0 || reader.left() / bytes != steps) {
    reader.damaged("its length does not fit its number of steps");
  }
  trace.activations.reserve(steps * vec_size);
  trace.weights.reserve(steps * vec_size);
  trace.first.reserve(steps);
  for (std::uint64_t step = 0; step < steps; ++step) {
    const std::string_view operands = reader.take(bytes);
    const auto* values = reinterpret_cast<const std::int8_t*>(operands.data());
    trace.activations.insert(trace.activations.end(), values, values + vec_size);
    trace.weights.insert(trace.weights.end(), values + vec_size, values + 2 * vec_size);
    const auto first = static_cast<std::uint8_t>(operands.back());
    if (first > 1) reader.damaged("a flag is neither 0 nor 1");
    trace.first.push_back(first);
  }
  return trace;
}

}  // namespace inure
