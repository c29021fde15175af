#pragma once

#include <filesystem>
#include <string>

#include "inure/accelerator/accelerator.hpp"
#include "inure/caffe/caffe.pb.h"

// What a result depends on, as fingerprints: files by what they hold, not by their names.
namespace inure {

// A file by its content; a folder by its files, but for an LMDB's lock.mdb. Of a file of more than
// 1 GiB size and time of the last change stand for the content. "none" where there is nothing.
std::string fingerprint_of_path(const std::filesystem::path& path);

// What the layers of a network read: data sets, lists and mean files; of the images of a list size
// and time of the last change.
std::string fingerprint_of_inputs(const caffe::NetParameter& net);

// An accelerator without its clock: profiles and tables by what they hold.
std::string fingerprint_of(const AcceleratorDescription& description);

// How a network is trained, the network and its inputs included, but for where snapshots go to.
std::string fingerprint_of(const caffe::SolverParameter& solver, bool with_inputs);

}  // namespace inure
