#pragma once

#include <filesystem>
#include <string>

#include "inure/network/network.hpp"

namespace inure {

// Places the network on the accelerator that the file describes. Returns the whole description,
// with the fixed-point formats, as text: snapshots hold it, and a run resumes only on the same.
// Throws Error.
std::string attach_accelerator(Network& network, const std::filesystem::path& file);

}  // namespace inure
