// Files of weights that are damaged, or of forks of Caffe; numbers of a text that are none.
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "inure/caffe/files.hpp"
#include "tests/common.hpp"

namespace inure::caffe {
namespace {

NetParameter model_with(const std::string& raw_data, int type, int values) {
  NetParameter model;
  auto& layer = *model.add_layer();
  layer.set_name("ip");
  layer.set_type("InnerProduct");
  auto& blob = *layer.add_blobs();
  blob.mutable_shape()->add_dim(values);
  if (raw_data.empty()) {
    for (int i = 0; i < values; ++i) blob.add_data(0.25f * static_cast<float>(i));
  } else {
    blob.set_raw_data(raw_data);
    blob.set_raw_data_type(type);
  }
  return model;
}

// Every bit: the file is refused, or what is read is what was written.
TEST(Damage, NoFlippedBitChangesAModelOrAStateUnseen) {
  const TemporaryFolder folder;
  const auto differ = google::protobuf::util::MessageDifferencer::Equals;
  const std::string path = (folder / "m.caffemodel").string();
  write_model(path, model_with("", 0, 12));
  const NetParameter model = read_model(path);
  const std::string good = read_file(path);
  SolverState state;
  state.set_iter(3);
  *state.add_history() = model.layer(0).blobs(0);
  const std::string state_path = (folder / "s.solverstate").string();
  write_solver_state(state_path, state);
  const std::string good_state = read_file(state_path);
  int refused = 0;
  const auto flip = [](std::string bytes, std::size_t bit) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    return bytes;
  };
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    const std::string file = folder.write("flipped", flip(good, bit));
    refused += !error_of([&] {
                  const NetParameter read = read_model(file);
                  ASSERT_EQ(read.layer_size(), 1) << "bit " << bit;
                  EXPECT_TRUE(differ(read.layer(0), model.layer(0))) << "bit " << bit;
                }).empty();
  }
  for (std::size_t bit = 0; bit < 8 * good_state.size(); ++bit) {
    const std::string file = folder.write("flipped", flip(good_state, bit));
    refused += !error_of([&] {
                  const SolverState read = read_solver_state(file);
                  EXPECT_EQ(read.iter(), 3) << "bit " << bit;
                  ASSERT_EQ(read.history_size(), 1) << "bit " << bit;
                  EXPECT_TRUE(differ(read.history(0), state.history(0))) << "bit " << bit;
                }).empty();
  }
  EXPECT_GT(refused, static_cast<int>(8 * (good.size() + good_state.size() - 50)));
}

// Programs that know nothing of the checksum read the file, as Caffe does.
TEST(Damage, TheChecksumIsAFieldThatProtobufSkips) {
  const TemporaryFolder folder;
  std::uint64_t sum = 0;
  const NetParameter model = model_with("", 0, 5);
  const std::uint64_t written = write_model(folder / "m", model);
  NetParameter parsed;
  ASSERT_TRUE(parsed.ParseFromString(read_file(folder / "m")));
  ASSERT_EQ(parsed.unknown_fields().field_count(), 1);
  EXPECT_EQ(parsed.unknown_fields().field(0).number(), 1002);
  EXPECT_EQ(parsed.layer(0).SerializeAsString(), model.layer(0).SerializeAsString());
  read_model(folder / "m", &sum);
  EXPECT_EQ(sum, written);
  parsed.mutable_layer(0)->mutable_blobs(0)->set_data(2, 7);  // edited by such a program
  const std::string edited = folder.write("edited", parsed.SerializeAsString());
  EXPECT_NE(error_of([&] { read_model(edited); }).find("DiscardUnknownFields()"),
            std::string::npos);
  parsed.DiscardUnknownFields();
  EXPECT_EQ(read_model(folder.write("edited", parsed.SerializeAsString()), &sum)
                .layer(0)
                .blobs(0)
                .data(2),
            7);
  EXPECT_EQ(sum, 0u) << "a file without a checksum";
}

std::string half_bytes(const std::vector<std::uint16_t>& halves) {
  return {reinterpret_cast<const char*>(halves.data()), 2 * halves.size()};
}

