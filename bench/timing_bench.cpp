// Time of a simulated stage with timing errors against the same stage without, in one run, the two
// in turn, on one thread and on two: AlexNet's conv2 and conv3, batch 16, activations as after a
// ReLU (half of them 0, the others half normal), normal weights.
//
//   bench_timing [rounds] [profile relative_clock [tables]]...
//
// Without a profile: made-up errors, the same rate for all operands that are not 0.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
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

constexpr int kBatch = 16;

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
  for (const int bin : {0, 1}) profile.add_activation_bin(bin);
  for (const int bin : {-128, 0, 1}) profile.add_weight_bin(bin);
  for (std::size_t i = 0; i < rates.size(); ++i) {
    ClockProfile& clock = *profile.add_clock();
    clock.set_period_ps(9000 - 100 * static_cast<unsigned>(i));
    for (int v = 0; v < 4; ++v) {
      RegisterProfile& product = *clock.add_product();
      for (unsigned id = 0; id < 36; ++id) {
        if (id / 3 % 2 == 0) continue;  // activation 0
        ErrorClass& c = *product.add_error_class();
        c.set_id(id);
        c.set_rate(rates[i]);
        c.add_delta(-4096);
        c.add_count(1);
      }
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

std::shared_ptr<Int8Map> relu_input(const StageSpec& spec) {
  auto input = std::make_shared<Int8Map>();
  input->fraction = spec.frac_in;
  input->reshape(kBatch, spec.in_height, spec.in_width, spec.in_channels);
  RandomStream random(1, RandomPurpose::kDummyData, 1, 0);
  for (auto& v : input->values) {
    v = static_cast<std::int8_t>(std::clamp(random.gaussian() * 30, 0.0, 127.0));
  }
  return input;
}

std::vector<std::int8_t> normal_weights(const StageSpec& spec) {
  std::vector<std::int8_t> weights(std::int64_t{spec.out_channels} * spec.taps());
  RandomStream random(1, RandomPurpose::kDummyData, 2, 0);
  for (auto& w : weights) {
    w = static_cast<std::int8_t>(std::clamp(std::round(random.gaussian() * 25), -128.0, 127.0));
  }
  return weights;
}

class Stage {
 public:
  Stage(const StageSpec& spec, const ErrorSources& errors)
      : program_(std::vector<StageSpec>{spec}, pipecnn::Build{}, errors),
        input_(relu_input(spec)),
        results_(1) {
    program_.load(0, normal_weights(spec), std::vector<std::int32_t>(spec.out_channels, 1000));
  }
  void run() { program_.run(input_, {1, ++iteration_, true}, true, results_); }

 private:
  pipecnn::SimulatorProgram program_;
  std::shared_ptr<Int8Map> input_;
  std::vector<StageResult> results_;
  std::uint64_t iteration_ = 0;
};

// Among products of neighbouring channels at one tap of the stage, one before the other.
double wrong_products(const StageSpec& spec, const TimingLanes& lanes) {
  const auto input = relu_input(spec);
  const auto weights = normal_weights(spec);
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

double time_ms(Stage& stage) {
  const auto start = std::chrono::steady_clock::now();
  stage.run();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

void compare(const Errors& errors, int rounds) {
  const auto lanes = load_timing_lanes(errors.description.timing());
  const ErrorSources sources(errors.description);
  for (const StageSpec& spec : {convolution("conv2", 96, 27, 256, 5, 2, 2, true),
                                convolution("conv3", 256, 13, 384, 3, 1, 1, false)}) {
    for (const int count : {1, 2}) {
      set_threads(count);
      Stage exact(spec, {}), erring(spec, sources);
      std::vector<double> exact_ms, erring_ms;
      for (int round = -2; round < rounds; ++round) {
        const double a = time_ms(exact), b = time_ms(erring);
        if (round < 0) continue;
        exact_ms.push_back(a), erring_ms.push_back(b);
      }
      std::printf("| %s | %.1e | %.1e | %s | %d | %.2f | %.2f | %.2f |\n", errors.name.c_str(),
                  wrong_products(spec, *lanes), lanes->largest_sum_rate(), spec.name.c_str(), count,
                  median_ms(exact_ms), median_ms(erring_ms),
                  median_ms(erring_ms) / median_ms(exact_ms));
      std::fflush(stdout);
    }
  }
}

void run(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 11;
  const auto made_up = std::filesystem::temp_directory_path() / "inure_bench_timing.profile";
  std::vector<Errors> all;
  if (argc <= 2) all = made_up_errors(made_up);
  for (int i = 2; i + 1 < argc;) {
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
  for (const Errors& errors : all) compare(errors, rounds);
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
