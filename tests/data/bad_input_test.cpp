// Broken data sets and layers, each with what its one-line message must say.
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <limits>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>

#include "inure/base/memory_limit.hpp"
#include "inure/data/convert.hpp"
#include "test_sets.hpp"

namespace inure::data {
namespace {

// Reads two batches: some faults lie behind the first record.
void read_layer(const caffe::LayerParameter& layer) {
  const auto source = make_source(layer, caffe::TEST, 0);
  source->next();
  source->next();
}

std::string datum(int channels, int height, int width) {
  return patterned_datum(1, channels, height, width).SerializeAsString();
}

std::string idx_header(const std::vector<unsigned>& words) {
  std::string header;
  for (const unsigned word : words) {
    for (int shift = 24; shift >= 0; shift -= 8) header += static_cast<char>(word >> shift & 255);
  }
  return header;
}

struct BadInput {
  std::string name;
  std::vector<std::string> expected;  // pieces of the message
  std::function<void(const TemporaryFolder&)> use;
};

std::vector<BadInput> bad_layers() {
  const auto layer = [](const std::string& fields) {
    return [fields](const auto&) { read_layer(parse_layer(fields)); };
  };
  return {
      {"no_source",
       {"layer 'input'", "data_param names no source"},
       layer("type: 'Data' top: 'd' data_param { batch_size: 1 backend: LMDB }")},
      {"leveldb",
       {"layer 'input': source 'x'", "LEVELDB", "backend: LMDB"},
       layer("type: 'Data' top: 'd' data_param { source: 'x' batch_size: 1 backend: LEVELDB }")},
      {"leveldb_by_default",
       {"LEVELDB (Caffe's default)"},
       layer("type: 'Data' top: 'd' data_param { source: 'x' batch_size: 1 }")},
      {"no_batch_size",
       {"layer 'input'", "needs a batch_size"},
       layer("type: 'Data' top: 'd' data_param { source: 'x' backend: LMDB }")},
      {"three_tops",
       {"layer 'input'", "has 3 tops"},
       layer("type: 'Data' top: 'a' top: 'b' top: 'c' data_param { source: 'x' batch_size: 1 }")},
      {"no_top", {"layer 'input'", "has no top"}, layer("type: 'Input'")},
      {"other_type", {"layer 'input'", "'ReLU' is no source"}, layer("type: 'ReLU' top: 'a'")},
      {"input_without_shape",
       {"layer 'input'", "0 input_param shape for 1 tops"},
       layer("type: 'Input' top: 'a'")},
      {"input_beyond_memory",
       {"layer 'input': 5 batches of 46340 x 46340: needs 42.9 GB of memory"},
       [](const auto&) {
         if (available_memory() > 40'000'000'000)
           fail("layer 'input': 5 batches of 46340 x 46340: needs 42.9 GB of memory");
         read_layer(
             parse_layer("type: 'Input' top: 'a' input_param { shape { dim: 46340 dim: 46340 } }"));
       }},
      {"input_shape",
       {"layer 'input'", "impossible shape 3 x 0"},
       layer("type: 'Input' top: 'a' input_param { shape { dim: 3 dim: 0 } }")},
      {"dummy_filler",
       {"layer 'input'", "'xavier'", "constant, uniform and gaussian"},
       layer("type: 'DummyData' top: 'a' dummy_data_param { shape { dim: 3 } data_filler { type: "
             "'xavier' } }")},
      {"dummy_shapes",
       {"layer 'input'", "2 shape for 3 tops"},
       layer("type: 'DummyData' top: 'a' top: 'b' top: 'c' dummy_data_param { shape { dim: 3 } "
             "shape { dim: 4 } }")},
  };
}

std::vector<BadInput> bad_lmdbs() {
  const auto with = [](const std::vector<std::string>& values, const std::string& transform = "",
                       int batch = 2) {
    return [=](const TemporaryFolder& folder) {
      write_lmdb(folder / "set", values);
      read_layer(data_layer(folder / "set", batch, transform));
    };
  };
  const auto broken_file = [](const std::string& content) {
    return [=](const TemporaryFolder& folder) {
      std::filesystem::create_directory(folder / "set");
      folder.write("set/data.mdb", content);
      read_layer(data_layer(folder / "set", 1));
    };
  };
  caffe::Datum no_image;
  no_image.set_encoded(true);
  no_image.set_data("these bytes are no JPEG");
  caffe::Datum short_of_bytes = patterned_datum(0, 3, 4, 4);
  short_of_bytes.mutable_data()->pop_back();
  caffe::Datum no_shape = patterned_datum(0, 1, 2, 2);
  no_shape.clear_height();
  caffe::Datum wild = patterned_datum(0, 1, 2, 2);
  for (const auto set :
       {&caffe::Datum::set_channels, &caffe::Datum::set_height, &caffe::Datum::set_width}) {
    (wild.*set)(2147483647);
  }
  caffe::Datum not_a_number;
  not_a_number.set_channels(1);
  not_a_number.set_height(1);
  not_a_number.set_width(3);
  for (const float value : {1.0f, 2.0f, std::numeric_limits<float>::quiet_NaN()}) {
    not_a_number.add_float_data(value);
  }
  caffe::Datum infinite = not_a_number;
  infinite.set_float_data(2, -std::numeric_limits<float>::infinity());
  // TensorProtos { protos { dims: 2 data_type: FLOAT float_data: [0, 0] } }
  const std::string caffe2("\x0a\x0e\x08\x02\x10\x01\x1a\x08\0\0\0\0\0\0\0\0", 16);
  const auto picture = [](int channels) {
    caffe::Datum encoded;
    encoded.set_encoded(true);
    std::vector<unsigned char> png;
    cv::imencode(".png", cv::Mat(4, 4, CV_8UC(channels), cv::Scalar::all(9)), png);
    encoded.set_data(png.data(), png.size());
    return encoded.SerializeAsString();
  };
  const auto mean_of = [](const TemporaryFolder& folder, float value) {
    caffe::BlobProto mean;
    for (const int dim : {1, 1, 4, 4}) mean.mutable_shape()->add_dim(dim);
    for (int i = 0; i < 16; ++i) mean.add_data(i == 5 ? value : 1);
    caffe::write_mean(folder / "mean", mean);
    return "mean_file: '" + (folder / "mean").string() + "'";
  };
  const std::string good = datum(1, 4, 4);
  return {
      {"missing",
       {"layer 'input': source '", "no such folder", "inure convert"},
       [](const auto& folder) { read_layer(data_layer(folder / "absent", 1)); }},
      {"a_file",
       {"is a file; an LMDB folder is needed"},
       [](const auto& folder) { read_layer(data_layer(folder.write("f", "x"), 1)); }},
      {"not_lmdb",
       {"has no data.mdb"},
       [](const auto& folder) { read_layer(data_layer(folder / "", 1)); }},
      {"leveldb_folder",
       {"is a LevelDB"},
       [](const auto& folder) {
         folder.write("CURRENT", "MANIFEST-000001");
         read_layer(data_layer(folder / "", 1));
       }},
      {"empty_file", {"data.mdb is an empty file"}, broken_file("")},
      {"noise", {"is not an LMDB database"}, broken_file(std::string(8192, 'n'))},
      {"short_noise", {"set'"}, broken_file("short")},
      {"no_records", {"has no records"}, with({})},
      {"truncated",
       {"data.mdb is truncated"},
       [](const TemporaryFolder& folder) {
         write_patterned(folder / "set", 100, 3, 32, 32);
         std::filesystem::resize_file(folder / "set/data.mdb", 100000);
         read_layer(data_layer(folder / "set", 1));
       }},
      {"no_datum", {"layer 'input'", "record '00000000': is not a Datum"}, with({"\xff\xff\xff"})},
      {"second_no_datum", {"record '00000001': is not a Datum"}, with({good, "\x08"})},
      {"empty_datum", {"record '00000001'", "impossible shape 0 x 0 x 0"}, with({good, ""})},
      {"no_height", {"impossible shape 1 x 0 x 2"}, with({no_shape.SerializeAsString()})},
      {"few_bytes",
       {"record '00000000'", "has 47 bytes and 0 floats where its shape 3 x 4 x 4 needs 48"},
       with({short_of_bytes.SerializeAsString()})},
      {"no_image",
       {"record '00000000', marked as encoded: is no image that OpenCV can decode", "23 bytes"},
       with({no_image.SerializeAsString()})},
      {"wild_shape",
       {"impossible shape 2147483647 x 2147483647 x 2147483647"},
       with({wild.SerializeAsString()})},
      {"not_a_number",
       {"record '00000001': value 2 is nan"},
       with({datum(1, 1, 3), not_a_number.SerializeAsString()})},
      {"infinite", {"record '00000000': value 2 is -inf"}, with({infinite.SerializeAsString()})},
      {"caffe2", {"record '00000000': is not a Datum but what Caffe2 writes"}, with({caffe2})},
      {"bare_image",
       {"is an image file without Caffe's Datum around it"},
       with({"\xff\xd8\xff\xe0 and so on"})},
      {"gray_among_color",
       {"record 1 has 1 channels, those before it have 3; force_color (or force_gray)"},
       with({picture(3), picture(1)})},
      {"gray_among_color_with_means",
       {"record 1 has 1 channels", "force_color"},
       with({picture(3), picture(1)}, "mean_value: 1 mean_value: 2 mean_value: 3")},
      {"gray_with_means",
       {"record 0: 3 mean_value for 1 channels", "force_color"},
       with({picture(1)}, "mean_value: 1 mean_value: 2 mean_value: 3")},
      {"gray_pixels_among_color",
       {"record 1 has 1 channels", "convert the images again"},
       with({datum(3, 4, 4), good})},
      {"huge_batch",
       {"layer 'input'", "impossible shape 2147483647 x 1 x 4 x 4"},
       with({good}, "", 2147483647)},
      {"huge_crop",
       {"layer 'input'", "crop_size 4294967295 is no size"},
       with({good}, "crop_size: 4294967295")},
      {"mean_not_a_number",
       {"mean: value 5 is nan; a mean has finite numbers"},
       [=](const TemporaryFolder& folder) {
         write_lmdb(folder / "set", {good});
         read_layer(data_layer(folder / "set", 1,
                               mean_of(folder, std::numeric_limits<float>::quiet_NaN())));
       }},
      {"two_sizes",
       {"layer 'input'", "record 1 is 1 x 5 x 4, those before it are 1 x 4 x 4"},
       with({good, datum(1, 5, 4)})},
      {"two_channels",
       {"record 1 has 3 channels, those before it have 1"},
       with({good, datum(3, 4, 4)}, "crop_size: 4")},
      {"large_crop",
       {"layer 'input'", "crop_size 5 is larger than the image of 4 x 4"},
       with({good}, "crop_size: 5")},
      {"force_color_raw",
       {"force_color and force_gray work on encoded images only"},
       with({good}, "force_color: true")},
      {"both_forces",
       {"both force_color and force_gray"},
       with({good}, "force_color: true force_gray: true")},
      {"mean_values",
       {"layer 'input'", "2 mean_value for 1 channels"},
       with({good}, "mean_value: 1 mean_value: 2")},
      {"two_means",
       {"both mean_file and mean_value"},
       with({good}, "mean_file: 'm' mean_value: 1")},
      {"mean_absent",
       {"layer 'input'", "mean_file", "no such file"},
       with({good}, "mean_file: 'absent.binaryproto'")},
      {"mean_size",
       {"layer 'input'", "the mean file has 1 x 3 x 3 values, an image has 1 x 4 x 4"},
       [good](const TemporaryFolder& folder) {
         caffe::BlobProto mean;
         for (const int dim : {1, 1, 3, 3}) mean.mutable_shape()->add_dim(dim);
         for (int i = 0; i < 9; ++i) mean.add_data(1);
         caffe::write_mean(folder / "mean", mean);
         write_lmdb(folder / "set", {good});
         read_layer(
             data_layer(folder / "set", 1, "mean_file: '" + (folder / "mean").string() + "'"));
       }},
  };
}

std::vector<BadInput> bad_lists() {
  const auto list = [](const std::string& content, const std::string& more = "") {
    return [=](const TemporaryFolder& folder) {
      folder.write("text.png", "no image");
      read_layer(parse_layer(fmt::format(
          "type: 'ImageData' top: 'd' image_data_param {{ source: '{}' root_folder: '{}' {} }}",
          folder.write("list", content), folder.path().string() + "/", more)));
    };
  };
  return {
      {"list_missing",
       {"layer 'input'", "no such file"},
       [](const auto&) {
         read_layer(
             parse_layer("type: 'ImageData' top: 'd' image_data_param { source: 'absent' }"));
       }},
      {"list_empty", {"layer 'input'", "lists no images"}, list("\n\n")},
      {"image_missing", {"layer 'input'", "absent.jpg: no such file"}, list("absent.jpg 3\n")},
      {"image_broken", {"text.png: is no image"}, list("text.png 3\n")},
      {"no_label", {"list:2: 'text.png': 'path label' is needed"}, list("text.png 3\ntext.png\n")},
      {"word_as_label", {"list:1: the label 'cat' is not a whole number"}, list("text.png cat\n")},
      {"float_label", {"list:1: the label '1.5'"}, list("text.png 1.5\n")},
      {"several_labels",
       {"list:1: the label '1,2' is not a whole number; a list has one label a line"},
       list("text.png 1,2\n")},
      {"several_labels_by_blanks",
       {"text.png 1: no such file", "several labels a line"},
       list("text.png 1 2\n")},
      {"list_in_utf_16",
       {"layer 'input'", "list: is text in UTF-16"},
       list(std::string("\xff\xfe"
                        "a\0 \0\x31\0\n\0",
                        10))},
      {"list_in_utf_16_without_mark",
       {"list: is text in UTF-16; save it as UTF-8"},
       list(std::string("a\0 \0\x31\0\n\0", 8))},
      {"image_after_a_utf_8_mark", {"text.png: is no image"}, list("\xef\xbb\xbftext.png 3\n")},
      {"huge_resize",
       {"4294967295 x 4294967295 pixels"},
       list("text.png 1\n", "new_height: 4294967295 new_width: 4294967295")},
      {"only_height", {"new_height and new_width"}, list("text.png 1\n", "new_height: 5")},
  };
}

std::vector<BadInput> bad_conversions() {
  const auto idx = [](const std::string& images, const std::string& labels) {
    return [=](const TemporaryFolder& folder) {
      convert_idx(folder.write("images", images), folder.write("labels", labels), folder / "out");
    };
  };
  const std::string images = idx_header({2051, 2, 2, 2}) + std::string(8, 'x');
  const std::string labels = idx_header({2049, 2}) + "ab";
  const auto cifar = [](const std::string& content) {
    return [=](const TemporaryFolder& folder) {
      convert_cifar({folder.write("batch.bin", content)}, folder / "out");
    };
  };
  return {
      {"idx_magic",
       {"images: begins with 2049, IDX images begin with 2051"},
       idx(labels + std::string(9, ' '), labels)},
      {"idx_swapped_labels",
       {"labels: begins with 2051, IDX labels begin with 2049"},
       idx(images, images)},
      {"idx_short_header", {"images: is truncated", "header"}, idx("ab", labels)},
      {"idx_truncated",
       {"images: is truncated: has 7 values, its header says 8"},
       idx(images.substr(0, 23), labels)},
      {"idx_too_long", {"labels: has 1 bytes behind the last"}, idx(images, labels + "c")},
      {"idx_counts",
       {"labels: has 3 labels", "has 2 images"},
       idx(images, idx_header({2049, 3}) + "abc")},
      {"idx_huge",
       {"images: is truncated"},
       idx(idx_header({2051, 4294967295u, 4294967295u, 4294967295u}), labels)},
      {"idx_of_no_size",
       {"labels: has 2 labels", "images has 4294967295 images"},
       idx(idx_header({2051, 4294967295u, 0, 4294967295u}), labels)},
      {"idx_none",
       {"images: has no images"},
       idx(idx_header({2051, 0, 2, 2}), idx_header({2049, 0}))},
      {"idx_gzip",
       {"images: the gzip file is truncated or broken"},
       idx("\x1f\x8b\x08 broken", labels)},
      {"idx_missing",
       {"absent: no such file"},
       [](const auto& folder) { convert_idx(folder / "absent", folder / "l", folder / "o"); }},
      {"cifar_size",
       {"batch.bin: has 3072 bytes", "multiple of 3073"},
       cifar(std::string(3072, '\1'))},
      {"cifar_empty", {"batch.bin: has 0 bytes"}, cifar("")},
      {"cifar_label",
       {"batch.bin: record 1 has the label 10"},
       cifar(std::string(3073, '\1') + std::string(3073, '\n'))},
      {"output_exists",
       {"exists already"},
       [=](const TemporaryFolder& folder) {
         convert_cifar({folder.write("b", std::string(3073, '\1'))}, folder / "");
       }},
      {"output_folder_missing",
       {"no/such/out: cannot be made"},
       [=](const TemporaryFolder& folder) {
         convert_cifar({folder.write("b", std::string(3073, '\1'))}, folder / "no/such/out");
       }},
      {"encoded_and_resized",
       {"not with a resize"},
       [](const auto& folder) {
         ConvertImagesOptions options;
         options.encoded = true;
         options.width = options.height = 3;
         convert_images(folder.write("list", "a 1\n"), options, folder / "out");
       }},
      {"huge_resize",
       {"65536 x 65536 pixels"},
       [](const auto& folder) {
         ConvertImagesOptions options;
         options.width = options.height = 65536;
         convert_images(folder.write("list", "a 1\n"), options, folder / "out");
       }},
  };
}

void check(const std::vector<BadInput>& table) {
  for (const auto& bad : table) {
    const TemporaryFolder folder;
    const std::string message = error_of([&] { bad.use(folder); });
    EXPECT_EQ(message.find('\n'), message.npos) << bad.name << ": " << message;
    EXPECT_FALSE(std::filesystem::exists(folder / "out")) << bad.name;
    for (const auto& piece : bad.expected) {
      EXPECT_NE(message.find(piece), message.npos)
          << bad.name << " does not say '" << piece << "': " << message;
    }
  }
}

TEST(BadInput, Layers) { check(bad_layers()); }
TEST(BadInput, Databases) { check(bad_lmdbs()); }
TEST(BadInput, ImageLists) { check(bad_lists()); }
TEST(BadInput, Conversions) { check(bad_conversions()); }

}  // namespace
}  // namespace inure::data
