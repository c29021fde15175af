// The conformance suite: every registered kind computes the reference's integers.

#include <gtest/gtest.h>

#include "inure/accelerator/stage_files.hpp"
#include "inure/base/file.hpp"
#include "inure/base/parallel.hpp"
#include "inure/pipecnn/kernels.hpp"
#include "inure/pipecnn/pipecnn.hpp"
#include "inure/pipecnn/simulator.hpp"
#include "tests/pipecnn/random_stage.hpp"

namespace inure {
namespace {

Registry registry() {
  Registry all;
  pipecnn::register_kinds(all);
  return all;
}

std::unique_ptr<Accelerator> make(const std::string& kind, const std::string& more = "") {
  return registry().make(parse_description("kind: \"" + kind + "\" " + more, "test"));
}

std::vector<std::string> kinds() {
  std::vector<std::string> names;
  for (const auto& [name, summary] : registry().kinds()) names.push_back(name);
  return names;
}

bool same(const StageResult& a, const StageResult& b) {
  const auto equal = [](const std::shared_ptr<Int8Map>& p, const std::shared_ptr<Int8Map>& q) {
    return (!p && !q) || (p && q && p->values == q->values && p->fraction == q->fraction &&
                          p->height == q->height && p->width == q->width);
  };
  return equal(a.output, b.output) && equal(a.before_pool, b.before_pool) &&
         equal(a.before_lrn, b.before_lrn);
}

class Conformance : public testing::TestWithParam<std::string> {};

TEST_P(Conformance, EqualsPipecnnsOwnDeviceCode) {
  const std::filesystem::path data = std::filesystem::path(INURE_SHARED_DATA) / "pipecnn";
  if (!std::filesystem::exists(data)) GTEST_SKIP() << data << " is absent: PipeCNN's outputs";
  int layers = 0;
  for (const auto& entry : std::filesystem::directory_iterator(data)) {
    const StageFiles files = read_stage(entry.path());
    const auto accelerator = make(GetParam(), "arithmetic: PIPECNN_2018");
    const auto program = accelerator->compile({files.spec});
    program->load(0, files.weights,
                  std::vector<std::int32_t>(files.bias.begin(), files.bias.end()));
    std::vector<StageResult> results;
    program->run(std::make_shared<Int8Map>(files.input), {}, false, results);
    EXPECT_EQ(channels_first(*results[0].output), read_file(entry.path() / "output.bin"))
        << to_string(files.spec);
    ++layers;
  }
  EXPECT_EQ(layers, 8);
}

void compare_on_random_stages(const std::string& kind, const std::string& more, int count,
                              const char* test) {
  if (kind == "pipecnn_reference") GTEST_SKIP() << "the reference is what others are compared with";
  const auto reference = make("pipecnn_reference", more), other = make(kind, more);
  for (const std::uint64_t number : cases(count)) {
    const RandomStage stage = make_random_stage(number, *reference);
    const RunKey key{number, 3, true};
    ASSERT_TRUE(same(run(*reference, stage, key), run(*other, stage, key)))
        << repeat_line(test, number, stage.spec);
  }
}

TEST_P(Conformance, EqualsReferenceWideBias) {
  compare_on_random_stages(GetParam(), "", 500, "*EqualsReferenceWideBias*");
}

TEST_P(Conformance, EqualsReference2018) {
  compare_on_random_stages(GetParam(), "arithmetic: PIPECNN_2018", 500, "*EqualsReference2018*");
}

TEST_P(Conformance, EqualsReferenceOnOtherBuilds) {
  compare_on_random_stages(GetParam(), "vec_size: 8 lane_num: 8", 60, "*OtherBuilds*");
  compare_on_random_stages(GetParam(), "vec_size: 16 lane_num: 32", 60, "*OtherBuilds*");
}

TEST_P(Conformance, ErrorsEqualReference) {
  for (const char* where : {"WEIGHTS", "ACTIVATIONS", "PRODUCTS", "ACCUMULATORS", "OUTPUTS"}) {
    for (const char* rate : {"3e-2", "1e-3"}) {
      const std::string errors =
          std::string("errors { bit_flip { where: ") + where + " rate: " + rate + " low_bit: 2 } }";
      compare_on_random_stages(GetParam(), errors, 20, "*ErrorsEqualReference*");
    }
  }
  compare_on_random_stages(GetParam(),
                           "errors { stuck_at { lane: 3 multiplier: 1 bit: 12 value: 1 } "
                           "stuck_at { lane: 9 multiplier: 0 bit: 15 value: 0 } "
                           "bit_flip { where: PRODUCTS rate: 1e-3 low_bit: 8 } "
                           "bit_flip { where: PRODUCTS rate: 1e-3 high_bit: 7 } }",
                           50, "*ErrorsEqualReference*");
}

TEST_P(Conformance, ResultsDoNotDependOnThreads) {
  const auto accelerator = make(GetParam(), "errors { bit_flip { where: PRODUCTS rate: 1e-3 } }");
  for (const std::uint64_t number : cases(40)) {
    const RandomStage stage = make_random_stage(number, *accelerator);
    set_threads(1);
    const StageResult one = run(*accelerator, stage);
    set_threads(3);
    const StageResult three = run(*accelerator, stage);
    set_threads(0);
    ASSERT_TRUE(same(one, three)) << repeat_line("*Threads*", number, stage.spec);
  }
}

TEST_P(Conformance, ChainsStages) {
  const auto accelerator = make(GetParam());
  StageSpec first;
  first.name = "a";
  first.in_channels = 5, first.in_height = first.in_width = 9, first.out_channels = 20;
  first.kernel = 3, first.pad = 1, first.relu = true, first.frac_w = 7, first.frac_in = 5,
  first.frac_out = 2, first.pool = MaxPooling{3, 2};
  StageSpec second = first;
  second.name = "b";
  second.input = 0, second.in_channels = 20, second.in_height = second.in_width = 4;
  second.frac_in = 2, second.pool.reset();
  RandomStream random(5, RandomPurpose::kDummyData, 0, 0);
  const auto fill = [&](std::int64_t count) {
    std::vector<std::int8_t> bytes(count);
    for (auto& b : bytes) b = static_cast<std::int8_t>(random.next());
    return bytes;
  };
  auto input = std::make_shared<Int8Map>();
  input->fraction = 5;
  input->reshape(2, 9, 9, 5);
  input->values = fill(input->size());
  const auto w1 = fill(20 * 45), w2 = fill(20 * 180);
  const std::vector<std::int32_t> bias(20, 300);

  const auto program = accelerator->compile({first, second});
  program->load(0, w1, bias);
  program->load(1, w2, bias);
  std::vector<StageResult> both;
  program->run(input, {}, true, both);

  const StageResult a = run(*accelerator, {first, input, w1, bias});
  second.input = StageSpec::kProgramInput;
  const StageResult b = run(*accelerator, {second, a.output, w2, bias});
  EXPECT_TRUE(same(both[0], a));
  EXPECT_TRUE(same(both[1], b));
}

std::string kind_name(const testing::TestParamInfo<std::string>& kind) { return kind.param; }

INSTANTIATE_TEST_SUITE_P(Kinds, Conformance, testing::ValuesIn(kinds()), kind_name);

TEST(Kernels, AllEqualReference) {
  const auto reference = make("pipecnn_reference");
  for (const std::uint64_t number : cases(100)) {
    const RandomStage stage = make_random_stage(number, *reference);
    const StageResult expected = run(*reference, stage);
    for (const pipecnn::Convolve convolve : pipecnn::available_convolves()) {
      pipecnn::SimulatorProgram program({stage.spec}, {}, {}, convolve);
      program.load(0, stage.weights, stage.bias);
      std::vector<StageResult> results;
      program.run(stage.input, {}, true, results);
      ASSERT_TRUE(same(expected, results[0]))
          << pipecnn::name_of(convolve) << "; "
          << repeat_line("*AllEqualReference*", number, stage.spec);
    }
  }
}

// The largest sums there are: beyond 2^24, where a product that passes through floats is no longer
// exact, and the wrap of the 32-bit register.
TEST(Kernels, LargestSumsAreExact) {
  const auto reference = make("pipecnn_reference"), fast = make("pipecnn");
  RandomStage stage;
  StageSpec& s = stage.spec;
  s.name = "largest", s.in_channels = 1024, s.in_height = s.in_width = 3, s.kernel = 3;
  s.out_channels = 16, s.frac_w = 12, s.frac_in = 8, s.frac_out = 0;
  stage.input = std::make_shared<Int8Map>();
  stage.input->fraction = 8;
  stage.input->reshape(1, 3, 3, 1024);
  for (auto& v : stage.input->values) v = -128;
  stage.weights.assign(16 * s.taps(), -128);
  stage.weights[5] = 127, stage.weights[s.taps() + 7] = 3;
  stage.bias.assign(16, 1);
  stage.bias[2] = 2147483647;
  EXPECT_TRUE(same(run(*reference, stage), run(*fast, stage)));
}

}  // namespace
}  // namespace inure
