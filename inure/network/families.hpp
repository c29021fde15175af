#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "inure/base/parallel.hpp"
#include "inure/network/layer.hpp"

// What the layers' files share: their makers and the checks that speak for all of them.
namespace inure {

using Shape = std::vector<std::int64_t>;

std::unique_ptr<Layer> make_convolution(const caffe::LayerParameter&);
std::unique_ptr<Layer> make_inner_product(const caffe::LayerParameter&);
std::unique_ptr<Layer> make_pooling(const caffe::LayerParameter&);
std::unique_ptr<Layer> make_activation(
    const caffe::LayerParameter&);  // ReLU, Sigmoid, TanH, Swish, Clip
std::unique_ptr<Layer> make_lrn(const caffe::LayerParameter&);
std::unique_ptr<Layer> make_dropout(const caffe::LayerParameter&);
std::unique_ptr<Layer> make_concat(const caffe::LayerParameter&);
std::unique_ptr<Layer> make_copy(const caffe::LayerParameter&);  // Split, Flatten, Reshape
std::unique_ptr<Layer> make_sink(const caffe::LayerParameter&);  // Silence, ImageOutput
std::unique_ptr<Layer> make_softmax(const caffe::LayerParameter&);
std::unique_ptr<Layer> make_softmax_loss(const caffe::LayerParameter&);
std::unique_ptr<Layer> make_accuracy(const caffe::LayerParameter&);
std::unique_ptr<Layer> make_eltwise(const caffe::LayerParameter&);
std::unique_ptr<Layer> make_batch_norm(const caffe::LayerParameter&);
std::unique_ptr<Layer> make_scale(const caffe::LayerParameter&);

std::string shape_text(const Shape& shape);  // "64 x 20 x 12 x 12"
// Of the sizes [first, last); the greatest number where it does not fit.
std::int64_t product(const Shape& shape, std::size_t first, std::size_t last);

// Throws Error for a number of the layer, or for a count of values, beyond 2^31 - 1: Caffe has
// both in int. Sizes that were checked can be added and multiplied in pairs without overflow.
void check_number(const Layer& layer, std::int64_t number, const char* what);
void check_size(const std::string& layer, const Shape& shape, const std::string& what);

// Throws Error unless the layer has so many bottoms and tops (max -1: any number).
void check_counts(const Layer& layer, const Layer::Values& bottoms, int min_bottoms,
                  int max_bottoms, int min_tops, int max_tops);
// Caffe's axis (negative: from the end), or Error.
int canonical_axis(const Layer& layer, std::int64_t axis, const Shape& shape, const char* what);

// Adds the layer's next parameter, filled; lr_mult, decay_mult and name as its ParamSpec says.
void add_parameter(Layer& layer, const Shape& shape, const caffe::FillerParameter& filler,
                   std::uint64_t seed);

// The work of a layer is cut into pieces that depend on its shapes only, never on the number of
// threads: so sums are always formed in the same order. Runs body(begin, end) over [0, count) in
// pieces of `piece`.
template <typename Body>
void for_pieces(std::int64_t count, std::int64_t piece, const Body& body) {
  parallel_for((count + piece - 1) / piece,
               [&](std::int64_t i) { body(i * piece, std::min(count, (i + 1) * piece)); });
}

// Elements in a piece of simple element-wise work: worth a thread's while, and it fits a
// second-level cache.
inline constexpr std::int64_t kElements = 32768;

}  // namespace inure
