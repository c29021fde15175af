#pragma once

#include <memory>
#include <string>
#include <vector>

#include "inure/accelerator/accelerator.hpp"
#include "inure/base/random.hpp"

namespace inure {

// A random stage with operands that make every branch likely: saturation, ties, zeros, groups,
// pooling, LRN.
struct RandomStage {
  StageSpec spec;
  std::shared_ptr<Int8Map> input;
  std::vector<std::int8_t> weights;
  std::vector<std::int32_t> bias;
};

// The stage of case `number`; one that this accelerator can run (tried until one fits).
RandomStage make_random_stage(std::uint64_t number, const Accelerator& accelerator);
RandomStage add_operands(const StageSpec& spec, RandomStream& random,
                         const Accelerator& accelerator);

// Compiles, loads and runs it.
StageResult run(Accelerator& accelerator, const RandomStage& stage, const RunKey& key = {});

// For a failed comparison: how to repeat it.
std::string repeat_line(const char* test, std::uint64_t number, const StageSpec& spec);

// The cases to run: `count` of them, or the one in the environment's INURE_CASE.
std::vector<std::uint64_t> cases(int count);

}  // namespace inure
