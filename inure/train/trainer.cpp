#include "inure/train/trainer.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "inure/base/finite.hpp"
#include "inure/base/memory_limit.hpp"
#include "inure/caffe/files.hpp"
#include "inure/network/placement.hpp"
#include "inure/train/attach_accelerator.hpp"
#include "inure/train/learning_rate.hpp"
#include "inure/train/solver.hpp"

namespace inure {

namespace {

constexpr std::uint64_t kDefaultSeed = 1;

bool is_set(const std::atomic<bool>* stop) { return stop != nullptr && stop->load(); }

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::uint64_t choose_seed(const caffe::SolverParameter& solver, const TrainOptions& options,
                          const std::optional<Snapshot>& snapshot) {
  if (snapshot && !snapshot->from_caffe) {
    if (options.seed && *options.seed != snapshot->seed) {
      fail("{}: was taken of a run with seed {}; resume it with that or without --seed",
           options.snapshot.string(), snapshot->seed);
    }
    return snapshot->seed;
  }
  if (options.seed) return *options.seed;
  if (solver.random_seed() >= 0) return static_cast<std::uint64_t>(solver.random_seed());
  return kDefaultSeed;
}

[[noreturn]] void fail_not_finite(const std::string& what) {
  throw NotFinite(what +
                  "; a lower base_lr or clip_gradients may help, --allow-nan goes on all the same");
}

double mean(const std::deque<double>& losses) {
  return std::accumulate(losses.begin(), losses.end(), 0.0) / static_cast<double>(losses.size());
}

Snapshot read_named_snapshot(const std::filesystem::path& path) {
  try {
    return read_snapshot(path);
  } catch (const Error& error) {
    const auto before = snapshot_before(path);
    if (!before) throw;
    fail("{}; the snapshot before it is {}", error.what(), before->string());
  }
}

// The running means and variances of batch normalisation, which forward passes move: back to what
// they were, unless the iteration succeeds.
class RunningStatistics {
 public:
  explicit RunningStatistics(const Network& network) {
    for (const Network::Node& node : network.nodes()) {
      if (node.layer->type() != "BatchNorm") continue;
      for (const auto& parameter : node.layer->parameters) {
        before_.emplace_back(parameter.get(), parameter->data.clone());
      }
    }
  }
  ~RunningStatistics() {
    if (kept_) return;
    for (const auto& [parameter, data] : before_) {
      parameter->data.copy_(data);
      ++parameter->version;
    }
  }
  RunningStatistics(const RunningStatistics&) = delete;
  RunningStatistics& operator=(const RunningStatistics&) = delete;

  void check() const {
    for (const auto& [parameter, data] : before_) {
      const auto count = static_cast<std::size_t>(parameter->data.numel());
      if (!find_not_finite({parameter->data.data_ptr<float>(), count})) continue;
      fail_not_finite(fmt::format("{} becomes NaN or infinite", parameter->name));
    }
  }
  void keep() { kept_ = true; }

