#include "inure/data/convert.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <csignal>

#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <set>

#include "test_sets.hpp"

namespace inure::data {
namespace {

std::string gunzip(const std::filesystem::path& path) {
  gzFile file = gzopen(path.c_str(), "rb");
  std::string content(64 << 20, '\0');
  content.resize(static_cast<std::size_t>(
      gzread(file, content.data(), static_cast<unsigned>(content.size()))));
  gzclose(file);
  return content;
}

TEST(Convert, MnistEqualsItsIdxFiles) {
  SKIP_WITHOUT_SHARED_DATA();
  const TemporaryFolder folder;
  const std::pair<const char*, int> sets[] = {{"train", 60000}, {"t10k", 10000}};
  for (const auto& [name, count] : sets) {
    const auto images = kShared / "mnist" / fmt::format("{}-images-idx3-ubyte.gz", name);
    const auto labels = kShared / "mnist" / fmt::format("{}-labels-idx1-ubyte.gz", name);
    ASSERT_EQ(convert_idx(images, labels, folder / name), count);
    const std::string pixels = gunzip(images), classes = gunzip(labels);
    LmdbReader reader(folder / name, "test");
    ASSERT_EQ(reader.size(), count);
    caffe::Datum datum;
    for (int i = 0; i < count; ++i) {
      const auto entry = reader.read(i);
      ASSERT_EQ(entry.key, fmt::format("{:08}", i));
      ASSERT_TRUE(datum.ParseFromArray(entry.value.data(), static_cast<int>(entry.value.size())));
      ASSERT_EQ(datum.data(), pixels.substr(16 + static_cast<std::size_t>(i) * 784, 784)) << i;
      ASSERT_EQ(datum.label(), classes[8 + static_cast<std::size_t>(i)]) << i;
    }
  }
  // Plain files do as well.
  const auto images = folder.write("images", gunzip(kShared / "mnist/t10k-images-idx3-ubyte.gz"));
  const auto labels = folder.write("labels", gunzip(kShared / "mnist/t10k-labels-idx1-ubyte.gz"));
  EXPECT_EQ(convert_idx(images, labels, folder / "plain"), 10000);
  EXPECT_EQ(read_file(folder / "plain/data.mdb"), read_file(folder / "t10k/data.mdb"));
}

TEST(Convert, CifarEqualsItsFileAndItsMean) {
  SKIP_WITHOUT_SHARED_DATA();
  const TemporaryFolder folder;
  const auto input = kShared / "cifar10_train4000/data_batch.bin";
  ASSERT_EQ(convert_cifar({input, input}, folder / "twice"), 8000);
  const std::string content = read_file(input);
  const auto source = make_source(data_layer(folder / "twice", 100), caffe::TEST, 0);
  std::vector<double> sums(3072);
  for (int batch = 0; batch < 80; ++batch) {
    const auto tops = source->next();
    for (std::size_t i = 0; i < 100; ++i) {
      const auto* record = content.data() + (static_cast<std::size_t>(batch % 40) * 100 + i) * 3073;
      ASSERT_EQ(tops[1].values[i], record[0]);
      for (std::size_t k = 0; k < 3072; ++k) {
        const auto pixel = static_cast<unsigned char>(record[1 + k]);
        ASSERT_EQ(tops[0].values[i * 3072 + k], pixel);
        sums[k] += pixel;
      }
    }
  }
  write_mean_of(folder / "twice", folder / "mean.binaryproto");
  const auto mean = caffe::read_mean(folder / "mean.binaryproto");
  ASSERT_EQ(caffe::blob_shape(mean), (std::vector<std::int64_t>{1, 3, 32, 32}));
  for (int k = 0; k < 3072; ++k) {
    ASSERT_NEAR(mean.data(k), sums[static_cast<std::size_t>(k)] / 8000, 1e-4);
  }
}

TEST(Convert, ImagesRawResizedAndEncoded) {
  const TemporaryFolder folder;
  cv::Mat image(6, 8, CV_8UC3);
  for (int i = 0; i < 144; ++i) image.data[i] = static_cast<unsigned char>(i);
  cv::imwrite(folder / "one.png", image);
  cv::imwrite(folder / "two.png", ~image);
  const auto list = folder.write("list", "one.png 4\ntwo.png 11\n\n");
  ConvertImagesOptions options;
  options.root = folder / "";
  ASSERT_EQ(convert_images(list, options, folder / "raw"), 2);
  options.encoded = true;
  ASSERT_EQ(convert_images(list, options, folder / "encoded"), 2);
  const auto raw = make_source(data_layer(folder / "raw", 2), caffe::TEST, 0)->next();
  const auto encoded = make_source(data_layer(folder / "encoded", 2), caffe::TEST, 0)->next();
  EXPECT_EQ(raw[0].shape, (std::vector<std::int64_t>{2, 3, 6, 8}));
  EXPECT_EQ(raw[0].values, encoded[0].values);
  EXPECT_EQ(raw[0].values[1], 3);           // blue of the second pixel
  EXPECT_EQ(raw[0].values[144 + 48], 254);  // green of the first one of the second image
  EXPECT_EQ(raw[1].values, (std::vector<float>{4, 11}));
  options.encoded = false;
  options.height = 3;
  options.width = 5;
  options.gray = true;
  ASSERT_EQ(convert_images(list, options, folder / "small"), 2);
  EXPECT_EQ(make_source(data_layer(folder / "small", 1), caffe::TEST, 0)->shapes()[0],
            (std::vector<std::int64_t>{1, 1, 3, 5}));
}

TEST(Convert, ShuffleIsAPermutationOfTheSeed) {
  const TemporaryFolder folder;
  cv::imwrite(folder / "one.png", cv::Mat(1, 1, CV_8UC3, cv::Scalar(1, 2, 3)));
  std::string lines;
  for (int i = 0; i < 40; ++i) lines += fmt::format("one.png {}\n", i);
  const auto list = folder.write("list", lines);
  ConvertImagesOptions options;
  options.root = folder / "";
  options.shuffle = true;
  options.seed = 5;
  convert_images(list, options, folder / "a");
  convert_images(list, options, folder / "b");
  auto labels = make_source(data_layer(folder / "a", 40), caffe::TEST, 0)->next()[1].values;
  EXPECT_EQ(labels, make_source(data_layer(folder / "b", 40), caffe::TEST, 0)->next()[1].values);
  EXPECT_FALSE(std::is_sorted(labels.begin(), labels.end()));
  std::sort(labels.begin(), labels.end());
  for (std::size_t i = 0; i < 40; ++i) EXPECT_EQ(labels[i], static_cast<float>(i));
}

TEST(Convert, GrowsBeyondItsFirstMap) {
  const TemporaryFolder folder;
  LmdbWriter writer(folder / "large");
  const std::string value(4 << 20, 'x');
  for (int i = 0; i < 80; ++i) writer.append(fmt::format("{:08}", i), value);  // 320 MiB, map 256
  writer.finish();
  LmdbReader reader(folder / "large", "test");
  EXPECT_EQ(reader.size(), 80);
  EXPECT_EQ(reader.read(79).value, value);
}

TEST(Convert, NothingRemainsOfAFailure) {
  const TemporaryFolder folder;
  const auto good = folder.write("good", std::string(3073, '\1'));
  const auto bad = folder.write("bad", std::string(3072, '\1'));
  EXPECT_THROW(convert_cifar({good, bad}, folder / "out"), Error);
  int entries = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder / ""))
    ++entries;
  EXPECT_EQ(entries, 2);
  EXPECT_EQ(convert_cifar({good}, folder / "out"), 1);
  EXPECT_THROW(convert_cifar({good}, folder / "out"), Error);
  EXPECT_EQ(LmdbReader(folder / "out", "test").size(), 1);  // the one there is untouched
}

