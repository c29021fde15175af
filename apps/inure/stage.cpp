#include <fmt/format.h>

#include <algorithm>

#include "commands.hpp"
#include "inure/accelerator/stage_files.hpp"
#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "inure/base/label.hpp"
#include "inure/base/memory_limit.hpp"
#include "inure/network/placement.hpp"

namespace inure::app {

namespace {

struct Options {
  std::string folder, output, accelerator, arithmetic, kind;
};

AcceleratorDescription description_of(const Options& options) {
  AcceleratorDescription description;
  if (!options.accelerator.empty()) description = read_description(options.accelerator);
  if (!options.kind.empty()) description.set_kind(options.kind);
  if (options.arithmetic == "2018")
    description.set_arithmetic(AcceleratorDescription::PIPECNN_2018);
  if (options.arithmetic == "wide") description.set_arithmetic(AcceleratorDescription::WIDE_BIAS);
  return description;
}

// What is said of other layers' errors would have no effect here.
void check_errors(const AcceleratorDescription& description, const Options& options,
                  const std::string& stage) {
  const auto check = [&](const auto& layers) {
    if (layers.empty() || std::count(layers.begin(), layers.end(), stage) > 0) return;
    fail("{}: layer \"{}\" is to err; the stage is \"{}\", as its folder is called",
         options.accelerator, label_of(layers[0]), label_of(stage));
  };
  for (const auto& flip : description.errors().bit_flip()) check(flip.layer());
  check(description.errors().timing().layer());
}

// The padded input, the maps, and the sums of 4 bytes that they come from.
std::uint64_t bytes_of(const StageSpec& s) {
  const auto count = [](std::int64_t channels, std::int64_t height, std::int64_t width) {
    return static_cast<std::uint64_t>(channels * height * width);
  };
  return 2 * count(s.in_channels, s.in_height + 2 * s.pad, s.in_width + 2 * s.pad) +
         7 * count(s.out_channels, s.conv_height(), s.conv_width());
}

void stage(const Options& options, std::uint64_t seed) {
  const StageFiles files = read_stage(options.folder);
  const AcceleratorDescription description = description_of(options);
  check_errors(description, options, files.spec.name);
  check_memory(bytes_of(files.spec), [&] { return options.folder + "/layer.txt"; });
  const auto accelerator = all_accelerators().make(description);
  std::vector<std::int32_t> bias(files.bias.begin(), files.bias.end());
  // The files' bias has the weights' fraction; an accelerator with a wide one has the products'.
  const int up = accelerator->bias_fraction(files.spec) - files.spec.frac_w;
  if (up < 0)
    fail("{}: frac_din below 0 leaves no room for the bias; use --arithmetic 2018", options.folder);
  for (auto& b : bias) b *= std::int32_t{1} << up;  // 8 bits by at most kMostFraction: it fits
  const auto program = accelerator->compile({files.spec});
  program->load(0, files.weights, bias);
  std::vector<StageResult> results;
  program->run(std::make_shared<Int8Map>(files.input), {seed, 0, false}, false, results);
  const Int8Map& out = *results[0].output;
  fmt::print("{}\n{}\n", accelerator->summary(), to_string(files.spec));
  if (!options.output.empty()) {
    write_file_atomically(options.output, channels_first(out));
    fmt::print("{}: {} x {} x {} int8, fraction {}\n", options.output, out.channels, out.height,
               out.width, out.fraction);
  }
}

}  // namespace

void add_stage_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "stage", "Run one accelerator stage from files, to compare with RTL or a board");
  auto options = std::make_shared<Options>();
  command
      ->add_option(
          "folder", options->folder,
          "Holds layer.txt (key=value), input.bin [C][H][W], weights.bin [M][C/g][K][K] and "
          "bias.bin [M], int8")
      ->required()
      ->type_name("DIR");
  command->add_option("--output", options->output, "Write the output [C][H][W], int8")
      ->type_name("FILE");
  command
      ->add_option("--arithmetic", options->arithmetic, "2018 (to the bit) or wide (32-bit bias)")
      ->check(CLI::IsMember({"2018", "wide"}));
  command->add_option("--kind", options->kind, "Of accelerator; `inure devices` lists them")
      ->type_name("NAME");
  command->add_option("--accelerator", options->accelerator, "A description, for its errors, say")
      ->type_name("FILE");
  command->footer("Example:\n  inure stage conv1/ --arithmetic 2018 --output conv1.out.bin");
  command->callback([&app, options] { stage(*options, global_seed(app).value_or(1)); });
}

}  // namespace inure::app
