#include "inure/base/error.hpp"
#include "inure/caffe/files.hpp"
#include "inure/network/families.hpp"
#include "inure/network/network.hpp"

// A network's weights: sharing them, reading and writing them.
namespace inure {
namespace {

Shape significant(const Shape& shape) {
  Shape rest;
  for (const std::int64_t size : shape) {
    if (size != 1 || !rest.empty()) rest.push_back(size);
  }
  return rest;
}

// Files of Caffe's first years have four axes for everything: 1 x 1 x outputs x inputs.
bool fits(const Shape& shape, const caffe::BlobProto& blob) {
  const Shape stored = caffe::blob_shape(blob);
  return stored == shape || (!blob.has_shape() && significant(stored) == significant(shape));
}

template <typename Numbers>
void copy(const Numbers& from, float* to) {
  for (int i = 0; i < from.size(); ++i) to[i] = static_cast<float>(from.Get(i));
}

void load_blob(const Layer& layer, int index, const caffe::BlobProto& blob,
               const std::string& file) {
  Parameter& parameter = *layer.parameters[index];
  const Shape shape = parameter.data.sizes().vec();
  if (!fits(shape, blob)) {
    fail("{}: layer \"{}\", blob {}: the file has {}, the network {}", file, layer.name(), index,
         shape_text(caffe::blob_shape(blob)), shape_text(shape));
  }
  const std::int64_t stored = blob.double_data_size() ? blob.double_data_size() : blob.data_size();
  if (stored != parameter.data.numel()) {
    fail("{}: layer \"{}\", blob {}: {} values for the shape {}; the file is damaged", file,
         layer.name(), index, stored, shape_text(shape));
  }
  float* to = parameter.data.data_ptr<float>();
  blob.double_data_size() ? copy(blob.double_data(), to) : copy(blob.data(), to);
  ++parameter.version;
}

}  // namespace

void Network::share_parameters(const Network& other) {
  std::map<std::string, const Layer*> by_name;
  for (const Node& node : other.nodes_) {
    if (!node.layer->parameters.empty()) by_name[node.layer->name()] = node.layer.get();
  }
  for (Node& node : nodes_) {
    const auto found = by_name.find(node.layer->name());
    if (found == by_name.end() || node.layer->parameters.empty()) continue;
    auto& own = node.layer->parameters;
    const auto& theirs = found->second->parameters;
    if (own.size() != theirs.size()) {
      fail("layer \"{}\": {} parameters, but {} in the network to share with", node.layer->name(),
           own.size(), theirs.size());
    }
    for (std::size_t i = 0; i < own.size(); ++i) {
      if (own[i]->data.sizes() != theirs[i]->data.sizes()) {
        fail("layer \"{}\", parameter {}: {}, but {} in the network to share with",
             node.layer->name(), i, shape_text(own[i]->data.sizes().vec()),
             shape_text(theirs[i]->data.sizes().vec()));
      }
    }
    own = theirs;
  }
  collect_parameters();
}

void Network::load(const caffe::NetParameter& weights, const std::string& name_for_errors) {
  std::map<std::string, const Layer*> by_name;
  for (const Node& node : nodes_) {
    if (!node.layer->parameters.empty()) by_name[node.layer->name()] = node.layer.get();
  }
  for (const caffe::LayerParameter& stored : weights.layer()) {
    const auto found = by_name.find(stored.name());
    if (found == by_name.end() || stored.blobs_size() == 0) continue;
    const Layer& layer = *found->second;
    if (stored.blobs_size() != static_cast<int>(layer.parameters.size())) {
      fail("{}: layer \"{}\" has {} blobs in the file, {} in the network", name_for_errors,
           layer.name(), stored.blobs_size(), layer.parameters.size());
    }
    for (int i = 0; i < stored.blobs_size(); ++i) {
      load_blob(layer, i, stored.blobs(i), name_for_errors);
    }
  }
}

caffe::NetParameter Network::save() const {
  caffe::NetParameter net;
  net.set_name(name_);
  for (const caffe::LayerParameter& layer : data_layers_) *net.add_layer() = layer;
  for (const Node& node : nodes_) {
    caffe::LayerParameter& layer = *net.add_layer();
    layer = node.layer->parameter();
    layer.clear_blobs();
    for (const auto& parameter : node.layer->parameters) {
      caffe::BlobProto& blob = *layer.add_blobs();
      for (const std::int64_t size : parameter->data.sizes()) blob.mutable_shape()->add_dim(size);
      const float* values = parameter->data.data_ptr<float>();
      blob.mutable_data()->Add(values, values + parameter->data.numel());
    }
  }
  return net;
}

}  // namespace inure
