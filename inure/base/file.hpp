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

// Throws Error unless a file can be made in this folder.
void check_folder_writable(const std::filesystem::path& folder);

// Writes out what is buffered for standard output. Throws Error where that, or any writing to it
// before, failed: a full disk, a closed pipe.
void flush_output();

}  // namespace inure
