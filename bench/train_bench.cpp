// Time of a training iteration (forward, backward, update) on the accelerator against the same
// network's float iteration, the variants in turn, in one run. Data is made up; reading it is not
// part of the time. Run it in the project's root, where models/ is:
//
//   bench_train [rounds of LeNet] [rounds of CaffeNet] [threads]

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "inure/base/error.hpp"
#include "inure/base/parallel.hpp"
#include "inure/base/random.hpp"
#include "inure/caffe/files.hpp"
#include "inure/network/calibration.hpp"
#include "inure/network/placement.hpp"
#include "inure/train/sgd.hpp"

namespace {

using namespace inure;

constexpr double kFlipsAProduct = 1e-4;
// About one wrong product in a thousand: one multiplier of four errs.
constexpr char kTimingProfile[] = "profiles/hx8k_p3_seed1.profile";
constexpr double kTimingClock = 1.0275;

struct Model {
  const char* name;
  const char* file;
  std::vector<std::int64_t> image;  // channels, height, width
  std::int64_t classes;
};

std::unique_ptr<Network> make_network(const Model& model) {
  const auto shapes = [&](const caffe::LayerParameter& layer) {
    const std::int64_t batch = layer.data_param().batch_size();
    return Network::Shapes{{batch, model.image[0], model.image[1], model.image[2]}, {batch}};
  };
  auto network = std::make_unique<Network>(caffe::read_net(model.file), caffe::TRAIN, 1, shapes);
  RandomStream random(1, RandomPurpose::kDummyData, 0, 0);
  const auto& tops = network->data_layers()[0].top();
  std::vector<float> images(network->blob(tops[0]).count()), labels(network->blob(tops[1]).count());
  for (float& v : images) v = static_cast<float>(random.gaussian());
  for (float& v : labels) v = static_cast<float>(random.below(model.classes));
  network->set_input(tops[0], images);
  network->set_input(tops[1], labels);
  return network;
}

// A way of running the network. All of them train the same weights.
struct Variant {
  std::unique_ptr<Network> network;
  std::vector<double> forward, backward, update, all;  // ms, one a round
};

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

void iterate(Variant& variant, const std::vector<at::Tensor>& histories, int iteration,
             bool record) {
  SgdRule rule;
  rule.momentum = 0.9f;
  rule.weight_decay = 0.0005f;
  Network& network = *variant.network;
  const auto start = Clock::now();
  network.forward(iteration);
  const double forward = ms_since(start);
  network.clear_gradients();
  network.backward();
  const double backward = ms_since(start);
  update_parameters(rule, 1e-4f, network.parameters(), histories);
  const double all = ms_since(start);
  if (!record) return;
  variant.forward.push_back(forward);
  variant.backward.push_back(backward - forward);
  variant.update.push_back(all - backward);
  variant.all.push_back(all);
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

std::string split(const Variant& variant) {
  return fmt::format("{:.1f} / {:.1f} / {:.1f}", median(variant.forward), median(variant.backward),
                     median(variant.update));
}

// Float, the accelerator without errors, with flips, with timing errors.
std::vector<Variant> make_variants(const Model& model) {
  std::vector<Variant> variants(4);
  for (Variant& variant : variants) {
    variant.network = make_network(model);
    if (&variant != variants.data()) variant.network->share_parameters(*variants[0].network);
  }
  AcceleratorDescription description;
  const Registry registry = all_accelerators();
  const Calibration calibration = calibrate(*variants[0].network, *registry.make(description), 1,
                                            [&](int pass) { variants[0].network->forward(pass); });
  for (const CalibratedLayer& layer : calibration.layers) {
    *description.add_format() = layer.format;
  }
  for (int v = 1; v < 4; ++v) {
    description.clear_errors();
    if (v == 3) {
      auto* timing = description.mutable_errors()->mutable_timing();
      timing->add_profile(kTimingProfile);
      timing->set_relative_clock(kTimingClock);
    }
    if (v == 2) {
      auto* flip = description.mutable_errors()->add_bit_flip();
      flip->set_where(BitFlipDescription::PRODUCTS);
      flip->set_rate(kFlipsAProduct / 16);
    }
    variants[v].network->place(
        std::make_shared<Placement>(*variants[v].network, description, registry));
  }
  std::printf("%s:", model.name);
  for (const StageSpec& stage : variants[1].network->placement()->stages()) {
    std::printf(" %s", stage.name.c_str());
  }
  std::printf(" on the accelerator\n");
  for (const PlacementNote& note : variants[1].network->placement()->notes()) {
    std::printf("  on the host: %s: %s\n", note.layer.c_str(), note.reason.c_str());
  }
  return variants;
}

std::string row(const Model& model, std::vector<Variant>& variants, int thread_count, int rounds) {
  constexpr int kWarmUp = 2;
  std::vector<at::Tensor> histories;
  for (const auto& parameter : variants[0].network->parameters()) {
    histories.push_back(at::zeros(parameter->data.sizes(), at::kFloat));
  }
  for (Variant& v : variants) v.forward = v.backward = v.update = v.all = {};
  for (int round = 0; round < rounds + kWarmUp; ++round) {
    for (Variant& variant : variants) iterate(variant, histories, round, round >= kWarmUp);
  }
  const double in_float = median(variants[0].all), exact = median(variants[1].all),
               erring = median(variants[2].all), timing = median(variants[3].all);
  return fmt::format(
      "| {} | {} | {:.1f} | {:.1f} | {:.2f} | {:.1f} | {:.2f} | {:.1f} | {:.2f} | {} | {} | {} | "
      "{} "
      "|\n",
      model.name, thread_count, in_float, exact, exact / in_float, erring, erring / exact, timing,
      timing / exact, split(variants[0]), split(variants[1]), split(variants[2]),
      split(variants[3]));
}

void run(int argc, char** argv) {
  const auto argument = [&](int i, int otherwise) {
    return argc > i ? std::atoi(argv[i]) : otherwise;
  };
  const std::vector<std::pair<Model, int>> models = {
      {{"LeNet (64)", "models/lenet_fashion/train_test.prototxt", {1, 28, 28}, 10},
       argument(1, 41)},
      {{"CaffeNet (16)", "models/caffenet/train_val.prototxt", {3, 227, 227}, 1000},
       argument(2, 7)}};
  std::vector<int> counts = {1, 2};
  if (argc > 3) counts = {argument(3, 1)};
  std::string table =
      "| network | threads | float ms | accelerator ms | accelerator / float | with flips ms | "
      "flips / accelerator | with timing errors ms | timing / accelerator | float: forward / "
      "backward / "
      "update | accelerator | with flips | with timing errors "
      "|\n|---|---|---|---|---|---|---|---|---|---|---|---|---|\n";
  for (const auto& [model, rounds] : models) {
    if (rounds < 1) continue;
    std::vector<Variant> variants = make_variants(model);
    for (const int count : counts) {
      set_threads(count);
      table += row(model, variants, count, rounds);
    }
  }
  std::printf("\n%s", table.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(argc, argv);
  } catch (const Error& error) {
    std::fprintf(stderr, "bench_train: %s\n", error.what());
    return 1;
  }
}
