// Which weights go into which layer, and what is said where they do not fit.
#include <sys/resource.h>

#include <cmath>

#include "helpers.hpp"
#include "inure/caffe/files.hpp"
#include "tests/common.hpp"

namespace inure::test {
namespace {

std::string product(const std::string& name, const std::string& bottom, const std::string& top,
                    int outputs = 3) {
  return fmt::format(
      "layer {{ {} type: 'InnerProduct' bottom: '{}' top: '{}' inner_product_param {{ num_output: "
      "{} weight_filler {{ type: 'xavier' }} }} }}\n",
      name.empty() ? "" : "name: '" + name + "'", bottom, top, outputs);
}

std::string net(const std::string& layers) {
  return "layer { name: 'x' type: 'Input' top: 'x' input_param { shape { dim: 2 dim: 4 } } }\n" +
         layers;
}

class Weights : public ::testing::Test {
 protected:
  std::string saved(const std::string& layers) {
    const std::string file = (folder_ / fmt::format("{}.caffemodel", files_++)).string();
    caffe::write_model(file, parse(net(layers), caffe::TEST, {}, 7)->save());
    return file;
  }

  TemporaryFolder folder_;
  int files_ = 0;
};

TEST_F(Weights, ThatMatchNothingAreAnError) {
  const std::string file = saved(product("a", "x", "a") + product("b", "a", "b"));
  const auto other = parse(net(product("p", "x", "p")));
  EXPECT_EQ(
      error_of([&] { load_weights(*other, {file}); }),
      file + ": none of its weights has a layer here: it has \"a\", \"b\", the network \"p\"");
  const std::string none = saved("layer { name: 'r' type: 'ReLU' bottom: 'x' top: 'r' }");
  EXPECT_EQ(error_of([&] { load_weights(*other, {none}); }), none + ": has no weights");
  const auto without = parse(net("layer { name: 'r' type: 'ReLU' bottom: 'x' top: 'r' }"));
  EXPECT_EQ(error_of([&] { load_weights(*without, {none}); }), "") << "nothing is needed";
}

TEST_F(Weights, ThatMatchInPartAreNoted) {
  const std::string file = saved(product("a", "x", "a") + product("b", "a", "b"));
  const auto some = parse(net(product("a", "x", "a") + product("c", "a", "c")));
  EXPECT_EQ(load_weights(*some, {file}),
            (std::vector<std::string>{
                file + ": has weights for layers that the network does not have: \"b\"",
                file + ": has no weights for the layers \"c\": they begin with those of their "
                       "fillers"}));
  // Two files that have all of it together.
  const std::string rest = saved(product("c", "x", "c", 3) + product("z", "c", "z"));
  const auto both = parse(net(product("a", "x", "a") + product("z", "a", "z")));
  const std::vector<std::string> notes = load_weights(*both, {file, rest});
  ASSERT_EQ(notes.size(), 2u);
  EXPECT_NE(notes[0].find("does not have: \"b\""), std::string::npos);
  EXPECT_NE(notes[1].find("does not have: \"c\""), std::string::npos);
  EXPECT_TRUE(
      load_weights(*parse(net(product("a", "x", "a") + product("b", "a", "b"))), {file}).empty());
}

TEST_F(Weights, AnotherShapeNamesTheWayOut) {
  const std::string file = saved(product("a", "x", "a", 3));
  EXPECT_EQ(error_of([&] { load_weights(*parse(net(product("a", "x", "a", 5))), {file}); }),
            file +
                ": layer \"a\", blob 0: the file has 3 x 4, the network 5 x 4; to train the layer "
                "anew, give it another name in the network");
}

// A value of each kind at many places of both blobs.
TEST_F(Weights, ThatAreNoNumbersNameLayerAndPlace) {
  const auto good = parse(net(product("a", "x", "a", 3) + product("b", "a", "b", 2)));
  const caffe::NetParameter weights = good->save();
  for (int l = 1; l <= 2; ++l) {
    for (int b = 0; b < 2; ++b) {
      for (int at = 0; at < weights.layer(l).blobs(b).data_size(); ++at) {
        for (const float value : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
          caffe::NetParameter bad = weights;
          bad.mutable_layer(l)->mutable_blobs(b)->set_data(at, value);
          EXPECT_EQ(error_of([&] { good->load(bad, "file"); }),
                    fmt::format("file: layer \"{}\", blob {}: value {} is {}; --allow-nan takes it "
                                "all the same",
                                l == 1 ? "a" : "b", b, at, value));
        }
      }
    }
  }
  caffe::NetParameter bad = weights;
  bad.mutable_layer(1)->mutable_blobs(0)->set_data(0, HUGE_VALF);
  good->allow_nan();
  EXPECT_EQ(error_of([&] { good->load(bad, "file"); }), "");
}

TEST_F(Weights, InputsThatAreNoNumbersAreRefused) {
  const auto network = parse(net(product("a", "x", "a")));
  for (int at = 0; at < 8; ++at) {
    std::vector<float> values(8, 1);
    values[at] = at % 2 == 0 ? std::nanf("") : HUGE_VALF;
    EXPECT_EQ(error_of([&] { network->set_input("x", values); }),
              fmt::format("input \"x\": value {} of 2 x 4 is {}; --allow-nan takes it all the same",
                          at, values[at]));
  }
}

TEST_F(Weights, OfLayersWithoutANameNeverMix) {
  const std::string twins = net(product("", "x", "a", 4) + product("", "a", "b", 4));
  const auto with_twins = [&](const std::function<void(Network&, Network&)>& action) {
    const auto first = parse(twins, caffe::TRAIN), second = parse(twins, caffe::TEST);
    action(*first, *second);
  };
  const std::function<void(Network&, Network&)> actions[] = {
      [](Network& first, Network& second) { second.share_parameters(first); },
      [](Network& first, Network&) { first.save(); },
      [](Network& first, Network&) { first.load({}, "file"); }};
  for (const auto& action : actions) {
    const std::string message = error_of([&] { with_twins(action); });
    EXPECT_NE(message.find("two layers with weights (InnerProduct and InnerProduct) have no name"),
              std::string::npos)
        << message;
  }
  // One with weights among others without needs no name.
  const std::string one =
      net("layer { type: 'ReLU' bottom: 'x' top: 'r' }" + product("", "r", "a") +
          "layer { type: 'TanH' bottom: 'a' top: 't' }");
  const auto first = parse(one, caffe::TRAIN, {}, 1), second = parse(one, caffe::TEST, {}, 2);
  second->load(first->save(), "file");
  EXPECT_TRUE(first->parameters()[0]->data.equal(second->parameters()[0]->data));
  second->share_parameters(*first);
  EXPECT_EQ(first->parameters()[0], second->parameters()[0]);
}

TEST_F(Weights, TwoOfOneNameInAFileAreRefused) {
  const auto network = parse(net(product("a", "x", "a")));
  caffe::NetParameter weights = network->save();
  *weights.add_layer() = weights.layer(1);
  EXPECT_EQ(error_of([&] { network->load(weights, "file"); }),
            "file: has weights for two layers \"a\", which cannot be told apart");
}

TEST(Fillers, GiveNumbersOnly) {
  for (const char* filler :
       {"type: 'gaussian' std: 3e38", "type: 'gaussian' mean: 3e38 std: 1e38"}) {
    const std::string text = net(fmt::format(
        "layer {{ name: 'a' type: 'InnerProduct' bottom: 'x' top: 'a' inner_product_param {{ "
        "num_output: 50 weight_filler {{ {} }} }} }}",
        filler));
    const std::string message = error_of([&] { parse(text); });
    EXPECT_EQ(message.find("layer \"a\": the filler of parameter 0 gives "), 0u) << filler;
  }
}

TEST(Memory, LayersThatNeedMoreThanThereIsAreNamed) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  rlimit tight = before;
  tight.rlim_cur = 6ull << 30;  // more than the libraries map, less than the layers below need
  ASSERT_EQ(setrlimit(RLIMIT_AS, &tight), 0);
  const std::string parameter = error_of([] { parse(net(product("wide", "x", "a", 500000000))); });
  const std::string blob = error_of([] {
    parse(
        "layer { name: 'x' type: 'Input' top: 'x' input_param { shape { dim: 100 dim: 5000 dim: "
        "4000 } } }");
  });
  setrlimit(RLIMIT_AS, &before);
  const std::string of_parameter =
      "layer \"wide\": its parameter 0 of 500000000 x 4 with its gradient: needs 16 GB of memory; ";
  EXPECT_EQ(parameter.substr(0, of_parameter.size()), of_parameter);
  const std::string of_blob = "layer \"x\": top \"x\" of 100 x 5000 x 4000: needs 8 GB of memory; ";
  EXPECT_EQ(blob.substr(0, of_blob.size()), of_blob);
}

TEST(Memory, LayersBeyondWhatABlobCountsAreNamed) {
  EXPECT_EQ(error_of([] { parse(net(product("wide", "x", "a", 2147483647))); }),
            "layer \"wide\": parameter 0 would be 2147483647 x 4, more than 2147483647 values, the "
            "most that Caffe takes");
}

}  // namespace
}  // namespace inure::test
