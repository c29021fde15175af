#include <fmt/format.h>

#include <algorithm>

#include "commands.hpp"
#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "inure/base/progress.hpp"
#include "inure/network/calibration.hpp"
#include "inure/network/placement.hpp"
#include "inure/report/table.hpp"

namespace inure::app {

namespace {

struct Options : NetOptions {
  std::string output;
  int iterations = 10, headroom = 0;
  bool train_data = false;
};

std::string percent(double fraction) { return fmt::format("{:.2f}", 100 * fraction); }

void print(const Calibration& calibration) {
  Table table({"layer", "weights", "input", "output", "max weight", "max input", "max output",
               "weight err %", "input err %", "output err %"});
  for (const CalibratedLayer& layer : calibration.layers) {
    table.add({layer.format.layer(), std::to_string(layer.format.weights()),
               std::to_string(layer.format.input()), std::to_string(layer.format.output()),
               fmt::format("{:.3g}", layer.largest_weight),
               fmt::format("{:.3g}", layer.largest_input),
               fmt::format("{:.3g}", layer.largest_output), percent(layer.weight_error),
               percent(layer.input_error), percent(layer.output_error)});
  }
  fmt::print("{}", table.text());
  for (const PlacementNote& note : calibration.notes) {
    fmt::print("On the host: {}: {}\n", note.layer, note.reason);
  }
}

void quantize(const Options& options, std::uint64_t seed) {
  NetOptions in_float = options;
  in_float.accelerator.clear();
  const OpenNet open = open_net(in_float, options.train_data ? caffe::TRAIN : caffe::TEST, seed);
  open.feed->require_data();
  AcceleratorDescription description;
  if (!options.accelerator.empty()) description = read_description(options.accelerator);
  const auto accelerator = all_accelerators().make(description);
  Progress progress("calibrating", "batches", options.iterations);
  const auto pass = [&](int i) {
    open.feed->feed(*open.network, i);
    open.network->forward(i);
    progress.advance();
  };
  const Calibration calibration =
      calibrate(*open.network, *accelerator, options.iterations, pass, options.headroom);
  progress.clear();
  print(calibration);
  if (calibration.layers.empty()) {
    fail("{}: no layer can run on the accelerator, so there is nothing to write", options.model);
  }
  description.clear_format();
  // Defaults too are written down: the file should say what it is.
  description.set_kind(description.kind());
  description.set_vec_size(description.vec_size());
  description.set_lane_num(description.lane_num());
  description.set_arithmetic(description.arithmetic());
  for (const CalibratedLayer& layer : calibration.layers) *description.add_format() = layer.format;
  // A layer that cannot run there has no format and would be missed: it is named.
  std::vector<PlacementNote> known;
  for (const StageGroup& group : find_stage_groups(*open.network, known)) {
    const bool formatted = std::any_of(
        calibration.layers.begin(), calibration.layers.end(),
        [&](const CalibratedLayer& layer) { return layer.format.layer() == group.spec.name; });
    const auto& host = description.host_layer();
    if (!formatted && std::find(host.begin(), host.end(), group.spec.name) == host.end()) {
      description.add_host_layer(group.spec.name);
    }
  }
  write_file_atomically(options.output, to_text(description));
  fmt::print("Wrote {}: {} layers of {} on the {}\n", options.output, calibration.layers.size(),
             open.network->nodes().size(), accelerator->summary());
}

}  // namespace

void add_quantize_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "quantize", "Choose the fixed-point formats from data; write an accelerator's description");
  auto options = std::make_shared<Options>();
  add_model_options(*command, *options);
  add_execution_options(*command, *options);
  command->add_option("--output", options->output, "Where to write the description")
      ->required()
      ->type_name("FILE");
  command->add_option("--iterations", options->iterations, "Batches to look at")
      ->check(kPositive)
      ->capture_default_str()
      ->type_name("N");
  command
      ->add_option("--headroom", options->headroom,
                   "Bits to keep free in the layers' outputs; negative: clip earlier, which bounds "
                   "the errors")
      ->check(CLI::Range(-3, 7))
      ->capture_default_str();
  command->add_flag("--train-data", options->train_data,
                    "Look at the data of the TRAIN phase instead of TEST");
  command->footer(
      "Prints for each layer the fraction bits (value = q * 2^-fraction), the largest values seen\n"
      "and the formats' relative errors. --accelerator gives a description whose kind, build and\n"
      "errors are kept; its formats are replaced.\n\n"
      "Example:\n"
      "  inure quantize --model lenet.prototxt --weights lenet.caffemodel --output "
      "device.prototxt");
  command->callback([&app, options] { quantize(*options, global_seed(app).value_or(1)); });
}

}  // namespace inure::app
