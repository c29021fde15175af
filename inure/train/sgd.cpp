#include "inure/train/sgd.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "inure/base/finite.hpp"
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

// Of frozen parameters too: where force_backward gives them gradients, their gradients count in the
// norm.
std::vector<Chunk> cut(const std::vector<std::shared_ptr<Parameter>>& parameters) {
  std::vector<Chunk> chunks;
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    if (!parameters[p]->gradient.defined()) continue;
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

// Caffe's update of some values. Where `kWrite` is false nothing is changed. Returns whether all
// that is written, or would be, is finite.
template <SgdRule::Decay kDecay, bool kWrite>
bool update_chunk(const Factors& f, const float* gradient, float* history, float* data,
                  std::int64_t count) {
  std::uint32_t bad = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    float penalty = data[i];
    if constexpr (kDecay == SgdRule::Decay::kL1) {
      penalty = static_cast<float>((data[i] > 0) - (data[i] < 0));
    }
    const float g = gradient[i] * f.clip * f.normalize + f.decay * penalty;
    const float step = f.rate * g + f.momentum * history[i];
    if constexpr (kWrite) {
      history[i] = step;
      data[i] -= step;
    } else {
      // Where the step is not finite, neither is the weight after it.
      bad |= static_cast<std::uint32_t>(!is_finite(data[i] - step));
    }
  }
  return bad == 0;
}

using UpdateChunk = bool (*)(const Factors&, const float*, float*, float*, std::int64_t);

// Runs `update` over all chunks that learn. Returns the first parameter that a chunk was false for.
Parameter* run_chunks(const SgdRule& rule, float rate, float clip, const std::vector<Chunk>& chunks,
                      const std::vector<std::shared_ptr<Parameter>>& parameters,
                      const std::vector<at::Tensor>& histories, UpdateChunk update) {
  const float normalize = 1.0f / static_cast<float>(rule.iter_size);
  std::vector<char> good(chunks.size(), 1);
  parallel_for(static_cast<std::int64_t>(chunks.size()), [&](std::int64_t c) {
    const Chunk& chunk = chunks[c];
    Parameter& parameter = *parameters[chunk.parameter];
    if (parameter.lr_mult == 0) return;
    const Factors factors{clip, normalize, rule.weight_decay * parameter.decay_mult, rule.momentum,
                          rate * parameter.lr_mult};
    good[c] = update(factors, parameter.gradient.data_ptr<float>() + chunk.begin,
                     histories[chunk.parameter].data_ptr<float>() + chunk.begin,
                     parameter.data.data_ptr<float>() + chunk.begin, chunk.end - chunk.begin);
  });
  const auto bad = std::find(good.begin(), good.end(), 0);
  return bad == good.end() ? nullptr : parameters[chunks[bad - good.begin()].parameter].get();
}

}  // namespace

const Parameter* update_parameters(const SgdRule& rule, float rate,
                                   const std::vector<std::shared_ptr<Parameter>>& parameters,
                                   const std::vector<at::Tensor>& histories, bool allow_nan) {
  const std::vector<Chunk> chunks = cut(parameters);
  float clip = 1;
  if (rule.clip_gradients > 0) {
    const double length = norm(parameters, chunks);
    if (length > rule.clip_gradients) clip = static_cast<float>(rule.clip_gradients / length);
  }
  using Decay = SgdRule::Decay;
  const bool l1 = rule.decay == Decay::kL1;
  const auto run = [&](UpdateChunk update) {
    return run_chunks(rule, rate, clip, chunks, parameters, histories, update);
  };
  if (!allow_nan) {
    const Parameter* bad =
        run(l1 ? update_chunk<Decay::kL1, false> : update_chunk<Decay::kL2, false>);
    if (bad != nullptr) return bad;
  }
  run(l1 ? update_chunk<Decay::kL1, true> : update_chunk<Decay::kL2, true>);
  for (const auto& parameter : parameters) {
    if (parameter->lr_mult != 0 && parameter->gradient.defined()) ++parameter->version;
  }
  return nullptr;
}

}  // namespace inure
