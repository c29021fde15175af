#include "inure/data/convert.hpp"

#include <zlib.h>

#include <limits>
#include <memory>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "inure/base/memory_limit.hpp"
#include "inure/base/progress.hpp"
#include "inure/base/random.hpp"
#include "inure/caffe/files.hpp"
#include "inure/data/image_list.hpp"
#include "inure/data/lmdb.hpp"
#include "inure/data/record.hpp"

namespace inure::data {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kIdxImages = 2051, kIdxLabels = 2049;
constexpr std::int64_t kCifarPixels = 3 * 32 * 32;

std::string key_of(std::int64_t index) { return fmt::format("{:08}", index); }

void append(LmdbWriter& writer, std::int64_t index, const caffe::Datum& datum) {
  writer.append(key_of(index), datum.SerializeAsString());
}

// A file that may be gzipped, seen by its content.
std::string read_perhaps_gzip(const fs::path& path) {
  std::string plain = read_file(path);
  if (!plain.starts_with("\x1f\x8b")) return plain;
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);
  if (file == nullptr) fail("{}: cannot be read", path.string());
  std::string content;
  std::vector<char> buffer(1 << 20);
  int count;
  while ((count = gzread(file.get(), buffer.data(), static_cast<unsigned>(buffer.size()))) > 0) {
    if (content.size() + buffer.size() > content.capacity()) {
      check_memory(2 * content.size(), [&] { return path.string(); });
    }
    content.append(buffer.data(), static_cast<std::size_t>(count));
  }
  int status = Z_OK;
  gzerror(file.get(), &status);
  if (count < 0 || status != Z_OK) fail("{}: the gzip file is truncated or broken", path.string());
  return content;
}

std::uint32_t big_endian(std::string_view content, std::size_t word) {
  std::uint32_t value = 0;
  for (std::size_t i = 4 * word; i < 4 * word + 4; ++i) {
    value = value << 8 | static_cast<unsigned char>(content[i]);
  }
  return value;
}

// An IDX file's sizes, outermost first, and what follows the header.
struct Idx {
  std::vector<std::uint32_t> sizes;
  std::string content;
  std::size_t header;
};

Idx read_idx(const fs::path& path, std::uint32_t magic, std::size_t dimensions, const char* kind) {
  Idx idx{{}, read_perhaps_gzip(path), 4 + 4 * dimensions};
  if (idx.content.size() < idx.header) {
    fail("{}: is truncated: no room for the header of IDX {}", path.string(), kind);
  }
  if (big_endian(idx.content, 0) != magic) {
    fail("{}: begins with {}, IDX {} begin with {}", path.string(), big_endian(idx.content, 0),
         kind, magic);
  }
  double values = 1;  // of sizes up to 2^32 each
  for (std::size_t d = 0; d < dimensions; ++d) {
    idx.sizes.push_back(big_endian(idx.content, 1 + d));
    values *= idx.sizes.back();
  }
  const auto stored = static_cast<double>(idx.content.size() - idx.header);
  if (values > stored) {
    fail("{}: is truncated: has {} values, its header says {}", path.string(), stored, values);
  }
  if (values < stored) {
    fail("{}: has {} bytes behind the last of the {}", path.string(), stored - values, kind);
  }
  return idx;
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
  const Idx pixels = read_idx(images, kIdxImages, 3, "images");
  const Idx classes = read_idx(labels, kIdxLabels, 1, "labels");
  const std::uint32_t count = pixels.sizes[0];
  if (classes.sizes[0] != count) {
    fail("{}: has {} labels, {} has {} images", labels.string(), classes.sizes[0], images.string(),
         count);
  }
  const std::size_t size = std::size_t{pixels.sizes[1]} * pixels.sizes[2];
  if (count == 0 || size == 0) fail("{}: has no images", images.string());
  check_pixels(pixels.sizes[1], pixels.sizes[2], images.string());
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
    if (content.empty() || content.size() % (1 + kCifarPixels) != 0) {
      fail("{}: has {} bytes; CIFAR-10's binary files have a multiple of {}", input.string(),
           content.size(), 1 + kCifarPixels);
    }
    for (std::size_t at = 0; at < content.size(); at += 1 + kCifarPixels, progress.advance()) {
      datum.set_label(static_cast<unsigned char>(content[at]));
      if (datum.label() > 9) {
        fail("{}: record {} has the label {}; CIFAR-10 has 0 to 9", input.string(),
             at / (1 + kCifarPixels), datum.label());
      }
      datum.set_data(content.data() + at + 1, kCifarPixels);
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
