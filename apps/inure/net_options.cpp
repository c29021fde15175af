#include <fmt/format.h>

#include "commands.hpp"
#include "inure/caffe/files.hpp"
#include "inure/network/blas.hpp"
#include "inure/network/placement.hpp"
#include "inure/train/attach_accelerator.hpp"

namespace inure::app {

std::optional<std::uint64_t> global_seed(const CLI::App& app) {
  const CLI::Option* option = app.get_option("--seed");
  if (option->count() == 0) return {};
  return option->as<std::uint64_t>();
}

std::optional<SyntheticData> NetOptions::synthetic_data() const {
  if (synthetic_option->count() == 0) return {};
  return parse_synthetic_data(synthetic);
}

void add_model_options(CLI::App& command, NetOptions& options) {
  command.add_option("--model", options.model, "The network (.prototxt)")
      ->required()
      ->type_name("FILE");
}

void add_execution_options(CLI::App& command, NetOptions& options) {
  command
      .add_option("--weights", options.weights,
                  "Trained weights (.caffemodel), copied by the layers' names; several: A,B")
      ->delimiter(',')
      ->type_name("FILE");
  command
      .add_option("--accelerator", options.accelerator,
                  "Run the forward pass on the accelerator that this file describes")
      ->type_name("FILE");
  command.add_option("--level", options.level,
                     "Level of the network's state, for include/exclude rules");
  command.add_option("--stage", options.stages, "Stages of the network's state; several: A,B")
      ->delimiter(',')
      ->type_name("NAME");
  options.synthetic_option =
      command
          .add_option(
              "--synthetic-data", options.synthetic,
              "Random images in place of what data layers read (and of the zeros of Input layers), "
              "with the shape given or, without one, that of the layer or of crop_size")
          ->expected(0, 1)
          ->type_name("CxHxW");
  command.add_flag("--allow-nan", options.allow_nan,
                   "Go on with NaN and infinity in weights, data and losses");
  command.add_option("--gpu", options.gpu, "Of Caffe; has no effect here")->type_name("ID");
  command.parse_complete_callback([&options] {
    if (!options.gpu.empty()) fmt::print("Note: --gpu has no effect here\n");
  });
}

OpenNet open_net(const NetOptions& options, caffe::Phase phase, std::uint64_t seed) {
  for (const std::string& warning : blas_warnings()) fmt::print("Note: {}\n", warning);
  caffe::NetParameter net = caffe::read_net(options.model);
  net.mutable_state()->set_phase(phase);
  if (options.level != 0) net.mutable_state()->set_level(options.level);
  for (const std::string& stage : options.stages) net.mutable_state()->add_stage(stage);
  OpenNet open;
  open.feed = std::make_unique<Feed>(phase, seed, options.synthetic_data());
  open.network = std::make_unique<Network>(net, phase, seed, open.feed->opener());
  for (const std::string& note : open.network->notes()) fmt::print("Note: {}\n", note);
  for (const std::string& note : open.feed->notes()) fmt::print("Note: {}\n", note);
  if (options.weights.empty()) {
    fmt::print("Note: no --weights: the network has the random weights of its fillers\n");
  }
  if (options.allow_nan) open.network->allow_nan();
  for (const std::string& note : load_weights(*open.network, options.weights)) {
    fmt::print("Note: {}\n", note);
  }
  if (!options.accelerator.empty()) {
    attach_accelerator(*open.network, options.accelerator, all_accelerators());
    fmt::print("{}", placement_summary(*open.network));
  }
  return open;
}

}  // namespace inure::app
