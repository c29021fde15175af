#include "inure/train/attach_accelerator.hpp"

#include <fmt/format.h>

#include "inure/base/error.hpp"
#include "inure/network/placement.hpp"

namespace inure {

std::string attach_accelerator(Network& network, const std::filesystem::path& file,
                               const Registry& registry, bool saturation_mask) {
  const AcceleratorDescription description = read_description(file.string());
  try {
    auto placement = std::make_shared<Placement>(network, description, registry);
    placement->set_saturation_mask(saturation_mask);
    network.place(std::move(placement));
  } catch (const Error& error) {
    fail("{}: {}", file.string(), error.what());
  }
  return to_text(description);
}

std::string placement_summary(Network& network) {
  const Placement& placement = *network.placement();
  std::string text = placement.accelerator().summary() + "\n";
  for (const StageSpec& stage : placement.stages()) {
    text += "  on the accelerator: " + to_string(stage) + "\n";
  }
  for (const PlacementNote& note : placement.notes()) {
    text += fmt::format("  on the host: {}: {}\n", note.layer, note.reason);
  }
  return text;
}

}  // namespace inure
