#include <map>

#include "inure/base/error.hpp"
#include "inure/caffe/upgrade.hpp"

namespace inure::caffe {
namespace {

using Type = V1LayerParameter::LayerType;

Type v1_type(const std::string& v0_type, const std::string& where) {
  static const std::map<std::string, Type> kTypes = {
      {"accuracy", V1LayerParameter::ACCURACY},
      {"bnll", V1LayerParameter::BNLL},
      {"concat", V1LayerParameter::CONCAT},
      {"conv", V1LayerParameter::CONVOLUTION},
      {"data", V1LayerParameter::DATA},
      {"dropout", V1LayerParameter::DROPOUT},
      {"euclidean_loss", V1LayerParameter::EUCLIDEAN_LOSS},
      {"flatten", V1LayerParameter::FLATTEN},
      {"hdf5_data", V1LayerParameter::HDF5_DATA},
      {"hdf5_output", V1LayerParameter::HDF5_OUTPUT},
      {"im2col", V1LayerParameter::IM2COL},
      {"images", V1LayerParameter::IMAGE_DATA},
      {"infogain_loss", V1LayerParameter::INFOGAIN_LOSS},
      {"innerproduct", V1LayerParameter::INNER_PRODUCT},
      {"lrn", V1LayerParameter::LRN},
      {"multinomial_logistic_loss", V1LayerParameter::MULTINOMIAL_LOGISTIC_LOSS},
      {"pool", V1LayerParameter::POOLING},
      {"relu", V1LayerParameter::RELU},
      {"sigmoid", V1LayerParameter::SIGMOID},
      {"softmax", V1LayerParameter::SOFTMAX},
      {"softmax_loss", V1LayerParameter::SOFTMAX_LOSS},
      {"split", V1LayerParameter::SPLIT},
      {"tanh", V1LayerParameter::TANH},
      {"window_data", V1LayerParameter::WINDOW_DATA},
  };
  const auto found = kTypes.find(v0_type);
  if (found == kTypes.end()) {
    fail("{} has type '{}', which Caffe's first format does not have", where, v0_type);
  }
  return found->second;
}

// Moves the fields of a V0 layer, one subject a function.
class V0Upgrade {
 public:
  V0Upgrade(const V0LayerParameter& from, V1LayerParameter& to, const std::string& where)
      : from_(from), to_(to), where_(where) {}

  void run() {
    to_.set_name(from_.name());
    to_.set_type(v1_type(from_.type(), where_));
    to_.mutable_blobs()->MergeFrom(from_.blobs());
    to_.mutable_blobs_lr()->MergeFrom(from_.blobs_lr());
    to_.mutable_weight_decay()->MergeFrom(from_.weight_decay());
    weights();
    windows();
    local_response();
    data();
    transform();
    detection();
    if (from_.has_dropout_ratio()) {
      require(is(V1LayerParameter::DROPOUT), "dropout_ratio");
      to_.mutable_dropout_param()->set_dropout_ratio(from_.dropout_ratio());
    }
    if (from_.has_concat_dim()) {
      require(is(V1LayerParameter::CONCAT), "concat_dim");
      to_.mutable_concat_param()->set_concat_dim(from_.concat_dim());
    }
    if (from_.has_hdf5_output_param()) {
      require(is(V1LayerParameter::HDF5_OUTPUT), "hdf5_output_param");
      *to_.mutable_hdf5_output_param() = from_.hdf5_output_param();
    }
  }

 private:
  bool is(Type type) const { return to_.type() == type; }

  void require(bool fits, const char* field) const {
    if (!fits) fail("{}: a layer of type '{}' has no {}", where_, from_.type(), field);
  }

  template <typename Param>
  void weights_of(Param& param) {
    if (from_.has_num_output()) param.set_num_output(from_.num_output());
    if (from_.has_biasterm()) param.set_bias_term(from_.biasterm());
    if (from_.has_weight_filler()) *param.mutable_weight_filler() = from_.weight_filler();
    if (from_.has_bias_filler()) *param.mutable_bias_filler() = from_.bias_filler();
  }

