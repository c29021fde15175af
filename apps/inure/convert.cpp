#include "inure/data/convert.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "inure/base/error.hpp"

namespace inure::app {

void add_convert_command(CLI::App& app);

namespace {

namespace fs = std::filesystem;

struct ConvertArguments {
  std::string images, labels, list, output, mean, resize;
  std::vector<std::string> inputs;
  data::ConvertImagesOptions options;
};

// "256x256", height first.
void parse_resize(const std::string& text, data::ConvertImagesOptions& options) {
  const auto number = [](std::string_view digits) {
    int value = 0;
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc() && stop == digits.data() + digits.size() ? value : 0;
  };
  const auto cross = text.find('x');
  if (cross != text.npos) {
    options.height = number(std::string_view(text).substr(0, cross));
    options.width = number(std::string_view(text).substr(cross + 1));
  }
  if (options.height < 1 || options.width < 1) {
    fail("--resize {}: HEIGHTxWIDTH in pixels is needed, such as 256x256", text);
  }
}

void finish(const ConvertArguments& arguments, std::int64_t count) {
  fmt::print("wrote {} images to {}", count, arguments.output);
  if (!arguments.mean.empty()) {
    data::write_mean_of(arguments.output, arguments.mean);
    fmt::print(" and their mean to {}", arguments.mean);
  }
  fmt::print("\n");
}

using Shared = std::shared_ptr<ConvertArguments>;

void add_outputs(CLI::App& command, const Shared& arguments) {
  command
      .add_option("--output", arguments->output,
                  "The LMDB folder to make; it must not exist. It appears when it is complete")
      ->required()
      ->type_name("DIR");
  command
      .add_option("--mean", arguments->mean,
                  "Also write the mean of all images, for transform_param's mean_file")
      ->type_name("FILE");
}

void add_idx(CLI::App& convert) {
  auto& command = *convert.add_subcommand("idx", "MNIST's format: a file of images, one of labels");
  auto arguments = std::make_shared<ConvertArguments>();
  command.add_option("--images", arguments->images, "IDX file of images, gzip or not")
      ->required()
      ->type_name("FILE");
  command.add_option("--labels", arguments->labels, "IDX file of labels, gzip or not")
      ->required()
      ->type_name("FILE");
  add_outputs(command, arguments);
  command.callback([arguments] {
    finish(*arguments, data::convert_idx(arguments->images, arguments->labels, arguments->output));
  });
}

void add_cifar(CLI::App& convert) {
  auto& command = *convert.add_subcommand(
      "cifar", "CIFAR-10's binary format: a label byte and 3072 bytes of pixels for each image");
  auto arguments = std::make_shared<ConvertArguments>();
  command.add_option("--input", arguments->inputs, "Files such as data_batch_1.bin, in order")
      ->required()
      ->type_name("FILE...");
  add_outputs(command, arguments);
  command.callback([arguments] {
    const std::vector<fs::path> inputs(arguments->inputs.begin(), arguments->inputs.end());
    finish(*arguments, data::convert_cifar(inputs, arguments->output));
  });
}

void add_images(CLI::App& app, CLI::App& convert) {
  auto& command =
      *convert.add_subcommand("images", "JPEG and PNG files, named in a list with their labels");
  auto arguments = std::make_shared<ConvertArguments>();
  auto& options = arguments->options;
  command
      .add_option("--list", arguments->list, "Text file with a line 'path label' for each image")
      ->required()
      ->type_name("FILE");
  command.add_option("--root", options.root, "The folder that the list's paths start from")
      ->type_name("DIR");
  auto* resize = command
                     .add_option("--resize", arguments->resize,
                                 "Resize (bilinear, whole image); Data without crop_size needs "
                                 "images of one size")
                     ->type_name("HxW");
  auto* gray = command.add_flag("--gray", options.gray, "One channel rather than B, G and R");
  command
      .add_flag("--encoded", options.encoded,
                "Keep the files' bytes rather than pixels: a smaller folder, slower reading")
      ->excludes(resize)
      ->excludes(gray);
  command.add_flag("--shuffle", options.shuffle, "In an order drawn from --seed");
  command.footer(
      "A picture gives the same values by a database of pixels, by one of --encoded files and by "
      "an\n"
      "ImageData layer: turned as its EXIF data say, 8 bits a channel (of 16 the high ones), B, G "
      "and R\n"
      "(or gray) without transparency, CMYK converted. A truncated or damaged file ends the "
      "conversion\n"
      "with its name. With --encoded, gray files become PNGs of three channels.");
  add_outputs(command, arguments);
  command.callback([arguments, &app] {
    auto& chosen = arguments->options;
    if (!arguments->resize.empty()) parse_resize(arguments->resize, chosen);
    if (!chosen.root.empty() && !chosen.root.ends_with('/')) chosen.root += '/';
    const CLI::Option* seed = app.get_option_no_throw("--seed");
    if (seed != nullptr && seed->count() > 0) chosen.seed = seed->as<std::uint64_t>();
    finish(*arguments, data::convert_images(arguments->list, chosen, arguments->output));
  });
}

}  // namespace

void add_convert_command(CLI::App& app) {
  auto& convert =
      *app.add_subcommand("convert", "Make an LMDB folder, for Data layers, of a data set");
  convert.require_subcommand(1);
  convert.footer(
      "Examples:\n"
      "  inure convert idx --images train-images-idx3-ubyte.gz --labels "
      "train-labels-idx1-ubyte.gz\n"
      "      --output mnist_train_lmdb\n"
      "  inure convert cifar --input data_batch_1.bin data_batch_2.bin --output cifar_lmdb\n"
      "      --mean mean.binaryproto\n"
      "  inure convert images --list train.txt --root photos --resize 256x256 --output "
      "photos_lmdb\n"
      "The network then reads it:\n"
      "  layer { name: \"data\" type: \"Data\" top: \"data\" top: \"label\"\n"
      "    data_param { source: \"mnist_train_lmdb\" batch_size: 64 backend: LMDB } }");
  add_idx(convert);
  add_cifar(convert);
  add_images(app, convert);
}

}  // namespace inure::app
