#include "tests/pipecnn/random_stage.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

namespace inure {
namespace {

StageSpec random_spec(RandomStream& random) {
  const auto pick = [&](int low, int high) {
    return low + static_cast<int>(random.below(static_cast<std::uint32_t>(high - low + 1)));
  };
  StageSpec s;
  s.name = "stage" + std::to_string(pick(0, 99));
  s.groups = pick(0, 4) == 0 ? 2 : 1;
  const bool whole_lanes = pick(0, 1) == 0 || s.groups == 2;
  s.in_channels = s.groups == 2 ? pick(1, 4) * 16 : pick(1, 40);
  s.out_channels = whole_lanes ? s.groups * 16 * pick(1, 5) : pick(1, 150);
  s.kernel = pick(1, 5);
  if (pick(0, 9) == 0) s.kernel = 11;
  const bool vector = pick(0, 5) == 0;
  s.in_width = vector ? s.kernel : s.kernel + pick(0, 14);
  s.in_height = vector ? s.kernel : pick(0, 2) == 0 ? s.kernel + pick(0, 14) : s.in_width;
  s.pad = vector ? 0 : pick(0, s.kernel - 1);
  s.stride = pick(1, s.kernel);
  s.relu = pick(0, 1) == 0;
  const int largest = std::min(s.conv_height(), s.conv_width());
  if (largest >= 3 && pick(0, 2) == 0) s.pool = MaxPooling{pick(2, 3), pick(2, 3)};
  s.lrn = pick(0, 4) == 0;
  s.frac_w = pick(3, 11);
  s.frac_in = pick(-2, 6);
  s.frac_out = s.lrn ? pick(-5, 0) : pick(-3, 6);
  return s;
}

// Larger stages show nothing more, and the reference is slow.
constexpr std::int64_t kMostProducts = 1'000'000;

std::int64_t products(const StageSpec& s) {
  return std::int64_t{s.conv_height()} * s.conv_width() * s.out_channels * s.taps();
}

std::vector<std::int8_t> random_bytes(RandomStream& random, std::int64_t count, int shift) {
  std::vector<std::int8_t> bytes(count);
  for (auto& b : bytes)
    b = static_cast<std::int8_t>(static_cast<std::int8_t>(random.next()) >> shift);
  return bytes;
}

}  // namespace

RandomStage make_random_stage(std::uint64_t number, const Accelerator& accelerator) {
  RandomStream random(number, RandomPurpose::kDummyData, 0, 0);
  StageSpec spec;
  do {
    spec = random_spec(random);
  } while (accelerator.why_not(spec) || products(spec) > kMostProducts);
  return add_operands(spec, random, accelerator);
}

RandomStage add_operands(const StageSpec& s, RandomStream& random, const Accelerator& accelerator) {
  RandomStage stage;
  stage.spec = s;
  stage.input = std::make_shared<Int8Map>();
  stage.input->reshape(1 + static_cast<int>(random.below(3)), s.in_height, s.in_width,
                       s.in_channels);
  stage.input->fraction = s.frac_in;
  stage.input->values =
      random_bytes(random, stage.input->size(), static_cast<int>(random.below(4)));
  stage.weights = random_bytes(random, std::int64_t{s.out_channels} * s.taps(),
                               static_cast<int>(random.below(5)));
  for (int m = 0; m < s.out_channels; ++m) {
    const auto word = static_cast<std::int32_t>(random.next());
    stage.bias.push_back(accelerator.bias_bits() == 8 ? static_cast<std::int8_t>(word)
                                                      : word >> (8 + random.below(16)));
  }
  return stage;
}

StageResult run(Accelerator& accelerator, const RandomStage& stage, const RunKey& key) {
  const auto program = accelerator.compile({stage.spec});
  program->load(0, stage.weights, stage.bias);
  std::vector<StageResult> results;
  program->run(stage.input, key, true, results);
  return results[0];
}

std::string repeat_line(const char* test, std::uint64_t number, const StageSpec& spec) {
  return fmt::format("repeat with: INURE_CASE={} test_pipecnn --gtest_filter={}  ({})", number,
                     test, to_string(spec));
}

std::vector<std::uint64_t> cases(int count) {
  if (const char* only = std::getenv("INURE_CASE")) return {std::strtoull(only, nullptr, 10)};
  std::vector<std::uint64_t> numbers;
  for (int i = 0; i < count; ++i) numbers.push_back(i);
  return numbers;
}

}  // namespace inure