  void weights() {
    if (is(V1LayerParameter::CONVOLUTION)) {
      weights_of(*to_.mutable_convolution_param());
    } else if (is(V1LayerParameter::INNER_PRODUCT)) {
      weights_of(*to_.mutable_inner_product_param());
    } else {
      require(!from_.has_num_output(), "num_output");
      require(!from_.has_biasterm(), "biasterm");
      require(!from_.has_weight_filler(), "weight_filler");
      require(!from_.has_bias_filler(), "bias_filler");
    }
  }

  void windows() {
    if (is(V1LayerParameter::CONVOLUTION)) {
      auto& param = *to_.mutable_convolution_param();
      if (from_.has_pad()) param.add_pad(from_.pad());
      if (from_.has_kernelsize()) param.add_kernel_size(from_.kernelsize());
      if (from_.has_stride()) param.add_stride(from_.stride());
      if (from_.has_group()) param.set_group(from_.group());
    } else if (is(V1LayerParameter::POOLING)) {
      auto& param = *to_.mutable_pooling_param();
      if (from_.has_pad()) param.set_pad(from_.pad());
      if (from_.has_kernelsize()) param.set_kernel_size(from_.kernelsize());
      if (from_.has_stride()) param.set_stride(from_.stride());
      if (from_.has_pool()) {
        param.set_pool(static_cast<PoolingParameter::PoolMethod>(from_.pool()));
      }
    } else {
      require(!from_.has_pad(), "pad");
      require(!from_.has_kernelsize(), "kernelsize");
      require(!from_.has_stride(), "stride");
    }
    require(is(V1LayerParameter::CONVOLUTION) || !from_.has_group(), "group");
    require(is(V1LayerParameter::POOLING) || !from_.has_pool(), "pool");
  }

  void local_response() {
    if (!from_.has_local_size() && !from_.has_alpha() && !from_.has_beta() && !from_.has_k())
      return;
    require(is(V1LayerParameter::LRN), "local_size, alpha, beta or k");
    auto& param = *to_.mutable_lrn_param();
    if (from_.has_local_size()) param.set_local_size(from_.local_size());
    if (from_.has_alpha()) param.set_alpha(from_.alpha());
    if (from_.has_beta()) param.set_beta(from_.beta());
    if (from_.has_k()) param.set_k(from_.k());
  }

  template <typename Param>
  void batches_of(Param& param) {
    if (from_.has_source()) param.set_source(from_.source());
    if (from_.has_batchsize()) param.set_batch_size(from_.batchsize());
  }

  void data() {
    const bool images = is(V1LayerParameter::IMAGE_DATA);
    if (is(V1LayerParameter::DATA)) {
      batches_of(*to_.mutable_data_param());
      if (from_.has_rand_skip()) to_.mutable_data_param()->set_rand_skip(from_.rand_skip());
    } else if (images) {
      auto& param = *to_.mutable_image_data_param();
      batches_of(param);
      if (from_.has_rand_skip()) param.set_rand_skip(from_.rand_skip());
      if (from_.has_shuffle_images()) param.set_shuffle(from_.shuffle_images());
      if (from_.has_new_height()) param.set_new_height(static_cast<unsigned>(from_.new_height()));
      if (from_.has_new_width()) param.set_new_width(static_cast<unsigned>(from_.new_width()));
    } else if (is(V1LayerParameter::HDF5_DATA)) {
      batches_of(*to_.mutable_hdf5_data_param());
    } else if (is(V1LayerParameter::WINDOW_DATA)) {
      batches_of(*to_.mutable_window_data_param());
    } else if (is(V1LayerParameter::INFOGAIN_LOSS)) {
      if (from_.has_source()) to_.mutable_infogain_loss_param()->set_source(from_.source());
      require(!from_.has_batchsize(), "batchsize");
    } else {
      require(!from_.has_source(), "source");
      require(!from_.has_batchsize(), "batchsize");
    }
    require(is(V1LayerParameter::DATA) || images || !from_.has_rand_skip(), "rand_skip");
    require(images || !from_.has_shuffle_images(), "shuffle_images");
    require(images || (!from_.has_new_height() && !from_.has_new_width()),
            "new_height or new_width");
  }

