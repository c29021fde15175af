#include "inure/data/image_list.hpp"

#include <charconv>
#include <numeric>
#include <opencv2/core.hpp>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "inure/base/random.hpp"
#include "inure/data/record.hpp"

namespace inure::data {
namespace {

LabelledFile parse_line(std::string_view line, const std::string& where) {
  const auto blank = line.find_last_of(" \t");
  const auto end = blank == line.npos ? line.npos : line.find_last_not_of(" \t", blank);
  if (end == line.npos) fail("{}: '{}': 'path label' is needed", where, printable(line));
  const auto digits = line.substr(blank + 1);
  LabelledFile file{std::string(line.substr(0, end + 1)), 0};
  const auto [stop, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), file.label);
  if (error != std::errc() || stop != digits.data() + digits.size()) {
    fail("{}: the label '{}' is not a whole number; a list has one label a line", where,
         printable(digits));
  }
  return file;
}

class ImageListRecords : public RecordSet {
 public:
  ImageListRecords(const caffe::ImageDataParameter& param, std::uint64_t seed, std::string where)
      : param_(param), seed_(seed), where_(std::move(where)) {
    files_ = read_image_list(param.source(), where_);
    order_.resize(files_.size());
  }

  std::int64_t size() const override { return std::ssize(files_); }

  void read(std::int64_t position, Record& record) override {
    const auto& file = files_[index_at(position)];
    const cv::Mat image = load_image(
        param_.root_folder() + file.path, param_.is_color() ? Color::kColor : Color::kGray,
        static_cast<int>(param_.new_height()), static_cast<int>(param_.new_width()), where_);
    set_image(image, record);
    record.label = file.label;
  }

 private:
  // Every pass over the set has a permutation of its own, a function of (seed, pass).
  std::size_t index_at(std::int64_t position) {
    const auto index = static_cast<std::size_t>(position % size());
    if (!param_.shuffle()) return index;
    const std::int64_t pass = position / size();
    if (pass != pass_) {
      pass_ = pass;
      std::iota(order_.begin(), order_.end(), 0);
      RandomStream random(seed_, RandomPurpose::kShuffle, static_cast<std::uint32_t>(pass), 0);
      for (std::size_t i = order_.size() - 1; i > 0; --i) {
        std::swap(order_[i], order_[random.below(static_cast<std::uint32_t>(i + 1))]);
      }
    }
    return order_[index];
  }

  caffe::ImageDataParameter param_;
  std::uint64_t seed_;
  std::string where_;
  std::vector<LabelledFile> files_;
  std::vector<std::uint32_t> order_;
  std::int64_t pass_ = -1;
};

}  // namespace

std::vector<LabelledFile> read_image_list(const std::string& file, const std::string& where) {
  std::string content;
  try {
    content = read_text_file(file);
  } catch (const Error& error) {
    fail("{}: {}", where, error.what());
  }
  return parse_image_list(content, file, where);
}

std::vector<LabelledFile> parse_image_list(std::string_view content, const std::string& file,
                                           const std::string& where) {
  if (content.find('\0') != content.npos) {
    fail("{}: {}: is a binary file or text in UTF-16; a list in UTF-8 is needed", where, file);
  }
  std::vector<LabelledFile> files;
  int number = 0;
  for (std::size_t begin = 0; begin < content.size();) {
    const auto end = std::min(content.find('\n', begin), content.size());
    std::string_view line = content.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    while (!line.empty() && std::string_view("\r \t").find(line.back()) != line.npos) {
      line.remove_suffix(1);
    }
    if (!line.empty()) {
      files.push_back(parse_line(line, fmt::format("{}: {}:{}", where, file, number)));
    }
  }
  if (files.empty()) fail("{}: {}: lists no images", where, file);
  return files;
}

std::unique_ptr<RecordSet> open_image_list(const caffe::LayerParameter& layer, std::uint64_t seed,
                                           const std::string& where) {
  const auto& param = layer.image_data_param();
  if (param.source().empty()) fail("{}: image_data_param names no source", where);
  if ((param.new_height() > 0) != (param.new_width() > 0)) {
    fail("{}: new_height and new_width must both be given, or neither", where);
  }
  if (param.new_height() > 0) check_pixels(param.new_height(), param.new_width(), where);
  return std::make_unique<ImageListRecords>(param, seed, where);
}

}  // namespace inure::data
