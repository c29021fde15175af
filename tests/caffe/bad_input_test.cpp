// Broken Caffe files, each with what its one-line message must say.
#include <gtest/gtest.h>

#include <functional>

#include "inure/base/error.hpp"
#include "inure/caffe/files.hpp"
#include "tests/common.hpp"

namespace inure::caffe {
namespace {

// A small model and state to break.
NetParameter small_model() {
  NetParameter model;
  auto& layer = *model.add_layer();
  layer.set_name("ip");
  layer.set_type("InnerProduct");
  auto& blob = *layer.add_blobs();
  blob.mutable_shape()->add_dim(2);
  blob.mutable_shape()->add_dim(3);
  for (int i = 0; i < 6; ++i) blob.add_data(static_cast<float>(i));
  return model;
}

std::string model_bytes() { return small_model().SerializeAsString(); }

std::string state_bytes() {
  SolverState state;
  state.set_iter(10);
  state.set_learned_net("net.caffemodel");
  *state.add_history() = small_model().layer(0).blobs(0);
  return state.SerializeAsString();
}

std::string blob_bytes(const std::vector<int>& shape, int values) {
  BlobProto blob;
  for (const int dim : shape) blob.mutable_shape()->add_dim(dim);
  for (int i = 0; i < values; ++i) blob.add_data(1);
  return blob.SerializeAsString();
}

std::string model_with(const std::function<void(LayerParameter&)>& change) {
  auto model = small_model();
  change(*model.mutable_layer(0));
  return model.SerializeAsString();
}

enum class Kind { kNet, kSolver, kModel, kState, kMean };

struct BadFile {
  std::string name;
  Kind kind;
  std::string content;
  std::vector<std::string> expected;  // pieces of the message; FILE stands for the path
};

std::vector<BadFile> bad_files() {
  const std::string model = model_bytes(), state = state_bytes();
  return {
      {"syntax",
       Kind::kNet,
       "name: 'x'\nlayer { name: 'a' type: }\n",
       {"FILE:2:25:", "Expected string"}},
      {"open_brace", Kind::kNet, "layer { name: 'a'\n type: 'ReLU'\n", {"FILE:3:1:"}},
      {"open_quote", Kind::kNet, "name: 'lenet\nlayer {}", {"FILE:1:13:", "String literals"}},
      {"unknown_field",
       Kind::kNet,
       "layer {\n name: 'a'\n  typ: 'ReLU' }",
       {"FILE:3:6:", "no field named \"typ\"", "Caffe 1.0 has none"}},
      {"unknown_field_of_param",
       Kind::kNet,
       "layer { name: 'p' type: 'Pooling' pooling_param { ceil_mod: false } }",
       {"FILE:1:59:", "\"PoolingParameter\" has no field named \"ceil_mod\""}},
      {"wrong_enum",
       Kind::kNet,
       "layer { name: 'p' type: 'Pooling'\n pooling_param { pool: AVG } }",
       {"FILE:2:", "\"AVG\"", "\"pool\""}},
      {"word_for_number",
       Kind::kNet,
       "layer { name: 'c' type: 'Convolution'\n convolution_param { num_output: many } }",
       {"FILE:2:34:", "Expected integer, got: many"}},
      {"negative_unsigned",
       Kind::kNet,
       "layer { name: 'c' type: 'Convolution' convolution_param { pad: -1 } }",
       {"FILE:1:64:", "Expected integer"}},
      {"field_twice",
       Kind::kNet,
       "layer {\n name: 'a'\n name: 'b' type: 'ReLU' }",
       {"FILE:3:", "\"name\" is specified multiple times"}},
      {"unknown_type",
       Kind::kNet,
       "layer { name: 'ok' type: 'ReLU' }\nlayer {\n  name: 'x'\n  type: 'Foo' }",
       {"FILE:4:3:", "layer 'x' has type 'Foo', which Caffe does not have"}},
      {"line_break_in_type",
       Kind::kNet,
       "layer { name: 'x' type: 'a\\nb' }",
       {"FILE:1:19:", "layer 0 of the file has a line break"}},
      {"no_type", Kind::kNet, "layer { name: 'x' }", {"FILE", "layer 'x' has no type"}},
      {"no_layers", Kind::kNet, "name: 'empty'", {"FILE", "has no layers"}},
      {"empty_net", Kind::kNet, "", {"FILE", "has no layers"}},
      {"inputs_without_dims",
       Kind::kNet,
       "input: 'data' input_dim: 1 input_dim: 3 layer { name: 'a' type: 'ReLU' }",
       {"FILE", "1 input with 0 input_shape and 2 input_dim"}},
      {"layer_and_layers",
       Kind::kNet,
       "layer { name: 'a' type: 'ReLU' } layers { name: 'b' type: RELU }",
       {"FILE", "both 'layer' and the older 'layers'"}},
      {"v0_type",
       Kind::kNet,
       "layers { layer { name: 'a' type: 'convolve' } }",
       {"FILE", "layer 'a' has type 'convolve'"}},
      {"v0_field",
       Kind::kNet,
       "layers { layer { name: 'a' type: 'relu' num_output: 3 } }",
       {"FILE", "layer 'a'", "'relu' has no num_output"}},
      {"model_as_net",
       Kind::kNet,
       model,
       {"FILE", "is a binary file, a prototxt (text) is needed"}},
      {"solver_without_net",
       Kind::kSolver,
       "base_lr: 0.1",
       {"FILE", "names 0 networks to train", "exactly one"}},
      {"solver_with_two_nets",
       Kind::kSolver,
       "net: 'a' train_net: 'b'",
       {"FILE", "names 2 networks to train"}},
      {"solver_type_twice",
       Kind::kSolver,
       "net: 'a' type: 'SGD' solver_type: ADAM",
       {"FILE", "both type and the older solver_type"}},
      {"solver_field",
       Kind::kSolver,
       "net: 'a'\nlearning_rate: 1",
       {"FILE:2:14:", "no field named \"learning_rate\""}},
      {"net_as_solver", Kind::kSolver, "layer { name: 'a' }", {"FILE: is a network; a solver"}},
      {"solver_as_net",
       Kind::kNet,
       "net: 'n' base_lr: 1",
       {"FILE: is a solver; a network", "it names n"}},
      {"hdf5_model", Kind::kModel, "\x89HDF\r\n\x1a\n....", {"FILE: is an HDF5 file"}},
      {"utf16_net", Kind::kNet, std::string("\xFF\xFEn\0", 4), {"FILE: is text in UTF-16"}},
      {"inner_net",
       Kind::kSolver,
       "net_param { layer { name: 'x' type: 'Foo' } }",
       {"FILE", "layer 'x' has type 'Foo'"}},
      {"empty_model", Kind::kModel, "", {"FILE", "is empty", "caffemodel"}},
      {"truncated_model",
       Kind::kModel,
       model.substr(0, model.size() - 5),
       {"FILE", "is truncated, or not a caffemodel"}},
      {"half_model", Kind::kModel, model.substr(0, model.size() / 2), {"FILE", "is truncated"}},
      {"text_as_model",
       Kind::kModel,
       "name: 'lenet' layer { name: 'a' type: 'ReLU' }",
       {"FILE", "is text; a caffemodel (binary) is needed"}},
      {"state_as_model", Kind::kModel, state, {"FILE", "not a caffemodel"}},
      {"noise_as_model", Kind::kModel, "\xff\xfe\x80\x01\x02garbage\x93", {"FILE", "caffemodel"}},
      {"model_without_layers", Kind::kModel, "\x0a\x03net", {"FILE", "has no layers"}},
      {"too_few_values",
       Kind::kModel,
       model_with([](auto& layer) { layer.mutable_blobs(0)->mutable_data()->RemoveLast(); }),
       {"FILE", "layer 'ip', blob 0: has 5 values where its shape has 6"}},
      {"negative_dimension",
       Kind::kModel,
       model_with([](auto& layer) { layer.mutable_blobs(0)->mutable_shape()->set_dim(0, -2); }),
       {"FILE", "layer 'ip', blob 0", "impossible dimension -2"}},
      {"huge_dimension",
       Kind::kModel,
       model_with([](auto& layer) {
         layer.mutable_blobs(0)->mutable_shape()->set_dim(0, std::int64_t{1} << 62);
       }),
       {"FILE", "layer 'ip', blob 0", "impossible dimension 4611686018427387904"}},
      {"truncated_state",
       Kind::kState,
       state.substr(0, state.size() - 1),
       {"FILE", "is truncated, or not a solverstate"}},
      {"empty_state", Kind::kState, "", {"FILE", "is empty", "solverstate"}},
      {"model_as_state", Kind::kState, model, {"FILE", "not a solverstate"}},
      {"mean_of_two_dimensions",
       Kind::kMean,
       blob_bytes({3, 4}, 12),
       {"FILE", "has the shape 3 x 4", "1 x channels x height x width"}},
      {"mean_of_two_images",
       Kind::kMean,
       blob_bytes({2, 3, 4, 4}, 96),
       {"FILE", "has the shape 2 x 3 x 4 x 4"}},
      {"mean_with_too_few_values",
       Kind::kMean,
       blob_bytes({1, 3, 4, 4}, 47),
       {"FILE", "has 47 values where its shape has 48"}},
      {"text_as_mean", Kind::kMean, "104 117 123\n", {"FILE", "is text"}},
  };
}

std::string message_of(Kind kind, const std::string& path) {
  return error_of([&] {
    switch (kind) {
      case Kind::kNet:
        read_net(path);
        break;
      case Kind::kSolver:
        read_solver(path);
        break;
      case Kind::kModel:
        read_model(path);
        break;
      case Kind::kState:
        read_solver_state(path);
        break;
      case Kind::kMean:
        read_mean(path);
        break;
    }
  });
}

TEST(BadInput, EachFileIsRefusedInOneLineThatSaysWhy) {
  const TemporaryFolder folder;
  for (const auto& bad : bad_files()) {
    const auto path = folder.write(bad.name, bad.content);
    const auto message = message_of(bad.kind, path);
    EXPECT_EQ(message.find('\n'), message.npos) << bad.name << ": " << message;
    for (auto piece : bad.expected) {
      if (piece.starts_with("FILE")) piece.replace(0, 4, path);
      EXPECT_NE(message.find(piece), message.npos)
          << bad.name << " does not say '" << piece << "': " << message;
    }
  }
}

TEST(BadInput, MissingFilesAndFoldersAreNamed) {
  const TemporaryFolder folder;
  for (const Kind kind : {Kind::kNet, Kind::kSolver, Kind::kModel, Kind::kState, Kind::kMean}) {
    EXPECT_EQ(message_of(kind, folder / "absent"), (folder / "absent").string() + ": no such file");
    EXPECT_NE(message_of(kind, folder / "").find("is a folder"), std::string::npos);
  }
}

// Any cut through a model's bytes that is not between two whole fields is seen.
TEST(BadInput, EveryTruncationOfAModelIsSeen) {
  const TemporaryFolder folder;
  const std::string model = model_bytes();
  for (std::size_t size = 0; size < model.size(); ++size) {
    const auto message = message_of(Kind::kModel, folder.write("cut", model.substr(0, size)));
    EXPECT_NE(message, "") << size << " of " << model.size() << " bytes";
  }
}

TEST(BadInput, LayersWithBothKindsOfRulesAreRefused) {
  const auto net = parse_net(
      "layer { name: 'x' type: 'ReLU' include { phase: TRAIN } exclude { phase: TEST } }", "net");
  EXPECT_EQ(error_of([&] { filter_net(net, NetState()); }),
            "layer 'x' has both include and exclude rules; it may have only one kind");
}

TEST(BadInput, OutputsThatCannotBeWrittenAreNamed) {
  const TemporaryFolder folder;
  const std::string model = (folder / "no/such/model").string();
  EXPECT_NE(error_of([&] { write_model(model, small_model()); }).find(model), std::string::npos);
}

}  // namespace
}  // namespace inure::caffe
