#include <set>

#include "inure/base/error.hpp"
#include "inure/base/finite.hpp"
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

void load_blob(const Layer& layer, int index, const caffe::BlobProto& blob, const std::string& file,
               bool allow_nan) {
  Parameter& parameter = *layer.parameters[index];
  const Shape shape = parameter.data.sizes().vec();
  if (!fits(shape, blob)) {
    fail(
        "{}: layer \"{}\", blob {}: the file has {}, the network {}; to train the layer anew, give "
        "it another name in the network",
        file, layer.name(), index, shape_text(caffe::blob_shape(blob)), shape_text(shape));
  }
  const std::int64_t stored = blob.double_data_size() ? blob.double_data_size() : blob.data_size();
  if (stored != parameter.data.numel()) {
    fail("{}: layer \"{}\", blob {}: {} values for the shape {}; the file is damaged", file,
         layer.name(), index, stored, shape_text(shape));
  }
  float* to = parameter.data.data_ptr<float>();
  blob.double_data_size() ? copy(blob.double_data(), to) : copy(blob.data(), to);
  ++parameter.version;
  if (allow_nan) return;
  const auto bad = find_not_finite({to, static_cast<std::size_t>(stored)});
  if (!bad) return;
  fail("{}: layer \"{}\", blob {}: value {} is {}; --allow-nan takes it all the same", file,
       layer.name(), index, *bad, to[*bad]);
}

using LayersByName = std::map<std::string, const Layer*>;

// The layers with parameters. Two of one name could not be told apart, unless they share all.
LayersByName layers_with_weights(const std::vector<Network::Node>& nodes) {
  LayersByName by_name;
  for (const Network::Node& node : nodes) {
    const Layer& layer = *node.layer;
    if (layer.parameters.empty()) continue;
    const auto [found, is_new] = by_name.emplace(layer.name(), &layer);
    if (is_new || found->second->parameters == layer.parameters) continue;
    if (layer.name().empty()) {
      fail(
          "two layers with weights ({} and {}) have no name, so that their weights cannot be told "
          "apart; give them names",
          found->second->type(), layer.type());
    }
    fail(
        "layer \"{}\": two layers with weights ({} and {}) have this name, so that their weights "
        "cannot be told apart; give one another name",
        layer.name(), found->second->type(), layer.type());
  }
  return by_name;
}

// "a", "b", "c" and 12 more
std::string list_names(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 12;
  std::string list;
  for (std::size_t i = 0; i < std::min(kMost, names.size()); ++i) {
    list += fmt::format("{}\"{}\"", i == 0 ? "" : ", ", names[i]);
  }
  if (names.size() > kMost) list += fmt::format(" and {} more", names.size() - kMost);
  return list;
}

std::vector<std::string> layers_without(const Network& network,
                                        const std::set<const Parameter*>& loaded) {
  std::vector<std::string> names;
  for (const Network::Node& node : network.nodes()) {
    for (const auto& parameter : node.layer->parameters) {
      if (loaded.count(parameter.get())) continue;
      names.push_back(node.layer->name());
      break;
    }
  }
  return names;
}

void check_matches(const Network& network, const std::string& file,
                   const std::vector<std::string>& without_layer, std::size_t loaded) {
  if (loaded > 0 || network.parameters().empty()) return;
  if (without_layer.empty()) fail("{}: has no weights", file);
  fail("{}: none of its weights has a layer here: it has {}, the network {}", file,
       list_names(without_layer), list_names(layers_without(network, {})));
}

}  // namespace

void Network::share_parameters(const Network& other) {
  const LayersByName by_name = layers_with_weights(other.nodes_);
  layers_with_weights(nodes_);
  for (Node& node : nodes_) {
    const auto found = by_name.find(node.layer->name());
    auto& own = node.layer->parameters;
    if (found == by_name.end() || own.empty()) continue;
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

Network::Loaded Network::load(const caffe::NetParameter& weights,
                              const std::string& name_for_errors) {
  const LayersByName by_name = layers_with_weights(nodes_);
  std::set<std::string> seen;
  Loaded loaded;
  for (const caffe::LayerParameter& stored : weights.layer()) {
    if (stored.blobs_size() == 0) continue;
    const auto found = by_name.find(stored.name());
    if (found == by_name.end()) {
      loaded.without_layer.push_back(stored.name());
      continue;
    }
    const Layer& layer = *found->second;
    if (!seen.insert(stored.name()).second) {
      fail("{}: has weights for two layers \"{}\", which cannot be told apart", name_for_errors,
           stored.name());
    }
    if (stored.blobs_size() != static_cast<int>(layer.parameters.size())) {
      fail("{}: layer \"{}\" has {} blobs in the file, {} in the network", name_for_errors,
           layer.name(), stored.blobs_size(), layer.parameters.size());
    }
    for (int i = 0; i < stored.blobs_size(); ++i) {
      load_blob(layer, i, stored.blobs(i), name_for_errors, allow_nan_);
      loaded.parameters.insert(layer.parameters[i].get());
    }
  }
  return loaded;
}

std::vector<std::string> Network::without_weights(
    const std::set<const Parameter*>& parameters) const {
  return layers_without(*this, parameters);
}

caffe::NetParameter Network::save() const {
  layers_with_weights(nodes_);
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

std::vector<std::string> load_weights(Network& network, const std::vector<std::string>& files) {
  std::vector<std::string> notes;
  std::set<const Parameter*> parameters;
  for (const std::string& file : files) {
    const Network::Loaded loaded = network.load(caffe::read_model(file), file);
    check_matches(network, file, loaded.without_layer, loaded.parameters.size());
    parameters.insert(loaded.parameters.begin(), loaded.parameters.end());
    if (loaded.without_layer.empty()) continue;
    notes.push_back(fmt::format("{}: has weights for layers that the network does not have: {}",
                                file, list_names(loaded.without_layer)));
  }
  const std::vector<std::string> without = network.without_weights(parameters);
  if (!files.empty() && !without.empty()) {
    notes.push_back(
        fmt::format("{}: has no weights for the layers {}: they begin with those of "
                    "their fillers",
                    fmt::join(files, ", "), list_names(without)));
  }
  return notes;
}

}  // namespace inure
