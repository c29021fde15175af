#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "inure/errors/error_model.hpp"
#include "inure/errors/tap_jobs.hpp"

namespace inure {

// A batch's activations channel by channel, so that the pairs of neighbouring ones lie at a fixed
// distance: a plane of each channel and phase of the stride.
class ActivationPlanes {
 public:
  // negative: activations may be. Throws Error that names the layer where they are and may not.
  void arrange(const BatchOperands& batch, const std::string& layer, bool negative);

  // Positions of one image in a plane: `columns` of them a row.
  int positions() const { return rows_ * columns_; }
  int columns() const { return columns_; }

  // Numbers of pairs of activations: those of 0 to 127 lie closer together where there are no
  // others. How many there are, and which pair (ProductTable::pair) is meant.
  unsigned keys() const { return negative_ ? 1 << 16 : 1 << 14; }
  unsigned activations(unsigned key) const {
    return negative_ ? key : (key & ~127u) << 1 | (key & 127);
  }
  unsigned key(unsigned activations) const {
    return negative_ ? activations : activations >> 8 << 7 | (activations & 127);
  }

  // The keys of a job's pairs of activations. Refers to the planes.
  class Pairs {
   public:
    Pairs(const ActivationPlanes& planes, const TapJob& job);
    // At each position; 0, a pair of zeros, where it has no step before. Until the next call.
    std::span<const std::uint16_t> of_image(int image);

   private:
    const ActivationPlanes& planes_;
    const TapJob& job_;
    const std::uint8_t *before_, *now_;
    std::vector<std::uint16_t> valid_, keys_;
  };

 private:
  // [image][row][column], with a margin before and behind that may be read.
  const std::uint8_t* plane(int group, int c, int phase_y, int phase_x) const;
  void arrange_image(const BatchOperands& batch, int image, int group);

  const LaneGeometry* g_ = nullptr;
  bool negative_ = true;
  int images_ = 0, rows_ = 0, columns_ = 0, phases_ = 1;
  std::int64_t plane_size_ = 0, margin_ = 0;
  std::vector<std::uint8_t> values_, zeros_;
};

}  // namespace inure
