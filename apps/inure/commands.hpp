#pragma once

#include <CLI/CLI.hpp>

#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "inure/caffe/caffe.pb.h"
#include "inure/network/network.hpp"
#include "inure/train/feed.hpp"

// The subcommands of `inure`. Each has a file of its own and a function that adds it to the
// program: its options, and a callback that does the work. A callback throws inure::Error where it
// cannot, and CLI::RuntimeError(code) to end with another exit code than 0.
namespace inure::app {

void add_train_command(CLI::App& app);
void add_test_command(CLI::App& app);
void add_time_command(CLI::App& app);
void add_quantize_command(CLI::App& app);
void add_convert_command(CLI::App& app);
void add_devices_command(CLI::App& app);
void add_stage_command(CLI::App& app);
void add_characterize_command(CLI::App& app);
void add_trace_command(CLI::App& app);
void add_validate_command(CLI::App& app);
void add_sweep_command(CLI::App& app);

// What --seed said, before or behind the name of the subcommand.
std::optional<std::uint64_t> global_seed(const CLI::App& app);

// Of an option's number. (CLI11's own name the largest double where they refuse.)
inline const CLI::Validator kPositive(
    [](std::string& text) {
      double value = 0;
      const bool fits = CLI::detail::lexical_cast(text, value) && value > 0 && std::isfinite(value);
      return fits ? "" : text + " is no number above 0";
    },
    "POSITIVE");
inline const CLI::Validator kNotNegative(
    [](std::string& text) {
      double value = 0;
      const bool fits =
          CLI::detail::lexical_cast(text, value) && value >= 0 && std::isfinite(value);
      return fits ? "" : text + " is no number from 0 on";
    },
    "NONNEGATIVE");

// Options that several subcommands share.
struct NetOptions {
  std::string model, accelerator, synthetic, gpu;
  std::vector<std::string> weights, stages;
  int level = 0;
  bool allow_nan = false;
  CLI::Option* synthetic_option = nullptr;

  std::optional<SyntheticData> synthetic_data() const;
};

void add_model_options(CLI::App& command, NetOptions& options);  // --model, --phase's friends
void add_execution_options(CLI::App& command,
                           NetOptions& options);  // --weights, --accelerator, ...

// Reads the network of a phase, opens its data, loads the weights and places it on the accelerator.
struct OpenNet {
  std::unique_ptr<Feed> feed;
  std::unique_ptr<Network> network;
};
OpenNet open_net(const NetOptions& options, caffe::Phase phase, std::uint64_t seed);

}  // namespace inure::app
