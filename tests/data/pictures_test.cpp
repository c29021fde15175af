// One picture gives one tensor by an image list, by a database of pixels and by one of files.
#include <gtest/gtest.h>
#include <zlib.h>

// clang-format off
#include <cstdio>  // jpeglib.h needs it
#include <jpeglib.h>
// clang-format on

#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <random>

#include "inure/data/convert.hpp"
#include "inure/data/image.hpp"
#include "inure/data/record.hpp"
#include "test_sets.hpp"

namespace inure::data {
namespace {

constexpr int kHeight = 13, kWidth = 22;

cv::Mat patterned(int type) {
  cv::Mat image(kHeight, kWidth, type);
  auto* bytes = image.data;
  const auto row = static_cast<int>(image.step);
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < row; ++x) bytes[y * row + x] = static_cast<unsigned char>(x * 5 + y * 19);
  }
  return image;
}

std::string encode(const std::string& ending, int type, const std::vector<int>& options = {}) {
  std::vector<unsigned char> bytes;
  cv::imencode(ending, patterned(type), bytes, options);
  return {bytes.begin(), bytes.end()};
}

std::string big_endian(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
  return bytes;
}

std::string chunk(const std::string& type, const std::string& content) {
  const std::string checked = type + content;
  const auto crc =
      crc32(0, reinterpret_cast<const Bytef*>(checked.data()), static_cast<uInt>(checked.size()));
  return big_endian(static_cast<std::uint32_t>(content.size())) + checked +
         big_endian(static_cast<std::uint32_t>(crc));
}

// more: chunks before the pixels.
std::string made_png(int depth, int color_type, int row_bytes, const std::string& more = "") {
  std::string rows;
  for (int y = 0; y < kHeight; ++y) {
    rows += '\0';  // no filter
    for (int x = 0; x < row_bytes; ++x) rows += static_cast<char>((x * 29 + y * 53) % 256);
  }
  std::string packed(compressBound(rows.size()), '\0');
  uLongf size = packed.size();
  compress(reinterpret_cast<Bytef*>(packed.data()), &size,
           reinterpret_cast<const Bytef*>(rows.data()), rows.size());
  packed.resize(size);
  const std::string header = big_endian(kWidth) + big_endian(kHeight) + static_cast<char>(depth) +
                             static_cast<char>(color_type) + std::string(3, '\0');
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR", header) + more + chunk("IDAT", packed) +
         chunk("IEND", "");
}

std::string palette() {
  std::string colors;
  for (int i = 0; i < 768; ++i) colors += static_cast<char>(i * 7 % 256);
  return colors;
}

// A TIFF structure with two entries, the second of which is the orientation.
std::string exif(int orientation, bool little) {
  const auto number = [&](std::uint32_t value, int bytes) {
    const std::string big = big_endian(value).substr(static_cast<std::size_t>(4 - bytes));
    return little ? std::string(big.rbegin(), big.rend()) : big;
  };
  const auto entry = [&](std::uint32_t tag, std::uint32_t value) {
    return number(tag, 2) + number(3, 2) + number(1, 4) + number(value, 2) + number(0, 2);
  };
  return (little ? "II" : "MM") + number(42, 2) + number(8, 4) + number(2, 2) + entry(0x0102, 8) +
         entry(0x0112, static_cast<std::uint32_t>(orientation)) + number(0, 4);
}

std::string with_exif(const std::string& jpeg, const std::string& tiff) {
  const std::string content = std::string("Exif\0\0", 6) + tiff;
  const std::string length = big_endian(static_cast<std::uint32_t>(content.size() + 2)).substr(2);
  return jpeg.substr(0, 2) + "\xff\xe1" + length + content + jpeg.substr(2);
}

