#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "commands.hpp"
#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "inure/base/fingerprint.hpp"
#include "inure/base/label.hpp"
#include "inure/base/progress.hpp"
#include "inure/caffe/files.hpp"
#include "inure/errors/timing_profile.hpp"
#include "inure/network/blas.hpp"
#include "inure/network/placement.hpp"
#include "inure/study/clocks.hpp"
#include "inure/study/inputs.hpp"
#include "inure/study/sweep.hpp"
#include "inure/study/sweep_report.hpp"
#include "inure/timing/process.hpp"
#include "inure/timing/tool_log.hpp"
#include "inure/train/solver.hpp"
#include "inure/train/testing.hpp"
#include "inure/train/trainer.hpp"
#include "stop.hpp"

namespace inure::app {

namespace {

namespace fs = std::filesystem;

struct Options : NetOptions {
  std::string solver, retrained_accelerator, clocks, output, score = "accuracy";
  std::vector<std::string> profiles, tables;
  int seeds = 3, retrain_iterations = 0, test_iterations = 0;
  bool no_retraining = false, chain = false;
};

// What placing the network would find only after the sweep has begun.
void check_lanes(const AcceleratorDescription& description, const std::string& file) {
  const TimingDescription& timing = description.errors().timing();
  for (const std::string& profile : timing.profile()) {
    const std::uint32_t vec_size = read_timing_profile(profile).vec_size();
    if (vec_size == description.vec_size()) continue;
    fail("{}: vec_size is {}; the lane of {} has {} multipliers", file, description.vec_size(),
         profile, vec_size);
  }
  for (const std::string& tables : timing.tables()) {
    const fs::path table = fs::path(tables) / "product_0.table";
    if (!fs::exists(table))
      fail("{}: no such file; make it with characterize --tables", table.string());
  }
}

// The description with the profiles that the command line names, if it does.
AcceleratorDescription read_with_profiles(const std::string& file, const Options& options) {
  AcceleratorDescription description = read_description(file);
  TimingDescription& timing = *description.mutable_errors()->mutable_timing();
  if (!options.profiles.empty()) {
    timing.clear_profile(), timing.clear_tables();
    for (const std::string& profile : options.profiles) timing.add_profile(profile);
    for (const std::string& tables : options.tables) timing.add_tables(tables);
  }
  if (timing.profile_size() == 0) {
    fail("{}: errors.timing names no profile; name one there or with --profile", file);
  }
  check_lanes(description, file);
  return description;
}

// The solver for `iterations`: the steps of its learning rate move along. It tests nothing.
caffe::SolverParameter retraining_solver(const Options& options) {
  caffe::SolverParameter solver = inure::read_solver(options.solver);
  if (options.retrain_iterations > 0 && solver.max_iter() > 0) {
    const double longer = static_cast<double>(options.retrain_iterations) / solver.max_iter();
    const auto scaled = [&](int step) { return static_cast<int>(std::lround(step * longer)); };
    for (int& step : *solver.mutable_stepvalue()) step = scaled(step);
    if (solver.has_stepsize()) solver.set_stepsize(std::max(1, scaled(solver.stepsize())));
  }
  if (options.retrain_iterations > 0) solver.set_max_iter(options.retrain_iterations);
  if (solver.max_iter() < 1) {
    fail("{}: max_iter is {}; say how long to retrain: --retrain-iterations", options.solver,
         solver.max_iter());
  }
  solver.clear_test_iter(), solver.clear_test_net(), solver.clear_test_net_param();
  solver.clear_test_state(), solver.clear_test_interval();
  solver.clear_weights();  // each retraining says where it begins
  solver.set_display(0);
  solver.set_snapshot_after_train(true);
  if (options.level != 0) solver.mutable_train_state()->set_level(options.level);
  for (const std::string& stage : options.stages) solver.mutable_train_state()->add_stage(stage);
  return solver;
}

class RetrainingProgress : public TrainObserver {
 public:
  RetrainingProgress(const std::string& label, int iterations)
      : progress_(label, "iterations", iterations) {}
  void stepped(const Step& event) override {
    progress_.note(fmt::format("loss {:.4g}", event.loss));
    progress_.set(event.iteration + 1);
  }

