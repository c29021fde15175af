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
  };
  std::map<std::string, Shared> shared;            // by the ParamSpec's name
  std::map<std::string, std::string> layer_names;  // name to type, to find doubles

  void add_data_layer(const caffe::LayerParameter& layer, const Network::InputShapes& input_shapes);
  void add_layer(const caffe::LayerParameter& layer);
  // Which layers run backward: those between a loss and something that learns.
  void mark_backward();

 private:
  void check_name(const caffe::LayerParameter& layer);
  Layer::Values find_bottoms(const caffe::LayerParameter& layer) const;
  Value* add_top(const caffe::LayerParameter& layer, int top,
                 const std::vector<std::int64_t>& shape);
  void share_by_name(Layer& layer);
  std::vector<float> loss_weights(const caffe::LayerParameter& layer) const;
};

}  // namespace inure
