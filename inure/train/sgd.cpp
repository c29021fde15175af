#include "inure/train/sgd.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "inure/base/parallel.hpp"

namespace inure {

namespace {

// Sums and updates run over chunks of this many values: the unit of the threads' work and of the
// order of summation, whatever the number of threads.
constexpr std::int64_t kChunk = 16384;

struct Chunk {
  int parameter;
  std::int64_t begin, end;
};

std::vector<Chunk> cut(const std::vector<std::shared_ptr<Parameter>>& parameters) {
  std::vector<Chunk> chunks;
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    if (parameters[p]->lr_mult == 0 || !parameters[p]->gradient.defined()) continue;
    const std::int64_t size = parameters[p]->data.numel();
    for (std::int64_t begin = 0; begin < size; begin += kChunk) {
      chunks.push_back({static_cast<int>(p), begin, std::min(size, begin + kChunk)});
    }
  }
  return chunks;
}

double norm(const std::vector<std::shared_ptr<Parameter>>& parameters,
            const std::vector<Chunk>& chunks) {
  std::vector<double> sums(chunks.size());
  parallel_for(static_cast<std::int64_t>(chunks.size()), [&](std::int64_t c) {
    const float* gradient = parameters[chunks[c].parameter]->gradient.data_ptr<float>();
    double sum = 0;
    for (std::int64_t i = chunks[c].begin; i < chunks[c].end; ++i) {
      sum += static_cast<double>(gradient[i]) * gradient[i];
    }
    sums[c] = sum;
  });
  double total = 0;
  for (double sum : sums) total += sum;
  return std::sqrt(total);
}

struct Factors {
  float clip, normalize, decay, momentum, rate;
};

template <SgdRule::Decay decay_kind>
void update_chunk(const Factors& f, const float* gradient, float* history, float* data,
                  std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    float penalty = data[i];
    if constexpr (decay_kind == SgdRule::Decay::kL1) {
      penalty = static_cast<float>((data[i] > 0) - (data[i] < 0));
    }
    const float g = gradient[i] * f.clip * f.normalize + f.decay * penalty;
    history[i] = f.rate * g + f.momentum * history[i];
    data[i] -= history[i];
  }
}

}  // namespace

void update_parameters(const SgdRule& rule, float rate,
                       const std::vector<std::shared_ptr<Parameter>>& parameters,
                       const std::vector<at::Tensor>& histories) {
  const std::vector<Chunk> chunks = cut(parameters);
  float clip = 1;
  if (rule.clip_gradients > 0) {
    const double length = norm(parameters, chunks);
    if (length > rule.clip_gradients) clip = static_cast<float>(rule.clip_gradients / length);
  }
  const float normalize = 1.0f / static_cast<float>(rule.iter_size);
  parallel_for(static_cast<std::int64_t>(chunks.size()), [&](std::int64_t c) {
    const Chunk& chunk = chunks[c];
    Parameter& parameter = *parameters[chunk.parameter];
    const Factors factors{clip, normalize, rule.weight_decay * parameter.decay_mult, rule.momentum,
                          rate * parameter.lr_mult};
    const float* gradient = parameter.gradient.data_ptr<float>() + chunk.begin;
    float* history = histories[chunk.parameter].data_ptr<float>() + chunk.begin;
    float* data = parameter.data.data_ptr<float>() + chunk.begin;
    const auto update = rule.decay == SgdRule::Decay::kL1 ? update_chunk<SgdRule::Decay::kL1>
                                                          : update_chunk<SgdRule::Decay::kL2>;
    update(factors, gradient, history, data, chunk.end - chunk.begin);
  });
  for (const auto& parameter : parameters) {
    if (parameter->lr_mult != 0 && parameter->gradient.defined()) ++parameter->version;
  }
}

}  // namespace inure