 private:
  std::vector<std::pair<Parameter*, at::Tensor>> before_;
  bool kept_ = false;
};

}  // namespace

Trainer::Trainer(const caffe::SolverParameter& solver, const TrainOptions& options,
                 std::vector<TrainObserver*> observers)
    : solver_(solver), observers_(std::move(observers)), allow_nan_(options.allow_nan) {
  for (const std::string& text : check_solver(solver_)) {
    tell([&](TrainObserver& observer) { observer.note(text); });
  }
  check_snapshot_folder();
  if (!options.snapshot.empty() && !options.weights.empty()) {
    fail(
        "{}: a snapshot holds weights of its own; give --snapshot to resume or --weights to "
        "fine-tune",
        options.snapshot.string());
  }
  std::optional<Snapshot> snapshot;
  if (!options.snapshot.empty()) snapshot = read_named_snapshot(options.snapshot);
  seed_ = choose_seed(solver_, options, snapshot);
  build_networks(options);
  if (!snapshot) load_weights(options);
  if (!options.accelerator.empty()) place(options);
  if (snapshot) resume(*snapshot, options.snapshot);
}

// Weights of the command line take the place of those that the solver names, as in Caffe.
void Trainer::load_weights(const TrainOptions& options) {
  std::vector<std::string> files = options.weights;
  for (const std::string& named : solver_.weights()) {
    if (!options.weights.empty()) break;
    for (std::size_t begin = 0; begin <= named.size();) {
      const std::size_t end = std::min(named.find(',', begin), named.size());
      if (end > begin) files.push_back(named.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  for (const std::string& text : inure::load_weights(*network_, files)) {
    tell([&](TrainObserver& observer) { observer.note(text); });
  }
  // Layers that only a test network has.
  for (const TestNet& test : tests_) {
    for (const std::string& file : files) test.network->load(caffe::read_model(file), file);
  }
}

void Trainer::place(const TrainOptions& options) {
  const Registry kinds = options.kinds ? *options.kinds : all_accelerators();
  accelerator_ = attach_accelerator(*network_, options.accelerator, kinds, options.saturation_mask);
  if (options.saturation_mask) accelerator_ += "saturation mask\n";
  for (TestNet& test : tests_) attach_accelerator(*test.network, options.accelerator, kinds);
  const std::string summary = placement_summary(*network_);
  tell([&](TrainObserver& observer) { observer.note(summary.substr(0, summary.size() - 1)); });
}

void Trainer::build_networks(const TrainOptions& options) {
  const SolverNets nets = read_solver_nets(solver_);
  feed_ = std::make_unique<Feed>(caffe::TRAIN, seed_, options.synthetic);
  network_ = std::make_unique<Network>(nets.train, caffe::TRAIN, seed_, feed_->opener());
  for (const std::string& note : network_->notes()) {
    tell([&](TrainObserver& observer) { observer.note(note); });
  }
  feed_->require_data();
  for (const std::string& text : feed_->notes()) {
    tell([&](TrainObserver& observer) { observer.note(text); });
  }
  for (const caffe::NetParameter& net : nets.tests) {
    TestNet& test = tests_.emplace_back();
    test.feed = std::make_unique<Feed>(caffe::TEST, seed_, options.synthetic);
    test.network = std::make_unique<Network>(net, caffe::TEST, seed_, test.feed->opener());
    test.feed->require_data();
    test.network->share_parameters(*network_);
  }
  if (allow_nan_) {
    network_->allow_nan();
    for (TestNet& test : tests_) test.network->allow_nan();
  }
  std::uint64_t bytes = 0;
  for (const auto& parameter : network_->parameters()) bytes += parameter->data.nbytes();
  check_memory(bytes, [] { return std::string("solver: its history"); });
  for (const auto& parameter : network_->parameters()) {
    history_.push_back(at::zeros(parameter->data.sizes(), at::kFloat));
  }
}

void Trainer::resume(const Snapshot& snapshot, const std::filesystem::path& path) {
  check_snapshot(snapshot, path, *network_, accelerator_);
  const Network::Loaded loaded = network_->load(snapshot.weights, path.string());
  for (const std::string& layer : network_->without_weights(loaded.parameters)) {
    fail("{}: its weights have none for layer \"{}\": it was taken of another network",
         path.string(), layer);
  }
  for (std::size_t p = 0; p < history_.size(); ++p) {
    const at::Tensor& stored = snapshot.history[p];
    const std::span<const float> values(stored.data_ptr<float>(),
                                        static_cast<std::size_t>(stored.numel()));
    if (const auto bad = allow_nan_ ? std::nullopt : find_not_finite(values)) {
      fail("{}: value {} of the history of {} is {}; --allow-nan takes it all the same",
           path.string(), *bad, network_->parameters()[p]->name, values[*bad]);
    }
    history_[p].copy_(snapshot.history[p].reshape(history_[p].sizes()));
  }
  iteration_ = snapshot.iteration;
  losses_.assign(snapshot.losses.begin(), snapshot.losses.end());
  for (std::size_t t = 0; t < std::min(tests_.size(), snapshot.test_batch.size()); ++t) {
    tests_[t].next_batch = snapshot.test_batch[t];
  }
}

// Better now than after a day of training.
void Trainer::check_snapshot_folder() const {
  if (solver_.snapshot() == 0 && !solver_.snapshot_after_train()) return;
  auto folder = std::filesystem::path(solver_.snapshot_prefix()).parent_path();
  if (folder.empty()) folder = ".";
  if (!std::filesystem::is_directory(folder)) {
    fail("solver: snapshot_prefix \"{}\": the folder {} does not exist; make it, or name another",
         solver_.snapshot_prefix(), folder.string());
  }
  try {
    check_folder_writable(folder);
  } catch (const Error& error) {
    fail("solver: snapshot_prefix \"{}\": {}", solver_.snapshot_prefix(), error.what());
  }
}

// The passes of an iteration. Returns their mean loss.
double Trainer::add_gradients() {
  network_->clear_gradients();
  double loss = 0;
  for (int pass = 0; pass < solver_.iter_size(); ++pass) {
    const std::int64_t batch = std::int64_t{iteration_} * solver_.iter_size() + pass;
    feed_->feed(*network_, batch);
    network_->forward(batch);
    loss += network_->loss();
    if (!allow_nan_ && !std::isfinite(loss)) fail_not_finite(fmt::format("the loss is {}", loss));
    network_->backward();
  }
  return loss / solver_.iter_size();
}

double Trainer::step() {
  RunningStatistics statistics(*network_);
  const double loss = add_gradients();
  const float rate = learning_rate(solver_, iteration_);
  if (!allow_nan_) {
    statistics.check();
    if (!is_finite(rate)) fail_not_finite(fmt::format("the learning rate is {}", rate));
  }
  const Parameter* bad =
      update_parameters(sgd_rule(solver_), rate, network_->parameters(), history_, allow_nan_);
  if (bad != nullptr) {
    fail_not_finite(fmt::format("the update makes {} NaN or infinite", bad->name));
  }
  statistics.keep();
  losses_.push_back(loss);
  while (static_cast<int>(losses_.size()) > solver_.average_loss()) losses_.pop_front();
  ++iteration_;
  return loss;
}

void Trainer::iterate() {
  TrainObserver::Step event;
  event.iteration = iteration_;
  event.display = solver_.display() > 0 && iteration_ % solver_.display() == 0;
  event.rate = learning_rate(solver_, iteration_);
  step();
  event.loss = mean(losses_);
  if (event.display) {
    event.scores = read_scores(*network_);
    event.seconds = seconds_since(displayed_at_);
    event.iterations = event.iteration - displayed_;
    displayed_at_ = Clock::now();
    displayed_ = event.iteration;
  }
  tell([&](TrainObserver& observer) { observer.stepped(event); });
}

bool Trainer::test_now() const {
  return solver_.test_interval() > 0 && iteration_ % solver_.test_interval() == 0;
}

void Trainer::test(const std::atomic<bool>* stop) {
  std::vector<std::int64_t> before;
  for (const TestNet& test : tests_) before.push_back(test.next_batch);
  for (int t = 0; t < static_cast<int>(tests_.size()); ++t) {
    if (test_one(t, stop)) continue;
    // A resumed run begins the test again.
    for (std::size_t i = 0; i < tests_.size(); ++i) tests_[i].next_batch = before[i];
    return;
  }
}

bool Trainer::test_one(int index, const std::atomic<bool>* stop) {
  TestNet& test = tests_[index];
  tell([&](TrainObserver& observer) { observer.test_begun(iteration_, index); });
  const Clock::time_point start = Clock::now();
  TrainObserver::Test event;
  event.iteration = iteration_;
  event.network = index;
  event.with_loss = solver_.test_compute_loss();
  event.result = test_network(*test.network, *test.feed, test.next_batch, solver_.test_iter(index),
                              [&](int, const std::vector<Score>&) { return !is_set(stop); });
  if (is_set(stop)) return false;
  test.next_batch += solver_.test_iter(index);
  event.seconds = seconds_since(start);
  tell([&](TrainObserver& observer) { observer.tested(event); });
  return true;
}

std::filesystem::path Trainer::take_snapshot() {
  Snapshot snapshot;
  snapshot.iteration = iteration_;
  snapshot.current_step = learning_rate_step(solver_, iteration_);
  snapshot.weights = network_->save();
  snapshot.history = history_;
  snapshot.seed = seed_;
  snapshot.network = describe_network(*network_);
  snapshot.accelerator = accelerator_;
  snapshot.losses.assign(losses_.begin(), losses_.end());
  for (const TestNet& test : tests_) snapshot.test_batch.push_back(test.next_batch);
  const auto path = write_snapshot(solver_.snapshot_prefix(), snapshot);
  saved_ = iteration_;
  tell([&](TrainObserver& observer) { observer.snapshot_taken(iteration_, path); });
  return path;
}

// The loss after the last update, on the batch that would be next.
void Trainer::final_display() {
  if (solver_.display() == 0 || iteration_ % solver_.display() != 0) return;
  const std::int64_t batch = std::int64_t{iteration_} * solver_.iter_size();
  feed_->feed(*network_, batch);
  network_->forward(batch);
  TrainObserver::Step event;
  event.iteration = iteration_;
  event.display = true;
  std::deque<double> losses = losses_;  // the loss is averaged like all others
  losses.push_back(network_->loss());
  if (static_cast<int>(losses.size()) > solver_.average_loss()) losses.pop_front();
  event.loss = mean(losses);
  event.rate = learning_rate(solver_, iteration_);
  event.scores = read_scores(*network_);
  event.seconds = seconds_since(displayed_at_);
  event.iterations = iteration_ - displayed_;
  tell([&](TrainObserver& observer) { observer.stepped(event); });
}

// Where training cannot go on: a snapshot of the state, and what is said of it.
std::string Trainer::keep_state() {
  const std::string path = snapshot_path(solver_.snapshot_prefix(), iteration_).string();
  try {
    if (saved_ != iteration_) take_snapshot();
    return fmt::format("the state after iteration {} is in {}", iteration_, path);
  } catch (const Error& error) {
    return fmt::format("the state after iteration {} is lost: {}", iteration_, error.what());
  }
}

bool Trainer::run(const std::atomic<bool>* stop) {
  const int first = iteration_;
  try {
    return train(stop);
  } catch (const NotFinite& error) {
    const std::string kept = keep_state();
    tell([&](TrainObserver& observer) { observer.ended(iteration_, true); });
    fail("iteration {}: {}; {}", iteration_, error.what(), kept);
  } catch (const Error& error) {
    if (iteration_ == first || saved_ == iteration_) throw;
    observers_.clear();  // who could not write may be among them
    fail("{}; {}", error.what(), keep_state());
  }
}

bool Trainer::train(const std::atomic<bool>* stop) {
  const int every = solver_.snapshot();
  tell([&](TrainObserver& observer) {
    observer.begun({network_->name(), iteration_, solver_.max_iter()});
  });
  displayed_at_ = Clock::now();
  displayed_ = iteration_;
  while (iteration_ < solver_.max_iter() && !is_set(stop)) {
    if (test_now() && (iteration_ > 0 || solver_.test_initialization())) test(stop);
    if (is_set(stop)) break;
    iterate();
    if (every > 0 && iteration_ % every == 0) take_snapshot();
  }
  const bool stopped = is_set(stop);
  const bool wanted =
      stopped || (solver_.snapshot_after_train() && (!every || iteration_ % every != 0));
  if (wanted && saved_ != iteration_) take_snapshot();
  if (!stopped) {
    final_display();
    if (test_now()) test(stop);
  }
  tell([&](TrainObserver& observer) { observer.ended(iteration_, stopped); });
  return !stopped;
}

}  // namespace inure
