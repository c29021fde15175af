#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "inure/network/network.hpp"

// How a Network is put together: names become values, layer by layer.
namespace inure {

bool is_data_type(const std::string& type);

struct Builder {
  std::uint64_t seed;
  bool force_backward;
  std::vector<std::unique_ptr<Value>>& values;
  std::map<std::string, std::vector<Value*>>& versions;
  std::vector<Network::Node>& nodes;
  std::vector<caffe::LayerParameter>& data_layers;

  struct Shared {
    std::shared_ptr<Parameter> parameter;
    std::string layer;
    bool has_lr_mult, has_decay_mult;
  };
  struct Namesakes {
    int count = 0;             // of layers with this name so far
    std::string with_weights;  // type of the layer among them that has weights
  };
  std::map<std::string, Shared> shared;  // by the ParamSpec's name
  std::map<std::string, Namesakes> namesakes;
  std::map<std::string, std::string> left_out;  // top to layer, of those that the rules leave out

  void add_data_layer(const caffe::LayerParameter& layer, const Network::InputShapes& input_shapes);
  void add_layer(caffe::LayerParameter layer);
  // Which layers run backward: those between a loss and something that learns.
  void mark_backward();

 private:
  // Weights are kept by their layer's name: layers with weights need one of their own.
  void check_name(const Layer& layer);
  Layer::Values find_bottoms(const caffe::LayerParameter& layer) const;
  Value* add_top(const caffe::LayerParameter& layer, int top,
                 const std::vector<std::int64_t>& shape);
  void share_by_name(Layer& layer);
  void share_multipliers(const Layer& layer, const caffe::ParamSpec& spec, Shared& first) const;
  std::vector<float> loss_weights(const caffe::LayerParameter& layer) const;
};

}  // namespace inure
