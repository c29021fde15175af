#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace inure::data {

struct LabelledFile {
  std::string path;
  int label;
};

// A text file with a line "path label" for each image. `where` begins every error; an error names
// file and line.
std::vector<LabelledFile> read_image_list(const std::string& file, const std::string& where);
std::vector<LabelledFile> parse_image_list(std::string_view content, const std::string& file,
                                           const std::string& where);

}  // namespace inure::data
