#pragma once

namespace inure::app {

// Standard descriptors that were closed are opened to the null device, so that no file of ours gets
// their numbers; writing to a closed pipe is an error and not the end.
void prepare_descriptors();

}  // namespace inure::app
