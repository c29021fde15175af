#include <fmt/format.h>

#include "commands.hpp"
#include "inure/base/error.hpp"
#include "inure/base/progress.hpp"
#include "inure/errors/operand_trace.hpp"
#include "inure/network/placement.hpp"
#include "inure/pipecnn/mapping.hpp"

namespace inure::app {

namespace {

struct Options : NetOptions {
  std::string layer, output;
  std::vector<int> lanes{0};
  std::int64_t images = 0, first_image = 0, max_steps = 2'000'000;
  int every_row = 1;
  bool train_data = false;
};

// The network on the accelerator without its errors: what is asked for are the right operands.
AcceleratorDescription place_without_errors(Network& network, const std::string& file) {
  AcceleratorDescription description = read_description(file);
  description.clear_errors();
  try {
    network.place(std::make_shared<Placement>(network, description, all_accelerators()));
  } catch (const Error& error) {
    fail("{}: {}", file, error.what());
  }
  return description;
}

LaneGeometry geometry_of(const StageSpec& spec, const AcceleratorDescription& description) {
  pipecnn::Build build;
  build.vec_size = static_cast<int>(description.vec_size());
  build.lane_num = static_cast<int>(description.lane_num());
  return pipecnn::geometry_of(spec, build);
}

// FILE, or where there are several lanes: conv2.trace becomes conv2.lane5.trace.
std::filesystem::path output_path(const Options& options, int lane) {
  std::filesystem::path path = options.output;
  if (options.lanes.size() > 1) {
    path.replace_extension(fmt::format("lane{}{}", lane, path.extension().string()));
  }
  return path;
}

class Tracing {
 public:
  Tracing(const Options& options, std::uint64_t seed) : options_(options) {
    NetOptions in_float = options;
    in_float.accelerator.clear();
    open_ = open_net(in_float, options.train_data ? caffe::TRAIN : caffe::TEST, seed);
    open_.feed->require_data();
    description_ = place_without_errors(*open_.network, options.accelerator);
  }

  std::vector<OperandTracer> run() {
    const std::int64_t batch = open_.feed->batch_size();
    if (batch < 1) fail("{}: no data layer says how many images a batch has", options_.model);
    const std::int64_t end = options_.first_image + options_.images;
    Progress progress("tracing", "images", options_.images);
    for (std::int64_t b = options_.first_image / batch; b * batch < end && !full(); ++b) {
      open_.feed->feed(*open_.network, b);
      open_.network->forward(b);
      const auto operands = open_.network->placement()->operands(*open_.network, options_.layer);
      if (tracers_.empty()) begin(operands.spec);
      const std::int64_t first = std::max<std::int64_t>(options_.first_image - b * batch, 0);
      const std::int64_t last = std::min(batch, end - b * batch);
      for (std::int64_t n = first; n < last && !full(); ++n) {
        for (OperandTracer& tracer : tracers_) {
          tracer.add_image(operands.input->image(static_cast<int>(n)), operands.weights);
        }
        ++images_;
        progress.advance();
      }
    }
    return std::move(tracers_);
  }

  std::int64_t images() const { return images_; }

 private:
  void begin(const StageSpec& spec) {
    const std::string about =
        fmt::format("{}, images {} and after{}", options_.model, options_.first_image,
                    options_.train_data ? " of the training set" : "");
    for (const int lane : options_.lanes) {
      tracers_.emplace_back(spec, geometry_of(spec, description_), lane,
                            OperandTracer::Limits{options_.max_steps, options_.every_row}, about);
    }
  }
  bool full() const { return !tracers_.empty() && tracers_.front().full(); }  // all fill alike

  const Options& options_;
  OpenNet open_;
  AcceleratorDescription description_;
  std::vector<OperandTracer> tracers_;
  std::int64_t images_ = 0;
};

void trace(const Options& options, std::uint64_t seed) {
  if (options.accelerator.empty()) {
    fail("trace: --accelerator is missing: operands are those of a layer in its int8 formats");
  }
  Tracing tracing(options, seed);
  for (const OperandTracer& tracer : tracing.run()) {
    const OperandTrace& found = tracer.trace();
    const std::filesystem::path path = output_path(options, found.lane);
    write_operand_trace(path, found);
    fmt::print("Wrote {}: {} steps of lane {}, layer {}, from {} images\n", path.string(),
               found.steps(), found.lane, found.layer, tracing.images());
    if (!tracer.full()) continue;
    fmt::print(
        "It stopped at --max-steps {}, in image {} of the {} that were asked for; more fit with "
        "a larger --max-steps or with --every-row\n",
        options.max_steps, tracing.images(), options.images);
  }
}

}  // namespace

void add_trace_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "trace", "Write the operands that an accelerator's lanes see while a network runs");
  auto options = std::make_shared<Options>();
  add_model_options(*command, *options);
  add_execution_options(*command, *options);
  command->add_option("--layer", options->layer, "The convolution or inner product to follow")
      ->required()
      ->type_name("NAME");
  command->add_option("--output", options->output, "Where to write; with several lanes, FILE.laneN")
      ->required()
      ->type_name("FILE");
  command->add_option("--lanes", options->lanes, "Lanes to follow; several: 0,5")
      ->delimiter(',')
      ->capture_default_str()
      ->type_name("N");
  command->add_option("--images", options->images, "Images to run")
      ->required()
      ->check(kPositive)
      ->type_name("N");
  command->add_option("--first-image", options->first_image, "Where in the data to begin")
      ->check(kNotNegative)
      ->capture_default_str()
      ->type_name("N");
  command
      ->add_option("--max-steps", options->max_steps,
                   "Cycles to write at most, of each lane; ends after a whole output")
      ->check(kPositive)
      ->capture_default_str()
      ->type_name("N");
  command
      ->add_option("--every-row", options->every_row,
                   "Of the rows of outputs write each Nth only: more images in as many steps")
      ->check(kPositive)
      ->capture_default_str()
      ->type_name("N");
  command->add_flag("--train-data", options->train_data,
                    "Take the data of the TRAIN phase instead of TEST");
  command->footer(
      "The description's errors are left out. The file's format: "
      "inure/errors/operand_trace.hpp.\n\n"
      "Example:\n"
      "  inure trace --model lenet.prototxt --weights lenet.caffemodel --accelerator "
      "device.prototxt \\\n"
      "    --layer conv2 --images 100 --lanes 0,5 --output conv2.trace");
  command->callback([&app, options] { trace(*options, global_seed(app).value_or(1)); });
}

}  // namespace inure::app
