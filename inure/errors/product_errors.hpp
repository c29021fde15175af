#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "inure/errors/error_model.hpp"
#include "inure/errors/job_errors.hpp"
#include "inure/errors/surroundings.hpp"
#include "inure/errors/tap_jobs.hpp"
#include "inure/errors/timing_lanes.hpp"
#include "inure/errors/weight_uses.hpp"

namespace inure {

// The wrong products of one layer.
class ProductErrors {
 public:
  ProductErrors(const TimingLanes& lanes, std::string layer)
      : lanes_(lanes), layer_(std::move(layer)) {}

  // Finds all wrong products of a batch. Throws Error that names the layer where an activation is
  // negative and the lanes know none. From one thread at a time.
  void find(const BatchOperands& batch);
  // Adds the deltas of one of its images to the image's sums, [height][width][channels].
  void add_deltas(int image, std::uint32_t* sums) const;

 private:
  // Jobs that are looked up together: of one multiplier.
  struct Block {
    int multiplier = 0;
    std::size_t range = 0;  // of ranges_
    std::vector<TapJob> jobs;
    std::vector<WeightUses> uses;  // one for each kind of lane
  };

  void plan(const BatchOperands& batch);
  void add_blocks(int multiplier, std::size_t range);

  const TimingLanes& lanes_;
  std::string layer_;
  BatchOperands batch_;                 // without strips
  std::vector<Surroundings> ranges_;    // of output channels
  std::vector<Block> blocks_;           // by range
  std::vector<JobErrors> errors_;       // of the blocks
  std::vector<std::uint32_t> vectors_;  // the deltas of a fully connected stage, [images][channels]
  // What the blocks were made for.
  std::uint64_t weights_version_ = 0;
  int height_ = 0, width_ = 0;
};

}  // namespace inure
