#include "inure/network/network.hpp"

#include <algorithm>
#include <new>
#include <set>
#include <stdexcept>

#include "inure/base/error.hpp"
#include "inure/base/finite.hpp"
#include "inure/caffe/files.hpp"
#include "inure/network/blas.hpp"
#include "inure/network/build.hpp"
#include "inure/network/families.hpp"
#include "inure/network/placement.hpp"

namespace inure {
namespace {

void check_data_is_left(const caffe::NetParameter& net, const caffe::NetParameter& filtered,
                        const caffe::NetState& state) {
  const auto reads_nothing = [](const auto& layer) { return layer.bottom_size() == 0; };
  if (std::any_of(filtered.layer().begin(), filtered.layer().end(), reads_nothing)) return;
  std::vector<std::string> names;
  for (const auto& layer : net.layer()) {
    if (is_data_type(layer.type())) names.push_back(layer.name());
  }
  if (names.empty()) return;
  fail(
      "network \"{}\": its include and exclude rules leave no data layer for phase {}, level {}, "
      "stages [{}]; give the phase, level or stages of one of: {}",
      net.name(), caffe::Phase_Name(state.phase()), state.level(), fmt::join(state.stage(), ", "),
      fmt::join(names, ", "));
}

// Top to layer, of the layers that the rules leave out.
std::map<std::string, std::string> tops_left_out_of(const caffe::NetParameter& net,
                                                    const caffe::NetParameter& filtered) {
  std::map<std::string, std::string> tops;
  for (const auto& layer : net.layer()) {
    for (const std::string& top : layer.top()) tops.emplace(top, layer.name());
  }
  for (const auto& layer : filtered.layer()) {
    for (const std::string& top : layer.top()) tops.erase(top);
  }
  return tops;
}

// The transform fields of data_param and its like moved to transform_param with Caffe's second
// format of layers; upgrade_net() moved those of older files.
template <typename Param>
void note_ignored_fields(const std::string& layer, const char* name, const Param& param,
                         std::vector<std::string>& notes) {
  std::vector<const char*> fields;
  if (param.has_scale()) fields.push_back("scale");
  if (param.has_mean_file()) fields.push_back("mean_file");
  if (param.has_crop_size()) fields.push_back("crop_size");
  if (param.has_mirror()) fields.push_back("mirror");
  if (fields.empty()) return;
  notes.push_back(
      fmt::format("layer \"{}\": {} of {} has no effect, as in Caffe; in a layer of this format it "
                  "belongs into transform_param",
                  layer, fmt::join(fields, ", "), name));
}

void note_ignored_fields(const caffe::LayerParameter& layer, std::vector<std::string>& notes) {
  note_ignored_fields(layer.name(), "data_param", layer.data_param(), notes);
  note_ignored_fields(layer.name(), "image_data_param", layer.image_data_param(), notes);
  note_ignored_fields(layer.name(), "window_data_param", layer.window_data_param(), notes);
}

// What a library throws in a layer's work becomes an Error that names the layer.
template <typename Work>
void work_on(const caffe::LayerParameter& layer, const Work& work) {
  try {
    work();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    const std::string text = error.what();
    const bool memory = dynamic_cast<const std::bad_alloc*>(&error) != nullptr ||
                        dynamic_cast<const std::length_error*>(&error) != nullptr ||
                        text.find("can't allocate memory") != std::string::npos;
    fail("layer \"{}\": {}", layer.name(),
         memory ? "needs more memory than there is"
                : "the numeric library says: " + text.substr(0, text.find('\n')));
  }
}

}  // namespace

Network::Network(const caffe::NetParameter& net, caffe::Phase phase, std::uint64_t seed,
                 const InputShapes& input_shapes)
    : name_(net.name()), pass_{phase, seed, 0} {
  [[maybe_unused]] static const bool reserved = (reserve_blas_buffers(), true);
  caffe::NetState state = net.state();
  state.set_phase(phase);
  const caffe::NetParameter filtered = caffe::filter_net(net, state);
  check_data_is_left(net, filtered, state);
  Builder builder{
      seed, filtered.force_backward(),      values_, versions_, nodes_, data_layers_, {},
      {},   tops_left_out_of(net, filtered)};
  for (const caffe::LayerParameter& layer : filtered.layer()) {
    work_on(layer, [&] {
      if (is_data_type(layer.type())) {
        builder.add_data_layer(layer, input_shapes);
      } else {
        builder.add_layer(layer);
      }
    });
  }
  builder.mark_backward();
  for (const auto& layer : data_layers_) note_ignored_fields(layer, notes_);
  collect_parameters();
}

Network::~Network() = default;

void Network::collect_parameters() {
  parameters_.clear();
  std::set<const Parameter*> seen;
  for (const Node& node : nodes_) {
    for (const auto& parameter : node.layer->parameters) {
      if (seen.insert(parameter.get()).second) parameters_.push_back(parameter);
    }
  }
}

void Network::set_input(const std::string& blob, const std::vector<float>& values) {
  const auto found = versions_.find(blob);
  if (found == versions_.end()) fail("input \"{}\": the network has no such blob", blob);
  Value& value = *found->second.front();
  if (static_cast<std::int64_t>(values.size()) != value.count()) {
    fail("input \"{}\": {} values for a blob of {}", blob, values.size(), shape_text(value.shape));
  }
  if (const auto bad = allow_nan_ ? std::nullopt : find_not_finite(values)) {
    throw NotFinite(
        fmt::format("input \"{}\": value {} of {} is {}; --allow-nan takes it all the same", blob,
                    *bad, shape_text(value.shape), values[*bad]));
  }
  std::copy(values.begin(), values.end(), value.output());
}

void Network::forward(std::int64_t iteration) {
  const SingleThreaded libraries;
  const c10::InferenceMode no_autograd;
  pass_.iteration = iteration;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    work_on(nodes_[i].layer->parameter(), [&] {
      if (placement_ && placement_->run(*this, i, pass_)) return;
      nodes_[i].layer->forward(nodes_[i].bottoms, nodes_[i].tops, pass_of(*nodes_[i].layer));
    });
  }
}

