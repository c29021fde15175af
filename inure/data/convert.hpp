#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

// Data sets of other formats to LMDB folders that Caffe's Data layer reads: a Datum for each image
// under keys "00000000", "00000001", ... Every function shows its progress, returns the number of
// images, and writes a whole new folder or nothing; it refuses an output that exists. Errors name
// the file.
namespace inure::data {

// MNIST's format, gzip or not: images (magic 2051) and labels (magic 2049).
std::int64_t convert_idx(const std::filesystem::path& images, const std::filesystem::path& labels,
                         const std::filesystem::path& output);

// CIFAR-10's binary format: records of a label byte and 3 x 32 x 32 bytes, RGB planes.
std::int64_t convert_cifar(const std::vector<std::filesystem::path>& inputs,
                           const std::filesystem::path& output);

struct ConvertImagesOptions {
  std::string root;           // put before every path of the list
  int height = 0, width = 0;  // resize to this (bilinear, as Caffe); 0: as they are
  bool gray = false;
  // Keeps the files' bytes instead of pixels; not with a resize. Gray files become color PNGs, so
  // that a reader gets what it gets of pixels.
  bool encoded = false;
  bool shuffle = false;
  std::uint64_t seed = 0;  // of the shuffle
};

// A text file with a line "path label" for each image, as ImageData reads it. What becomes of a
// picture: image.hpp.
std::int64_t convert_images(const std::filesystem::path& list, const ConvertImagesOptions& options,
                            const std::filesystem::path& output);

// The mean of all images of an LMDB folder, for mean_file; they must have one size.
void write_mean_of(const std::filesystem::path& lmdb, const std::filesystem::path& mean);

}  // namespace inure::data