std::string cmyk_jpeg() {
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &bytes, &size);
  jpeg.image_width = kWidth;
  jpeg.image_height = kHeight;
  jpeg.input_components = 4;
  jpeg.in_color_space = JCS_CMYK;
  jpeg_set_defaults(&jpeg);
  jpeg_start_compress(&jpeg, TRUE);
  cv::Mat image = patterned(CV_8UC4);
  for (int y = 0; y < kHeight; ++y) {
    JSAMPROW row = image.ptr(y);
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  const std::string content(bytes, bytes + size);
  std::free(bytes);
  return content;
}

// Name with ending, and the content. A name with "gray" has one channel as it is stored.
std::map<std::string, std::string> pictures() {
  const std::string jpeg = encode(".jpg", CV_8UC3);
  std::map<std::string, std::string> all = {
      {"color.jpg", jpeg},
      {"gray.jpg", encode(".jpg", CV_8UC1)},
      {"progressive.jpg", encode(".jpg", CV_8UC3, {cv::IMWRITE_JPEG_PROGRESSIVE, 1})},
      {"restarts.jpg", encode(".jpg", CV_8UC3, {cv::IMWRITE_JPEG_RST_INTERVAL, 1})},
      {"cmyk.jpg", cmyk_jpeg()},
      {"gray_turned.jpg", with_exif(encode(".jpg", CV_8UC1), exif(6, true))},
      {"broken_exif.jpg", with_exif(jpeg, exif(6, true).substr(0, 25))},
      {"no_orientation.jpg", with_exif(jpeg, exif(9, true))},
      {"color.png", encode(".png", CV_8UC3)},
      {"gray.png", encode(".png", CV_8UC1)},
      {"alpha.png", encode(".png", CV_8UC4)},
      {"color_16_bits.png", encode(".png", CV_16UC3)},
      {"gray_16_bits.png", encode(".png", CV_16UC1)},
      {"alpha_16_bits.png", encode(".png", CV_16UC4)},
      {"gray_alpha.png", made_png(8, 4, 2 * kWidth)},
      {"gray_1_bit.png", made_png(1, 0, (kWidth + 7) / 8)},
      {"palette.png", made_png(8, 3, kWidth, chunk("PLTE", palette()))},
      {"palette_alpha.png",
       made_png(8, 3, kWidth, chunk("PLTE", palette()) + chunk("tRNS", std::string(200, '\x40')))},
      {"bad_profile.png", made_png(8, 2, 3 * kWidth, chunk("iCCP", "no profile"))},
      {"turned.png", made_png(8, 2, 3 * kWidth, chunk("eXIf", exif(8, false)))},
      {"color.bmp", encode(".bmp", CV_8UC3)},
      {"color.tiff", encode(".tiff", CV_8UC3)},
      {"color_16_bits.tiff", encode(".tiff", CV_16UC3)},
      {"gray.tiff", encode(".tiff", CV_8UC1)},
      {"lossless.webp", encode(".webp", CV_8UC3, {cv::IMWRITE_WEBP_QUALITY, 101})},
      {"gray.pgm", encode(".pgm", CV_8UC1)},
  };
  for (int orientation = 1; orientation <= 8; ++orientation) {
    all[fmt::format("turned_{}.jpg", orientation)] =
        with_exif(jpeg, exif(orientation, orientation % 2 == 0));
  }
  return all;
}

// A picture's tensor, or the error that it gave.
struct Outcome {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
  std::string error;
};

Outcome outcome_of(const std::function<caffe::LayerParameter()>& layer) {
  Outcome outcome;
  outcome.error = error_of([&] {
    auto tops = make_source(layer(), caffe::TEST, 0)->next();
    outcome.shape = tops[0].shape;
    outcome.values = std::move(tops[0].values);
  });
  return outcome;
}

Outcome expected_of(const cv::Mat& image) {
  Record record;
  set_image(image, record);
  return {{1, record.channels, record.height, record.width},
          {record.bytes.begin(), record.bytes.end()},
          ""};
}