// As in Caffe a layer may have a phase of its own: dropout that stays on in tests, say.
PassContext Network::pass_of(const Layer& layer) const {
  PassContext pass = pass_;
  if (layer.parameter().has_phase()) pass.phase = layer.parameter().phase();
  return pass;
}

double Network::loss() const {
  double loss = 0;
  for (const Node& node : nodes_) {
    for (std::size_t t = 0; t < node.tops.size(); ++t) {
      if (node.loss_weights[t] == 0) continue;
      const float* values = node.tops[t]->floats();
      double sum = 0;
      for (std::int64_t i = 0; i < node.tops[t]->count(); ++i) sum += values[i];
      loss += node.loss_weights[t] * sum;
    }
  }
  return loss;
}

void Network::backward() {
  const SingleThreaded libraries;
  const c10::InferenceMode no_autograd;
  for (const auto& value : values_) value->clear_gradient();
  for (auto node = nodes_.rbegin(); node != nodes_.rend(); ++node) {
    if (!node->needs_backward) continue;
    bool reached = false;
    for (std::size_t t = 0; t < node->tops.size(); ++t) {
      Value& top = *node->tops[t];
      if (node->loss_weights[t] != 0) {
        top.add_gradient(at::full(top.shape, node->loss_weights[t], at::kFloat));
      }
      reached = reached || top.gradient.defined();
    }
    if (!reached) continue;
    for (Value* top : node->tops) {
      if (!top->gradient.defined()) top->add_gradient(at::zeros(top->shape, at::kFloat));
    }
    if (placement_) placement_->mask_gradient(*this, nodes_.rend() - node - 1);
    backward(*node);
  }
}

// A bottom with `propagate_down: false` gets no gradient from this reader, though others may give
// one. As in Caffe force_backward goes before it.
void Network::backward(Node& node) {
  std::vector<Value*> cut;
  const int flags = node.layer->forced_backward ? 0 : node.layer->parameter().propagate_down_size();
  for (int b = 0; b < flags; ++b) {
    Value* bottom = node.bottoms[b];
    if (node.layer->parameter().propagate_down(b) || !bottom->needs_gradient) continue;
    bottom->needs_gradient = false;
    cut.push_back(bottom);
  }
  work_on(node.layer->parameter(),
          [&] { node.layer->backward(node.tops, node.bottoms, pass_of(*node.layer)); });
  for (Value* bottom : cut) bottom->needs_gradient = true;
}

void Network::place(std::shared_ptr<Placement> placement) { placement_ = std::move(placement); }

void Network::clear_gradients() {
  for (const auto& parameter : parameters_) parameter->gradient.zero_();
}

std::vector<Network::Output> Network::outputs() {
  std::set<const Value*> read;
  std::map<const Value*, float> weights;
  for (const Node& node : nodes_) {
    read.insert(node.bottoms.begin(), node.bottoms.end());
    for (std::size_t t = 0; t < node.tops.size(); ++t) weights[node.tops[t]] = node.loss_weights[t];
  }
  std::vector<Output> outputs;
  for (const auto& [blob_name, versions] : versions_) {
    Value& last = *versions.back();
    if (!read.count(&last)) outputs.push_back({blob_name, last.data().clone(), weights[&last]});
  }
  return outputs;
}

Value& Network::blob(const std::string& blob_name) { return *blob_versions(blob_name).back(); }

std::vector<Value*> Network::blob_versions(const std::string& blob_name) {
  const auto found = versions_.find(blob_name);
  if (found == versions_.end()) fail("blob \"{}\": the network has none of this name", blob_name);
  return found->second;
}

}  // namespace inure
