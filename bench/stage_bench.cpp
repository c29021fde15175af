// Time of a simulated accelerator stage against oneDNN's s8s8s32 primitive alone, in one run, the
// two in turn.
//
// The stage: int8 to int8, with rounding, ReLU and pooling. The layers: AlexNet's (CaffeNet's),
// batch 16.

#include <dnnl.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <unordered_map>

#include "inure/base/parallel.hpp"
#include "inure/base/random.hpp"
#include "inure/pipecnn/simulator.hpp"

namespace {

using namespace inure;

constexpr int kBatch = 16;

StageSpec convolution(const char* name, int channels, int size, int out, int kernel, int stride,
                      int pad, int groups, bool pool) {
  StageSpec s;
  s.name = name;
  s.in_channels = channels, s.in_height = s.in_width = size, s.out_channels = out;
  s.kernel = kernel, s.stride = stride, s.pad = pad, s.groups = groups;
  s.relu = true;
  if (pool) s.pool = MaxPooling{3, 2};
  s.frac_w = 8, s.frac_in = 3, s.frac_out = 0;
  return s;
}

std::vector<StageSpec> layers() {
  return {convolution("conv1", 3, 227, 96, 11, 4, 0, 1, true),
          convolution("conv2", 96, 27, 256, 5, 1, 2, 2, true),
          convolution("conv3", 256, 13, 384, 3, 1, 1, 1, false),
          convolution("conv4", 384, 13, 384, 3, 1, 1, 2, false),
          convolution("conv5", 384, 13, 256, 3, 1, 1, 2, true),
          convolution("fc6", 256, 6, 4096, 6, 1, 0, 1, false),
          convolution("fc7", 4096, 1, 4096, 1, 1, 0, 1, false),
          convolution("fc8", 4096, 1, 1000, 1, 1, 0, 1, false)};
}

std::vector<std::int8_t> random_bytes(std::int64_t count, std::uint32_t id) {
  RandomStream random(1, RandomPurpose::kDummyData, id, 0);
  std::vector<std::int8_t> bytes(count);
  for (auto& b : bytes) b = static_cast<std::int8_t>(random.next());
  return bytes;
}

// oneDNN's primitive alone, in the formats it likes best, weights already in them.
class OneDnn {
 public:
  explicit OneDnn(const StageSpec& s) : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
    using Tag = dnnl::memory::format_tag;
    using Type = dnnl::memory::data_type;
    const auto any = [](const dnnl::memory::dims& dims, Type type) {
      return dnnl::memory::desc(dims, type, Tag::any);
    };
    const dnnl::memory::dims in = {kBatch, s.in_channels, s.in_height, s.in_width};
    const dnnl::memory::dims out = {kBatch, s.out_channels, s.conv_height(), s.conv_width()};
    dnnl::memory::dims weights = {s.out_channels, s.group_channels(), s.kernel, s.kernel};
    if (s.conv_width() == 1) {
      const dnnl::inner_product_forward::desc desc(dnnl::prop_kind::forward_inference,
                                                   any(in, Type::s8), any(weights, Type::s8),
                                                   any({kBatch, s.out_channels}, Type::s32));
      const dnnl::inner_product_forward::primitive_desc primitive(desc, engine_);
      implementation_ = primitive.impl_info_str();
      primitive_ = dnnl::inner_product_forward(primitive);
      allocate(primitive.src_desc(), primitive.weights_desc(), primitive.dst_desc());
      return;
    }
    if (s.groups > 1) {
      weights = {s.groups, s.out_channels / s.groups, s.group_channels(), s.kernel, s.kernel};
    }
    const dnnl::convolution_forward::desc desc(
        dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, any(in, Type::s8),
        any(weights, Type::s8), any(out, Type::s32), {s.stride, s.stride}, {s.pad, s.pad},
        {s.pad, s.pad});
    const dnnl::convolution_forward::primitive_desc primitive(desc, engine_);
    implementation_ = primitive.impl_info_str();
    primitive_ = dnnl::convolution_forward(primitive);
    allocate(primitive.src_desc(), primitive.weights_desc(), primitive.dst_desc());
  }

