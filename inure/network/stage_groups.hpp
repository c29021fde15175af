#pragma once

#include <optional>
#include <string>
#include <vector>

#include "inure/accelerator/accelerator.hpp"
#include "inure/network/network.hpp"

namespace inure {

// Consecutive layers that an accelerator may run as one stage: a convolution or an inner product,
// then perhaps ReLU, max pooling and LRN, each the only reader of what is before it. Indices of
// nodes.
struct StageGroup {
  std::size_t head = 0;
  std::optional<std::size_t> relu, pool, lrn;
  StageSpec spec;  // all of it, without fractions

  std::vector<std::size_t> nodes() const;
  std::size_t last() const { return nodes().back(); }
};

// What keeps a layer on the host, or part of a stage off the accelerator.
struct PlacementNote {
  std::string layer, reason;
};

// The stages that the network consists of, as Caffe means its layers; whether an accelerator can
// run them is another question. Notes name the convolutions and inner products that are no stage
// (dilation, say), and poolings and LRNs that cannot be part of one.
std::vector<StageGroup> find_stage_groups(const Network& network,
                                          std::vector<PlacementNote>& notes);

// Gives the group its fractions and leaves away what the accelerator refuses: first LRN, then
// pooling. Nothing where it refuses the convolution itself. Notes say why.
std::optional<StageGroup> fit(StageGroup group, int frac_w, int frac_in, int frac_out,
                              const Accelerator& accelerator, std::vector<PlacementNote>& notes);

}  // namespace inure