 private:
  Progress progress_;
};

// Makes the runs of a sweep.
class Runner {
 public:
  Runner(const Options& options, std::uint64_t first_seed, const std::atomic<bool>& stop)
      : options_(options), stop_(stop) {
    if (!options.no_retraining && options.solver.empty()) {
      fail("sweep: retraining needs a --solver; without retraining: --no-retraining");
    }
    if (!options.solver.empty()) solver_ = retraining_solver(options);
    model_ = options.model.empty() ? solver_.net() : options.model;
    if (model_.empty()) fail("sweep: --model is missing, and the solver names no net");
    net_ = caffe::read_net(model_);
    before_ = read_with_profiles(options.accelerator, options);
    const bool other = !options.retrained_accelerator.empty();
    after_ = other ? read_with_profiles(options.retrained_accelerator, options) : before_;
    if (first_seed >
        std::numeric_limits<std::uint64_t>::max() - static_cast<std::uint64_t>(options.seeds)) {
      fail("sweep: --seed {} leaves no room for the {} seeds from it on", first_seed,
           options.seeds);
    }
    plan_.first_seed = first_seed;
    plan_.seeds = options.seeds;
    plan_.retrain = !options.no_retraining;
    plan_.chain = options.chain;
    const TimingDescription& timing = before_.errors().timing();
    plan_.clocks =
        options.clocks.empty() ? interesting_clocks(timing) : parse_clocks(options.clocks);
    check_clocks(timing, plan_.clocks);
    if (plan_.retrain) check_clocks(after_.errors().timing(), plan_.clocks);
    find_facts();
  }

  const SweepPlan& plan() const { return plan_; }
  const SweepFacts& facts() const { return facts_; }

  SweepStore::Settings settings() const {
    const bool with_inputs = !options_.synthetic_data();
    std::string weights;
    for (const std::string& file : options_.weights) weights += fingerprint_of_path(file);
    std::string state = fmt::format("level {}", options_.level);
    for (const std::string& stage : options_.stages) state += ", stage " + stage;
    if (options_.synthetic_data()) state += ", synthetic data " + options_.synthetic;
    SweepStore::Settings settings{
        {"model", fingerprint(net_.SerializeAsString())},
        {"data", with_inputs ? fingerprint_of_inputs(net_) : "none"},
        {"weights", weights},
        {"accelerator", fingerprint_of(before_)},
        {"state", label_of(state)},
        {"test", fmt::format("{} in {} iterations", label_of(options_.score),
                             options_.test_iterations > 0 ? std::to_string(options_.test_iterations)
                                                          : "all")}};
    if (!plan_.retrain) return settings;
    settings.emplace_back("solver, its network or data", fingerprint_of(solver_, with_inputs));
    settings.emplace_back("accelerator of the retrained network", fingerprint_of(after_));
    settings.emplace_back("chain of clocks",
                          plan_.chain ? fmt::format("{}", fmt::join(plan_.clocks, " ")) : "none");
    return settings;
  }

  // The accuracy of a point; nothing where a signal came.
  std::optional<double> run(const SweepPoint& point, const SweepStore& store) {
    const fs::path& folder = store.folder();
    AcceleratorDescription description = before_;
    description.clear_errors();
    if (point.network == SweepPoint::Network::kExact) {
      return test(point, description, options_.weights);
    }
    if (point.network == SweepPoint::Network::kBefore) {
      return test(point, at_clock(before_, point.clock), options_.weights);
    }
    description = after_;
    if (point.network == SweepPoint::Network::kControl) {
      description.clear_errors();
    } else {
      description = at_clock(after_, point.clock);
      if (const auto known = find_control(point, description, store)) return known;
    }
    if (!retrain(point, description, folder)) return std::nullopt;
    return test(point, description, {weights_of(point, folder)});
  }

  // Of a run that is done only the weights stay.
  void clean(const SweepPoint& point, const fs::path& folder) const {
    if (!is_retrained(point)) return;
    const std::string prefix = point.name() + "_iter_";
    const fs::path keep = weights_of(point, folder);
    for (const auto& entry : fs::directory_iterator(folder / "networks")) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(prefix) && entry.path() != keep) fs::remove(entry.path());
    }
  }

 private:
  static bool is_retrained(const SweepPoint& point) {
    return point.network == SweepPoint::Network::kControl ||
           point.network == SweepPoint::Network::kAfter;
  }

