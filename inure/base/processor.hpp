#pragma once

namespace inure {

// May kernels run that are written for a processor's vectors, where it has them? Not where the
// environment says INURE_PLAIN=1: then the plain loops beside them do all the work, and tests can
// compare.
bool vector_kernels_allowed();

}  // namespace inure
