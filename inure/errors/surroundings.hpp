#pragma once

#include <cstdint>
#include <vector>

#include "inure/errors/error_model.hpp"
#include "inure/errors/weight_uses.hpp"

namespace inure {

// Where the sums of the outputs around an input's position lie, for all positions (in strides) of
// an image of height by width inputs.
class Surroundings {
 public:
  Surroundings(const LaneGeometry& g, const OutputRange& range, int height, int width);

  int columns() const { return columns_; }
  const OutputRange& range() const { return range_; }

  // By distance: the first of the range's sums of an output, of an image's `sums`; `nowhere`, which
  // has room for the range's channels, where there is no output.
  void find(int row, int column, std::uint32_t* sums, std::uint32_t* nowhere,
            std::uint32_t** outputs) const;

 private:
  OutputRange range_;
  int columns_;
  std::int64_t pixel_, row_;                          // in bytes
  std::vector<std::uintptr_t> offsets_;               // by distance, in bytes
  std::vector<std::uintptr_t> in_rows_, in_columns_;  // [row][distance]: all ones if there is one
};

}  // namespace inure
