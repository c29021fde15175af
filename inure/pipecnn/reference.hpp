#pragma once

#include "inure/pipecnn/program.hpp"

namespace inure::pipecnn {

// PipeCNN in plain loops, cycle by cycle in hardware order, with its lanes, its six interleaved
// partial sums and its plain error models. The truth that every other implementation is compared
// with; slow.
class ReferenceProgram : public PipecnnProgram {
 public:
  using PipecnnProgram::PipecnnProgram;

 protected:
  void run_stage(int index, const Int8Map& in, const std::vector<std::int8_t>& weights,
                 const RunKey& key, const Maps& maps) override;
};

}  // namespace inure::pipecnn
