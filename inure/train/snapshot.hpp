#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "inure/caffe/caffe.pb.h"
#include "inure/network/network.hpp"

namespace inure {

// What a run needs, besides its files, to go on with the same bits.
struct Snapshot {
  int iteration = 0;
  int current_step = 0;
  caffe::NetParameter weights;      // the float master weights
  std::vector<at::Tensor> history;  // one for each of the network's parameters
  bool from_caffe = false;          // the following are not known
  std::uint64_t seed = 0;
  std::string network;                   // describe_network()
  std::string accelerator;               // description with its formats; empty: the host
  std::vector<double> losses;            // the window of average_loss, oldest first
  std::vector<std::int64_t> test_batch;  // the next batch of each test network
};

// The layers that have weights with their shapes and all others with their types, a line for each.
std::string describe_network(const Network& network);

// "PREFIX_iter_500.solverstate"
std::filesystem::path snapshot_path(const std::string& prefix, int iteration);

// Writes PREFIX_iter_N.caffemodel, then PREFIX_iter_N.solverstate, each under a temporary name that
// is synced and renamed: a solverstate that can be seen is whole and has its weights. Both are
// Caffe's formats and can be read by it. Returns the path of the solverstate. Throws Error.
std::filesystem::path write_snapshot(const std::string& prefix, const Snapshot& snapshot);

// Reads a solverstate and the weights it names (beside it, or else where they were written). Throws
// Error that names the file, also where the weights are not those that it was written with.
Snapshot read_snapshot(const std::filesystem::path& path);

// Throws Error unless the snapshot was taken of this network and this accelerator.
void check_snapshot(const Snapshot& snapshot, const std::filesystem::path& path,
                    const Network& network, const std::string& accelerator);

// The whole solverstate with the highest iteration below `below` whose weights are there too. What
// is wrong with later ones is added to *damaged. Throws Error where there are some and none is
// whole.
std::optional<std::filesystem::path> find_latest_snapshot(
    const std::string& prefix, std::vector<std::string>* damaged = nullptr,
    int below = std::numeric_limits<int>::max());

// The latest whole snapshot of the same run before this one.
std::optional<std::filesystem::path> snapshot_before(const std::filesystem::path& path);

// Removes what a killed run left of snapshots that it was writing. Files of a process that still
// lives are left alone.
void remove_unfinished_snapshots(const std::string& prefix);

}  // namespace inure
