#include "inure/train/feed.hpp"

#include <google/protobuf/text_format.h>

#include <algorithm>

#include "inure/caffe/files.hpp"
#include "support.hpp"

namespace inure {
namespace {

caffe::LayerParameter data_layer(const std::string& text) {
  caffe::LayerParameter layer;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "name: 'data' type: 'Data' top: 'data' top: 'label' " + text, &layer));
  return layer;
}

Network::Shapes synthetic_shapes(const std::string& size, const std::string& layer) {
  Feed feed(caffe::TEST, 1, parse_synthetic_data(size));
  return feed.open(data_layer(layer));
}

TEST(Feed, GivesSyntheticDataTheLayersShape) {
  const std::string layer =
      "data_param { source: 'none' batch_size: 2 } transform_param { crop_size: 9 }";
  EXPECT_EQ(synthetic_shapes("", layer), (Network::Shapes{{2, 3, 9, 9}, {2}}));
  EXPECT_EQ(synthetic_shapes("1x5x6", layer), (Network::Shapes{{2, 1, 5, 6}, {2}}));
}

TEST(Feed, RefusesSyntheticDataWithoutAShape) {
  EXPECT_EQ(
      error_of([] { synthetic_shapes("", "data_param { batch_size: 2 }"); }),
      "layer \"data\": no crop_size gives the shape of synthetic data; name it: --synthetic-data "
      "3x32x32");
  for (const char* text : {"3x32", "3x32x", "ax1x1", "3x0x5", "3x5x5x5"}) {
    EXPECT_EQ(
        error_of([&] { parse_synthetic_data(text); }),
        fmt::format("--synthetic-data {}: is not CHANNELSxHEIGHTxWIDTH, for example 3x227x227",
                    text));
  }
}

TEST(Feed, LayersOfOneNameHaveTheirOwnData) {
  for (const std::string name : {"name: 'd'", ""}) {
    const auto layer = [&](const std::string& top, int value) {
      return fmt::format(
          "layer {{ {} type: 'DummyData' top: '{}' dummy_data_param {{ shape {{ dim: 3 }} "
          "data_filler {{ value: {} }} }} }}",
          name, top, value);
    };
    Feed feed(caffe::TEST, 1);
    Network net(caffe::parse_net(layer("a", 1) + layer("b", 2), "net"), caffe::TEST, 1,
                feed.opener());
    feed.feed(net, 0);
    EXPECT_EQ(net.blob("a").floats()[2], 1) << name;
    EXPECT_EQ(net.blob("b").floats()[2], 2) << name;
  }
}

// An Input layer of images and labels, and what feeds it.
const char* const kInput =
    "name: 'in' type: 'Input' top: 'data' top: 'label' input_param { shape { dim: 2 dim: 3 dim: 4 "
    "dim: 5 } shape { dim: 2 } }";

caffe::NetParameter net_of(const std::string& layers) {
  caffe::NetParameter net;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(layers, &net));
  return net;
}

std::vector<float> values_of(Network& network, const std::string& blob) {
  const at::Tensor data = network.blob(blob).data().contiguous();
  return {data.data_ptr<float>(), data.data_ptr<float>() + data.numel()};
}

TEST(Feed, SaysThatAnInputLayerIsFedByNothing) {
  Feed feed(caffe::TEST, 1);
  Network network(net_of(fmt::format("layer {{ {} }}", kInput)), caffe::TEST, 1, feed.opener());
  ASSERT_EQ(feed.notes().size(), 1u);
  EXPECT_NE(feed.notes()[0].find("layer \"in\" (Input) is fed by nothing: its values are 0"),
            std::string::npos);
  EXPECT_EQ(
      error_of([&] { feed.require_data(); }),
      "layer \"in\" (Input) is fed by nothing: its values would be 0; put a Data or ImageData "
      "layer in its place, or give --synthetic-data for random images");
}

TEST(Feed, NeedsNoOtherDataBesideSome) {
  Feed feed(caffe::TEST, 1);
  Network network(
      net_of(fmt::format("layer {{ {} }} layer {{ name: 'd' type: 'DummyData' top: 'more' "
                         "dummy_data_param {{ shape {{ dim: 2 }} }} }}",
                         kInput)),
      caffe::TEST, 1, feed.opener());
  EXPECT_EQ(feed.notes().size(), 1u);
  EXPECT_NO_THROW(feed.require_data());
}

TEST(Feed, SyntheticDataFeedInputLayers) {
  for (const auto& [size, shape] :
       {std::pair{"", std::vector<std::int64_t>{2, 3, 4, 5}}, {"1x6x7", {2, 1, 6, 7}}}) {
    Feed feed(caffe::TEST, 1, parse_synthetic_data(size));
    Network network(net_of(fmt::format("layer {{ {} }}", kInput)), caffe::TEST, 1, feed.opener());
    EXPECT_TRUE(feed.notes().empty());
    EXPECT_NO_THROW(feed.require_data());
    feed.feed(network, 0);
    const auto first = values_of(network, "data"), labels = values_of(network, "label");
    EXPECT_EQ(first.size(), static_cast<std::size_t>(shape[0] * shape[1] * shape[2] * shape[3]));
    EXPECT_LT(*std::min_element(first.begin(), first.end()), -50);
    EXPECT_GT(*std::max_element(first.begin(), first.end()), 50);
    ASSERT_EQ(labels.size(), 2u);
    for (const float label : labels) EXPECT_TRUE(label == 0 || label == 1) << label;
    feed.feed(network, 1);
    EXPECT_NE(values_of(network, "data"), first);
    feed.feed(network, 0);
    EXPECT_EQ(values_of(network, "data"), first);
  }
}

TEST(Feed, SyntheticDataFeedEveryLayerThatReads) {
  const auto shapes = [](const std::string& size, const std::string& text) {
    caffe::LayerParameter layer;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
        "name: 'd' top: 'data' top: 'label' " + text, &layer));
    return Feed(caffe::TEST, 1, parse_synthetic_data(size)).open(layer);
  };
  EXPECT_EQ(shapes("",
                   "type: 'MemoryData' memory_data_param { batch_size: 2 channels: 1 height: 4 "
                   "width: 5 }"),
            (Network::Shapes{{2, 1, 4, 5}, {2}}));
  EXPECT_EQ(shapes("", "type: 'WindowData' window_data_param { batch_size: 3 crop_size: 7 }"),
            (Network::Shapes{{3, 3, 7, 7}, {3}}));
  EXPECT_EQ(shapes("2x3x4", "type: 'HDF5Data' top: 'more' hdf5_data_param { batch_size: 5 }"),
            (Network::Shapes{{5, 2, 3, 4}, {5}, {5}}));
  EXPECT_EQ(shapes("",
                   "type: 'ImageData' image_data_param { batch_size: 2 new_height: 8 "
                   "new_width: 9 }"),
            (Network::Shapes{{2, 3, 8, 9}, {2}}));
}

TEST(Feed, RefusesSyntheticDataBeyondABlob) {
  EXPECT_NE(error_of([] {
              synthetic_shapes("65536x65536x65536", "data_param { batch_size: 2 }");
            }).find("impossible shape 2 x 65536 x 65536 x 65536"),
            std::string::npos);
}

}  // namespace
}  // namespace inure
