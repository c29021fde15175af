#pragma once

#include <lmdb.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace inure::data {

struct CloseEnvironment {
  void operator()(MDB_env* environment) const { mdb_env_close(environment); }
};
using LmdbEnvironment = std::unique_ptr<MDB_env, CloseEnvironment>;

// Reads an LMDB folder in order of its keys. Takes no locks, so that many readers may share a
// folder, in one process too; nobody may write to it meanwhile (LmdbWriter's folders appear when
// complete).
class LmdbReader {
 public:
  // `where` begins every error.
  LmdbReader(const std::filesystem::path& folder, std::string where);
  ~LmdbReader();
  LmdbReader(const LmdbReader&) = delete;
  LmdbReader& operator=(const LmdbReader&) = delete;

  std::int64_t size() const { return size_; }

  struct Entry {
    std::string_view key, value;  // valid as long as the reader
  };
  // index in [0, size()). Costs nothing where it follows the last one, a walk over keys elsewhere.
  Entry read(std::int64_t index);

 private:
  void check(int status, const char* doing) const;
  void open(const std::filesystem::path& folder);

  std::string where_;
  LmdbEnvironment environment_;
  MDB_txn* transaction_ = nullptr;
  MDB_cursor* cursor_ = nullptr;
  std::int64_t size_ = 0;
  std::int64_t index_ = -1;  // of the entry under the cursor
};

// Writes a new LMDB folder; it appears under its name, complete, at finish(). Without finish()
// nothing remains.
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
  LmdbEnvironment environment_;
  std::vector<std::pair<std::string, std::string>> pending_;
  std::size_t pending_bytes_ = 0;
  std::size_t map_bytes_ = std::size_t{1} << 28;
};

}  // namespace inure::data
