#include "inure/timing/lane_stage.hpp"

#include <algorithm>
#include <limits>

#include "inure/base/error.hpp"
#include "inure/base/parallel.hpp"
#include "inure/base/progress.hpp"
#include "inure/errors/operand_trace.hpp"

namespace inure::timing {
namespace {

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

class Stage {
 public:
  Stage(const StageSpec& spec, const LaneGeometry& geometry, std::span<const std::int8_t> images,
        std::span<const std::int8_t> weights)
      : spec_(spec),
        geometry_(geometry),
        images_(images),
        weights_(weights),
        image_size_(std::int64_t{spec.in_height} * spec.in_width * spec.in_channels),
        blocks_((geometry.channels + geometry.lane_num - 1) / geometry.lane_num) {
    const auto count = static_cast<std::int64_t>(images.size());
    if (count == 0 || count % image_size_ != 0) {
      fail("stage {}: {} activations; expected a multiple of {}", spec.name, count, image_size_);
    }
    const std::int64_t expected = std::int64_t{spec.out_channels} * spec.taps();
    if (static_cast<std::int64_t>(weights.size()) != expected) {
      fail("stage {}: {} weights; expected {}", spec.name, weights.size(), expected);
    }
    for (int lane = 0; lane < geometry.lane_num; ++lane) {
      lane_weights_.push_back(trace(images.first(index(image_size_)), lane).weights);
    }
  }

  std::int64_t images() const { return static_cast<std::int64_t>(images_.size()) / image_size_; }
  std::int64_t outputs() const {  // of one lane and image
    return std::int64_t{blocks_} * geometry_.height * geometry_.width;
  }

  // An image's activations in hardware order, [outputs][steps][vec_size]: all lanes get the same.
  // That holds for a lane without a channel too, as groups are whole blocks.
  std::vector<std::int8_t> activations(std::int64_t image) const {
    return trace(images_.subspan(index(image * image_size_), index(image_size_)), 0).activations;
  }
  const std::vector<std::int8_t>& weights(int lane) const { return lane_weights_[index(lane)]; }
  const LaneGeometry& geometry() const { return geometry_; }

  // Where an output of a lane belongs among an image's; -1 where the lane has no channel.
  std::int64_t place(int lane, std::int64_t output) const {
    const std::int64_t pixels = std::int64_t{geometry_.height} * geometry_.width;
    const std::int64_t channel = output / pixels * geometry_.lane_num + lane - geometry_.pad_offset;
    if (channel < 0 || channel >= geometry_.channels) return -1;
    return output % pixels * geometry_.channels + channel;
  }

 private:
  OperandTrace trace(std::span<const std::int8_t> image, int lane) const {
    OperandTracer tracer(spec_, geometry_, lane, {std::numeric_limits<std::int64_t>::max(), 1}, "");
    tracer.add_image(image.data(), weights_);
    return tracer.trace();
  }

  const StageSpec& spec_;
  const LaneGeometry& geometry_;
  const std::span<const std::int8_t> images_, weights_;
  const std::int64_t image_size_;
  const int blocks_;
  std::vector<std::vector<std::int8_t>> lane_weights_;  // in hardware order
};

// One lane's work on one image.
struct Sequence {
  std::int64_t image;
  int lane;
};

void run(const LaneSimulator& circuit, const Stage& stage, std::span<const Sequence> sequences,
         std::int32_t* sums) {
  const LaneGeometry& g = stage.geometry();
  const int count = static_cast<int>(sequences.size());
  const std::int64_t first_image = sequences.front().image;
  std::vector<std::vector<std::int8_t>> activations;  // by image from first_image on
  for (std::int64_t image = first_image; image <= sequences.back().image; ++image) {
    activations.push_back(stage.activations(image));
  }
  LaneSimulator::Run lanes(circuit, count);
  std::vector<std::int32_t> captured(sequences.size());
  const int delay = circuit.cycles_to(circuit.accumulator());
  const std::int64_t steps = stage.outputs() * g.steps;
  for (std::int64_t cycle = 0; cycle < steps + delay; ++cycle) {
    const std::size_t at = index(std::min(cycle, steps - 1) * g.vec_size);
    for (int s = 0; s < count; ++s) {
      const Sequence& what = sequences[index(s)];
      std::copy_n(activations[index(what.image - first_image)].data() + at, g.vec_size,
                  lanes.activations(s));
      std::copy_n(stage.weights(what.lane).data() + at, g.vec_size, lanes.weights(s));
    }
    lanes.set_first(cycle % g.steps == 0);
    lanes.cycle();
    const std::int64_t done = cycle - delay + 1;  // steps that the accumulators include
    if (done <= 0 || done % g.steps != 0) continue;
    lanes.captured(circuit.accumulator(), captured);
    const std::int64_t image_outputs = std::int64_t{g.height} * g.width * g.channels;
    for (std::size_t s = 0; s < captured.size(); ++s) {
      const std::int64_t place = stage.place(sequences[s].lane, done / g.steps - 1);
      if (place >= 0) sums[sequences[s].image * image_outputs + place] = captured[s];
    }
  }
}

}  // namespace

std::vector<std::int32_t> simulate_stage(std::span<const LaneSimulator> circuits,
                                         const StageSpec& stage, const LaneGeometry& geometry,
                                         std::span<const std::int8_t> images,
                                         std::span<const std::int8_t> weights) {
  if (circuits.empty()) fail("stage {}: no circuit", stage.name);
  for (const LaneSimulator& circuit : circuits) {
    if (circuit.vec_size() == geometry.vec_size) continue;
    fail("stage {}: a circuit of vec_size {}; expected {}", stage.name, circuit.vec_size(),
         geometry.vec_size);
  }
  const Stage work(stage, geometry, images, weights);
  struct Part {
    std::size_t circuit;
    std::vector<Sequence> sequences;
  };
  std::vector<Part> parts;
  for (std::size_t c = 0; c < circuits.size(); ++c) {
    std::vector<Sequence> all;
    for (std::int64_t image = 0; image < work.images(); ++image) {
      for (int lane = static_cast<int>(c); lane < geometry.lane_num;
           lane += static_cast<int>(circuits.size())) {
        all.push_back({image, lane});
      }
    }
    const auto most = index(circuits[c].side_by_side());
    for (std::size_t first = 0; first < all.size(); first += most) {
      const auto begin = all.begin() + static_cast<std::ptrdiff_t>(first);
      const auto many = static_cast<std::ptrdiff_t>(std::min(most, all.size() - first));
      parts.push_back({c, std::vector<Sequence>(begin, begin + many)});
    }
  }
  std::vector<std::int32_t> sums(index(work.images() * geometry.height * geometry.width) *
                                 index(geometry.channels));
  const auto count = static_cast<std::int64_t>(parts.size());
  Progress progress("simulating", "parts", count);
  for (std::int64_t first = 0; first < count; first += threads()) {
    const std::int64_t now = std::min<std::int64_t>(threads(), count - first);
    parallel_for(now, [&](std::int64_t i) {
      const Part& part = parts[index(first + i)];
      run(circuits[part.circuit], work, part.sequences, sums.data());
    });
    progress.advance(now);
  }
  return sums;
}

}  // namespace inure::timing