  void transform() {
    if (!from_.has_scale() && !from_.has_meanfile() && !from_.has_cropsize() &&
        !from_.has_mirror()) {
      return;
    }
    require(is(V1LayerParameter::DATA) || is(V1LayerParameter::IMAGE_DATA) ||
                is(V1LayerParameter::WINDOW_DATA),
            "scale, meanfile, cropsize or mirror");
    auto& param = *to_.mutable_transform_param();
    if (from_.has_scale()) param.set_scale(from_.scale());
    if (from_.has_meanfile()) param.set_mean_file(from_.meanfile());
    if (from_.has_cropsize()) param.set_crop_size(from_.cropsize());
    if (from_.has_mirror()) param.set_mirror(from_.mirror());
  }

  void detection() {
    if (!from_.has_det_fg_threshold() && !from_.has_det_bg_threshold() &&
        !from_.has_det_fg_fraction() && !from_.has_det_context_pad() &&
        !from_.has_det_crop_mode()) {
      return;
    }
    require(is(V1LayerParameter::WINDOW_DATA), "det_fg_threshold or its like");
    auto& param = *to_.mutable_window_data_param();
    if (from_.has_det_fg_threshold()) param.set_fg_threshold(from_.det_fg_threshold());
    if (from_.has_det_bg_threshold()) param.set_bg_threshold(from_.det_bg_threshold());
    if (from_.has_det_fg_fraction()) param.set_fg_fraction(from_.det_fg_fraction());
    if (from_.has_det_context_pad()) param.set_context_pad(from_.det_context_pad());
    if (from_.has_det_crop_mode()) param.set_crop_mode(from_.det_crop_mode());
  }

  const V0LayerParameter& from_;
  V1LayerParameter& to_;
  const std::string& where_;
};

// V0 padded a convolution by a layer of its own, whose top the convolution read.
void merge_padding_layers(NetParameter& net, const std::string& file) {
  std::map<std::string, V1LayerParameter> padding;  // by top
  google::protobuf::RepeatedPtrField<V1LayerParameter> kept;
  for (auto& layer : *net.mutable_layers()) {
    if (layer.layer().type() == "padding") {
      if (layer.bottom_size() != 1 || layer.top_size() != 1) {
        fail("{}: layer '{}': a padding layer has one bottom and one top", file,
             layer.layer().name());
      }
      padding[layer.top(0)] = layer;
      continue;
    }
    for (auto& bottom : *layer.mutable_bottom()) {
      const auto found = padding.find(bottom);
      if (found == padding.end()) continue;
      if (layer.layer().type() != "conv") {
        fail("{}: layer '{}' reads a padding layer; only a convolution can", file,
             layer.layer().name());
      }
      layer.mutable_layer()->set_pad(found->second.layer().pad());
      bottom = found->second.bottom(0);
    }
    *kept.Add() = layer;
  }
  net.mutable_layers()->Swap(&kept);
}

}  // namespace

void upgrade_v0_layers(NetParameter& net, const std::string& file) {
  bool any = false;
  for (const auto& layer : net.layers()) any = any || layer.has_layer();
  if (!any) return;
  merge_padding_layers(net, file);
  for (auto& layer : *net.mutable_layers()) {
    if (!layer.has_layer()) continue;
    const V0LayerParameter old = layer.layer();
    layer.clear_layer();
    const std::string where = fmt::format("{}: layer '{}'", file, old.name());
    V0Upgrade(old, layer, where).run();
  }
}

}  // namespace inure::caffe