// The values are those of IEEE 754's binary16.
TEST(Forks, NvidiasRawNumbersAreRead) {
  const TemporaryFolder folder;
  const auto read = [&](const std::string& raw, int type, int values) {
    const std::string file = folder.write("nv", model_with(raw, type, values).SerializeAsString());
    const auto data = read_model(file).layer(0).blobs(0).data();
    return std::vector<float>(data.begin(), data.end());
  };
  const auto halves =
      read(half_bytes({0x0000, 0x3C00, 0xC000, 0x7BFF, 0x0400, 0x0001, 0x3555, 0xFC00}), 2, 8);
  const std::vector<float> expected = {0,        1,        -2,          65504,
                                       0x1p-14f, 0x1p-24f, 0x1.554p-2f, -HUGE_VALF};
  EXPECT_EQ(halves, expected);
  EXPECT_TRUE(std::isnan(read(half_bytes({0x7E00}), 2, 1)[0]));
  const double doubles[] = {0.5, -3};
  const float floats[] = {0.25f, 9};
  EXPECT_EQ(read({reinterpret_cast<const char*>(doubles), sizeof doubles}, 0, 2),
            (std::vector<float>{0.5f, -3}));
  EXPECT_EQ(read({reinterpret_cast<const char*>(floats), sizeof floats}, 1, 2),
            (std::vector<float>{0.25f, 9}));
  EXPECT_NE(error_of([&] { read("1234", 3, 1); }).find("NVIDIA"), std::string::npos);
  EXPECT_NE(error_of([&] { read("1234", 2, 3); }).find("has 2 values where its shape has 3"),
            std::string::npos);
}

TEST(Forks, AnOldLayerOfUnknownTypeIsReadByItsName) {
  const TemporaryFolder folder;
  NetParameter old;
  auto& known = *old.add_layers();
  known.set_name("ip1");
  known.set_type(V1LayerParameter::INNER_PRODUCT);
  auto& blob = *known.add_blobs();
  blob.mutable_shape()->add_dim(1);
  blob.add_data(4);
  auto& forks = *old.add_layers();
  forks.set_name("crop");
  V1LayerParameter::descriptor();
  forks.mutable_unknown_fields()->AddVarint(5, 77);  // `type`, a number that Caffe does not have
  const NetParameter model = read_model(folder.write("fork", old.SerializeAsString()));
  ASSERT_EQ(model.layer_size(), 2);
  EXPECT_EQ(model.layer(0).blobs(0).data(0), 4);
  EXPECT_EQ(model.layer(1).name(), "crop");
}

TEST(Text, NumbersThatAreNoneAreRefusedWithLayerAndField) {
  const struct {
    std::string text, message;
  } nets[] = {
      {"layer { name: 'a' type: 'LRN' lrn_param { alpha: NUMBER } }", "layer \"a\": alpha is "},
      {"layer { name: 'b' type: 'ReLU' loss_weight: 1 loss_weight: NUMBER }",
       "layer \"b\": loss_weight is "},
      {"layer { name: 'c' type: 'Data' transform_param { mean_value: NUMBER } }",
       "layer \"c\": mean_value is "},
      {"layer { name: 'd' type: 'Scale' scale_param { filler { std: NUMBER } } }",
       "layer \"d\": std is "},
      {"layer { name: 'e' type: 'ReLU' param { lr_mult: NUMBER } }", "layer \"e\": lr_mult is "},
  };
  for (auto [text, message] : nets) {
    for (const std::string number : {"nan", "inf", "-inf", "1e40"}) {
      std::string bad = text;
      bad.replace(bad.find("NUMBER"), 6, number);
      EXPECT_EQ(error_of([&] { parse_net(bad, "net"); }).find("net: " + message), 0u) << bad;
    }
    text.replace(text.find("NUMBER"), 6, "0.5");
    EXPECT_EQ(error_of([&] { parse_net(text, "net"); }), "") << text;
  }
}

// A mean is subtracted from every pixel.
TEST(Damage, AMeanHoldsNumbersAtEveryPosition) {
  const TemporaryFolder folder;
  for (int at = 0; at < 12; ++at) {
    for (const float value : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
      BlobProto mean;
      for (const int size : {3, 2, 2}) mean.mutable_shape()->add_dim(size);
      for (int i = 0; i < 12; ++i) mean.add_data(i == at ? value : 7);
      const std::string file = folder.write("mean", mean.SerializeAsString());
      EXPECT_EQ(error_of([&] { read_mean(file); }),
                fmt::format("{}: value {} is {}; a mean has finite numbers", file, at, value));
    }
  }
}

}  // namespace
}  // namespace inure::caffe
