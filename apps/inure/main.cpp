#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <cstdio>
#include <new>
#include <stdexcept>
#include <string_view>

#include "commands.hpp"
#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "inure/base/label.hpp"
#include "inure/base/parallel.hpp"
#include "start.hpp"

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

// One line, whatever names of files and layers are in it.
void report(std::string_view message) {
  std::fflush(stdout);
  constexpr int kLongestMessage = 10000;
  const std::string line = fmt::format("inure: error: {}\n", label_of(message, kLongestMessage));
  std::fputs(line.c_str(), stderr);  // where that cannot be written, the exit code must do
}

// What was thrown, as a user can understand it.
std::string message_of(const std::exception& error) {
  if (dynamic_cast<const Error*>(&error) != nullptr) return error.what();
  if (std::ferror(stdout) != 0) return "standard output: cannot be written";
  const bool memory = dynamic_cast<const std::bad_alloc*>(&error) != nullptr ||
                      dynamic_cast<const std::length_error*>(&error) != nullptr;
  if (memory) return "not enough memory; a smaller batch_size or network needs less";
  const std::string_view message = error.what();  // it may have a trace below
  return fmt::format("a library says: {}", message.substr(0, message.find('\n')));
}

// --seed: CLI11 takes "-1" for the largest number, and what does not fit for another.
const CLI::Validator kSeed(
    [](std::string& text) {
      std::uint64_t seed = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
      const bool fits = error == std::errc() && end == text.data() + text.size();
      return fits ? "" : text + " is no whole number from 0 to 18446744073709551615";
    },
    "SEED");

// An unknown command with --help beside it.
bool has_unknown_command(const CLI::App& app) {
  return app.get_subcommands().empty() && !app.remaining().empty();
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
      ->check(CLI::Range(0, kMaxThreads))
      ->type_name("N");
  app.add_option("--seed", seed, "Of all random numbers: fillers, dropout, crops, errors")
      ->check(kSeed)
      ->type_name("N");
  app.parse_complete_callback([&] { set_threads(thread_count); });
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
    if (error.get_exit_code() == 0 && !has_unknown_command(app)) {
      return app.exit(error);  // --help, --version
    }
    report(usage_message(app, error));
    return kWrongUsage;
  }
  return 0;
}

}  // namespace

}  // namespace inure::app

int main(int argc, char** argv) {
  inure::app::prepare_descriptors();
  try {
    const int code = inure::app::run(argc, argv);
    inure::flush_output();
    return code;
  } catch (const std::exception& error) {
    inure::app::report(inure::app::message_of(error));
  }
  return inure::app::kFailed;
}