// What a picture gives by every route.
std::map<std::string, Outcome> by_routes(const std::string& name, const std::string& content,
                                         bool gray, bool all = true) {
  const TemporaryFolder folder;
  const auto list = (folder / "list.txt").string();
  std::ofstream(list) << name << " 0\n";  // without the wait for the disk of folder.write()
  std::ofstream(folder / name, std::ios::binary) << content;
  const auto converted = [&](bool encoded) {
    return [&, encoded] {
      ConvertImagesOptions options;
      options.root = folder / "";
      options.gray = gray && !encoded;
      options.encoded = encoded;
      const auto set = folder / (encoded ? "encoded" : "pixels");
      convert_images(list, options, set);
      return data_layer(set, 1, encoded && gray ? "force_gray: true" : "");
    };
  };
  std::map<std::string, Outcome> routes;
  routes["list"] = outcome_of([&] {
    return parse_layer(fmt::format(
        "type: 'ImageData' top: 'data' image_data_param {{ source: '{}' root_folder: '{}' "
        "batch_size: 1 is_color: {} }}",
        list, (folder / "").string(), !gray));
  });
  if (!all) return routes;
  routes["pixels"] = outcome_of(converted(false));
  routes["encoded"] = outcome_of(converted(true));
  return routes;
}

TEST(Pictures, GiveOneTensorByEveryRoute) {
  for (const auto& [name, content] : pictures()) {
    const cv::Mat bytes(1, static_cast<int>(content.size()), CV_8UC1,
                        const_cast<char*>(content.data()));
    for (const bool gray : {false, true}) {
      testing::internal::CaptureStderr();
      const auto routes = by_routes(name, content, gray);
      EXPECT_EQ(testing::internal::GetCapturedStderr(), "") << name;
      const cv::Mat image =
          cv::imdecode(bytes, gray ? cv::IMREAD_GRAYSCALE : cv::IMREAD_COLOR);  // may complain
      ASSERT_FALSE(image.empty()) << name;
      const Outcome expected = expected_of(image);
      for (const auto& [route, found] : routes) {
        EXPECT_EQ(found.error, "") << name << " by " << route;
        EXPECT_EQ(found.shape, expected.shape) << name << " by " << route;
        EXPECT_EQ(found.values, expected.values) << name << " by " << route;
      }
    }
  }
}

TEST(Pictures, OfAnotherProgramsDatabaseKeepTheirChannelsOnly) {
  for (const auto& [name, content] : pictures()) {
    const TemporaryFolder folder;
    caffe::Datum datum;
    datum.set_encoded(true);
    datum.set_data(content);
    write_lmdb(folder / "set", {datum.SerializeAsString()});
    const bool gray = name.find("gray") != name.npos;
    const auto found = outcome_of([&] { return data_layer(folder / "set", 1); });
    const auto expected =
        expected_of(decode_image(content, gray ? Color::kGray : Color::kColor, "test"));
    EXPECT_EQ(found.error, "") << name;
    EXPECT_EQ(found.shape, expected.shape) << name;
    EXPECT_EQ(found.values, expected.values) << name;
  }
}

TEST(Pictures, TurnAsTheirOrientationSays) {
  const auto upright = decode_image(pictures().at("color.jpg"), Color::kColor, "test");
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const auto content = pictures().at(fmt::format("turned_{}.jpg", orientation));
    const cv::Mat turned = decode_image(content, Color::kColor, "test");
    const bool exchanged = orientation >= 5;
    ASSERT_EQ(turned.size(), exchanged ? cv::Size(kHeight, kWidth) : upright.size());
    // Where the file's first pixel lies: EXIF's definition of the tag.
    const bool right = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
    const bool bottom =
        orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
    EXPECT_EQ(turned.at<cv::Vec3b>(bottom ? turned.rows - 1 : 0, right ? turned.cols - 1 : 0),
              upright.at<cv::Vec3b>(0, 0))
        << orientation;
  }
}

