#include "inure/network/build.hpp"

#include <algorithm>
#include <set>

#include "inure/base/error.hpp"
#include "inure/base/memory_limit.hpp"
#include "inure/network/families.hpp"

namespace inure {
namespace {

// In Caffe these work when a top has its bottom's name; others would destroy what they still read.
bool may_work_in_place(const std::string& type) {
  static const std::set<std::string> types = {"BatchNorm", "Clip",    "Dropout", "Eltwise",
                                              "Flatten",   "ReLU",    "Reshape", "Scale",
                                              "Sigmoid",   "Softmax", "Swish",   "TanH"};
  return types.count(type) > 0;
}

std::string names_of(const std::map<std::string, std::vector<Value*>>& versions) {
  std::string names;
  for (const auto& [name, values] : versions) names += (names.empty() ? "" : ", ") + name;
  return names.empty() ? "none" : names;
}

// The averages of batch normalisation never do.
bool learns(const Layer& layer) {
  const int count = layer.type() == "BatchNorm" ? 0 : static_cast<int>(layer.parameters.size());
  for (int i = 0; i < count; ++i) {
    if (layer.wants_gradient(i)) return true;
  }
  return false;
}

bool is_loss(const std::string& type) { return type == "SoftmaxWithLoss"; }

}  // namespace

bool is_data_type(const std::string& type) {
  static const std::set<std::string> types = {"Data",  "DummyData",  "HDF5Data",  "ImageData",
                                              "Input", "MemoryData", "WindowData"};
  return types.count(type) > 0;
}

void Builder::check_name(const Layer& layer) {
  std::string& with_weights = namesakes[layer.name()].with_weights;
  if (layer.parameters.empty()) return;
  if (!with_weights.empty() && layer.name().empty()) {
    fail(
        "layer \"\": two layers with weights ({} and {}) have no name; give each a name: weights "
        "are saved and loaded by it",
        with_weights, layer.type());
  }
  if (!with_weights.empty()) {
    fail(
        "layer \"{}\": there are two layers of this name with weights ({} and {}); give one "
        "another name: weights are saved and loaded by it",
        layer.name(), with_weights, layer.type());
  }
  with_weights = layer.type();
}

void Builder::add_data_layer(const caffe::LayerParameter& layer,
                             const Network::InputShapes& input_shapes) {
  ++namesakes[layer.name()].count;
  if (layer.bottom_size() > 0) {
    fail("layer \"{}\": a {} layer has no bottoms, but this one reads \"{}\"", layer.name(),
         layer.type(), layer.bottom(0));
  }
  const Network::Shapes shapes = input_shapes(layer);
  if (static_cast<int>(shapes.size()) != layer.top_size()) {
    fail("layer \"{}\": has {} tops, but its data has {}", layer.name(), layer.top_size(),
         shapes.size());
  }
  for (int t = 0; t < layer.top_size(); ++t) {
    for (const std::int64_t size : shapes[t]) {
      if (size < 1) {
        fail("layer \"{}\": top \"{}\" has the shape {}; every size must be at least 1",
             layer.name(), layer.top(t), shape_text(shapes[t]));
      }
    }
    check_size(layer.name(), shapes[t], fmt::format("top \"{}\"", layer.top(t)));
    add_top(layer, t, shapes[t])->needs_gradient = force_backward;
  }
  data_layers.push_back(layer);
}

Layer::Values Builder::find_bottoms(const caffe::LayerParameter& layer) const {
  Layer::Values bottoms;
  for (const std::string& name : layer.bottom()) {
    const auto found = versions.find(name);
    if (found == versions.end()) {
      const auto left = left_out.find(name);
      if (left != left_out.end()) {
        fail(
            "layer \"{}\": bottom \"{}\" is made by layer \"{}\", which its include or exclude "
            "rules leave out for this phase, level and stages",
            layer.name(), name, left->second);
      }
      fail("layer \"{}\": unknown bottom \"{}\"; blobs so far: {}", layer.name(), name,
           names_of(versions));
    }
    bottoms.push_back(found->second.back());
  }
  return bottoms;
}

Value* Builder::add_top(const caffe::LayerParameter& layer, int top,
                        const std::vector<std::int64_t>& shape) {
  const std::string& name = layer.top(top);
  check_memory(float_bytes(shape), [&] {
    return fmt::format("layer \"{}\": top \"{}\" of {}", layer.name(), name, shape_text(shape));
  });
  values.push_back(std::make_unique<Value>(name, shape));
  if (name.empty()) return values.back().get();
  std::vector<Value*>& own = versions[name];
  if (!own.empty()) {
    const bool in_place = top < layer.bottom_size() && layer.bottom(top) == name;
    if (!in_place) {
      fail("layer \"{}\": top \"{}\" is the top of another layer already; give it another name",
           layer.name(), name);
    }
    if (!may_work_in_place(layer.type())) {
      fail("layer \"{}\": {} cannot work in place on \"{}\"; give its top another name",
           layer.name(), layer.type(), name);
    }
  }
  own.push_back(values.back().get());
  return own.back();
}

void Builder::add_layer(caffe::LayerParameter parameter) {
  Network::Node node;
  // Caffe's AutoTopBlobs. Such a top has no name, for no layer can read it.
  if (is_loss(parameter.type()) && parameter.top_size() == 0) parameter.add_top("");
  node.layer = make_layer(parameter);
  node.layer->forced_backward = force_backward;
  node.layer->namesakes_before = namesakes[parameter.name()].count++;
  node.bottoms = find_bottoms(parameter);
  const int flags = parameter.propagate_down_size();
  if (flags != 0 && flags != parameter.bottom_size()) {
    fail("layer \"{}\": {} propagate_down for {} bottoms; give one for each or none",
         parameter.name(), flags, parameter.bottom_size());
  }
  const Network::Shapes shapes = node.layer->set_up(node.bottoms, seed);
  const int specs = parameter.param_size(), count = static_cast<int>(node.layer->parameters.size());
  if (specs > count) {
    fail("layer \"{}\": has {} param, but {} parameters", parameter.name(), specs, count);
  }
  check_name(*node.layer);
  share_by_name(*node.layer);
  node.loss_weights = loss_weights(parameter);
  bool below = force_backward;
  for (int b = 0; b < parameter.bottom_size(); ++b) {
    const bool cut = flags > 0 && !parameter.propagate_down(b) && !force_backward;
    if (flags > 0 && parameter.propagate_down(b)) node.bottoms[b]->needs_gradient = true;
    below = below || (node.bottoms[b]->needs_gradient && !cut);
  }
  node.needs_backward = below || learns(*node.layer);
  for (int t = 0; t < parameter.top_size(); ++t) {
    check_size(parameter.name(), shapes.at(t), fmt::format("top \"{}\"", parameter.top(t)));
    node.tops.push_back(add_top(parameter, t, shapes.at(t)));
    node.tops.back()->needs_gradient = node.needs_backward;
  }
  nodes.push_back(std::move(node));
}

void Builder::share_by_name(Layer& layer) {
  for (int i = 0; i < layer.parameter().param_size(); ++i) {
    const caffe::ParamSpec& spec = layer.parameter().param(i);
    if (spec.name().empty()) continue;
    std::shared_ptr<Parameter>& own = layer.parameters[i];
    const auto [found, is_new] = shared.emplace(
        spec.name(), Shared{own, layer.name(), spec.has_lr_mult(), spec.has_decay_mult()});
    if (is_new) continue;
    Parameter& first = *found->second.parameter;
    const bool permissive = spec.share_mode() == caffe::ParamSpec::PERMISSIVE;
    const bool fits = permissive ? first.data.numel() == own->data.numel()
                                 : first.data.sizes() == own->data.sizes();
    if (!fits) {
      fail("layer \"{}\": shares param \"{}\" with layer \"{}\", but the shapes are {} and {}",
           layer.name(), spec.name(), found->second.layer, shape_text(own->data.sizes().vec()),
           shape_text(first.data.sizes().vec()));
    }
    share_multipliers(layer, spec, found->second);
    own = found->second.parameter;
  }
}

// Who gives a multiplier decides for all sharers; Caffe refuses two that differ.
void Builder::share_multipliers(const Layer& layer, const caffe::ParamSpec& spec,
                                Shared& first) const {
  const auto share = [&](bool given, float own, bool& has, float& theirs, const char* what) {
    if (!given) return;
    if (has && own != theirs) {
      fail(
          "layer \"{}\": param \"{}\" has {} {}, but {} in layer \"{}\", with which it is shared; "
          "give it once, or the same",
          layer.name(), spec.name(), what, own, theirs, first.layer);
    }
    has = true;
    theirs = own;
  };
  Parameter& parameter = *first.parameter;
  share(spec.has_lr_mult(), spec.lr_mult(), first.has_lr_mult, parameter.lr_mult, "lr_mult");
  share(spec.has_decay_mult(), spec.decay_mult(), first.has_decay_mult, parameter.decay_mult,
        "decay_mult");
}

std::vector<float> Builder::loss_weights(const caffe::LayerParameter& layer) const {
  std::vector<float> weights(layer.top_size(), 0.0f);
  if (layer.loss_weight_size() == 0) {
    if (is_loss(layer.type())) weights[0] = 1;
    return weights;
  }
  if (layer.loss_weight_size() != layer.top_size()) {
    fail("layer \"{}\": {} loss_weight for {} tops; give one for each or none", layer.name(),
         layer.loss_weight_size(), layer.top_size());
  }
  std::copy(layer.loss_weight().begin(), layer.loss_weight().end(), weights.begin());
  return weights;
}

void Builder::mark_backward() {
  std::set<const Value*> under_loss;
  for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {
    bool contributes = false;
    for (std::size_t t = 0; t < node->tops.size(); ++t) {
      contributes = contributes || node->loss_weights[t] != 0 || under_loss.count(node->tops[t]);
    }
    const bool differentiable =
        node->layer->type() != "Accuracy" && node->layer->type() != "Silence";
    node->needs_backward = node->needs_backward && contributes && differentiable;
    if (!node->needs_backward) continue;
    const bool labelled = is_loss(node->layer->type());
    for (std::size_t b = 0; b < (labelled ? 1 : node->bottoms.size()); ++b) {
      under_loss.insert(node->bottoms[b]);
    }
  }
  for (const auto& value : values) {
    value->needs_gradient = value->needs_gradient && under_loss.count(value.get());
  }
}

}  // namespace inure
