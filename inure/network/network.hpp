#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "inure/network/layer.hpp"

namespace inure {

class Placement;  // which layers run on an accelerator: inure/network/placement.hpp

// A Caffe network for one phase: a graph of layers in the order of the file. Where the data comes
// from it does not know: the layers of data types are its inputs, and whoever trains or tests fills
// them.
class Network {
 public:
  using Shapes = std::vector<std::vector<std::int64_t>>;
  // Gives the shapes of a data layer's tops.
  using InputShapes = std::function<Shapes(const caffe::LayerParameter&)>;

  // net: as read, before its include/exclude rules are applied. seed: for fillers and dropout.
  Network(const caffe::NetParameter& net, caffe::Phase phase, std::uint64_t seed,
          const InputShapes& input_shapes);
  ~Network();

  const std::string& name() const { return name_; }
  caffe::Phase phase() const { return pass_.phase; }

  // What the network does otherwise than its file may seem to say, a line each.
  const std::vector<std::string>& notes() const { return notes_; }

  // Inputs: the data layers, in order, and their values.
  const std::vector<caffe::LayerParameter>& data_layers() const { return data_layers_; }
  void set_input(const std::string& blob, const std::vector<float>& values);

  // The loss is the sum of loss_weight * top over the layers that have one.
  void forward(std::int64_t iteration);
  double loss() const;
  // Adds to the parameters' gradients. (clear_gradients() first; iter_size calls it once for
  // several.)
  void backward();
  void clear_gradients();

  // The network's outputs: tops that no layer reads, by name, as Caffe prints them: accuracy, loss.
  struct Output {
    std::string name;
    at::Tensor data;
    float loss_weight;
  };
  std::vector<Output> outputs();

  // The last version of a blob; blob_versions() has all of them in order.
  Value& blob(const std::string& name);
  std::vector<Value*> blob_versions(const std::string& name);

  struct Node {
    std::unique_ptr<Layer> layer;
    Layer::Values bottoms, tops;
    std::vector<float> loss_weights;  // one for each top
    bool needs_backward = false;
  };
  const std::vector<Node>& nodes() const { return nodes_; }

  // Every parameter once, in the order of the layers.
  const std::vector<std::shared_ptr<Parameter>>& parameters() const { return parameters_; }
  // Uses the parameters of another network (a test network those of the training network), by layer
  // name.
  void share_parameters(const Network& other);
  // Copies weights by layer name, as Caffe does: layers of `weights` that are not here are ignored,
  // layers here without weights keep their fillers' values. Throws Error on a shape mismatch
  // (layer, both shapes) and for a value that is NaN or infinite.
  struct Loaded {
    std::set<const Parameter*> parameters;   // that got values
    std::vector<std::string> without_layer;  // layers of `weights` that are not here
  };
  Loaded load(const caffe::NetParameter& weights, const std::string& name_for_errors);
  // The layers that have parameters outside this set.
  std::vector<std::string> without_weights(const std::set<const Parameter*>& parameters) const;
  caffe::NetParameter save() const;  // as Caffe writes: every layer with its blobs
  // NaN and infinity in weights and inputs are refused unless this was called.
  void allow_nan() { allow_nan_ = true; }
  bool allows_nan() const { return allow_nan_; }

  // From now on runs the layers that the placement names on its accelerator.
  void place(std::shared_ptr<Placement> placement);
  Placement* placement() { return placement_.get(); }

 private:
  void backward(Node& node);
  PassContext pass_of(const Layer& layer) const;
  void collect_parameters();

  std::string name_;
  std::vector<std::string> notes_;
  PassContext pass_;
  bool allow_nan_ = false;
  std::vector<caffe::LayerParameter> data_layers_;
  std::vector<std::unique_ptr<Value>> values_;
  std::map<std::string, std::vector<Value*>> versions_;
  std::vector<Node> nodes_;
  std::vector<std::shared_ptr<Parameter>> parameters_;
  std::shared_ptr<Placement> placement_;
};

// Loads these caffemodels one after another. Returns notes on what does not match: layers without
// weights, weights without a layer. Throws Error as load(), and where nothing of a file matches.
std::vector<std::string> load_weights(Network& network, const std::vector<std::string>& files);

}  // namespace inure