  // A clock without errors is the control once more: taken from there.
  std::optional<double> find_control(const SweepPoint& point,
                                     const AcceleratorDescription& description,
                                     const SweepStore& store) const {
    if (point.start || description.errors().ByteSizeLong() > 0) return std::nullopt;
    const SweepPoint control{SweepPoint::Network::kControl, 0, point.seed, {}};
    const auto accuracy = store.find(control);
    const fs::path weights = weights_of(control, store.folder());
    if (!accuracy || !fs::exists(weights)) return std::nullopt;
    write_file_atomically(weights_of(point, store.folder()), read_file(weights));
    return accuracy;
  }

  std::string prefix_of(const SweepPoint& point, const fs::path& folder) const {
    return (folder / "networks" / point.name()).string();
  }
  std::string weights_of(const SweepPoint& point, const fs::path& folder) const {
    return fmt::format("{}_iter_{}.caffemodel", prefix_of(point, folder), solver_.max_iter());
  }

  // False: interrupted, with a snapshot to go on from.
  bool retrain(const SweepPoint& point, const AcceleratorDescription& description,
               const fs::path& folder) {
    fs::create_directories(folder / "networks");
    caffe::SolverParameter solver = solver_;
    solver.set_snapshot_prefix(prefix_of(point, folder));
    remove_unfinished_snapshots(solver.snapshot_prefix());
    TrainOptions train;
    const bool control = point.network == SweepPoint::Network::kControl;
    const std::string where = control ? "control" : fmt::format("clock_{:.4f}", point.clock);
    train.accelerator = folder / "networks" / (where + ".prototxt");
    write_file_atomically(train.accelerator, to_text(description));
    train.kinds = kinds_;
    train.saturation_mask = true;
    train.seed = point.seed;
    train.synthetic = options_.synthetic_data();
    train.allow_nan = options_.allow_nan;
    if (const auto snapshot = find_latest_snapshot(solver.snapshot_prefix())) {
      train.snapshot = *snapshot;
    } else if (point.start) {
      SweepPoint start = point;
      start.clock = *point.start;
      train.weights = {weights_of(start, folder)};
    } else {
      train.weights = options_.weights;
    }
    RetrainingProgress progress(
        control ? fmt::format("retraining without errors, seed {}", point.seed)
                : fmt::format("retraining at {:.4f}, seed {}", point.clock, point.seed),
        solver.max_iter());
    std::optional<EndOnSignals> loading(std::in_place);
    Trainer trainer(solver, train, {&progress});
    loading.reset();
    return trainer.run(&stop_);
  }

  Network open(std::uint64_t seed, Feed& feed) const {
    caffe::NetParameter net = net_;
    if (options_.level != 0) net.mutable_state()->set_level(options_.level);
    for (const std::string& stage : options_.stages) net.mutable_state()->add_stage(stage);
    return Network(net, caffe::TEST, seed, feed.opener());
  }

  // For the reports; the network that is tested shows them before the first test.
  void find_facts() {
    facts_.network = net_.name();
    double slowest_ps = 0;
    for (const std::string& profile : before_.errors().timing().profile()) {
      facts_.lanes.push_back(fs::path(profile).stem().string());
      const double critical_ps = read_timing_profile(profile).critical_ps();
      slowest_ps = std::max(slowest_ps, critical_ps);
    }
    facts_.f_sta_mhz = 1e6 / slowest_ps;
    Feed feed(caffe::TEST, plan_.first_seed, options_.synthetic_data());
    Network network = open(plan_.first_seed, feed);
    facts_.images = std::int64_t{test_iterations(feed)} * feed.batch_size();
    check_score(network);
    for (const Network::Node& node : network.nodes()) {
      if (node.layer->type() != "Accuracy" || node.tops[0]->name != options_.score) continue;
      const auto& parameter = node.layer->parameter().accuracy_param();
      const auto& shape = node.bottoms[0]->shape;
      const int axis =
          parameter.axis() + (parameter.axis() < 0 ? static_cast<int>(shape.size()) : 0);
      facts_.chance = static_cast<double>(parameter.top_k()) /
                      static_cast<double>(shape.at(static_cast<std::size_t>(axis)));
    }
  }

