#pragma once

#include <filesystem>
#include <string>

#include "inure/accelerator/accelerator.hpp"
#include "inure/network/network.hpp"

namespace inure {

// Places the network on the accelerator that the file describes, of a kind that the registry has;
// of one registry, networks share what their descriptions have in common. Returns the whole
// description, with the fixed-point formats, as text: snapshots hold it, and a run resumes only on
// the same. saturation_mask: no gradient where an accelerator's output saturated. Throws Error.
std::string attach_accelerator(Network& network, const std::filesystem::path& file,
                               const Registry& registry, bool saturation_mask = false);

// The accelerator, its stages, and what stays on the host and why: lines to print.
std::string placement_summary(Network& network);

}  // namespace inure
