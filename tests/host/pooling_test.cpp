#include "inure/host/pooling.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <memory>
#include <vector>

#include "inure/base/random.hpp"

namespace inure {
namespace {

// Caffe's Pooling layer, loop by loop in its int and float arithmetic, with two changes: the
// average of an empty window is 0, and its gradient goes nowhere. (Caffe divides by a count that
// may be 0, and sends a maximum's gradient to the place -1.)
struct Twin {
  int height, width, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
  int pooled_h = 0, pooled_w = 0;

  void reshape(bool up) {
    const auto steps = [up](int room, int stride) {
      const float quotient = static_cast<float>(room) / static_cast<float>(stride);
      return static_cast<int>(up ? std::ceil(quotient) : std::floor(quotient)) + 1;
    };
    pooled_h = steps(height + 2 * pad_h - kernel_h, stride_h);
    pooled_w = steps(width + 2 * pad_w - kernel_w, stride_w);
    if (pad_h || pad_w) {
      if ((pooled_h - 1) * stride_h >= height + pad_h) --pooled_h;
      if ((pooled_w - 1) * stride_w >= width + pad_w) --pooled_w;
    }
  }

  // Calls visit(output, first place or -1 if empty, places, divisor) for each window.
  template <typename Visit>
  void windows(const Visit& visit) const {
    for (int ph = 0; ph < pooled_h; ++ph) {
      for (int pw = 0; pw < pooled_w; ++pw) {
        int hstart = ph * stride_h - pad_h, wstart = pw * stride_w - pad_w;
        int hend = std::min(hstart + kernel_h, height + pad_h);
        int wend = std::min(wstart + kernel_w, width + pad_w);
        const int pool_size = (hend - hstart) * (wend - wstart);
        hstart = std::max(hstart, 0), wstart = std::max(wstart, 0);
        hend = std::min(hend, height), wend = std::min(wend, width);
        std::vector<int> places;
        for (int h = hstart; h < hend; ++h) {
          for (int w = wstart; w < wend; ++w) places.push_back(h * width + w);
        }
        visit(ph * pooled_w + pw, places, pool_size);
      }
    }
  }
};

// Heap memory of just this many floats, so that the address sanitizer sees a step beyond it.
std::unique_ptr<float[]> floats(std::int64_t count) { return std::make_unique<float[]>(count); }

struct Draw {
  Twin twin;
  bool up, max;
  std::string text;
};

Draw draw(std::uint32_t seed) {
  RandomStream random(seed, RandomPurpose::kDummyData, 0, 0);
  const auto one_to = [&](std::uint32_t most) { return static_cast<int>(random.below(most)) + 1; };
  Draw d{};
  Twin& t = d.twin;
  t.height = one_to(12), t.width = one_to(12);
  t.kernel_h = one_to(7), t.kernel_w = one_to(7);
  t.stride_h = one_to(6), t.stride_w = one_to(6);
  if (random.below(2)) t.pad_h = static_cast<int>(random.below(t.kernel_h));
  if (random.below(2)) t.pad_w = static_cast<int>(random.below(t.kernel_w));
  d.up = random.below(4) > 0;
  d.max = random.below(2) > 0;
  d.text = fmt::format("seed {}: {} of {}x{}, kernel {}x{}, stride {}x{}, pad {}x{}, rounded {}",
                       seed, d.max ? "max" : "average", t.height, t.width, t.kernel_h, t.kernel_w,
                       t.stride_h, t.stride_w, t.pad_h, t.pad_w, d.up ? "up" : "down");
  return d;
}

PoolingWindow window_of(const Draw& d) {
  const Twin& t = d.twin;
  PoolingWindow window{{t.height, t.kernel_h, t.stride_h, t.pad_h, 0},
                       {t.width, t.kernel_w, t.stride_w, t.pad_w, 0}};
  window.count_outputs(d.up);
  return window;
}

// Compares forward and backward; returns how many windows are empty.
int compare(const Draw& d, const PoolingWindow& window) {
  const int inputs = d.twin.height * d.twin.width, outputs = d.twin.pooled_h * d.twin.pooled_w;
  const auto x = floats(inputs), y = floats(outputs), row = floats(d.twin.width);
  const auto dy = floats(outputs), dx = floats(inputs);
  RandomStream random(1, RandomPurpose::kDummyData, 1, 0);
  for (int i = 0; i < inputs; ++i) x[i] = static_cast<float>(random.below(9)) - 4;  // with ties
  for (int i = 0; i < outputs; ++i) dy[i] = static_cast<float>(random.gaussian());
  (d.max ? max_pool : average_pool)(x.get(), y.get(), window, row.get());
  if (d.max) {
    max_pool_backward(x.get(), dy.get(), dx.get(), window);
  } else {
    average_pool_backward(dy.get(), dx.get(), window);
  }
  int empty = 0;
  std::vector<double> gradient(inputs);
  d.twin.windows([&](int o, const std::vector<int>& places, int divisor) {
    empty += places.empty();
    double value = d.max ? -FLT_MAX : 0;
    int greatest = -1;
    for (const int place : places) {
      if (!d.max) gradient[place] += double{dy[o]} / divisor;
      if (!d.max) value += double{x[place]} / divisor;
      if (d.max && x[place] > value) value = x[greatest = place];
    }
    if (greatest >= 0) gradient[greatest] += dy[o];
    EXPECT_NEAR(y[o], value, 1e-5) << d.text << ", output " << o;
  });
  for (int i = 0; i < inputs; ++i) EXPECT_NEAR(dx[i], gradient[i], 1e-5) << d.text << ", at " << i;
  EXPECT_EQ(window.has_empty_window(), empty > 0) << d.text;
  return empty;
}

// Every draw is also a test of the bounds when the sanitizers run it.
TEST(Pooling, IsThatOfCaffeForAnyShape) {
  int compared = 0, with_empty = 0, rounded_otherwise = 0;
  for (std::uint32_t seed = 1; seed <= 4000 && !testing::Test::HasFailure(); ++seed) {
    Draw d = draw(seed);
    d.twin.reshape(d.up);
    const PoolingWindow window = window_of(d);
    ASSERT_EQ(window.high.outputs, d.twin.pooled_h) << d.text;
    ASSERT_EQ(window.wide.outputs, d.twin.pooled_w) << d.text;
    if (d.twin.pooled_h < 1 || d.twin.pooled_w < 1) continue;
    with_empty += compare(d, window) > 0;
    Twin other = d.twin;
    other.reshape(!d.up);
    rounded_otherwise += other.pooled_h != d.twin.pooled_h || other.pooled_w != d.twin.pooled_w;
    ++compared;
  }
  EXPECT_GT(compared, 3000);
  EXPECT_GT(with_empty, 300);
  EXPECT_GT(rounded_otherwise, 1000);
}

TEST(Pooling, WindowsOfTheGreatestNumbersDoNotOverflow) {
  constexpr std::int64_t most = 2147483647;
  PoolingWindow window{{most, most, 1, most - 1, 0}, {1, most, most, most - 1, 0}};
  window.count_outputs(true);
  EXPECT_GT(window.high.outputs, most);
  EXPECT_GE(window.wide.outputs, 0);
  for (const std::int64_t o : {std::int64_t{0}, window.high.outputs - 1}) {
    EXPECT_GE(window.high.begin(o), 0);
    EXPECT_LE(window.high.end(o), most);
  }
}

}  // namespace
}  // namespace inure