  std::optional<double> test(const SweepPoint& point, const AcceleratorDescription& description,
                             const std::vector<std::string>& weights) const {
    Feed feed(caffe::TEST, point.seed, options_.synthetic_data());
    Network network = open(point.seed, feed);
    feed.require_data();
    if (options_.allow_nan) network.allow_nan();
    load_weights(network, weights);
    {
      const EndOnSignals loading;  // errors take up to minutes to make ready
      network.place(std::make_shared<Placement>(network, description, *kinds_));
    }
    const int iterations = test_iterations(feed);
    Progress progress("testing " + point.name(), "images", iterations * feed.batch_size());
    const auto step = [&](int, const std::vector<Score>&) {
      progress.advance(feed.batch_size());
      return !stop_.load();
    };
    const TestResult result = test_network(network, feed, 0, iterations, step);
    if (result.iterations < iterations) return std::nullopt;
    return score_of(result);
  }

  // By default the whole set, each image once.
  int test_iterations(const Feed& feed) const {
    if (options_.test_iterations > 0) return options_.test_iterations;
    if (feed.records() == 0 || feed.batch_size() == 0) {
      fail("{}: how many images a test has is not known; say --test-iterations", model_);
    }
    return static_cast<int>(std::max<std::int64_t>(1, feed.records() / feed.batch_size()));
  }

  // Outputs are the tops that no layer reads.
  void check_score(const Network& network) const {
    std::vector<std::string> names;
    for (const Network::Node& node : network.nodes()) {
      for (const Value* bottom : node.bottoms) std::erase(names, bottom->name);
      for (const Value* top : node.tops) names.push_back(top->name);
    }
    if (std::ranges::find(names, options_.score) != names.end()) return;
    fail("{}: no output is named \"{}\"; name one with --score: {}", model_,
         label_of(options_.score), fmt::join(names, ", "));
  }

  double score_of(const TestResult& result) const {
    const auto named = [&](const Score& score) { return score.name == options_.score; };
    return std::ranges::find_if(result.scores, named)->value;  // check_score() saw it
  }

  const Options& options_;
  const std::atomic<bool>& stop_;
  SweepPlan plan_;
  SweepFacts facts_;
  std::string model_;
  caffe::NetParameter net_;
  caffe::SolverParameter solver_;
  AcceleratorDescription before_, after_;
  // One for all runs: they share what is made of profiles and tables.
  const std::shared_ptr<const Registry> kinds_ =
      std::make_shared<const Registry>(all_accelerators());
};

void draw(const fs::path& folder) {
  const fs::path log = folder / "gnuplot.log", picture = folder / "sweep.png";
  fs::remove(log);
  const int status =
      timing::run_program({"gnuplot", "sweep.gnuplot"}, folder, log.filename(), "gnuplot");
  // A PNG file ends with this, but where the disk was full.
  constexpr std::string_view kEnd = "IEND\xAE\x42\x60\x82";
  if (status == 0 && fs::exists(picture) && read_file(picture).ends_with(kEnd)) return;
  fail("{}: cannot be drawn: gnuplot ended with {}: {} (log: {})", picture.string(), status,
       timing::complaint(log), log.string());
}

void write_reports(const Runner& runner, const SweepSummary& summary, const fs::path& folder) {
  write_file_atomically(folder / "sweep.csv", sweep_csv(summary));
  write_file_atomically(folder / "sweep.jsonl", sweep_json(summary, runner.facts()));
  write_file_atomically(folder / "sweep.gnuplot",
                        sweep_plot(runner.plan(), summary, runner.facts()));
  std::string plot = "sweep.png";
  if (timing::has_program("gnuplot")) {
    draw(folder);
  } else {
    plot = "no plot: gnuplot is not installed";
  }
  fmt::print("Wrote {}: sweep.csv, sweep.jsonl, sweep.gnuplot, {}\n", folder.string(), plot);
}

void sweep(const Options& options, std::uint64_t first_seed) {
  for (const std::string& warning : blas_warnings()) fmt::print("Note: {}\n", warning);
  const std::atomic<bool>& stop = stop_on_signals();
  Runner runner(options, first_seed, stop);
  const SweepStore store(options.output, runner.settings());
  const std::vector<SweepPoint> points = sweep_points(runner.plan());
  const auto stored = std::count_if(points.begin(), points.end(),
                                    [&](const SweepPoint& point) { return store.find(point); });
  fmt::print("Clocks: {}, seeds: {}, runs: {}, done before: {}\n", runner.plan().clocks.size(),
             options.seeds, points.size(), stored);
  flush_output();
  const auto done = [&](std::size_t index, double accuracy, double seconds) {
    fmt::print("[{}/{}] {}: {:.2f} % ({:.1f} s)\n", index + 1, points.size(), points[index].name(),
               100 * accuracy, seconds);
    flush_output();
    runner.clean(points[index], store.folder());
  };
  const bool ended = run_sweep(
      points, store, [&](const SweepPoint& point) { return runner.run(point, store); }, done);
  const SweepSummary summary = summarise(runner.plan(), store);
  fmt::print("\n{}", sweep_text(runner.plan(), summary, runner.facts()));
  write_reports(runner, summary, store.folder());
  if (ended) return;
  fmt::print("Interrupted; what is done is kept. To go on: the same command\n");
  flush_output();
  throw CLI::RuntimeError(kInterrupted);
}

