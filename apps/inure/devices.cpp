#include <fmt/format.h>

#include "commands.hpp"
#include "inure/network/placement.hpp"
#include "inure/pipecnn/kernels.hpp"

namespace inure::app {

namespace {

void devices(const std::string& accelerator) {
  const Registry registry = all_accelerators();
  if (!accelerator.empty()) {
    const AcceleratorDescription description = read_description(accelerator);
    fmt::print("{}: {}\n", accelerator, registry.make(description)->summary());
    return;
  }
  fmt::print("Kinds of accelerators (kind: \"...\" in an accelerator's description):\n");
  for (const auto& [kind, summary] : registry.kinds()) fmt::print("  {:<20} {}\n", kind, summary);
  fmt::print("Exact products of the fast simulator on this processor: {}\n",
             pipecnn::name_of(pipecnn::best_convolve()));
}

}  // namespace

void add_devices_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("devices", "List the kinds of accelerators");
  auto accelerator = std::make_shared<std::string>();
  command
      ->add_option("--accelerator", *accelerator,
                   "Check this description instead and say what it is")
      ->type_name("FILE");
  command->callback([accelerator] { devices(*accelerator); });
}

}  // namespace inure::app
