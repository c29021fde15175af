#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace inure {

// The whole file. Throws Error that names the file when it is missing, a folder or unreadable.
std::string read_file(const std::filesystem::path& path);

// A text file without the UTF-8 mark that some editors put at its start. Throws Error for UTF-16
// and UTF-32.
std::string read_text_file(const std::filesystem::path& path);

// Writes to a temporary name beside `path`, syncs and renames: a reader sees the old file or the
// new one, never half of it. Throws Error when the folder is missing or the disk is full.
void write_file_atomically(const std::filesystem::path& path, std::string_view content);

}  // namespace inure