// Cut anywhere, by every route: refused with the file's name, or (formats other than JPEG and PNG
// that hold something behind their pixels) the same values.
TEST(Pictures, CutAnywhereAreRefused) {
  const auto all = pictures();
  for (const char* name : {"color.jpg", "gray.jpg", "progressive.jpg", "restarts.jpg", "cmyk.jpg",
                           "turned_6.jpg", "color.png", "palette_alpha.png", "gray_16_bits.png",
                           "color.bmp", "color.tiff", "lossless.webp", "gray.pgm"}) {
    const std::string& content = all.at(name);
    const bool strict = content[0] == '\xff' || content[0] == '\x89';
    const Outcome whole = by_routes(name, content, false).at("list");
    testing::internal::CaptureStderr();
    for (std::size_t k = 0; k < 60; ++k) {
      const std::size_t size = k < 20 ? content.size() - 1 - k : content.size() * (k - 20) / 40;
      const bool all_routes = k % 15 == 4;
      for (const auto& [route, found] :
           by_routes(name, content.substr(0, size), false, all_routes)) {
        const std::string repeat = fmt::format("{} of {} bytes by {}", size, name, route);
        if (!strict && found.error.empty()) {
          EXPECT_EQ(found.values, whole.values) << repeat;
          continue;
        }
        EXPECT_NE(found.error.find(name), std::string::npos) << repeat << ": " << found.error;
        EXPECT_EQ(found.error.find('\n'), std::string::npos) << repeat << ": " << found.error;
      }
    }
    const std::string complaints = testing::internal::GetCapturedStderr();
    EXPECT_TRUE(complaints.empty() || !strict) << name << ": " << complaints;
  }
}

// What an image says of its size is checked before there is memory for it.
TEST(Pictures, OfImpossibleSizesAreRefused) {
  const std::string jpeg = pictures().at("color.jpg");
  std::string huge = jpeg;
  const auto frame = huge.find("\xff\xc0");
  huge.replace(frame + 5, 4, "\xff\xdc\xff\xdc");
  const std::string header = big_endian(1u << 31) + big_endian(1u << 31) + "\x08\x02";
  const std::string png =
      "\x89PNG\r\n\x1a\n" + chunk("IHDR", header + std::string(3, '\0')) + chunk("IEND", "");
  std::string bmp = pictures().at("color.bmp");
  bmp.replace(18, 8, std::string("\0\0\0\x7f\0\0\0\x7f", 8));
  for (const auto& [content, expected] :
       {std::pair{bmp, "OpenCV does not decode it"}, std::pair{huge, "65500 x 65500 pixels"},
        std::pair{png, "2147483648 x 2147483648 pixels"}}) {
    const auto message = error_of([&] { decode_image(content, Color::kColor, "f"); });
    EXPECT_NE(message.find(expected), message.npos) << message;
  }
}

// Bytes changed anywhere: values of an image, or an Error.
TEST(Pictures, ChangedBytesGiveAnImageOrAnError) {
  const auto seed = static_cast<unsigned>(testing::UnitTest::GetInstance()->random_seed());
  std::mt19937 random(seed);
  testing::internal::CaptureStderr();  // libpng and OpenCV may speak: of the other formats
  for (const auto& [name, content] : pictures()) {
    for (int trial = 0; trial < 50; ++trial) {
      std::string changed = content;
      for (int i = 0; i < 3; ++i) changed[random() % changed.size()] = static_cast<char>(random());
      const auto message = error_of([&] {
        const cv::Mat image = decode_image(changed, Color::kAsStored, "f");
        EXPECT_FALSE(image.empty());
        EXPECT_TRUE(image.type() == CV_8UC1 || image.type() == CV_8UC3) << image.type();
      });
      EXPECT_EQ(message.find('\n'), message.npos) << name << " of seed " << seed << ": " << message;
    }
  }
  testing::internal::GetCapturedStderr();
}

}  // namespace
}  // namespace inure::data
