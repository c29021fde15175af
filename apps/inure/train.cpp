#include <fmt/format.h>

#include "commands.hpp"
#include "inure/network/blas.hpp"
#include "inure/train/console_log.hpp"
#include "inure/train/solver.hpp"
#include "inure/train/trainer.hpp"
#include "json_log.hpp"
#include "stop.hpp"

namespace inure::app {

namespace {

struct Options : NetOptions {
  std::string solver, snapshot, log_json;
  int iterations = 0;
  bool saturation_mask = false;
};

// --snapshot latest: where no snapshot is there yet the run begins at the beginning, so that one
// command serves to start and to go on.
std::filesystem::path find_snapshot(const Options& options, const std::string& prefix,
                                    ConsoleLog& log) {
  if (options.snapshot != "latest") return options.snapshot;
  std::vector<std::string> damaged;
  const auto latest = find_latest_snapshot(prefix, &damaged);
  for (const std::string& what : damaged) log.note(what);
  if (latest && !damaged.empty())
    log.note("going on from the snapshot before: " + latest->string());
  if (latest) return *latest;
  log.note(fmt::format("no snapshot {}_iter_N.solverstate yet: beginning at iteration 0", prefix));
  return {};
}

void train(const Options& options, std::optional<std::uint64_t> seed) {
  caffe::SolverParameter solver = read_solver(options.solver);
  if (options.iterations > 0) solver.set_max_iter(options.iterations);
  if (options.level != 0) solver.mutable_train_state()->set_level(options.level);
  for (const std::string& stage : options.stages) solver.mutable_train_state()->add_stage(stage);

  ConsoleLog console;
  for (const std::string& warning : blas_warnings()) console.note(warning);
  remove_unfinished_snapshots(solver.snapshot_prefix());
  TrainOptions train_options;
  train_options.snapshot = find_snapshot(options, solver.snapshot_prefix(), console);
  if (options.snapshot != "latest" || train_options.snapshot.empty()) {
    train_options.weights = options.weights;
  }
  train_options.accelerator = options.accelerator;
  train_options.saturation_mask = options.saturation_mask;
  train_options.seed = seed;
  train_options.synthetic = options.synthetic_data();
  train_options.allow_nan = options.allow_nan;

  std::vector<TrainObserver*> observers{&console};
  std::optional<JsonLog> json;
  if (!options.log_json.empty()) {
    json.emplace(options.log_json, !train_options.snapshot.empty());
    observers.push_back(&*json);
  }
  Trainer trainer(solver, train_options, observers);
  if (trainer.run(&stop_on_signals())) return;
  fmt::print("To go on: the same command with --snapshot {}\n",
             snapshot_path(solver.snapshot_prefix(), trainer.iteration()).string());
  throw CLI::RuntimeError(kInterrupted);
}

}  // namespace

void add_train_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("train", "Train a network as a Caffe solver says");
  auto options = std::make_shared<Options>();
  command->add_option("--solver", options->solver, "The solver (.prototxt)")
      ->required()
      ->type_name("FILE");
  command
      ->add_option("--snapshot", options->snapshot,
                   "Resume from this .solverstate; \"latest\": from the newest of the solver's "
                   "snapshot_prefix, or from the beginning where there is none")
      ->type_name("FILE");
  add_execution_options(*command, *options);
  command->add_option("--iterations", options->iterations, "In place of the solver's max_iter")
      ->check(kPositive)
      ->type_name("N");
  command
      ->add_option("--log-json", options->log_json,
                   "Write a line of JSON for each display, test and snapshot")
      ->type_name("FILE");
  command->add_flag("--saturation-mask", options->saturation_mask,
                    "With --accelerator: no gradient passes where its output saturated");
  command->footer(
      "Besides: --threads N and --seed N, see inure --help.\n"
      "Paths in prototxts count from the working directory, as in Caffe.\n"
      "Ctrl-C takes a snapshot and ends (exit code 130); a second one ends at once. A resumed run\n"
      "goes on with the same bits: weights, momentum, data, dropout and errors.\n\n"
      "Examples:\n"
      "  inure train --solver solver.prototxt\n"
      "  inure train --solver solver.prototxt --weights float.caffemodel --accelerator "
      "device.prototxt\n"
      "  inure train --solver solver.prototxt --snapshot latest --log-json log.jsonl");
  command->callback([&app, options] { train(*options, global_seed(app)); });
}

}  // namespace inure::app
