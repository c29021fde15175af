// libFuzzer's entry for all readers: the environment variable FUZZ_TARGET chooses one; without it
// the program lists them. FUZZ_SEEDS=DIR writes the first inputs instead and ends.
//
// A reader may refuse an input in one line. A crash, a sanitizer's finding, an exception other than
// Error, a message of several lines, an endless loop or too much memory are findings.

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "inure/base/error.hpp"
#include "tests/common.hpp"
#include "tests/fuzz/targets.hpp"

namespace inure::fuzz {
namespace {

const Target* chosen = nullptr;

// In memory where there is such a file system.
const std::filesystem::path& folder() {
  static const TemporaryFolder folder = [] {
    if (std::filesystem::is_directory("/dev/shm")) setenv("TMPDIR", "/dev/shm", 1);
    return TemporaryFolder();
  }();
  return folder.path();
}

void choose() {
  const char* name = std::getenv("FUZZ_TARGET");
  for (const Target& target : targets()) {
    if (name && name == std::string(target.name)) chosen = &target;
    if (!name) std::printf("%s\n", target.name);
  }
  if (name && !chosen) std::fprintf(stderr, "FUZZ_TARGET=%s: no such target\n", name);
  if (!chosen) std::exit(name ? 1 : 0);
}

}  // namespace
}  // namespace inure::fuzz

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  if (const char* seeds = std::getenv("FUZZ_SEEDS")) {
    inure::fuzz::write_seeds(seeds);
    std::exit(0);
  }
  inure::fuzz::choose();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using inure::fuzz::chosen;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::filesystem::path path = inure::fuzz::folder() / chosen->file;
  std::ofstream(path, std::ios::binary) << (chosen->prepare ? chosen->prepare(input) : input);
  try {
    chosen->read(path);
  } catch (const inure::Error& error) {
    if (std::string_view(error.what()).find('\n') == std::string_view::npos) return 0;
    std::fprintf(stderr, "a message of several lines: %s\n", error.what());
    std::abort();
  }
  return 0;
}
