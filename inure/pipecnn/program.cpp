#include "inure/pipecnn/program.hpp"

#include "inure/base/error.hpp"

namespace inure::pipecnn {
namespace {

// FNV-1a: the stage's identity for random draws is its name's, wherever a program begins.
std::uint32_t hash(const std::string& name) {
  std::uint32_t h = 2166136261u;
  for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 16777619u;
  return h;
}

// A map to write to: the one of the last run if nobody else holds it.
Int8Map& renew(std::shared_ptr<Int8Map>& map, int images, int height, int width, int channels,
               int fraction) {
  if (!map || map.use_count() > 1) map = std::make_shared<Int8Map>();
  map->reshape(images, height, width, channels);
  map->fraction = fraction;
  return *map;
}

}  // namespace

PipecnnProgram::PipecnnProgram(std::vector<StageSpec> stages, const Build& build,
                               const ErrorSources& errors)
    : build_(build), specs_(std::move(stages)) {
  for (const StageSpec& spec : specs_) {
    if (const auto reason = why_not(spec, build)) {
      fail("stage {}: the accelerator cannot run it: {} ({})", spec.name, *reason, to_string(spec));
    }
    Stage stage;
    stage.spec = spec;
    stage.geometry = geometry_of(spec, build);
    stage.id = hash(spec.name);
    stage.errors = errors.models(spec.name, build.vec_size);
    for (const auto& model : stage.errors) {
      stage.weights_err |= model->corrupts_weights();
      stage.activations_err |= model->corrupts_activations();
      stage.sums_err |= model->corrupts_sums();
      stage.batches_err |= model->corrupts_batches();
      stage.outputs_err |= model->corrupts_outputs();
    }
    stages_.push_back(std::move(stage));
  }
}

void PipecnnProgram::load(int index, std::span<const std::int8_t> weights,
                          std::span<const std::int32_t> bias) {
  Stage& stage = stages_.at(index);
  const std::size_t expected = std::size_t(stage.spec.out_channels) * stage.spec.taps();
  if (weights.size() != expected || bias.size() != std::size_t(stage.spec.out_channels)) {
    fail("stage {}: {} weights and {} biases were given; {} and {} are needed", stage.spec.name,
         weights.size(), bias.size(), expected, stage.spec.out_channels);
  }
  stage.weights.assign(weights.begin(), weights.end());
  stage.bias.assign(bias.begin(), bias.end());
}

ErrorKey PipecnnProgram::error_key(const Stage& stage, const RunKey& key, int image) {
  return {key.seed, key.iteration, key.training, stage.id, static_cast<std::uint32_t>(image)};
}

void PipecnnProgram::run(std::shared_ptr<const Int8Map> input, const RunKey& key, bool keep,
                         std::vector<StageResult>& results) {
  results.resize(stages_.size());
  unkept_.resize(stages_.size());
  for (std::size_t i = 0; i < stages_.size(); ++i) {
    Stage& stage = stages_[i];
    const StageSpec& spec = stage.spec;
    if (stage.weights.empty()) fail("stage {}: run before its weights were loaded", spec.name);
    const Int8Map* in =
        spec.input == StageSpec::kProgramInput ? input.get() : results.at(spec.input).output.get();
    if (in->height != spec.in_height || in->width != spec.in_width ||
        in->channels != spec.in_channels || in->fraction != spec.frac_in) {
      fail("stage {}: its input is {}x{}x{} with fraction {}; it was compiled for {}x{}x{} with {}",
           spec.name, in->channels, in->height, in->width, in->fraction, spec.in_channels,
           spec.in_height, spec.in_width, spec.frac_in);
    }

    Int8Map corrupted;
    if (stage.activations_err) {
      corrupted = *in;
      for (int n = 0; n < corrupted.images; ++n) {
        for (const auto& model : stage.errors) {
          model->corrupt_activations(error_key(stage, key, n),
                                     {corrupted.image(n), std::size_t(corrupted.image_size())});
        }
      }
      in = &corrupted;
    }
    std::vector<std::int8_t> corrupted_weights;
    if (stage.weights_err) {
      corrupted_weights = stage.weights;
      for (const auto& model : stage.errors) {
        model->corrupt_weights(error_key(stage, key, 0), corrupted_weights);
      }
    }

    StageResult& result = results[i];
    if (!result.before_pool) result.before_pool = std::move(unkept_[i].before_pool);
    if (!result.before_lrn) result.before_lrn = std::move(unkept_[i].before_lrn);
    Maps maps{};
    auto& first = spec.pool ? result.before_pool : spec.lrn ? result.before_lrn : result.output;
    maps.convolved = &renew(first, in->images, spec.conv_height(), spec.conv_width(),
                            spec.out_channels, spec.frac_out);
    if (spec.pool) {
      maps.pooled = &renew(spec.lrn ? result.before_lrn : result.output, in->images,
                           spec.out_height(), spec.out_width(), spec.out_channels, spec.frac_out);
    }
    if (spec.lrn) {
      maps.normalised = &renew(result.output, in->images, spec.out_height(), spec.out_width(),
                               spec.out_channels, spec.out_fraction());
    }
    run_stage(static_cast<int>(i), *in, stage.weights_err ? corrupted_weights : stage.weights, key,
              maps);
  }
  if (keep) return;
  for (std::size_t i = 0; i < results.size(); ++i) {
    unkept_[i] = {nullptr, std::move(results[i].before_pool), std::move(results[i].before_lrn)};
  }
}

}  // namespace inure::pipecnn