void add_what_to_run(CLI::App& command, Options& options) {
  command
      .add_option("--model", options.model, "The network (.prototxt); by default the solver's net")
      ->type_name("FILE");
  command.add_option("--solver", options.solver, "How to retrain (.prototxt)")->type_name("FILE");
  add_execution_options(command, options);
  command.get_option("--accelerator")->required();
  command.get_option("--weights")->required();
  command
      .add_option("--retrained-accelerator", options.retrained_accelerator,
                  "Another description for the retrained networks: with tighter formats, say")
      ->type_name("FILE");
  command
      .add_option("--profile", options.profiles,
                  "Timing profiles, in place of the descriptions'; several: A,B")
      ->delimiter(',')
      ->type_name("FILE");
  command
      .add_option("--tables", options.tables,
                  "Folders with exact tables, one for each --profile; several: A,B")
      ->delimiter(',')
      ->needs("--profile")
      ->type_name("DIR");
}

void add_how_to_run(CLI::App& command, Options& options) {
  command
      .add_option(
          "--clocks", options.clocks,
          "Relative to f_STA: 1.00,1.05 or FIRST:LAST:STEP; by default 1 and the profiles' above")
      ->type_name("LIST");
  command.add_option("--seeds", options.seeds, "Runs at each clock, with seeds from --seed (1) on")
      ->check(kPositive)
      ->capture_default_str()
      ->type_name("N");
  command
      .add_option("--retrain-iterations", options.retrain_iterations,
                  "In place of the solver's max_iter; the steps of its learning rate move along")
      ->check(kPositive)
      ->type_name("N");
  command
      .add_option("--test-iterations", options.test_iterations,
                  "Batches of a test; by default the whole set")
      ->check(kPositive)
      ->type_name("N");
  command.add_option("--score", options.score, "The network's output that is its accuracy")
      ->capture_default_str()
      ->type_name("NAME");
  command.add_flag("--no-retraining", options.no_retraining, "Test the unprepared network only");
  command.add_flag("--chain", options.chain,
                   "Retrain from the network of the clock before instead of from --weights");
  command
      .add_option("--output", options.output,
                  "Folder of the results; a sweep that is there goes on, also one that was killed")
      ->required()
      ->type_name("DIR");
}

}  // namespace

void add_sweep_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "sweep", "Accuracy against clock, before and after retraining, under timing errors");
  auto options = std::make_shared<Options>();
  add_what_to_run(*command, *options);
  add_how_to_run(*command, *options);
  command->footer(
      "Besides: --threads N and --seed N, see inure --help.\n"
      "Clocks are relative to f_STA, the highest that static timing analysis allows; at 1.00 and\n"
      "below there are no timing errors. At each clock the network is tested as it is, retrained\n"
      "with that clock's errors (and the saturation mask) and tested with errors drawn anew.\n"
      "Beside them stands a control: retrained in the same way without errors, it shows what is\n"
      "won by further training alone. Seeds vary what is drawn; product errors are functions of\n"
      "the operands and do not vary: where nothing else is random, one seed says it all.\n\n"
      "A run that has ended is kept in DIR/points, a retrained network and its description in\n"
      "DIR/networks. After Ctrl-C the same command goes on, in the middle of a retraining too;\n"
      "more clocks and seeds may be asked for later.\n\n"
      "Example:\n"
      "  inure sweep --solver retrain_solver.prototxt --weights float.caffemodel --accelerator "
      "device.prototxt \\\n"
      "    --retrained-accelerator tight.prototxt --profile lane.profile --clocks 1.00:1.10:0.02 "
      "--output sweep");
  command->callback([&app, options] { sweep(*options, global_seed(app).value_or(1)); });
}

}  // namespace inure::app
