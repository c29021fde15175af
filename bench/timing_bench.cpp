// Time of a simulated stage with timing errors against the same stage without, in one run, the two
// in turn, on one thread and on two: AlexNet's conv2, conv3 and fully connected layers, batch 16,
// LeNet's fully connected layers, batch 64. Activations as after a ReLU (half of them 0, the others
// half normal); LeNet's ip1 follows none, so its are normal where the errors know negative ones.
// Normal weights.
//
//   bench_timing [rounds] [threads=1] [layer]... [profile relative_clock [tables]]...
//
// Without a profile: made-up errors, the same rate for all operands that are not 0. Without a
// layer: all of them.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "inure/base/error.hpp"
#include "inure/base/parallel.hpp"
#include "inure/base/random.hpp"
#include "inure/errors/timing_lanes.hpp"
#include "inure/pipecnn/simulator.hpp"

namespace {

using namespace inure;

struct Errors {
  std::string name;
  ErrorsDescription description;
};

TimingProfile made_up_profile(const std::vector<double>& rates) {
  TimingProfile profile;
  profile.set_design("made up");
  profile.set_corner("made up");
  profile.set_netlist(1);
  profile.set_critical_ps(10000);
  profile.set_vec_size(4);
  profile.set_negative_activations(false);
  for (std::size_t i = 0; i < rates.size(); ++i) {
    ClockProfile& clock = *profile.add_clock();
    clock.set_period_ps(9000 - 100 * static_cast<unsigned>(i));
    for (int v = 0; v < 4; ++v) {
      RegisterProfile& product = *clock.add_product();
      constexpr unsigned kActivationIs0 = 50;  // a test of timing_profile.proto
      for (const unsigned node : {1 + kActivationIs0, 0u, 0u}) product.add_split(node);
      ErrorClass& c = *product.add_error_class();
      c.set_id(0);  // the activation is not 0
      c.set_rate(rates[i]);
      c.add_delta(-4096);
      c.add_count(1);
    }
  }
  return profile;
}

std::vector<Errors> made_up_errors(const std::filesystem::path& file) {
  const std::vector<double> rates = {2e-4, 2e-3, 2e-2};
  const TimingProfile profile = made_up_profile(rates);
  write_timing_profile(file, profile);
  std::vector<Errors> all;
  for (const auto& clock : profile.clock()) {
    Errors errors;
    errors.name = fmt::format("made up, {} ps", clock.period_ps());
    errors.description.mutable_timing()->add_profile(file.string());
    errors.description.mutable_timing()->set_relative_clock(10000.0 / clock.period_ps());
    all.push_back(errors);
  }
  return all;
}

StageSpec convolution(const char* name, int channels, int size, int out, int kernel, int pad,
                      int groups, bool pool) {
  StageSpec s;
  s.name = name;
  s.in_channels = channels, s.in_height = s.in_width = size, s.out_channels = out;
  s.kernel = kernel, s.pad = pad, s.groups = groups;
  s.relu = true;
  if (pool) s.pool = MaxPooling{3, 2};
  s.frac_w = 8, s.frac_in = 3, s.frac_out = 0;
  return s;
}

StageSpec fully_connected(const char* name, int inputs, int outputs, bool relu) {
  StageSpec s;
  s.name = name;
  s.in_channels = inputs, s.out_channels = outputs;
  s.in_height = s.in_width = s.kernel = 1;
  s.relu = relu;
  s.frac_w = 8, s.frac_in = 3, s.frac_out = 0;
  return s;
}

struct Layer {
  StageSpec spec;
  int batch;
  bool after_relu;
  double weights;  // their standard deviation; or 0: evenly spread, as Caffe's Xavier filler does
};

const std::vector<Layer>& layers() {
  static const std::vector<Layer> all = {
      {convolution("conv2", 96, 27, 256, 5, 2, 2, true), 16, true, 25},
      {convolution("conv3", 256, 13, 384, 3, 1, 1, false), 16, true, 25},
      {fully_connected("ip1", 800, 500, true), 64, false, 13},
      {fully_connected("ip1_untrained", 800, 500, true), 64, false, 0},
      {fully_connected("ip2", 500, 10, false), 64, true, 25},
      {fully_connected("fc6", 9216, 4096, true), 16, true, 13},
      {fully_connected("fc7", 4096, 4096, true), 16, true, 13},
      {fully_connected("fc8", 4096, 1000, false), 16, true, 13}};
  return all;
}

std::shared_ptr<Int8Map> make_input(const Layer& layer, bool negative) {
  const StageSpec& spec = layer.spec;
  auto input = std::make_shared<Int8Map>();
  input->fraction = spec.frac_in;
  input->reshape(layer.batch, spec.in_height, spec.in_width, spec.in_channels);
  RandomStream random(1, RandomPurpose::kDummyData, 1, 0);
  const double least = negative && !layer.after_relu ? -128 : 0;
  for (auto& v : input->values) {
    v = static_cast<std::int8_t>(std::clamp(random.gaussian() * 30, least, 127.0));
  }
  return input;
}

std::vector<std::int8_t> make_weights(const Layer& layer) {
  std::vector<std::int8_t> weights(std::int64_t{layer.spec.out_channels} * layer.spec.taps());
  RandomStream random(1, RandomPurpose::kDummyData, 2, 0);
  for (auto& w : weights) {
    const double value =
        layer.weights > 0 ? random.gaussian() * layer.weights : (random.uniform() * 2 - 1) * 125;
    w = static_cast<std::int8_t>(std::clamp(std::round(value), -128.0, 127.0));
  }
  return weights;
}

class Stage {
 public:
  Stage(const Layer& layer, bool negative, const ErrorSources& errors)
      : program_(std::vector<StageSpec>{layer.spec}, pipecnn::Build{}, errors),
        input_(make_input(layer, negative)),
        results_(1) {
    program_.load(0, make_weights(layer), std::vector<std::int32_t>(layer.spec.out_channels, 1000));
  }
  void run() { program_.run(input_, {1, ++iteration_, true}, true, results_); }

