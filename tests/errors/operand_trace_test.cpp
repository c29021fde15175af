#include "inure/errors/operand_trace.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "inure/base/random.hpp"
#include "tests/common.hpp"

namespace inure {
namespace {

// A stage on 4 multipliers and 3 lanes, with operands of its own.
struct Case {
  StageSpec spec;
  LaneGeometry geometry;
  std::vector<std::int8_t> image, weights;
};

Case make_case(int in_channels, int out_channels, int groups, int kernel, int stride, int pad) {
  Case c;
  c.spec.name = "conv";
  c.spec.in_channels = in_channels, c.spec.out_channels = out_channels, c.spec.groups = groups;
  c.spec.in_height = 6, c.spec.in_width = 7;
  c.spec.kernel = kernel, c.spec.stride = stride, c.spec.pad = pad;
  LaneGeometry& g = c.geometry;
  g.width = c.spec.conv_width(), g.height = c.spec.conv_height(), g.channels = out_channels;
  g.group_channels = in_channels / groups, g.out_per_group = out_channels / groups;
  g.vec_size = 4, g.lane_num = 3;
  g.pad_offset = ((out_channels + 2) / 3 * 3 - out_channels) / 2;
  g.steps = kernel * kernel * ((g.group_channels + 3) / 4);
  RandomStream random(1, RandomPurpose::kShuffle, 0, 0);
  const auto fill = [&](std::vector<std::int8_t>& values, int count) {
    for (int i = 0; i < count; ++i) {
      values.push_back(static_cast<std::int8_t>(static_cast<int>(random.below(256)) - 128));
    }
  };
  fill(c.image, 6 * 7 * in_channels);
  fill(c.weights, out_channels * c.spec.taps());
  return c;
}

// The convolution by its definition, in no hardware's order.
int exact_sum(const Case& c, int m, int y, int x) {
  const StageSpec& s = c.spec;
  int sum = 0;
  for (int i = 0; i < s.in_height; ++i) {
    for (int j = 0; j < s.in_width; ++j) {
      const int ky = i - y * s.stride + s.pad, kx = j - x * s.stride + s.pad;
      if (ky < 0 || ky >= s.kernel || kx < 0 || kx >= s.kernel) continue;
      for (int k = 0; k < s.group_channels(); ++k) {
        const int channel = m / (s.out_channels / s.groups) * s.group_channels() + k;
        sum += c.image[(i * s.in_width + j) * s.in_channels + channel] *
               c.weights[((m * s.group_channels() + k) * s.kernel + ky) * s.kernel + kx];
      }
    }
  }
  return sum;
}

std::vector<int> sums_of(const OperandTrace& trace) {
  std::vector<int> sums;
  for (std::int64_t step = 0; step < trace.steps(); ++step) {
    if (trace.first[step]) sums.push_back(0);
    for (int v = 0; v < trace.vec_size; ++v) {
      sums.back() += trace.activations_at(step)[v] * trace.weights_at(step)[v];
    }
  }
  return sums;
}

std::vector<int> expected_sums(const Case& c, int lane, int every_row) {
  std::vector<int> sums;
  const LaneGeometry& g = c.geometry;
  for (int z = 0, row = 0; z < (g.channels + 2) / 3; ++z) {
    for (int y = 0; y < g.height; ++y) {
      if (row++ % every_row != 0) continue;
      for (int x = 0; x < g.width; ++x) {
        const int m = z * 3 + lane - g.pad_offset;
        sums.push_back(m < 0 || m >= g.channels ? 0 : exact_sum(c, m, y, x));
      }
    }
  }
  return sums;
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all{make_case(3, 7, 1, 3, 1, 1), make_case(5, 4, 1, 2, 2, 0),
                                     make_case(8, 12, 2, 3, 2, 1), make_case(4, 3, 1, 1, 1, 0)};
  return all;
}

TEST(OperandTracer, SumsOfItsProductsAreTheStagesInHardwareOrder) {
  for (const Case& c : cases()) {
    for (int lane = 0; lane < 3; ++lane) {
      for (const int every_row : {1, 2}) {
        SCOPED_TRACE(to_string(c.spec) + fmt::format(" lane {} every {}", lane, every_row));
        OperandTracer tracer(c.spec, c.geometry, lane, {1'000'000, every_row}, "");
        tracer.add_image(c.image.data(), c.weights);
        EXPECT_EQ(sums_of(tracer.trace()), expected_sums(c, lane, every_row));
        EXPECT_FALSE(tracer.full());
        EXPECT_EQ(tracer.trace().steps() % c.geometry.steps, 0);
      }
    }
  }
}

// Within an output the order is c, ky, kx: no sum shows it.
TEST(OperandTracer, StepsRunOverColumnsThenRowsThenVectors) {
  const Case& c = cases()[1];  // 5 channels: two vectors; 2x2
  OperandTracer tracer(c.spec, c.geometry, 1, {1'000'000, 1}, "");
  tracer.add_image(c.image.data(), c.weights);
  const int m = 1 - c.geometry.pad_offset;
  ASSERT_EQ(m, 0);
  int step = 0;
  for (int vector = 0; vector < 2; ++vector) {
    for (int ky = 0; ky < 2; ++ky) {
      for (int kx = 0; kx < 2; ++kx, ++step) {
        for (int v = 0; v < 4; ++v) {
          const int channel = vector * 4 + v;
          const bool exists = channel < 5;
          EXPECT_EQ(tracer.trace().activations_at(step)[v],
                    exists ? c.image[(ky * 7 + kx) * 5 + channel] : 0);
          EXPECT_EQ(tracer.trace().weights_at(step)[v],
                    exists ? c.weights[(channel * 2 + ky) * 2 + kx] : 0);
        }
      }
    }
  }
}

TEST(OperandTracer, EndsWithAWholeOutput) {
  const Case& c = cases()[0];
  OperandTracer tracer(c.spec, c.geometry, 0, {100, 1}, "");  // 9 steps an output
  tracer.add_image(c.image.data(), c.weights);
  EXPECT_TRUE(tracer.full());
  EXPECT_EQ(tracer.trace().steps(), 99);
}

TEST(OperandTracer, ImagesFollowOneAnother) {
  const Case& c = cases()[3];
  OperandTracer once(c.spec, c.geometry, 0, {1'000'000, 1}, "");
  once.add_image(c.image.data(), c.weights);
  OperandTracer twice = once;
  twice.add_image(c.image.data(), c.weights);
  std::vector<int> sums = sums_of(once.trace());
  sums.insert(sums.end(), sums.begin(), sums.end());
  EXPECT_EQ(sums_of(twice.trace()), sums);
}

TEST(OperandTracer, RefusesWhatIsNotThere) {
  const Case& c = cases()[0];
  EXPECT_EQ(error_of([&] {
              OperandTracer(c.spec, c.geometry, 3, {1000, 1}, "");
            }),
            "layer \"conv\": lane 3 does not exist; there are 0 to 2");
  EXPECT_EQ(error_of([&] {
              OperandTracer(c.spec, c.geometry, 0, {8, 1}, "");
            }),
            "layer \"conv\": one output takes 9 steps; a trace of at most 8 has none");
}

TEST(OperandTraceFile, HoldsWhatWasWrittenAndRefusesDamage) {
  const TemporaryFolder folder;
  const auto path = folder / "t";
  const Case& c = cases()[2];
  OperandTracer tracer(c.spec, c.geometry, 2, {1'000'000, 1}, "by hand");
  tracer.add_image(c.image.data(), c.weights);
  const OperandTrace& trace = tracer.trace();
  write_operand_trace(path, trace);
  const OperandTrace read = read_operand_trace(path);
  EXPECT_EQ(read.vec_size, 4);
  EXPECT_EQ(read.lane, 2);
  EXPECT_EQ(read.layer, "conv");
  EXPECT_EQ(read.about, trace.about);
  EXPECT_EQ(read.activations, trace.activations);
  EXPECT_EQ(read.weights, trace.weights);
  EXPECT_EQ(read.first, trace.first);

  const std::string whole = read_file(path);
  for (const std::size_t size : {std::size_t{9}, std::size_t{30}, whole.size() - 1}) {
    write_file_atomically(path, whole.substr(0, size));
    EXPECT_NE(error_of([&] { read_operand_trace(path); }).find("damaged"), std::string::npos);
  }
  std::string newer = whole;
  newer[8] = 2;
  write_file_atomically(path, newer);
  EXPECT_EQ(error_of([&] { read_operand_trace(path); }),
            path.string() + ": an operand trace of version 2; expected 1");
  write_file_atomically(path, "text");
  EXPECT_EQ(error_of([&] { read_operand_trace(path); }), path.string() + ": not an operand trace");
}

}  // namespace
}  // namespace inure
