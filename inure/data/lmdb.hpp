#pragma once

#include <lmdb.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace inure::data {

struct CloseEnvironment {
  void operator()(MDB_env* environment) const { mdb_env_close(environment); }
};
using LmdbEnvironment = std::unique_ptr<MDB_env, CloseEnvironment>;

// Reads an LMDB folder in order of its keys. Trusts nothing in the file: every page number, offset
// and size is checked where it is used, so that a damaged file gives an Error or, where the bytes
// of a value changed, other values. (LMDB's own cursors crash.) Takes no locks, so that many
// readers may share a folder; nobody may write to it meanwhile (LmdbWriter's folders appear when
// complete).
class LmdbReader {
 public:
  // `where` begins every error.
  LmdbReader(const std::filesystem::path& folder, std::string where);
  // Of an open data.mdb, which it closes.
  LmdbReader(std::FILE* file, std::string where);

  std::int64_t size() const { return size_; }

  struct Entry {
    std::string_view key, value;  // valid until the next read
  };
  // index in [0, size()). Costs nothing where it follows the last one, a walk over keys elsewhere.
  Entry read(std::int64_t index);

 private:
  // A page on the way from the root to the record.
  struct Level {
    std::vector<char> bytes;
    std::uint64_t number = 0;
    std::size_t node = 0, nodes = 0;
  };
  struct Node {
    std::uint32_t value_size;
    std::uint16_t flags;
    std::uint64_t child;  // of a branch page
    std::string_view key;
    const char* value;
  };
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };

  void take(std::FILE* file);
  void read_metas(std::uint64_t file_bytes);
  void read_bytes(std::uint64_t at, char* to, std::size_t count) const;
  void read_page(std::uint64_t number, std::size_t depth);
  void check_header(const char* page, std::uint64_t number, std::uint16_t kind) const;
  void check_number(std::uint64_t page, std::uint64_t count) const;
  Node node_at(std::size_t depth) const;
  void descend(std::uint64_t page, std::size_t depth);
  bool step();  // to the next record; false behind the last
  void take_key(std::int64_t index);
  std::string_view value_of(const Node& node);

  std::string where_;
  std::unique_ptr<std::FILE, Close> file_;
  std::size_t page_size_ = 0;
  std::uint64_t root_ = 0, last_page_ = 0;
  bool sorted_ = true;  // keys ascend as bytes
  std::int64_t size_ = 0;
  std::int64_t index_ = -1;    // of the record that levels_ point at; -1: of none
  std::vector<Level> levels_;  // root first, leaf last
  std::string key_, value_;
};

// Writes a new LMDB folder; it appears under its name, complete, at finish(). Without finish()
// nothing remains; of a killed process a folder NAME.tmp-PID, which the next writer in the same
// place removes.
class LmdbWriter {
 public:
  // Throws Error where `folder` exists already, or its parent does not.
  explicit LmdbWriter(std::filesystem::path folder);
  ~LmdbWriter();
  LmdbWriter(const LmdbWriter&) = delete;
  LmdbWriter& operator=(const LmdbWriter&) = delete;

  void append(std::string key, std::string value);  // keys in ascending order
  void finish();

 private:
  void flush();
  int try_flush();
  void check(int status, const char* doing) const;

  std::filesystem::path folder_, temporary_;
  int lock_ = -1;  // of the temporary folder
  LmdbEnvironment environment_;
  std::vector<std::pair<std::string, std::string>> pending_;
  std::size_t pending_bytes_ = 0;
  std::size_t map_bytes_ = std::size_t{1} << 28;
};

}  // namespace inure::data