 private:
  pipecnn::SimulatorProgram program_;
  std::shared_ptr<Int8Map> input_;
  std::vector<StageResult> results_;
  std::uint64_t iteration_ = 0;
};

// Among products of the stage's operands, one before the other.
double wrong_products(const Layer& layer, const TimingLanes& lanes) {
  const auto input = make_input(layer, lanes.negative_activations);
  const auto weights = make_weights(layer);
  RandomStream random(1, RandomPurpose::kDummyData, 3, 0);
  constexpr int kTrials = 4'000'000;
  int wrong = 0;
  const auto at = [&](const auto& values) {
    return values[random.below(static_cast<std::uint32_t>(values.size()))];
  };
  for (int i = 0; i < kTrials; ++i) {
    const auto& lane = lanes.lanes[static_cast<std::size_t>(i / 4) % lanes.lanes.size()];
    const int activations = ProductTable::pair(at(input->values), at(input->values));
    const int pair = ProductTable::pair(at(weights), at(weights));
    wrong += lane.products[i % 4]->delta(static_cast<unsigned>(activations),
                                         static_cast<unsigned>(pair)) != 0;
  }
  return static_cast<double>(wrong) / kTrials;
}

double median_ms(std::vector<double> times) {
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

// On one thread processor time, which whatever else runs on the machine does not disturb.
double time_ms(Stage& stage, int threads) {
  const auto wall = std::chrono::steady_clock::now();
  const std::clock_t processor = std::clock();
  stage.run();
  if (threads == 1) return 1e3 * static_cast<double>(std::clock() - processor) / CLOCKS_PER_SEC;
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - wall).count();
}

struct Options {
  int rounds = 11, threads = 2;  // at most
  std::vector<std::string> layers;
};

void compare(const Errors& errors, const Layer& layer, const Options& options) {
  const auto lanes = load_timing_lanes(errors.description.timing());
  const ErrorSources sources(errors.description);
  const bool negative = lanes->negative_activations;
  for (int count = 1; count <= options.threads; ++count) {
    set_threads(count);
    Stage exact(layer, negative, {}), erring(layer, negative, sources);
    std::vector<double> exact_ms, erring_ms;
    for (int round = -2; round < options.rounds; ++round) {
      const double a = time_ms(exact, count), b = time_ms(erring, count);
      if (round < 0) continue;
      exact_ms.push_back(a), erring_ms.push_back(b);
    }
    std::printf("| %s | %.1e | %.1e | %s | %d | %.2f | %.2f | %.2f |\n", errors.name.c_str(),
                wrong_products(layer, *lanes), lanes->largest_sum_rate(), layer.spec.name.c_str(),
                count, median_ms(exact_ms), median_ms(erring_ms),
                median_ms(erring_ms) / median_ms(exact_ms));
    std::fflush(stdout);
  }
}

bool is_layer(const std::string& name) {
  return std::any_of(layers().begin(), layers().end(),
                     [&](const Layer& layer) { return layer.spec.name == name; });
}

void run(int argc, char** argv) {
  Options options;
  int i = 1;
  if (i < argc) options.rounds = std::atoi(argv[i++]);
  if (i < argc && std::string(argv[i]) == "threads=1") options.threads = 1, ++i;
  while (i < argc && is_layer(argv[i])) options.layers.emplace_back(argv[i++]);
  const auto made_up = std::filesystem::temp_directory_path() / "inure_bench_timing.profile";
  std::vector<Errors> all;
  if (i >= argc) all = made_up_errors(made_up);
  while (i + 1 < argc) {
    Errors errors;
    auto& timing = *errors.description.mutable_timing();
    timing.add_profile(argv[i]);
    timing.set_relative_clock(std::atof(argv[i + 1]));
    errors.name =
        fmt::format("{} at {}", std::filesystem::path(argv[i]).filename().string(), argv[i + 1]);
    i += 2;
    if (i < argc && std::filesystem::is_directory(argv[i])) {
      timing.add_tables(argv[i++]);
      errors.name += ", tables";
    }
    all.push_back(errors);
  }
  std::printf(
      "| errors | wrong products | largest sum rate | layer | threads | exact ms | "
      "with errors ms | ratio |\n|---|---|---|---|---|---|---|---|\n");
  for (const Errors& errors : all) {
    for (const Layer& layer : layers()) {
      const auto& chosen = options.layers;
      const bool wanted = std::find(chosen.begin(), chosen.end(), layer.spec.name) != chosen.end();
      if (chosen.empty() || wanted) compare(errors, layer, options);
    }
  }
  std::filesystem::remove(made_up);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(argc, argv);
  } catch (const Error& error) {
    std::fprintf(stderr, "bench_timing: %s\n", error.what());
    return 1;
  }
}
