#include <ATen/ATen.h>
#include <fmt/format.h>

#include <chrono>

#include "commands.hpp"
#include "inure/base/file.hpp"
#include "inure/base/progress.hpp"
#include "inure/network/blas.hpp"

namespace inure::app {

namespace {

struct Options : NetOptions {
  int iterations = 50;
  std::string phase = "TRAIN";
};

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// Milliseconds of a layer, summed over the iterations.
struct LayerTime {
  double forward = 0, backward = 0;
};

void clear_gradients(Network& network) {
  network.clear_gradients();
  for (const Network::Node& node : network.nodes()) {
    for (Value* value : node.bottoms) value->clear_gradient();
    for (Value* value : node.tops) value->clear_gradient();
  }
}

// The gradient of the loss by its own top, where backward begins.
void start_backward(const Network::Node& node) {
  for (std::size_t t = 0; t < node.tops.size(); ++t) {
    if (t < node.loss_weights.size() && node.loss_weights[t] != 0) {
      node.tops[t]->add_gradient(at::full(node.tops[t]->shape, node.loss_weights[t], at::kFloat));
    }
  }
}

void time_layers(Network& network, const PassContext& pass, std::vector<LayerTime>& times) {
  const SingleThreaded libraries;  // as Network runs its layers
  const c10::InferenceMode no_autograd;
  const auto& nodes = network.nodes();
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const auto start = Clock::now();
    nodes[i].layer->forward(nodes[i].bottoms, nodes[i].tops, pass);
    times[i].forward += milliseconds_since(start);
  }
  clear_gradients(network);
  for (std::size_t i = nodes.size(); i-- > 0;) {
    start_backward(nodes[i]);
    if (!nodes[i].needs_backward) continue;
    const auto start = Clock::now();
    nodes[i].layer->backward(nodes[i].tops, nodes[i].bottoms, pass);
    times[i].backward += milliseconds_since(start);
  }
}

void print_layers(const Network& network, const std::vector<LayerTime>& times, int iterations) {
  fmt::print("Average time per layer:\n");
  for (std::size_t i = 0; i < times.size(); ++i) {
    const std::string& name = network.nodes()[i].layer->name();
    fmt::print("{:>24}\tforward: {:.4g} ms.\n", name, times[i].forward / iterations);
    fmt::print("{:>24}\tbackward: {:.4g} ms.\n", name, times[i].backward / iterations);
  }
}

void print_total(double forward, double backward, int iterations) {
  fmt::print("Average Forward pass: {:.4g} ms.\n", forward / iterations);
  fmt::print("Average Backward pass: {:.4g} ms.\n", backward / iterations);
  fmt::print("Average Forward-Backward: {:.4g} ms.\n", (forward + backward) / iterations);
  fmt::print("Total Time: {:.4g} ms.\n", forward + backward);
}

// An accelerator runs many layers in one program: only the whole passes can be timed.
void time_passes(Network& network, int iterations, Progress& progress) {
  LayerTime total;
  for (int i = 0; i < iterations; ++i) {
    auto start = Clock::now();
    network.forward(i);
    total.forward += milliseconds_since(start);
    network.clear_gradients();
    start = Clock::now();
    network.backward();
    total.backward += milliseconds_since(start);
    progress.advance();
  }
  progress.clear();
  print_total(total.forward, total.backward, iterations);
}

void time(const Options& options, std::uint64_t seed) {
  const caffe::Phase phase = options.phase == "TRAIN" ? caffe::TRAIN : caffe::TEST;
  const OpenNet open = open_net(options, phase, seed);
  Network& network = *open.network;
  open.feed->feed(network, 0);
  network.forward(0);  // memory is allocated and pages are touched
  network.clear_gradients();
  network.backward();
  fmt::print("Running for {} iterations, {} images a batch.\n", options.iterations,
             open.feed->batch_size());
  flush_output();
  Progress progress("timing", "iterations", options.iterations);
  if (!options.accelerator.empty()) return time_passes(network, options.iterations, progress);

  std::vector<LayerTime> times(network.nodes().size());
  for (int i = 0; i < options.iterations; ++i) {
    time_layers(network, {phase, seed, i}, times);
    progress.advance();
  }
  progress.clear();
  print_layers(network, times, options.iterations);
  LayerTime total;
  for (const LayerTime& layer : times) {
    total.forward += layer.forward;
    total.backward += layer.backward;
  }
  print_total(total.forward, total.backward, options.iterations);
}

}  // namespace

void add_time_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("time", "Time a network's forward and backward passes");
  auto options = std::make_shared<Options>();
  add_model_options(*command, *options);
  add_execution_options(*command, *options);
  command->add_option("--iterations", options->iterations, "Passes to average over")
      ->check(kPositive)
      ->capture_default_str()
      ->type_name("N");
  command->add_option("--phase", options->phase, "Of the network")
      ->check(CLI::IsMember({"TRAIN", "TEST"}))
      ->capture_default_str();
  command->footer(
      "Besides: --threads N and --seed N, see inure --help.\n"
      "Reading data is not part of the time: one batch serves for all passes. With an accelerator "
      "the\n"
      "whole passes are timed, without one each layer too.\n\n"
      "Examples:\n"
      "  inure time --model lenet.prototxt --iterations 20 --threads 1\n"
      "  inure time --model alexnet.prototxt --synthetic-data 3x227x227 --phase TEST");
  command->callback([&app, options] { time(*options, global_seed(app).value_or(1)); });
}

}  // namespace inure::app