  void run() {
    primitive_.execute(stream_, arguments_);
    stream_.wait();
  }
  const std::string& implementation() const { return implementation_; }

 private:
  void allocate(const dnnl::memory::desc& in, const dnnl::memory::desc& weights,
                const dnnl::memory::desc& out) {
    const auto filled = [&](const dnnl::memory::desc& desc, std::uint32_t id) {
      dnnl::memory memory(desc, engine_);
      const auto bytes = random_bytes(static_cast<std::int64_t>(desc.get_size()), id);
      std::copy(bytes.begin(), bytes.end(), static_cast<std::int8_t*>(memory.get_data_handle()));
      return memory;
    };
    arguments_ = {{DNNL_ARG_SRC, filled(in, 1)},
                  {DNNL_ARG_WEIGHTS, filled(weights, 2)},
                  {DNNL_ARG_DST, dnnl::memory(out, engine_)}};
  }

  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::primitive primitive_;
  std::unordered_map<int, dnnl::memory> arguments_;
  std::string implementation_;
};

class Stage {
 public:
  Stage(const StageSpec& spec, double flips_a_product) : results_(1) {
    ErrorsDescription errors;
    if (flips_a_product > 0) {
      auto* flip = errors.add_bit_flip();
      flip->set_where(BitFlipDescription::PRODUCTS);
      flip->set_rate(flips_a_product / 16);
    }
    program_ = std::make_unique<pipecnn::SimulatorProgram>(std::vector<StageSpec>{spec},
                                                           pipecnn::Build{}, errors);
    program_->load(0, random_bytes(std::int64_t{spec.out_channels} * spec.taps(), 2),
                   std::vector<std::int32_t>(spec.out_channels, 1000));
    input_ = std::make_shared<Int8Map>();
    input_->fraction = spec.frac_in;
    input_->reshape(kBatch, spec.in_height, spec.in_width, spec.in_channels);
    input_->values = random_bytes(input_->size(), 1);
  }
  void run() { program_->run(input_, {1, ++iteration_, true}, true, results_); }

 private:
  std::unique_ptr<Program> program_;
  std::shared_ptr<Int8Map> input_;
  std::vector<StageResult> results_;
  std::uint64_t iteration_ = 0;
};

// Medians of the candidates' times in ms, each run in turn.
std::vector<double> medians(const std::vector<std::function<void()>>& candidates, int rounds) {
  std::vector<std::vector<double>> times(candidates.size());
  for (int round = -2; round < rounds; ++round) {
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const auto start = std::chrono::steady_clock::now();
      candidates[i]();
      const std::chrono::duration<double, std::milli> took =
          std::chrono::steady_clock::now() - start;
      if (round >= 0) times[i].push_back(took.count());
    }
  }
  std::vector<double> middle;
  for (auto& t : times) {
    std::nth_element(t.begin(), t.begin() + rounds / 2, t.end());
    middle.push_back(t[rounds / 2]);
  }
  return middle;
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 21;
  std::printf("kernel: %s\n", pipecnn::name_of(pipecnn::best_convolve()));
  std::printf(
      "| layer | threads | oneDNN ms | GOP/s | stage ms | stage / oneDNN | with flips ms | flips / "
      "exact "
      "| oneDNN's implementation |\n|---|---|---|---|---|---|---|---|---|\n");
  for (const int count : {1, 2}) {
    set_threads(count);
    for (const StageSpec& spec : layers()) {
      OneDnn anchor(spec);
      Stage exact(spec, 0), erring(spec, 1e-4);
      const auto ms =
          medians({[&] { anchor.run(); }, [&] { exact.run(); }, [&] { erring.run(); }}, rounds);
      const double operations =
          2.0 * kBatch * spec.conv_height() * spec.conv_width() * spec.out_channels * spec.taps();
      std::printf("| %s | %d | %.2f | %.0f | %.2f | %.2f | %.2f | %.2f | %s |\n", spec.name.c_str(),
                  count, ms[0], operations / ms[0] * 1e-6, ms[1], ms[1] / ms[0], ms[2],
                  ms[2] / ms[1], anchor.implementation().c_str());
      std::fflush(stdout);
    }
  }
}
