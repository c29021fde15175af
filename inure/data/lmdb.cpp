#include "inure/data/lmdb.hpp"

#include <unistd.h>

#include "inure/base/error.hpp"

namespace inure::data {
namespace {

namespace fs = std::filesystem;

constexpr unsigned kReadFlags = MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS;
constexpr std::size_t kFlushBytes = std::size_t{16} << 20;

LmdbEnvironment create_environment() {
  MDB_env* environment = nullptr;
  if (mdb_env_create(&environment) != 0) fail("LMDB: out of memory");
  return LmdbEnvironment(environment);
}

MDB_val as_value(const std::string& text) { return {text.size(), const_cast<char*>(text.data())}; }

std::string_view as_view(const MDB_val& value) {
  return {static_cast<const char*>(value.mv_data), value.mv_size};
}

}  // namespace

LmdbReader::LmdbReader(const fs::path& folder, std::string where)
    : where_(std::move(where)), environment_(create_environment()) {
  try {
    open(folder);
  } catch (...) {
    if (transaction_ != nullptr) mdb_txn_abort(transaction_);
    throw;
  }
}

LmdbReader::~LmdbReader() {
  mdb_cursor_close(cursor_);
  mdb_txn_abort(transaction_);
}

void LmdbReader::check(int status, const char* doing) const {
  if (status == MDB_INVALID || status == MDB_VERSION_MISMATCH) {
    fail("{}: is not an LMDB database; `inure convert` makes one", where_);
  }
  if (status != 0) fail("{}: {} failed: {}", where_, doing, mdb_strerror(status));
}

void LmdbReader::open(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::exists(folder, ignored)) {
    fail("{}: no such folder; `inure convert` makes one from images, IDX or CIFAR files", where_);
  }
  if (!fs::is_directory(folder, ignored)) fail("{}: is a file; an LMDB folder is needed", where_);
  const fs::path file = folder / "data.mdb";
  if (!fs::exists(file, ignored)) {
    if (fs::exists(folder / "CURRENT", ignored)) {
      fail("{}: is a LevelDB; Inure reads LMDB only: convert the data again", where_);
    }
    fail("{}: has no data.mdb: it is not an LMDB folder; `inure convert` makes one", where_);
  }
  // LMDB takes an empty file for one that it may initialise.
  if (fs::file_size(file, ignored) == 0) fail("{}: data.mdb is an empty file", where_);
  // The smallest map: LMDB widens it to what the file needs, rather than to the terabyte that
  // Caffe's writers reserve.
  check(mdb_env_set_mapsize(environment_.get(), 1), "setting the map size");
  check(mdb_env_open(environment_.get(), folder.c_str(), kReadFlags, 0664), "opening");
  MDB_stat stat{};
  MDB_envinfo info{};
  check(mdb_env_stat(environment_.get(), &stat), "reading");
  check(mdb_env_info(environment_.get(), &info), "reading");
  if (fs::file_size(file) < (info.me_last_pgno + 1) * stat.ms_psize) {
    fail("{}: data.mdb is truncated: it has {} bytes of {}", where_, fs::file_size(file),
         (info.me_last_pgno + 1) * stat.ms_psize);
  }
  MDB_dbi database = 0;
  check(mdb_txn_begin(environment_.get(), nullptr, MDB_RDONLY, &transaction_), "reading");
  check(mdb_dbi_open(transaction_, nullptr, 0, &database), "reading");
  size_ = static_cast<std::int64_t>(stat.ms_entries);
  if (size_ == 0) fail("{}: has no records", where_);
  check(mdb_cursor_open(transaction_, database, &cursor_), "reading");
}

LmdbReader::Entry LmdbReader::read(std::int64_t index) {
  MDB_val key{}, value{};
  if (index_ < 0 || index < index_) {
    check(mdb_cursor_get(cursor_, &key, &value, MDB_FIRST), "reading");
    index_ = 0;
  }
  if (index_ == index) {
    check(mdb_cursor_get(cursor_, &key, &value, MDB_GET_CURRENT), "reading");
  }
  for (; index_ < index; ++index_) {
    check(mdb_cursor_get(cursor_, &key, &value, MDB_NEXT), "reading");
  }
  return {as_view(key), as_view(value)};
}

LmdbWriter::LmdbWriter(fs::path folder)
    : folder_(std::move(folder)), environment_(create_environment()) {
  if (!folder_.has_filename()) folder_ = folder_.parent_path();  // "name/"
  std::error_code error;
  if (fs::exists(folder_, error)) {
    fail("{}: exists already; remove it or choose another output", folder_.string());
  }
  temporary_ = folder_;
  temporary_ += fmt::format(".tmp-{}", getpid());
  fs::remove_all(temporary_, error);
  if (!fs::create_directory(temporary_, error)) {
    fail("{}: cannot be made: {}", folder_.string(), error.message());
  }
  try {
    check(mdb_env_set_mapsize(environment_.get(), map_bytes_), "setting the map size");
    check(mdb_env_open(environment_.get(), temporary_.c_str(), MDB_NOLOCK | MDB_NOSYNC, 0664),
          "opening");
  } catch (...) {
    fs::remove_all(temporary_, error);
    throw;
  }
}

LmdbWriter::~LmdbWriter() {
  environment_.reset();
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);  // not there after finish()
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
  fs::rename(temporary_, folder_, error);
  if (error) fail("{}: cannot be written: {}", folder_.string(), error.message());
}

}  // namespace inure::data
