#include "inure/base/finite.hpp"

#include <algorithm>

#include "inure/base/clones.hpp"

namespace inure {
namespace {

INURE_CLONES
bool all_finite(const float* values, std::int64_t count) {
  std::uint32_t bad = 0;
  for (std::int64_t i = 0; i < count; ++i) bad |= is_finite(values[i]) ? 0u : 1u;
  return bad == 0;
}

}  // namespace

std::optional<std::int64_t> find_not_finite(std::span<const float> values) {
  constexpr std::int64_t kRun = 4096;
  const auto count = static_cast<std::int64_t>(values.size());
  for (std::int64_t begin = 0; begin < count; begin += kRun) {
    const std::int64_t end = std::min(count, begin + kRun);
    if (all_finite(values.data() + begin, end - begin)) continue;
    for (std::int64_t i = begin; i < end; ++i) {
      if (!is_finite(values[i])) return i;
    }
  }
  return std::nullopt;
}

}  // namespace inure
