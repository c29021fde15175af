#include "inure/caffe/upgrade.hpp"

#include <algorithm>
#include <map>

#include "inure/base/error.hpp"

namespace inure::caffe {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

std::string layer_type(V1LayerParameter::LayerType type) {
  static const std::map<V1LayerParameter::LayerType, std::string> kNames = {
      {V1LayerParameter::NONE, ""},
      {V1LayerParameter::ABSVAL, "AbsVal"},
      {V1LayerParameter::ACCURACY, "Accuracy"},
      {V1LayerParameter::ARGMAX, "ArgMax"},
      {V1LayerParameter::BNLL, "BNLL"},
      {V1LayerParameter::CONCAT, "Concat"},
      {V1LayerParameter::CONTRASTIVE_LOSS, "ContrastiveLoss"},
      {V1LayerParameter::CONVOLUTION, "Convolution"},
      {V1LayerParameter::DATA, "Data"},
      {V1LayerParameter::DECONVOLUTION, "Deconvolution"},
      {V1LayerParameter::DROPOUT, "Dropout"},
      {V1LayerParameter::DUMMY_DATA, "DummyData"},
      {V1LayerParameter::ELTWISE, "Eltwise"},
      {V1LayerParameter::EUCLIDEAN_LOSS, "EuclideanLoss"},
      {V1LayerParameter::EXP, "Exp"},
      {V1LayerParameter::FLATTEN, "Flatten"},
      {V1LayerParameter::HDF5_DATA, "HDF5Data"},
      {V1LayerParameter::HDF5_OUTPUT, "HDF5Output"},
      {V1LayerParameter::HINGE_LOSS, "HingeLoss"},
      {V1LayerParameter::IM2COL, "Im2col"},
      {V1LayerParameter::IMAGE_DATA, "ImageData"},
      {V1LayerParameter::INFOGAIN_LOSS, "InfogainLoss"},
      {V1LayerParameter::INNER_PRODUCT, "InnerProduct"},
      {V1LayerParameter::LRN, "LRN"},
      {V1LayerParameter::MEMORY_DATA, "MemoryData"},
      {V1LayerParameter::MULTINOMIAL_LOGISTIC_LOSS, "MultinomialLogisticLoss"},
      {V1LayerParameter::MVN, "MVN"},
      {V1LayerParameter::POOLING, "Pooling"},
      {V1LayerParameter::POWER, "Power"},
      {V1LayerParameter::RELU, "ReLU"},
      {V1LayerParameter::SIGMOID, "Sigmoid"},
      {V1LayerParameter::SIGMOID_CROSS_ENTROPY_LOSS, "SigmoidCrossEntropyLoss"},
      {V1LayerParameter::SILENCE, "Silence"},
      {V1LayerParameter::SLICE, "Slice"},
      {V1LayerParameter::SOFTMAX, "Softmax"},
      {V1LayerParameter::SOFTMAX_LOSS, "SoftmaxWithLoss"},
      {V1LayerParameter::SPLIT, "Split"},
      {V1LayerParameter::TANH, "TanH"},
      {V1LayerParameter::THRESHOLD, "Threshold"},
      {V1LayerParameter::WINDOW_DATA, "WindowData"},
  };
  return kNames.at(type);
}

// V1 and today's layers share the names and messages of most fields.
void copy_field(const Message& from, const FieldDescriptor* source, Message& to,
                const FieldDescriptor* target) {
  const auto* reading = from.GetReflection();
  const auto* writing = to.GetReflection();
  if (!source->is_repeated()) {
    if (source->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      writing->SetString(&to, target, reading->GetString(from, source));
    } else {
      writing->MutableMessage(&to, target)->CopyFrom(reading->GetMessage(from, source));
    }
    return;
  }
  for (int i = 0; i < reading->FieldSize(from, source); ++i) {
    if (source->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      writing->AddString(&to, target, reading->GetRepeatedString(from, source, i));
    } else if (source->cpp_type() == FieldDescriptor::CPPTYPE_FLOAT) {
      writing->AddFloat(&to, target, reading->GetRepeatedFloat(from, source, i));
    } else {
      writing->AddMessage(&to, target)->CopyFrom(reading->GetRepeatedMessage(from, source, i));
    }
  }
}

ParamSpec& param_at(LayerParameter& layer, int i) {
  while (layer.param_size() <= i) layer.add_param();
  return *layer.mutable_param(i);
}

void upgrade_v1_params(const V1LayerParameter& old, LayerParameter& layer) {
  for (int i = 0; i < old.param_size(); ++i) param_at(layer, i).set_name(old.param(i));
  for (int i = 0; i < old.blob_share_mode_size(); ++i) {
    param_at(layer, i).set_share_mode(static_cast<ParamSpec::DimCheckMode>(old.blob_share_mode(i)));
  }
  for (int i = 0; i < old.blobs_lr_size(); ++i) param_at(layer, i).set_lr_mult(old.blobs_lr(i));
  for (int i = 0; i < old.weight_decay_size(); ++i) {
    param_at(layer, i).set_decay_mult(old.weight_decay(i));
  }
}

LayerParameter upgrade_v1_layer(const V1LayerParameter& old) {
  LayerParameter layer;
  std::vector<const FieldDescriptor*> fields;
  old.GetReflection()->ListFields(old, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->name() == "type" || field->name() == "param") continue;
    const auto* target = LayerParameter::descriptor()->FindFieldByName(field->name());
    if (target != nullptr) copy_field(old, field, layer, target);
  }
  layer.set_type(layer_type(old.type()));
  upgrade_v1_params(old, layer);
  return layer;
}

