#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "inure/accelerator/accelerator.hpp"
#include "inure/caffe/caffe.pb.h"
#include "inure/network/network.hpp"
#include "inure/train/feed.hpp"
#include "inure/train/observer.hpp"
#include "inure/train/sgd.hpp"
#include "inure/train/snapshot.hpp"

namespace inure {

struct TrainOptions {
  // Fine-tuning: copied by layer name, in order; none: the solver's own.
  std::vector<std::string> weights;
  std::filesystem::path snapshot;         // a .solverstate to resume from
  std::filesystem::path accelerator;      // its description
  std::shared_ptr<const Registry> kinds;  // of accelerators; none: all_accelerators()
  bool saturation_mask = false;           // no gradient where the accelerator saturated
  std::optional<std::uint64_t> seed;      // else random_seed of the solver, else 1
  std::optional<SyntheticData> synthetic;
  bool allow_nan = false;  // goes on with NaN and infinity in weights, data and losses
};

// Caffe's solver: trains a network, tests it and takes snapshots as a SolverParameter says. A run
// that is resumed from one of its snapshots goes on with the same bits.
class Trainer {
 public:
  // Reads the networks, opens their data, loads weights or resumes. Throws Error.
  Trainer(const caffe::SolverParameter& solver, const TrainOptions& options,
          std::vector<TrainObserver*> observers = {});

  // To max_iter, as Caffe's Solve. When *stop becomes true it takes a snapshot and returns false.
  // Where it cannot go on (a loss or weight that is NaN, data that cannot be read), it takes a
  // snapshot of the state before and throws Error.
  bool run(const std::atomic<bool>* stop = nullptr);

  // One iteration: iter_size passes and an update. Returns its loss. No test, no snapshot, no log.
  // Where it throws, the state is that before.
  double step();
  // Every test network once over its test_iter batches; nothing if *stop.
  void test(const std::atomic<bool>* stop = nullptr);
  std::filesystem::path take_snapshot();  // returns the path of the solverstate

  int iteration() const { return iteration_; }
  std::uint64_t seed() const { return seed_; }
  Network& network() { return *network_; }
  const std::vector<at::Tensor>& history() const { return history_; }

 private:
  struct TestNet {
    std::unique_ptr<Feed> feed;
    std::unique_ptr<Network> network;
    std::int64_t next_batch = 0;
  };
  using Clock = std::chrono::steady_clock;

  void build_networks(const TrainOptions& options);
  void load_weights(const TrainOptions& options);
  void place(const TrainOptions& options);
  void resume(const Snapshot& snapshot, const std::filesystem::path& path);
  void check_snapshot_folder() const;
  bool test_now() const;
  bool test_one(int index, const std::atomic<bool>* stop);
  double add_gradients();
  bool train(const std::atomic<bool>* stop);
  std::string keep_state();
  void iterate();
  void final_display();

  template <typename Event>
  void tell(Event event) {
    for (TrainObserver* observer : observers_) event(*observer);
  }

  caffe::SolverParameter solver_;
  std::vector<TrainObserver*> observers_;
  std::uint64_t seed_ = 1;
  std::unique_ptr<Feed> feed_;
  std::unique_ptr<Network> network_;
  std::vector<TestNet> tests_;
  std::vector<at::Tensor> history_;
  std::string accelerator_;
  bool allow_nan_ = false;
  int iteration_ = 0;
  int saved_ = -1;  // the iteration of the last snapshot
  std::deque<double> losses_;
  Clock::time_point displayed_at_;
  int displayed_ = 0;
};

}  // namespace inure
