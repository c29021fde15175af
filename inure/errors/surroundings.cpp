#include "inure/errors/surroundings.hpp"

#include "inure/base/clones.hpp"

namespace inure {
namespace {

// Addresses are integers, and whether there is an output is a mask: the loop is all vectors.
INURE_CLONES
void find_outputs(const std::uintptr_t* in_row, const std::uintptr_t* in_column,
                  const std::uintptr_t* offsets, std::size_t count, std::uintptr_t here,
                  std::uintptr_t nowhere, std::uint32_t** outputs) {
  for (std::size_t d = 0; d < count; ++d) {
    const std::uintptr_t inside = in_row[d] & in_column[d];
    outputs[d] =
        reinterpret_cast<std::uint32_t*>(((here + offsets[d]) & inside) | (nowhere & ~inside));
  }
}

}  // namespace

Surroundings::Surroundings(const LaneGeometry& g, const OutputRange& range, int height, int width)
    : range_(range),
      columns_((width + g.stride - 1) / g.stride),
      pixel_(std::int64_t{g.channels} * std::int64_t{sizeof(std::uint32_t)}),
      row_(g.width * pixel_) {
  const int distances = range.distances(), sides = range.sides;
  const int rows = (height + g.stride - 1) / g.stride;
  for (int d = 0; d < distances; ++d) {
    offsets_.push_back(static_cast<std::uintptr_t>(-(d / sides * row_ + d % sides * pixel_)));
  }
  const auto mask = [](int at, int size) {
    return at >= 0 && at < size ? ~std::uintptr_t{0} : std::uintptr_t{0};
  };
  for (int row = 0; row < rows; ++row) {
    for (int d = 0; d < distances; ++d) in_rows_.push_back(mask(row - d / sides, g.height));
  }
  for (int column = 0; column < columns_; ++column) {
    for (int d = 0; d < distances; ++d) in_columns_.push_back(mask(column - d % sides, g.width));
  }
}

void Surroundings::find(int row, int column, std::uint32_t* sums, std::uint32_t* nowhere,
                        std::uint32_t** outputs) const {
  const std::size_t count = offsets_.size();
  const auto here = reinterpret_cast<std::uintptr_t>(sums + range_.first) +
                    static_cast<std::uintptr_t>(row * row_ + column * pixel_);
  find_outputs(in_rows_.data() + static_cast<std::size_t>(row) * count,
               in_columns_.data() + static_cast<std::size_t>(column) * count, offsets_.data(),
               count, here, reinterpret_cast<std::uintptr_t>(nowhere), outputs);
}

}  // namespace inure
