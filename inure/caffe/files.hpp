#pragma once

#include <filesystem>

#include "inure/caffe/caffe.pb.h"

// Caffe's files. Every function throws inure::Error with one line that names the file (and for text
// the line and column): missing, truncated, not of this kind, an unknown field, an unknown layer
// type.
namespace inure::caffe {

// Prototxt. Old forms are upgraded: V0 and V1 layers, `input`/`input_dim` to Input layers,
// transform fields that stood in a V1 layer's data_param. Layer types are those of plain Caffe;
// others are refused by name.
NetParameter read_net(const std::filesystem::path& path);
NetParameter parse_net(const std::string& text, const std::string& name_for_errors);
SolverParameter read_solver(const std::filesystem::path& path);  // solver_type upgraded to type

// Binary .caffemodel (V1 files are upgraded), .solverstate and mean .binaryproto. Models and states
// that are written end with a checksum in a field that Caffe skips; where a file has one it is
// verified. read_model gives it to *checksum (0: the file has none).
NetParameter read_model(const std::filesystem::path& path, std::uint64_t* checksum = nullptr);
SolverState read_solver_state(const std::filesystem::path& path);
BlobProto read_mean(const std::filesystem::path& path);  // shape 1 x C x H x W
std::uint64_t write_model(const std::filesystem::path& path, const NetParameter& model);
void write_solver_state(const std::filesystem::path& path, const SolverState& state);
void write_mean(const std::filesystem::path& path, const BlobProto& mean);

// The shape of a blob, new style (shape) or legacy (num, channels, height, width).
std::vector<std::int64_t> blob_shape(const BlobProto& blob);

// Keeps the layers whose include/exclude rules hold for this state (Caffe's FilterNet).
NetParameter filter_net(const NetParameter& net, const NetState& state);

}  // namespace inure::caffe
