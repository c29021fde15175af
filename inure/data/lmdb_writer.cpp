#include "inure/data/lmdb.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "inure/base/error.hpp"

namespace inure::data {
namespace {

namespace fs = std::filesystem;

// A writer holds a lock on this file in its temporary folder as long as it lives.
constexpr const char* kLockFile = "being_written.lock";
constexpr std::string_view kTemporary = ".tmp-";
constexpr std::size_t kFlushBytes = std::size_t{16} << 20;

LmdbEnvironment create_environment() {
  MDB_env* environment = nullptr;
  if (mdb_env_create(&environment) != 0) fail("LMDB: out of memory");
  return LmdbEnvironment(environment);
}

MDB_val as_value(const std::string& text) { return {text.size(), const_cast<char*>(text.data())}; }

bool is_temporary(const std::string& name) {
  const auto at = name.rfind(kTemporary);
  if (at == name.npos) return false;
  const auto process = name.substr(at + kTemporary.size());
  return !process.empty() && process.find_first_not_of("0123456789") == process.npos;
}

// Removes the temporary folders of writers that were killed, whatever they wrote.
void remove_leavings(const fs::path& parent) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(parent, ignored)) {
    if (!is_temporary(entry.path().filename().string())) continue;
    const int lock = open((entry.path() / kLockFile).c_str(), O_RDWR | O_CLOEXEC);
    if (lock < 0) continue;
    if (flock(lock, LOCK_EX | LOCK_NB) == 0) fs::remove_all(entry.path(), ignored);
    close(lock);
  }
}

}  // namespace

LmdbWriter::LmdbWriter(fs::path folder)
    : folder_(std::move(folder)), environment_(create_environment()) {
  if (!folder_.has_filename()) folder_ = folder_.parent_path();  // "name/"
  std::error_code error;
  if (fs::exists(folder_, error)) {
    fail("{}: exists already; remove it or choose another output", folder_.string());
  }
  temporary_ = folder_;
  temporary_ += fmt::format("{}{}", kTemporary, getpid());
  remove_leavings(folder_.has_parent_path() ? folder_.parent_path() : fs::path("."));
  if (!fs::create_directory(temporary_, error)) {
    fail("{}: cannot be made: {}", folder_.string(),
         error ? error.message()
               : temporary_.string() + " is there: of another conversion, or left by one");
  }
  try {
    lock_ = open((temporary_ / kLockFile).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    const bool locked = lock_ >= 0 && flock(lock_, LOCK_EX | LOCK_NB) == 0;
    // A file system without locks keeps leavings.
    if (lock_ < 0 || (!locked && errno == EWOULDBLOCK)) {
      fail("{}: cannot be written: {}", folder_.string(), std::strerror(errno));
    }
    check(mdb_env_set_mapsize(environment_.get(), map_bytes_), "setting the map size");
    check(mdb_env_open(environment_.get(), temporary_.c_str(), MDB_NOLOCK | MDB_NOSYNC, 0664),
          "opening");
  } catch (...) {
    fs::remove_all(temporary_, error);
    if (lock_ >= 0) close(lock_);
    throw;
  }
}

LmdbWriter::~LmdbWriter() {
  environment_.reset();
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);  // not there after finish()
  close(lock_);
}

void LmdbWriter::check(int status, const char* doing) const {
  if (status != 0) fail("{}: {} failed: {}", folder_.string(), doing, mdb_strerror(status));
}

void LmdbWriter::append(std::string key, std::string value) {
  pending_bytes_ += key.size() + value.size();
  pending_.emplace_back(std::move(key), std::move(value));
  if (pending_bytes_ >= kFlushBytes) flush();
}

void LmdbWriter::flush() {
  int status;
  while ((status = try_flush()) == MDB_MAP_FULL) {
    map_bytes_ *= 2;
    check(mdb_env_set_mapsize(environment_.get(), map_bytes_), "growing");
  }
  check(status, "writing");
  pending_.clear();
  pending_bytes_ = 0;
}

int LmdbWriter::try_flush() {
  MDB_txn* transaction = nullptr;
  MDB_dbi database = 0;
  int status = mdb_txn_begin(environment_.get(), nullptr, 0, &transaction);
  if (status != 0) return status;
  status = mdb_dbi_open(transaction, nullptr, 0, &database);
  for (auto entry = pending_.begin(); status == 0 && entry != pending_.end(); ++entry) {
    MDB_val key = as_value(entry->first), value = as_value(entry->second);
    status = mdb_put(transaction, database, &key, &value, MDB_APPEND);
  }
  if (status == 0) return mdb_txn_commit(transaction);
  mdb_txn_abort(transaction);
  return status;
}

void LmdbWriter::finish() {
  flush();
  check(mdb_env_sync(environment_.get(), 1), "syncing");
  environment_.reset();
  std::error_code error;
  fs::remove(temporary_ / kLockFile, error);
  fs::rename(temporary_, folder_, error);
  if (error) fail("{}: cannot be written: {}", folder_.string(), error.message());
}

}  // namespace inure::data