void clear_inputs(NetParameter& net) {
  net.clear_input();
  net.clear_input_shape();
  net.clear_input_dim();
}

// `input: "data" input_dim: 1 ...` in front of the layers. As in Caffe input_shape goes before
// input_dim, and inputs without either are left-overs that mean nothing.
void upgrade_inputs(NetParameter& net, const std::string& file) {
  const bool by_shape = net.input_shape_size() > 0;
  if (net.input_size() == 0 || (!by_shape && net.input_dim_size() == 0)) {
    return clear_inputs(net);
  }
  if (by_shape ? net.input_shape_size() != net.input_size()
               : net.input_dim_size() != 4 * net.input_size()) {
    fail(
        "{}: has {} input with {} input_shape and {} input_dim; each input needs one shape or four "
        "dims",
        file, net.input_size(), net.input_shape_size(), net.input_dim_size());
  }
  LayerParameter layer;
  layer.set_name("input");
  layer.set_type("Input");
  for (int i = 0; i < net.input_size(); ++i) {
    layer.add_top(net.input(i));
    BlobShape& shape = *layer.mutable_input_param()->add_shape();
    if (by_shape) shape = net.input_shape(i);
    for (int d = 0; d < 4 && !by_shape; ++d) shape.add_dim(net.input_dim(4 * i + d));
  }
  clear_inputs(net);
  auto& layers = *net.mutable_layer();
  *layers.Add() = layer;
  std::rotate(layers.begin(), layers.end() - 1, layers.end());
}

// For V1 layers; in later files Caffe ignores these fields.
template <typename Param>
void move_transform(Param& param, TransformationParameter& transform) {
  if (param.has_scale()) transform.set_scale(param.scale());
  if (param.has_mean_file()) transform.set_mean_file(param.mean_file());
  if (param.has_crop_size()) transform.set_crop_size(param.crop_size());
  if (param.has_mirror()) transform.set_mirror(param.mirror());
  param.clear_scale();
  param.clear_mean_file();
  param.clear_crop_size();
  param.clear_mirror();
}

template <typename Param>
bool has_transform(const Param& param) {
  return param.has_scale() || param.has_mean_file() || param.has_crop_size() || param.has_mirror();
}

void upgrade_transform(LayerParameter& layer) {
  if (has_transform(layer.data_param())) {
    move_transform(*layer.mutable_data_param(), *layer.mutable_transform_param());
  }
  if (layer.data_param().has_force_encoded_color()) {
    layer.mutable_transform_param()->set_force_color(layer.data_param().force_encoded_color());
    layer.mutable_data_param()->clear_force_encoded_color();
  }
  if (has_transform(layer.image_data_param())) {
    move_transform(*layer.mutable_image_data_param(), *layer.mutable_transform_param());
  }
  if (has_transform(layer.window_data_param())) {
    move_transform(*layer.mutable_window_data_param(), *layer.mutable_transform_param());
  }
}

}  // namespace

void upgrade_v1_layers(NetParameter& net, const std::string& file) {
  if (net.layers_size() == 0) return;
  if (net.layer_size() > 0) {
    fail("{}: has both 'layer' and the older 'layers'; write all of them as 'layer'", file);
  }
  for (const auto& old : net.layers()) *net.add_layer() = upgrade_v1_layer(old);
  net.clear_layers();
}

void upgrade_weights(NetParameter& model) {
  for (auto& old : *model.mutable_layers()) {
    LayerParameter& layer = *model.add_layer();
    layer.set_name(old.has_layer() ? old.layer().name() : old.name());
    layer.set_type(layer_type(old.type()));
    layer.mutable_blobs()->Swap(old.has_layer() ? old.mutable_layer()->mutable_blobs()
                                                : old.mutable_blobs());
  }
  model.clear_layers();
  clear_inputs(model);
}

void upgrade_net(NetParameter& net, const std::string& file) {
  const bool is_old = net.layers_size() > 0;
  upgrade_v0_layers(net, file);
  upgrade_v1_layers(net, file);
  upgrade_inputs(net, file);
  for (auto& layer : *net.mutable_layer()) {
    if (is_old) upgrade_transform(layer);
    // It was needed to freeze the running averages; they are not learned any more.
    if (layer.type() == "BatchNorm" && layer.param_size() == 3) layer.clear_param();
  }
}

void upgrade_solver(SolverParameter& solver, const std::string& file) {
  if (!solver.has_solver_type()) return;
  if (solver.has_type()) fail("{}: has both type and the older solver_type; keep type", file);
  static const char* const kTypes[] = {"SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam"};
  solver.set_type(kTypes[solver.solver_type()]);
  solver.clear_solver_type();
}

}  // namespace inure::caffe
