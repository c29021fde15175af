#include "inure/data/source.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "inure/data/image_list.hpp"
#include "test_sets.hpp"

namespace inure::data {
namespace {

using Shape = std::vector<std::int64_t>;

TEST(Sources, BatchesWrapAroundInOrder) {
  const TemporaryFolder folder;
  const auto data = write_patterned(folder / "set", 7, 2, 3, 4);
  const auto source = make_source(data_layer(folder / "set", 3), caffe::TRAIN, 0);
  EXPECT_EQ(source->records(), 7);
  EXPECT_EQ(source->shapes(), (std::vector<Shape>{{3, 2, 3, 4}, {3}}));
  for (int batch = 0; batch < 20; ++batch) {
    const auto tops = source->next();
    ASSERT_EQ(tops.size(), 2u);
    EXPECT_EQ(tops[0].shape, (Shape{3, 2, 3, 4}));
    for (int i = 0; i < 3; ++i) {
      const int record = (batch * 3 + i) % 7;
      ASSERT_EQ(tops[1].values[static_cast<std::size_t>(i)], static_cast<float>(record)) << batch;
      const auto& bytes = data[static_cast<std::size_t>(record)].data();
      for (std::size_t k = 0; k < 24; ++k) {
        ASSERT_EQ(tops[0].values[static_cast<std::size_t>(i) * 24 + k],
                  static_cast<float>(static_cast<unsigned char>(bytes[k])))
            << batch << ' ' << i << ' ' << k;
      }
    }
  }
}

TEST(Sources, SeekGivesTheBatchOfASequentialRun) {
  const TemporaryFolder folder;
  write_patterned(folder / "set", 11, 3, 9, 9);
  const auto layer = data_layer(folder / "set", 4, "crop_size: 6 mirror: true");
  const auto sequential = make_source(layer, caffe::TRAIN, 5);
  std::vector<std::vector<Array>> batches;
  for (int i = 0; i < 30; ++i) batches.push_back(sequential->next());
  const auto seeking = make_source(layer, caffe::TRAIN, 5);
  for (const int batch : {17, 3, 3, 29, 0, 1, 28}) {
    seeking->seek(batch);
    for (int i = batch; i < std::min(batch + 3, 30); ++i) {  // reads ahead behind the seek, too
      const auto tops = seeking->next();
      EXPECT_EQ(tops[0].values, batches[static_cast<std::size_t>(i)][0].values) << i;
      EXPECT_EQ(tops[1].values, batches[static_cast<std::size_t>(i)][1].values) << i;
    }
  }
  const auto other_seed = make_source(layer, caffe::TRAIN, 6)->next();
  EXPECT_NE(other_seed[0].values, batches[0][0].values);
}

TEST(Sources, ManyShareAFolderAndEndInTheMiddle) {
  const TemporaryFolder folder;
  write_patterned(folder / "set", 50, 1, 8, 8);
  const auto layer = data_layer(folder / "set", 8);
  const auto first = make_source(layer, caffe::TRAIN, 0);
  for (int i = 0; i < 30; ++i) {
    const auto other = make_source(layer, caffe::TEST, 0);
    if (i % 3 > 0) other->next();
    if (i % 3 > 1) other->seek(i);
    EXPECT_EQ(first->next()[1].values[0], static_cast<float>(i * 8 % 50 % 10));
  }
}

TEST(Sources, AnErrorOnTheThreadArrivesAfterTheBatchesBeforeIt) {
  const TemporaryFolder folder;
  std::vector<std::string> values;
  for (int i = 0; i < 10; ++i) values.push_back(patterned_datum(i, 1, 2, 2).SerializeAsString());
  values[5] = "\xff\xff";
  write_lmdb(folder / "set", values);
  const auto source = make_source(data_layer(folder / "set", 2), caffe::TRAIN, 0);
  EXPECT_NO_THROW(source->next());
  EXPECT_NO_THROW(source->next());
  EXPECT_THROW(source->next(), Error);
  EXPECT_THROW(source->next(), Error);
  source->seek(3);
  EXPECT_EQ(source->next()[1].values[0], 6);
}

TEST(Sources, RandomSkipIsKeyedBySeed) {
  const TemporaryFolder folder;
  write_patterned(folder / "set", 10, 1, 2, 2);
  auto layer = data_layer(folder / "set", 1);
  layer.mutable_data_param()->set_rand_skip(10);
  std::map<float, int> first_labels;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const auto label = make_source(layer, caffe::TRAIN, seed)->next()[1].values[0];
    EXPECT_EQ(make_source(layer, caffe::TRAIN, seed)->next()[1].values[0], label);
    ++first_labels[label];
  }
  EXPECT_GE(first_labels.size(), 8u);
}

TEST(Sources, EncodedRecordsEqualTheirPixels) {
  const TemporaryFolder folder;
  cv::Mat image(5, 7, CV_8UC3);
  for (int i = 0; i < 105; ++i) image.data[i] = static_cast<unsigned char>(i * 2);
  std::vector<unsigned char> png;
  cv::imencode(".png", image, png);
  caffe::Datum datum;
  datum.set_encoded(true);
  datum.set_label(3);
  datum.set_data(png.data(), png.size());
  write_lmdb(folder / "set", {datum.SerializeAsString()});
  const auto tops = make_source(data_layer(folder / "set", 1), caffe::TEST, 0)->next();
  ASSERT_EQ(tops[0].shape, (Shape{1, 3, 5, 7}));
  for (int c = 0; c < 3; ++c) {
    for (int k = 0; k < 35; ++k) {
      EXPECT_EQ(tops[0].values[static_cast<std::size_t>(c * 35 + k)],
                static_cast<float>(image.data[k * 3 + c]));
    }
  }
  EXPECT_EQ(tops[1].values[0], 3);
  const auto gray = make_source(data_layer(folder / "set", 1, "force_gray: true"), caffe::TEST, 0);
  EXPECT_EQ(gray->shapes()[0], (Shape{1, 1, 5, 7}));
}

TEST(Sources, InputGivesZerosOfItsShapes) {
  const auto source = make_source(
      parse_layer("type: 'Input' top: 'a' top: 'b' input_param { shape { dim: 2 dim: 3 } "
                  "shape { dim: 4 } }"),
      caffe::TEST, 0);
  EXPECT_EQ(source->shapes(), (std::vector<Shape>{{2, 3}, {4}}));
  EXPECT_EQ(source->next()[0].values, std::vector<float>(6, 0.0f));
  EXPECT_EQ(source->records(), 0);
}

TEST(Sources, DummyDataFollowsItsFillers) {
  const auto layer = parse_layer(
      "type: 'DummyData' top: 'a' top: 'b' top: 'c' dummy_data_param { "
      "num: 100 channels: 10 height: 5 width: 4 data_filler { type: 'constant' value: 3 } "
      "data_filler { type: 'gaussian' mean: 2 std: 3 } "
      "data_filler { type: 'uniform' min: -1 max: 5 } }");
  const auto source = make_source(layer, caffe::TRAIN, 9);
  const auto first = source->next(), second = source->next();
  EXPECT_EQ(first[0].values, std::vector<float>(20000, 3.0f));
  EXPECT_EQ(second[0].values, first[0].values);
  EXPECT_NE(second[1].values, first[1].values);  // filled again for every batch
  EXPECT_NE(second[2].values, first[2].values);
  const auto moments = [](const std::vector<float>& values) {
    double sum = 0, squares = 0;
    for (const float v : values) sum += v, squares += double{v} * v;
    const double mean = sum / 20000;
    return std::make_pair(mean, std::sqrt(squares / 20000 - mean * mean));
  };
  EXPECT_NEAR(moments(first[1].values).first, 2, 0.1);
  EXPECT_NEAR(moments(first[1].values).second, 3, 0.1);
  EXPECT_NEAR(moments(first[2].values).first, 2, 0.1);
  EXPECT_NEAR(moments(first[2].values).second, 6 / std::sqrt(12.0), 0.1);
  const auto again = make_source(layer, caffe::TRAIN, 9);
  again->seek(1);
  EXPECT_EQ(again->next()[1].values, second[1].values);
}

// The first pixels of shared images, by OpenCV's own calls.
TEST(ImageData, ReadsResizesAndLabelsAsCaffe) {
  SKIP_WITHOUT_SHARED_DATA();
  const auto root = (kShared / "imagenet_dev200").string() + "/";
  const auto layer = parse_layer(
      fmt::format("type: 'ImageData' top: 'data' top: 'label' transform_param {{ crop_size: 227 "
                  "mean_value: 104 "
                  "mean_value: 117 mean_value: 123 }} image_data_param {{ source: '{}labels.txt' "
                  "root_folder: '{}' batch_size: 3 new_height: 256 new_width: 256 }}",
                  root, root));
  const auto source = make_source(layer, caffe::TEST, 0);
  EXPECT_EQ(source->records(), 200);
  const auto files = read_image_list(root + "labels.txt", "test");
  const float means[] = {104, 117, 123};
  for (int batch : {0, 66, 67}) {  // 66 wraps around: 198, 199, 0
    source->seek(batch);
    const auto tops = source->next();
    for (int i = 0; i < 3; ++i) {
      const auto& file = files[static_cast<std::size_t>((batch * 3 + i) % 200)];
      cv::Mat image = cv::imread(root + file.path), resized;
      cv::resize(image, resized, cv::Size(256, 256));
      EXPECT_EQ(tops[1].values[static_cast<std::size_t>(i)], static_cast<float>(file.label));
      std::size_t at = static_cast<std::size_t>(i) * 3 * 227 * 227;
      for (int c = 0; c < 3; ++c) {
        for (int h = 0; h < 227; ++h) {
          for (int w = 0; w < 227; ++w) {
            const int pixel = resized.at<cv::Vec3b>(h + 14, w + 14)[c];
            ASSERT_EQ(tops[0].values[at++], static_cast<float>(pixel) - means[c]) << file.path;
          }
        }
      }
    }
  }
}

// A list of one-pixel images whose labels are their positions.
caffe::LayerParameter pixel_list(const TemporaryFolder& folder, int count, bool shuffle) {
  cv::imwrite(folder / "a pixel.png", cv::Mat(1, 1, CV_8UC1, cv::Scalar(9)));
  std::string list;
  for (int i = 0; i < count; ++i) list += fmt::format("a pixel.png {}\r\n", i);
  return parse_layer(
      fmt::format("type: 'ImageData' top: 'data' top: 'label' image_data_param {{ source: '{}' "
                  "root_folder: '{}' batch_size: 4 is_color: false shuffle: {} }}",
                  folder.write("list.txt", list), folder.path().string() + "/", shuffle));
}

TEST(ImageData, ShufflesEveryPassAnew) {
  const TemporaryFolder folder;
  const auto layer = pixel_list(folder, 12, true);
  const auto source = make_source(layer, caffe::TRAIN, 3);
  EXPECT_EQ(source->shapes()[0], (Shape{4, 1, 1, 1}));
  std::vector<std::vector<float>> passes;
  for (int pass = 0; pass < 3; ++pass) {
    std::vector<float> labels;
    for (int batch = 0; batch < 3; ++batch) {
      const auto tops = source->next();
      labels.insert(labels.end(), tops[1].values.begin(), tops[1].values.end());
    }
    passes.push_back(labels);
    std::sort(labels.begin(), labels.end());
    for (int i = 0; i < 12; ++i) EXPECT_EQ(labels[static_cast<std::size_t>(i)], i);
  }
  EXPECT_NE(passes[0], passes[1]);
  EXPECT_NE(passes[1], passes[2]);
  const auto again = make_source(layer, caffe::TRAIN, 3);
  again->seek(3);
  EXPECT_EQ(again->next()[1].values, std::vector<float>(passes[1].begin(), passes[1].begin() + 4));
}

TEST(ImageData, KeepsTheOrderOfTheListOtherwise) {
  const TemporaryFolder folder;
  const auto source = make_source(pixel_list(folder, 6, false), caffe::TRAIN, 3);
  source->next();
  EXPECT_EQ(source->next()[1].values, (std::vector<float>{4, 5, 0, 1}));
}

}  // namespace
}  // namespace inure::data
