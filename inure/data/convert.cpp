#include "inure/data/convert.hpp"

#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "inure/base/progress.hpp"
#include "inure/base/random.hpp"
#include "inure/caffe/files.hpp"
#include "inure/data/byte_files.hpp"
#include "inure/data/image_list.hpp"
#include "inure/data/lmdb.hpp"
#include "inure/data/record.hpp"

namespace inure::data {
namespace {

namespace fs = std::filesystem;

std::string key_of(std::int64_t index) { return fmt::format("{:08}", index); }

void append(LmdbWriter& writer, std::int64_t index, const caffe::Datum& datum) {
  writer.append(key_of(index), datum.SerializeAsString());
}

template <typename Items>
void shuffle(Items& items, std::uint64_t seed) {
  RandomStream random(seed, RandomPurpose::kShuffle, 0, 0);
  for (std::size_t i = items.size(); i > 1; --i) {
    std::swap(items[i - 1], items[random.below(static_cast<std::uint32_t>(i))]);
  }
}

// A file's bytes, where a database's reader takes them for `image`. A gray file would be one
// channel there: it becomes a PNG of three.
std::string encoded(const std::string& path, const cv::Mat& image, const std::string& where) {
  std::string content = read_file(path);
  if (decode_image(content, Color::kAsStored, where).channels() == image.channels()) return content;
  std::vector<unsigned char> png;
  cv::imencode(".png", image, png);
  return {png.begin(), png.end()};
}

caffe::Datum datum_of(const LabelledFile& file, const ConvertImagesOptions& options,
                      const std::string& where) {
  const std::string path = options.root + file.path;
  const Color color = options.gray ? Color::kGray : Color::kColor;
  const cv::Mat image = load_image(path, color, options.height, options.width, where);
  caffe::Datum datum;
  datum.set_channels(image.channels());
  datum.set_height(image.rows);
  datum.set_width(image.cols);
  datum.set_label(file.label);
  if (options.encoded) {
    datum.set_data(encoded(path, image, where));
    datum.set_encoded(true);
  } else {
    Record record;
    set_image(image, record);
    datum.set_data(record.bytes.data(), record.bytes.size());
  }
  return datum;
}

}  // namespace

std::int64_t convert_idx(const fs::path& images, const fs::path& labels, const fs::path& output) {
  const Idx pixels = parse_idx(read_perhaps_gzip(images), images.string(), true);
  const Idx classes = parse_idx(read_perhaps_gzip(labels), labels.string(), false);
  const std::uint32_t count = pixels.sizes[0];
  if (classes.sizes[0] != count) {
    fail("{}: has {} labels, {} has {} images", labels.string(), classes.sizes[0], images.string(),
         count);
  }
  const std::size_t size = std::size_t{pixels.sizes[1]} * pixels.sizes[2];
  if (count == 0 || size == 0) fail("{}: has no images", images.string());
  LmdbWriter writer(output);
  Progress progress("converting", "images", count);
  caffe::Datum datum;
  datum.set_channels(1);
  datum.set_height(static_cast<int>(pixels.sizes[1]));
  datum.set_width(static_cast<int>(pixels.sizes[2]));
  for (std::uint32_t i = 0; i < count; ++i, progress.advance()) {
    datum.set_data(pixels.content.data() + pixels.header + i * size, size);
    datum.set_label(static_cast<unsigned char>(classes.content[classes.header + i]));
    append(writer, i, datum);
  }
  writer.finish();
  return count;
}

std::int64_t convert_cifar(const std::vector<fs::path>& inputs, const fs::path& output) {
  if (inputs.empty()) fail("convert: no CIFAR file is given");
  LmdbWriter writer(output);
  Progress progress("converting", "images", 0);
  std::int64_t index = 0;
  caffe::Datum datum;
  datum.set_channels(3);
  datum.set_height(32);
  datum.set_width(32);
  for (const auto& input : inputs) {
    const std::string content = read_perhaps_gzip(input);
    cifar_records(content, input.string());
    for (std::size_t at = 0; at < content.size(); at += kCifarRecord, progress.advance()) {
      datum.set_label(static_cast<unsigned char>(content[at]));
      datum.set_data(content.data() + at + 1, kCifarRecord - 1);
      append(writer, index++, datum);
    }
  }
  writer.finish();
  return index;
}

std::int64_t convert_images(const fs::path& list, const ConvertImagesOptions& options,
                            const fs::path& output) {
  const std::string where = "convert images";
  const bool resized = options.height > 0 || options.width > 0;
  if (options.encoded && (resized || options.gray)) {
    fail("{}: encoded files are kept as they are: not with a resize or gray", where);
  }
  if (resized) check_pixels(options.height, options.width, where);
  auto files = read_image_list(list.string(), where);
  if (options.shuffle) shuffle(files, options.seed);
  LmdbWriter writer(output);
  Progress progress("converting", "images", std::ssize(files));
  std::int64_t index = 0;
  for (const auto& file : files) {
    append(writer, index++, datum_of(file, options, where));
    progress.advance();
  }
  writer.finish();
  return index;
}

void write_mean_of(const fs::path& lmdb, const fs::path& mean) {
  caffe::LayerParameter layer;
  layer.mutable_data_param()->set_source(lmdb.string());
  layer.mutable_data_param()->set_backend(caffe::DataParameter::LMDB);
  const auto set = open_lmdb_records(layer, "mean");
  Record record;
  set->read(0, record);
  const int channels = record.channels, height = record.height, width = record.width;
  std::vector<double> sums(static_cast<std::size_t>(channels) * height * width);
  Progress progress("averaging", "images", set->size());
  for (std::int64_t i = 0; i < set->size(); ++i, progress.advance()) {
    set->read(i, record);
    if (record.channels != channels || record.height != height || record.width != width) {
      fail("{}: image {} is {} x {} x {}, the first is {} x {} x {}; a mean needs one size",
           lmdb.string(), i, record.channels, record.height, record.width, channels, height, width);
    }
    if (record.bytes.empty()) {
      for (std::size_t k = 0; k < sums.size(); ++k) sums[k] += record.floats[k];
    } else {
      for (std::size_t k = 0; k < sums.size(); ++k) sums[k] += record.bytes[k];
    }
  }
  caffe::BlobProto blob;  // legacy dimensions, as Caffe writes
  blob.set_num(1);
  blob.set_channels(channels);
  blob.set_height(height);
  blob.set_width(width);
  for (const double sum : sums) {
    blob.add_data(static_cast<float>(sum / static_cast<double>(set->size())));
  }
  caffe::write_mean(mean, blob);
}

}  // namespace inure::data
