#include <fmt/format.h>

#include <cctype>
#include <string_view>

#include "commands.hpp"
#include "inure/base/error.hpp"
#include "inure/base/parallel.hpp"

namespace inure::app {

namespace {

constexpr int kFailed = 1, kWrongUsage = 2;

// Caffe's options have one dash: -solver=F becomes --solver=F.
std::vector<std::string> two_dashes(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  for (std::string& argument : arguments) {
    const bool long_option = argument.size() > 2 && argument[0] == '-' &&
                             std::isalpha(static_cast<unsigned char>(argument[1])) != 0;
    if (long_option) argument.insert(argument.begin(), '-');
  }
  return arguments;
}

void report(std::string_view message) {
  message = message.substr(0, message.find('\n'));  // a library's may have a trace below
  std::fflush(stdout);
  fmt::print(stderr, "inure: error: {}\n", message);
}

std::string usage_message(const CLI::App& app, const CLI::ParseError& error) {
  const auto used = app.get_subcommands();
  if (!used.empty()) {
    return fmt::format("{}; inure {} --help lists the options", error.what(), used[0]->get_name());
  }
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  const std::vector<std::string> left = app.remaining();
  const std::string what =
      left.empty() ? "a command is missing" : fmt::format("there is no command \"{}\"", left[0]);
  return fmt::format("{}; the commands are {}", what, fmt::join(names, ", "));
}

int run(int argc, char** argv) {
  CLI::App app(
      "inure trains neural networks on accelerators that compute wrong: the forward pass runs on "
      "the\n"
      "accelerator (or a model of it, faithful to its errors), the backward pass on the host. "
      "Networks,\n"
      "solvers, weights and data are Caffe's.");
  app.name("inure");
  app.set_version_flag("--version", "inure " INURE_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  int thread_count = 0;
  std::uint64_t seed = 0;
  app.add_option("--threads", thread_count,
                 "Threads to compute with; 0: one for each processor. Results do not depend on it")
      ->check(kNotNegative)
      ->type_name("N");
  app.add_option("--seed", seed, "Of all random numbers: fillers, dropout, crops, errors")
      ->type_name("N");
  app.parse_complete_callback([&] {
    if (thread_count > 0) set_threads(thread_count);
  });
  app.footer(
      "Examples:\n"
      "  inure convert idx --images train-images.gz --labels train-labels.gz --output train_lmdb\n"
      "  inure train --solver solver.prototxt\n"
      "  inure test --model net.prototxt --weights net_iter_2000.caffemodel --iterations 100\n"
      "  inure quantize --model net.prototxt --weights net_iter_2000.caffemodel --output "
      "device.prototxt\n"
      "  inure train --solver solver.prototxt --weights net_iter_2000.caffemodel --accelerator "
      "device.prototxt\n\n"
      "Options may be written with one dash, as in Caffe: inure train -solver=solver.prototxt\n"
      "Exit codes: 0 done, 1 an error, 2 wrong usage, 130 interrupted.");
  add_train_command(app);
  add_test_command(app);
  add_time_command(app);
  add_quantize_command(app);
  add_convert_command(app);
  add_devices_command(app);
  add_stage_command(app);
  add_characterize_command(app);
  add_trace_command(app);
  add_validate_command(app);
  add_sweep_command(app);

  std::vector<std::string> arguments = two_dashes(argc, argv);
  try {
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
    app.parse(arguments);
  } catch (const CLI::RuntimeError& error) {
    return error.get_exit_code();
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    report(usage_message(app, error));
    return kWrongUsage;
  }
  return 0;
}

}  // namespace

}  // namespace inure::app

int main(int argc, char** argv) {
  try {
    return inure::app::run(argc, argv);
  } catch (const std::exception& error) {
    inure::app::report(error.what());
  }
  return inure::app::kFailed;
}
