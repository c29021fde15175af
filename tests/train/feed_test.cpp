#include "inure/train/feed.hpp"

#include <google/protobuf/text_format.h>

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

}  // namespace
}  // namespace inure
