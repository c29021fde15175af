// Crop, mirror, mean and scale against a plain twin: one line a pixel, as Caffe's documentation has
// it.
#include <gtest/gtest.h>

#include <random>

#include "test_sets.hpp"

namespace inure::data {
namespace {

struct Case {
  int channels, height, width, crop;
  bool mirror;
  enum Mean { kNone, kOne, kEach, kFile } mean;
  float scale;
  caffe::Phase phase;

  std::string text() const {
    return fmt::format("channels {} height {} width {} crop {} mirror {} mean {} scale {} phase {}",
                       channels, height, width, crop, mirror, static_cast<int>(mean), scale,
                       static_cast<int>(phase));
  }
};

float mean_at(const Case& c, int channel, int row, int column) {
  switch (c.mean) {
    case Case::kOne:
      return 33.5f;
    case Case::kEach:
      return 10.0f * static_cast<float>(channel + 1);
    case Case::kFile:
      return static_cast<float>(channel * 100 + row * 10 + column) / 3;
    case Case::kNone:
      break;
  }
  return 0;
}

std::string transform_text(const Case& c, const std::string& mean_file) {
  std::string text = fmt::format("scale: {} mirror: {} ", c.scale, c.mirror);
  if (c.crop > 0) text += fmt::format("crop_size: {} ", c.crop);
  if (c.mean == Case::kOne) text += "mean_value: 33.5 ";
  for (int i = 0; c.mean == Case::kEach && i < c.channels; ++i) {
    text += fmt::format("mean_value: {} ", 10 * (i + 1));
  }
  if (c.mean == Case::kFile) text += fmt::format("mean_file: '{}' ", mean_file);
  return text;
}

void write_mean_file(const Case& c, const std::string& file) {
  caffe::BlobProto mean;
  mean.set_num(1);
  mean.set_channels(c.channels);
  mean.set_height(c.height);
  mean.set_width(c.width);
  for (int channel = 0; channel < c.channels; ++channel) {
    for (int row = 0; row < c.height; ++row) {
      for (int column = 0; column < c.width; ++column) {
        mean.add_data(mean_at(c, channel, row, column));
      }
    }
  }
  caffe::write_mean(file, mean);
}

// The twin, for given random choices.
std::vector<float> expected_image(const Case& c, const caffe::Datum& datum, int top, int left,
                                  bool mirrored) {
  const int height = c.crop > 0 ? c.crop : c.height, width = c.crop > 0 ? c.crop : c.width;
  std::vector<float> image;
  for (int channel = 0; channel < c.channels; ++channel) {
    for (int h = 0; h < height; ++h) {
      for (int w = 0; w < width; ++w) {
        const int row = top + h, column = left + (mirrored ? width - 1 - w : w);
        const int index = (channel * c.height + row) * c.width + column;
        const auto pixel =
            static_cast<unsigned char>(datum.data()[static_cast<std::size_t>(index)]);
        image.push_back((static_cast<float>(pixel) - mean_at(c, channel, row, column)) * c.scale);
      }
    }
  }
  return image;
}

struct Choice {
  int top, left;
  bool mirrored;
};

// All that Caffe could choose for this case.
std::vector<Choice> choices(const Case& c) {
  std::vector<Choice> all;
  const int rows = c.crop > 0 ? c.height - c.crop : 0, columns = c.crop > 0 ? c.width - c.crop : 0;
  for (int top = 0; top <= rows; ++top) {
    for (int left = 0; left <= columns; ++left) {
      if (c.phase == caffe::TEST && (top != rows / 2 || left != columns / 2)) continue;
      all.push_back({top, left, false});
      if (c.mirror) all.push_back({top, left, true});
    }
  }
  return all;
}

// Every image must be one of the possible ones; every choice should be met.
void check(const Case& c, const TemporaryFolder& folder, int number) {
  const std::string source = folder / fmt::format("set{}", number);
  const std::string mean_file = folder / "mean.binaryproto";
  constexpr int kRecords = 5, kBatch = 40, kBatches = 20;
  const auto data = write_patterned(source, kRecords, c.channels, c.height, c.width);
  write_mean_file(c, mean_file);
  const auto layer = data_layer(source, kBatch, transform_text(c, mean_file));
  const auto made = make_source(layer, c.phase, 7);
  const auto all = choices(c);
  std::vector<int> met(all.size());
  for (int b = 0; b < kBatches; ++b) {
    const auto tops = made->next();
    const std::size_t size = tops[0].values.size() / kBatch;
    for (int i = 0; i < kBatch; ++i) {
      const int record = (b * kBatch + i) % kRecords;
      EXPECT_EQ(tops[1].values[static_cast<std::size_t>(i)], static_cast<float>(record))
          << c.text();
      const std::vector<float> image(
          tops[0].values.begin() + static_cast<std::ptrdiff_t>(i * size),
          tops[0].values.begin() + static_cast<std::ptrdiff_t>((i + 1) * size));
      bool found = false;
      for (std::size_t k = 0; k < all.size() && !found; ++k) {
        found = image == expected_image(c, data[static_cast<std::size_t>(record)], all[k].top,
                                        all[k].left, all[k].mirrored);
        met[k] += found;
      }
      ASSERT_TRUE(found) << "batch " << b << " image " << i << ": " << c.text();
    }
  }
  // 800 draws among at most 24 choices: each is expected 33 times or more.
  for (std::size_t k = 0; k < all.size(); ++k) {
    EXPECT_GT(met[k], 8) << "choice " << k << " of " << all.size() << ": " << c.text();
  }
}

TEST(Transform, EqualsThePlainTwinOnRandomCases) {
  const TemporaryFolder folder;
  std::mt19937 random(1);
  const auto below = [&](int bound) {
    return static_cast<int>(random() % static_cast<unsigned>(bound));
  };
  for (int number = 0; number < 60; ++number) {
    Case c{};
    c.channels = 1 + below(3);
    c.height = 4 + below(4);
    c.width = 4 + below(4);
    // At most 3 x 4 places for the crop.
    c.crop = below(3) == 0 ? 0 : std::min(c.height, c.width) - below(2);
    c.mirror = below(2) == 1;
    c.mean = static_cast<Case::Mean>(below(4));
    c.scale = below(2) == 1 ? 0.00390625f : 1.7f;
    c.phase = below(2) == 1 ? caffe::TRAIN : caffe::TEST;
    SCOPED_TRACE(fmt::format("case {} of seed 1: {}", number, c.text()));
    check(c, folder, number);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(Transform, WideRowsEqualTheTwin) {  // wider than a vector register, with a remainder
  const TemporaryFolder folder;
  check({3, 67, 67, 0, true, Case::kFile, 0.5f, caffe::TRAIN}, folder, 0);
  check({3, 67, 67, 66, false, Case::kEach, 1.0f, caffe::TEST}, folder, 1);
}

TEST(Transform, FloatDataIsTransformedToo) {
  const TemporaryFolder folder;
  caffe::Datum datum;
  datum.set_channels(1);
  datum.set_height(2);
  datum.set_width(2);
  for (const float value : {0.5f, -1.0f, 300.0f, 4.0f}) datum.add_float_data(value);
  write_lmdb(folder / "set", {datum.SerializeAsString()});
  const auto tops =
      make_source(data_layer(folder / "set", 1, "mean_value: 1 scale: 2"), caffe::TEST, 0)->next();
  EXPECT_EQ(tops[0].values, (std::vector<float>{-1, -4, 598, 6}));
}

}  // namespace
}  // namespace inure::data
