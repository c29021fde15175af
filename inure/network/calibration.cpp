#include "inure/network/calibration.hpp"

#include <algorithm>
#include <map>

#include "inure/base/error.hpp"
#include "inure/base/finite.hpp"
#include "inure/fixed_point/calibration.hpp"

namespace inure {
namespace {

std::span<const float> values_of(const at::Tensor& tensor) {
  return {tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())};
}

void check_finite(const std::string& layer, const char* what, std::span<const float> values) {
  const auto bad = find_not_finite(values);
  if (bad) fail("layer \"{}\": {} {} is {}; no format holds it", layer, what, *bad, values[*bad]);
}

// The accelerator's sums must not be shifted left, and the 2018 bias must not be either.
int largest_output_fraction(const Accelerator& accelerator, int frac_w, int frac_in) {
  const int sum = frac_w + frac_in;
  return accelerator.bias_bits() == 8 ? std::min(sum, frac_w) - 1 : sum;
}

}  // namespace

Calibration calibrate(Network& network, const Accelerator& accelerator, int passes,
                      const std::function<void(int)>& pass, int headroom) {
  Calibration result;
  const std::vector<StageGroup> groups = find_stage_groups(network, result.notes);
  std::vector<FractionCalibrator> inputs(groups.size()), outputs(groups.size());
  for (int i = 0; i < passes; ++i) {
    pass(i);
    for (std::size_t g = 0; g < groups.size(); ++g) {
      // Of the stage's own output: LRN, which has a format of its own, is not part of it.
      const std::size_t last = groups[g].pool   ? *groups[g].pool
                               : groups[g].relu ? *groups[g].relu
                                                : groups[g].head;
      const auto input = values_of(network.nodes()[groups[g].head].bottoms[0]->data());
      const auto output = values_of(network.nodes()[last].tops[0]->data());
      check_finite(groups[g].spec.name, "input value", input);
      check_finite(groups[g].spec.name, "output value", output);
      inputs[g].observe(input);
      outputs[g].observe(output);
    }
  }

  std::map<const Value*, int> computed;  // values that a stage computes, and their fraction
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const Network::Node& head = network.nodes()[groups[g].head];
    FractionCalibrator weights;
    const auto values = values_of(head.layer->parameters[0]->data);
    check_finite(head.layer->name(), "weight", values);
    weights.observe(values);
    const auto known = computed.find(head.bottoms[0]);
    const int frac_w = weights.best_fraction();
    const int frac_in = known != computed.end() ? known->second : inputs[g].best_fraction();
    const int frac_out = std::min(outputs[g].best_fraction(headroom),
                                  largest_output_fraction(accelerator, frac_w, frac_in));
    const auto fitted = fit(groups[g], frac_w, frac_in, frac_out, accelerator, result.notes);
    if (!fitted) continue;
    computed[network.nodes()[fitted->last()].tops[0]] = fitted->spec.out_fraction();
    CalibratedLayer layer;
    layer.format.set_layer(head.layer->name());
    layer.format.set_weights(frac_w);
    layer.format.set_input(frac_in);
    layer.format.set_output(frac_out);
    layer.largest_weight = weights.largest();
    layer.largest_input = inputs[g].largest();
    layer.largest_output = outputs[g].largest();
    layer.weight_error = weights.relative_error(frac_w);
    layer.input_error = inputs[g].relative_error(frac_in);
    layer.output_error = outputs[g].relative_error(frac_out);
    result.layers.push_back(std::move(layer));
  }
  return result;
}

}  // namespace inure