std::set<std::string> names_in(const TemporaryFolder& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    names.insert(entry.path().filename().string());
  }
  return names;
}

TEST(Convert, TheLeavingsOfKilledOnesAreRemoved) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "photos.tmp-1");  // anybody's
  const pid_t child = fork();
  if (child == 0) {
    LmdbWriter writer(folder / "killed");
    writer.append("key", "value");
    raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  const std::string left = fmt::format("killed.tmp-{}", child);
  ASSERT_EQ(names_in(folder), (std::set<std::string>{left, "photos.tmp-1"}));
  LmdbWriter living(folder / "living");
  living.append("key", "value");
  const std::string kept = fmt::format("living.tmp-{}", getpid());
  EXPECT_EQ(names_in(folder), (std::set<std::string>{kept, "photos.tmp-1"}));
  const auto good = folder.write("good", std::string(3073, '\1'));
  convert_cifar({good}, folder / "out");
  EXPECT_EQ(names_in(folder), (std::set<std::string>{"good", kept, "out", "photos.tmp-1"}));
  living.finish();
  EXPECT_EQ(names_in(folder), (std::set<std::string>{"good", "living", "out", "photos.tmp-1"}));
  for (const char* set : {"living", "out"}) {
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder / set), {}), 1) << set;
  }
}

TEST(Convert, GrayFilesAmongColorAreKeptAsColor) {
  const TemporaryFolder folder;
  cv::imwrite(folder / "color.png", cv::Mat(4, 5, CV_8UC3, cv::Scalar(1, 2, 3)));
  cv::imwrite(folder / "gray.png", cv::Mat(4, 5, CV_8UC1, cv::Scalar(7)));
  const auto list = folder.write("list", "color.png 0\ngray.png 1\n");
  ConvertImagesOptions options;
  options.root = folder / "";
  options.encoded = true;
  convert_images(list, options, folder / "set");
  const auto tops = make_source(data_layer(folder / "set", 2), caffe::TEST, 0)->next();
  EXPECT_EQ(tops[0].shape, (std::vector<std::int64_t>{2, 3, 4, 5}));
  EXPECT_EQ(tops[0].values[60 + 20], 7);
}

}  // namespace
}  // namespace inure::data
