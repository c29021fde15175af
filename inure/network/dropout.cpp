#include <algorithm>
#include <array>

#include "inure/base/error.hpp"
#include "inure/base/random.hpp"
#include "inure/network/families.hpp"
#include "inure/network/filler.hpp"

namespace inure {
namespace {

// Keeps a value with probability 1 - ratio and scales it by 1 / (1 - ratio). The mask is a function
// of (seed, layer, iteration, place): backward computes it again.
class Dropout : public Layer {
 public:
  using Layer::Layer;

  std::vector<Shape> set_up(const Values& bottoms, std::uint64_t) override {
    check_counts(*this, bottoms, 1, 1, 1, 1);
    ratio_ = parameter_.dropout_param().dropout_ratio();
    if (!(ratio_ >= 0 && ratio_ < 1)) {
      fail("layer \"{}\": dropout_ratio {} must be at least 0 and below 1", name(), ratio_);
    }
    key_ = name_key(namesakes_before ? fmt::format("{}\n{}", name(), namesakes_before) : name());
    return {bottoms[0]->shape};
  }

  void forward(const Values& bottoms, const Values& tops, const PassContext& pass) override {
    run(bottoms[0]->floats(), tops[0]->output(), bottoms[0]->count(), pass);
  }

  void backward(const Values& tops, const Values& bottoms, const PassContext& pass) override {
    if (!bottoms[0]->needs_gradient) return;
    at::Tensor gradient = bottoms[0]->fresh_gradient();
    run(tops[0]->gradient.data_ptr<float>(), gradient.data_ptr<float>(), bottoms[0]->count(), pass);
    bottoms[0]->add_gradient(gradient);
  }

 private:
  void run(const float* in, float* out, std::int64_t count, const PassContext& pass) const {
    const float scale = 1 / (1 - ratio_);
    const PhiloxKey key = philox_key(pass.seed);
    for_pieces(count, kElements, [&](std::int64_t begin, std::int64_t end) {
      if (pass.phase == caffe::TEST) {
        std::copy(in + begin, in + end, out + begin);
        return;
      }
      for (std::int64_t i = begin; i < end; i += 4) {
        const PhiloxBlock block =
            philox({static_cast<std::uint32_t>(RandomPurpose::kDropout), key_,
                    static_cast<std::uint32_t>(pass.iteration), static_cast<std::uint32_t>(i / 4)},
                   key);
        for (std::int64_t j = i; j < std::min(i + 4, end); ++j) {
          out[j] = uniform24(block[j - i]) < ratio_ ? 0 : scale * in[j];
        }
      }
    });
  }

  std::uint32_t key_ = 0;
  float ratio_ = 0.5f;
};

}  // namespace

std::unique_ptr<Layer> make_dropout(const caffe::LayerParameter& parameter) {
  return std::make_unique<Dropout>(parameter);
}

}  // namespace inure
