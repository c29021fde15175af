#include "inure/accelerator/stage_files.hpp"

#include <charconv>
#include <map>
#include <sstream>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "inure/base/label.hpp"

namespace inure {
namespace {

bool is_number(const char* begin, const char* end, int& value) {
  const auto [rest, error] = std::from_chars(begin, end, value);
  return rest == end && error == std::errc{};
}

class Keys {
 public:
  explicit Keys(const std::filesystem::path& path) : path_(path.string()) {
    std::istringstream lines(read_text_file(path));
    int number = 0;
    for (std::string line; std::getline(lines, line);) {
      ++number;
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      const auto equals = line.find('=');
      int value = 0;
      const char* end = line.data() + line.find_last_not_of(" \t\r") + 1;
      if (equals == std::string::npos || !is_number(line.data() + equals + 1, end, value)) {
        fail("{}:{}: \"{}\" is not key=number", path_, number, label_of(line));
      }
      if (!values_.emplace(line.substr(0, equals), value).second) {
        fail("{}:{}: \"{}\" is there twice; keep one", path_, number,
             label_of(line.substr(0, equals)));
      }
    }
  }

  int at(const std::string& key) const {
    const auto found = values_.find(key);
    if (found == values_.end()) fail("{}: the key \"{}\" is missing", path_, key);
    return found->second;
  }

 private:
  std::string path_;
  std::map<std::string, int> values_;
};

StageSpec spec_of(const Keys& keys, const std::string& name) {
  StageSpec s;
  s.name = name;
  s.in_width = keys.at("w"), s.in_height = keys.at("h"), s.in_channels = keys.at("c");
  s.kernel = keys.at("k");
  s.out_channels = keys.at("m");
  s.stride = keys.at("stride"), s.pad = keys.at("pad");
  s.groups = keys.at("split") != 0 ? 2 : 1;
  s.relu = keys.at("relu") != 0;
  if (keys.at("pool") != 0) s.pool = MaxPooling{keys.at("pool_size"), keys.at("pool_stride")};
  s.lrn = keys.at("lrn") != 0;
  s.frac_w = keys.at("frac_w"), s.frac_in = keys.at("frac_din"), s.frac_out = keys.at("frac_dout");
  return s;
}

std::vector<std::int8_t> read_bytes(const std::filesystem::path& path, std::int64_t count,
                                    const char* meaning) {
  const std::string bytes = read_file(path);
  if (std::int64_t(bytes.size()) != count) {
    fail("{}: has {} bytes; layer.txt makes it {} ({})", path.string(), bytes.size(), count,
         meaning);
  }
  return {bytes.begin(), bytes.end()};
}

}  // namespace

StageFiles read_stage(const std::filesystem::path& folder) {
  const Keys keys(folder / "layer.txt");
  StageFiles files;
  const std::string name = std::filesystem::absolute(folder).lexically_normal().filename().string();
  files.spec = spec_of(keys, name);
  const StageSpec& s = files.spec;
  if (keys.at("kh") != s.kernel) {
    fail("{}: k={} and kh={}; only square kernels are possible", (folder / "layer.txt").string(),
         s.kernel, keys.at("kh"));
  }
  if (const auto reason = why_malformed(s))
    fail("{}: {}", (folder / "layer.txt").string(), *reason);
  const auto input = read_bytes(folder / "input.bin",
                                std::int64_t{s.in_channels} * s.in_height * s.in_width, "c*h*w");
  files.weights = read_bytes(folder / "weights.bin", std::int64_t{s.out_channels} * s.taps(),
                             "m*(c/groups)*k*k");
  files.bias = read_bytes(folder / "bias.bin", s.out_channels, "m");
  files.input.fraction = s.frac_in;
  files.input.reshape(1, s.in_height, s.in_width, s.in_channels);
  const int pixels = s.in_height * s.in_width;
  for (int c = 0; c < s.in_channels; ++c) {
    for (int p = 0; p < pixels; ++p) {
      files.input.values[std::size_t(p) * s.in_channels + c] = input[std::size_t(c) * pixels + p];
    }
  }
  return files;
}

std::string channels_first(const Int8Map& map, int image) {
  const int pixels = map.height * map.width;
  std::string out(map.image_size(), '\0');
  for (int p = 0; p < pixels; ++p) {
    for (int c = 0; c < map.channels; ++c) {
      out[std::size_t(c) * pixels + p] =
          static_cast<char>(map.image(image)[std::size_t(p) * map.channels + c]);
    }
  }
  return out;
}

}  // namespace inure
