#include "inure/network/placement.hpp"

#include <algorithm>

#include "inure/base/error.hpp"
#include "inure/base/finite.hpp"
#include "inure/base/parallel.hpp"
#include "inure/fixed_point/format.hpp"
#include "inure/pipecnn/pipecnn.hpp"
#include "inure/timing/gate_program.hpp"

namespace inure {
namespace {

template <typename Names>
bool contains(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void check_names(const Network& network, const AcceleratorDescription& description) {
  const auto check = [&](const auto& names, const char* what) {
    for (const std::string& name : names) {
      if (std::none_of(network.nodes().begin(), network.nodes().end(),
                       [&](const Network::Node& node) { return node.layer->name() == name; })) {
        fail("accelerator: layer \"{}\" is {} but the network \"{}\" has no such layer", name, what,
             network.name());
      }
    }
  };
  check(description.host_layer(), "placed");
  check(description.accelerator_layer(), "placed");
  for (const auto& flip : description.errors().bit_flip()) check(flip.layer(), "to err");
  check(description.errors().timing().layer(), "to err");
}

// The description's format, or else the one in the layer itself (qcodeconfig: weights, input,
// output).
std::optional<LayerFormat> format_of(const caffe::LayerParameter& layer,
                                     const AcceleratorDescription& description) {
  for (const LayerFormat& format : description.format()) {
    if (format.layer() == layer.name()) return format;
  }
  if (layer.qcodeconfig_size() != 3) return std::nullopt;
  LayerFormat format;
  format.set_layer(layer.name());
  format.set_weights(layer.qcodeconfig(0).fl());
  format.set_input(layer.qcodeconfig(1).fl());
  format.set_output(layer.qcodeconfig(2).fl());
  return format;
}

// Master weights to int8 in pieces of a fixed size, on all threads.
void quantize_parallel(const at::Tensor& values, int fraction, std::span<std::int8_t> out) {
  constexpr std::int64_t kPiece = 1 << 16;
  const std::int64_t count = values.numel();
  const float* from = values.data_ptr<float>();
  parallel_for((count + kPiece - 1) / kPiece, [&](std::int64_t piece) {
    const std::int64_t begin = piece * kPiece, size = std::min(kPiece, count - begin);
    quantize(std::span(from + begin, size), fraction, out.subspan(begin, size));
  });
}

// NaN would become 0 there, and infinity the largest number, without a word.
void check_finite(const std::string& layer, const float* values, std::int64_t count) {
  const auto bad = find_not_finite({values, static_cast<std::size_t>(count)});
  if (!bad) return;
  throw NotFinite(fmt::format(
      "layer \"{}\": value {} of its input is {}, which the accelerator's integers do not "
      "have; --allow-nan goes on all the same",
      layer, *bad, values[*bad]));
}

}  // namespace

Placement::Placement(const Network& network, const AcceleratorDescription& description,
                     const Registry& registry)
    : accelerator_(registry.make(description)), stage_at_(network.nodes().size(), nullptr) {
  check_names(network, description);
  const std::vector<StageGroup> groups = find_stage_groups(network, notes_);
  for (const StageGroup& group : groups) add(network, group, description);
  for (std::size_t i = 0; i < stage_at_.size(); ++i) {
    const Layer& layer = *network.nodes()[i].layer;
    if (stage_at_[i] != nullptr || !contains(description.accelerator_layer(), layer.name())) {
      continue;
    }
    fail("layer \"{}\" is demanded on the accelerator, which cannot run it: {}", layer.name(),
         why_on_host(network, i, groups));
  }
  if (stages_.empty()) {
    fail("accelerator: no layer of \"{}\" can run on it; the first reason: {}", network.name(),
         notes_.empty() ? "it has no convolution and no inner product"
                        : notes_[0].layer + ": " + notes_[0].reason);
  }
  for (const auto& flip : description.errors().bit_flip()) check_errors_of(flip.layer());
  check_errors_of(description.errors().timing().layer());
}

// Where a layer is no stage's, what is said of its errors would have no effect.
void Placement::check_errors_of(
    const google::protobuf::RepeatedPtrField<std::string>& layers) const {
  for (const std::string& layer : layers) {
    if (contains(stage_names(), layer)) continue;
    fail("accelerator: layer \"{}\" is to err but does not run on it; these do: {}", layer,
         fmt::join(stage_names(), ", "));
  }
}

std::vector<std::string> Placement::stage_names() const {
  std::vector<std::string> names;
  for (const auto& stage : stages_) names.push_back(stage->group.spec.name);
  return names;
}

// Its own note, or that of the stage which it would be part of.
std::string Placement::why_on_host(const Network& network, std::size_t index,
                                   const std::vector<StageGroup>& groups) const {
  const auto name = [&](std::size_t node) { return network.nodes()[node].layer->name(); };
  std::vector<std::string> names{name(index)};
  for (const StageGroup& group : groups) {
    const auto nodes = group.nodes();
    if (std::count(nodes.begin(), nodes.end(), index) > 0) names.push_back(name(group.head));
  }
  for (const std::string& noted : names) {
    for (const PlacementNote& note : notes_) {
      if (note.layer == noted) return note.reason;
    }
  }
  return "a " + network.nodes()[index].layer->type() + " layer is no stage there";
}

void Placement::add(const Network& network, const StageGroup& group,
                    const AcceleratorDescription& description) {
  const caffe::LayerParameter& layer = network.nodes()[group.head].layer->parameter();
  if (contains(description.host_layer(), layer.name())) {
    notes_.push_back({layer.name(), "the description keeps it on the host"});
    return;
  }
  const auto format = format_of(layer, description);
  if (!format) {
    fail(
        "accelerator: layer \"{}\" has no format; write one with `inure quantize`, or name it in "
        "host_layer",
        layer.name());
  }
  StageGroup wanted = group;
  // A pooling or LRN that is to stay on the host ends the stage before it.
  for (auto* part : {&wanted.pool, &wanted.lrn}) {
    if (!*part || !contains(description.host_layer(), network.nodes()[**part].layer->name()))
      continue;
    if (part == &wanted.pool) wanted.pool.reset(), wanted.spec.pool.reset();
    wanted.lrn.reset(), wanted.spec.lrn = false;
  }
  auto fitted =
      fit(wanted, format->weights(), format->input(), format->output(), *accelerator_, notes_);
  if (!fitted) return;
  auto stage = std::make_unique<Stage>();
  stage->group = *fitted;
  stage->program = accelerator_->compile({fitted->spec});
  for (const std::size_t node : fitted->nodes()) stage_at_[node] = stage.get();
  stages_.push_back(std::move(stage));
}

std::vector<StageSpec> Placement::stages() const {
  std::vector<StageSpec> specs;
  for (const auto& stage : stages_) specs.push_back(stage->group.spec);
  return specs;
}

void Placement::load(const Network& network, Stage& stage) {
  const auto& parameters = network.nodes()[stage.group.head].layer->parameters;
  const bool same =
      std::equal(parameters.begin(), parameters.end(), stage.loaded.begin(), stage.loaded.end(),
                 [](const std::shared_ptr<Parameter>& parameter, const Loaded& loaded) {
                   return parameter == loaded.parameter && parameter->version == loaded.version;
                 });
  if (same) return;
  const StageSpec& s = stage.group.spec;
  const auto count = static_cast<std::size_t>(parameters[0]->data.numel());
  if (int8_weights_.size() < count) int8_weights_.resize(count);
  const std::span<std::int8_t> weights(int8_weights_.data(), count);
  quantize_parallel(parameters[0]->data, s.frac_w, weights);
  std::vector<std::int32_t> bias(s.out_channels, 0);
  if (parameters.size() > 1) {
    quantize(std::span(parameters[1]->data.data_ptr<float>(), bias.size()),
             accelerator_->bias_fraction(s), std::span(bias));
    if (accelerator_->bias_bits() == 8) {
      for (auto& b : bias) b = std::clamp(b, -128, 127);
    }
  }
  stage.program->load(0, weights, bias);
  stage.loaded.clear();
  for (const auto& parameter : parameters) stage.loaded.push_back({parameter, parameter->version});
}

std::shared_ptr<const Int8Map> Placement::input_of(const Network& network,
                                                   const Stage& stage) const {
  const StageSpec& s = stage.group.spec;
  Value& value = *network.nodes()[stage.group.head].bottoms[0];
  const auto& ready = value.fixed_point();
  if (ready && ready->fraction == s.frac_in && ready->height == s.in_height &&
      ready->width == s.in_width && ready->channels == s.in_channels) {
    return ready;
  }
  auto map = std::make_shared<Int8Map>();
  map->fraction = s.frac_in;
  map->reshape(static_cast<int>(value.shape[0]), s.in_height, s.in_width, s.in_channels);
  const float* values = value.data().data_ptr<float>();
  if (!network.allows_nan()) check_finite(s.name, values, value.count());
  parallel_for(map->images, [&](std::int64_t n) {
    quantize_to_channels_last(values + n * map->image_size(), s.in_channels,
                              s.in_height * s.in_width, s.frac_in, map->image(static_cast<int>(n)));
  });
  return map;
}

Placement::Operands Placement::operands(const Network& network, const std::string& layer) const {
  for (const auto& stage : stages_) {
    const StageSpec& spec = stage->group.spec;
    if (spec.name != layer) continue;
    const at::Tensor& weights = network.nodes()[stage->group.head].layer->parameters[0]->data;
    Operands operands{spec, input_of(network, *stage),
                      std::vector<std::int8_t>(static_cast<std::size_t>(weights.numel()))};
    quantize_parallel(weights, spec.frac_w, operands.weights);
    return operands;
  }
  fail("layer \"{}\" does not run on the accelerator; these do: {}", layer,
       fmt::join(stage_names(), ", "));
}

bool Placement::run(const Network& network, std::size_t index, const PassContext& pass) {
  Stage* stage = stage_at_[index];
  if (stage == nullptr) return false;
  if (index != stage->group.head) return true;  // done with the head
  load(network, *stage);
  const RunKey key{pass.seed, static_cast<std::uint64_t>(pass.iteration),
                   pass.phase == caffe::TRAIN};
  stage->program->run(input_of(network, *stage), key, pass.phase == caffe::TRAIN, stage->results);

  const StageResult& result = stage->results[0];
  const StageGroup& group = stage->group;
  const auto set = [&](std::size_t node, const std::shared_ptr<Int8Map>& map) {
    network.nodes()[node].tops[0]->set_fixed_point(map);
  };
  const auto& normalised = result.output;
  const auto& pooled = group.lrn ? result.before_lrn : result.output;
  const auto& convolved = group.pool ? result.before_pool : pooled;
  set(group.head, convolved);
  if (group.relu) set(*group.relu, convolved);
  if (group.pool) set(*group.pool, pooled);
  if (group.lrn) set(*group.lrn, normalised);
  return true;
}

void Placement::mask_gradient(const Network& network, std::size_t index) const {
  const Stage* stage = stage_at_[index];
  if (!saturation_mask_ || stage == nullptr || index != stage->group.head) return;
  Value& value = *network.nodes()[index].tops[0];
  const auto& map = value.fixed_point();
  if (!map || !value.gradient.defined()) return;
  const float step = std::ldexp(1.0f, -map->fraction);
  const at::Tensor& data = value.data();
  value.gradient = at::where(data.ge(127 * step).logical_or(data.le(-128 * step)),
                             at::zeros({}, value.gradient.options()), value.gradient);
}

Registry all_accelerators() {
  Registry registry;
  pipecnn::register_kinds(registry);
  timing::register_kinds(registry);
  return registry;
}

}  // namespace inure
