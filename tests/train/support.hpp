#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "inure/base/file.hpp"
#include "inure/base/random.hpp"
#include "inure/caffe/caffe.pb.h"
#include "inure/data/lmdb.hpp"
#include "tests/common.hpp"

namespace inure {

// 40 small grey images of four classes in an LMDB.
inline std::string write_lmdb(const TemporaryFolder& folder) {
  const std::string path = (folder / "lmdb").string();
  data::LmdbWriter writer(path);
  RandomStream random(5, RandomPurpose::kShuffle, 0, 0);
  for (int i = 0; i < 40; ++i) {
    caffe::Datum datum;
    datum.set_channels(1);
    datum.set_height(10);
    datum.set_width(10);
    datum.set_label(i % 4);
    for (int p = 0; p < 100; ++p) {
      datum.mutable_data()->push_back(static_cast<char>(random.below(128) + 30 * (i % 4)));
    }
    writer.append(fmt::format("{:05}", i), datum.SerializeAsString());
  }
  writer.finish();
  return path;
}

// A net with all that a resumed run must take up where it was: cropped and mirrored images in an
// order, dropout, a frozen layer, two test passes. Batches of 6 do not divide the 40 images.
inline std::string tiny_net(const std::string& lmdb, int hidden = 8) {
  std::string text = "name: 'tiny'\n";
  for (const char* phase : {"TRAIN", "TEST"}) {
    text += fmt::format(
        "layer {{ name: 'data' type: 'Data' top: 'data' top: 'label' include {{ phase: {} }}\n"
        "  transform_param {{ scale: 0.01 crop_size: 8 mirror: true }}\n"
        "  data_param {{ source: '{}' batch_size: 6 backend: LMDB }} }}\n",
        phase, lmdb);
  }
  return text + fmt::format(R"(
layer {{ name: 'conv' type: 'Convolution' bottom: 'data' top: 'conv'
  param {{ lr_mult: 1 }} param {{ lr_mult: 2 decay_mult: 0 }}
  convolution_param {{ num_output: 4 kernel_size: 3 weight_filler {{ type: 'xavier' }} }} }}
layer {{ name: 'relu' type: 'ReLU' bottom: 'conv' top: 'conv' }}
layer {{ name: 'pool' type: 'Pooling' bottom: 'conv' top: 'pool'
  pooling_param {{ pool: MAX kernel_size: 2 stride: 2 }} }}
layer {{ name: 'drop' type: 'Dropout' bottom: 'pool' top: 'pool' }}
layer {{ name: 'ip1' type: 'InnerProduct' bottom: 'pool' top: 'ip1'
  inner_product_param {{ num_output: {} weight_filler {{ type: 'gaussian' std: 0.2 }} }} }}
layer {{ name: 'frozen' type: 'InnerProduct' bottom: 'ip1' top: 'frozen'
  param {{ lr_mult: 0 }} param {{ lr_mult: 0 }}
  inner_product_param {{ num_output: 8 weight_filler {{ type: 'xavier' }} }} }}
layer {{ name: 'ip2' type: 'InnerProduct' bottom: 'frozen' top: 'ip2'
  inner_product_param {{ num_output: 4 weight_filler {{ type: 'xavier' }} }} }}
layer {{ name: 'accuracy' type: 'Accuracy' bottom: 'ip2' bottom: 'label' top: 'accuracy'
  include {{ phase: TEST }} }}
layer {{ name: 'loss' type: 'SoftmaxWithLoss' bottom: 'ip2' bottom: 'label' top: 'loss' }}
)",
                            hidden);
}

// 30 iterations, a snapshot every 10, tests every 15.
inline std::string tiny_solver(const std::string& net, const std::string& prefix,
                               int max_iter = 30) {
  return fmt::format(
      "net: '{}' snapshot_prefix: '{}'\n"
      "base_lr: 0.05 lr_policy: 'inv' gamma: 0.01 power: 0.75 momentum: 0.9 weight_decay: 0.001\n"
      "max_iter: {} display: 10 average_loss: 7 test_iter: 3 test_interval: 15 snapshot: 10\n"
      "iter_size: 2 clip_gradients: 2 random_seed: 3 solver_mode: CPU\n",
      net, prefix, max_iter);
}

}  // namespace inure
