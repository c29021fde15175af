// The reader against LMDB's own cursor, and on damaged files.
#include "inure/data/lmdb.hpp"

#include <gtest/gtest.h>
#include <lmdb.h>

#include <cstring>
#include <fstream>
#include <random>

#include "test_sets.hpp"

namespace inure::data {
namespace {

using Records = std::vector<std::pair<std::string, std::string>>;

std::string random_text(std::mt19937& random, std::size_t size) {
  std::string text(size, ' ');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

MDB_val as_value(const std::string& text) { return {text.size(), const_cast<char*>(text.data())}; }

// A database with the history of several transactions: puts, replacements, deletions.
void write_random(const std::filesystem::path& folder, std::mt19937& random, unsigned records,
                  unsigned value_bytes) {
  std::filesystem::create_directory(folder);
  MDB_env* environment = nullptr;
  ASSERT_EQ(mdb_env_create(&environment), 0);
  ASSERT_EQ(mdb_env_set_mapsize(environment, std::size_t{64} << 20), 0);
  ASSERT_EQ(mdb_env_open(environment, folder.c_str(), MDB_NOSYNC, 0664), 0);
  std::vector<std::string> keys;
  for (int transactions = 1 + static_cast<int>(random() % 4); transactions > 0; --transactions) {
    MDB_txn* transaction = nullptr;
    MDB_dbi database = 0;
    ASSERT_EQ(mdb_txn_begin(environment, nullptr, 0, &transaction), 0);
    ASSERT_EQ(mdb_dbi_open(transaction, nullptr, 0, &database), 0);
    for (unsigned i = 0; i < records; ++i) {
      const bool old = !keys.empty() && random() % 4 == 0;
      const std::string key =
          old ? keys[random() % keys.size()] : random_text(random, 1 + random() % 40);
      MDB_val k = as_value(key);
      if (old && random() % 2 == 0) {
        mdb_del(transaction, database, &k, nullptr);
        continue;
      }
      const std::string value = random_text(random, random() % (1 + random() % value_bytes));
      MDB_val v = as_value(value);
      ASSERT_EQ(mdb_put(transaction, database, &k, &v, 0), 0);
      keys.push_back(key);
    }
    ASSERT_EQ(mdb_txn_commit(transaction), 0);
  }
  mdb_env_close(environment);
}

Records read_with_lmdb(const std::filesystem::path& folder) {
  MDB_env* environment = nullptr;
  MDB_txn* transaction = nullptr;
  MDB_dbi database = 0;
  MDB_cursor* cursor = nullptr;
  EXPECT_EQ(mdb_env_create(&environment), 0);
  EXPECT_EQ(mdb_env_open(environment, folder.c_str(), MDB_RDONLY | MDB_NOLOCK, 0664), 0);
  EXPECT_EQ(mdb_txn_begin(environment, nullptr, MDB_RDONLY, &transaction), 0);
  EXPECT_EQ(mdb_dbi_open(transaction, nullptr, 0, &database), 0);
  EXPECT_EQ(mdb_cursor_open(transaction, database, &cursor), 0);
  Records records;
  MDB_val key{}, value{};
  while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
    records.emplace_back(std::string(static_cast<char*>(key.mv_data), key.mv_size),
                         std::string(static_cast<char*>(value.mv_data), value.mv_size));
  }
  mdb_cursor_close(cursor);
  mdb_txn_abort(transaction);
  mdb_env_close(environment);
  return records;
}

// As the program mdb_copy does it.
void copy_with_lmdb(const std::filesystem::path& from, const std::filesystem::path& to,
                    unsigned flags) {
  std::filesystem::create_directory(to);
  MDB_env* environment = nullptr;
  ASSERT_EQ(mdb_env_create(&environment), 0);
  ASSERT_EQ(mdb_env_open(environment, from.c_str(), MDB_RDONLY | MDB_NOLOCK, 0664), 0);
  ASSERT_EQ(mdb_env_copy2(environment, to.c_str(), flags), 0);
  mdb_env_close(environment);
}

TEST(Lmdb, ReadsCopiesToo) {
  std::mt19937 random(2);
  const TemporaryFolder folder;
  write_random(folder / "set", random, 500, 9000);
  const Records expected = read_with_lmdb(folder / "set");
  for (const unsigned flags : {0u, static_cast<unsigned>(MDB_CP_COMPACT)}) {
    const auto copy = folder / fmt::format("copy{}", flags);
    copy_with_lmdb(folder / "set", copy, flags);
    LmdbReader reader(copy, "test");
    ASSERT_EQ(reader.size(), std::ssize(expected));
    for (std::int64_t i = 0; i < reader.size(); ++i) {
      const auto entry = reader.read(i);
      EXPECT_EQ(entry.key, expected[static_cast<std::size_t>(i)].first);
      EXPECT_EQ(entry.value, expected[static_cast<std::size_t>(i)].second);
    }
  }
}

TEST(Lmdb, ReadsWhatItsOwnCursorReads) {
  std::mt19937 random(1);
  for (int number = 0; number < 40; ++number) {
    const TemporaryFolder folder;
    const unsigned records = 1u << random() % 11, value_bytes = 1u << random() % 15;
    const std::string repeat =
        fmt::format("database {} of seed 1: {} records of {} bytes", number, records, value_bytes);
    write_random(folder / "set", random, records, value_bytes);
    const Records expected = read_with_lmdb(folder / "set");
    if (expected.empty()) continue;
    LmdbReader reader(folder / "set", "test");
    ASSERT_EQ(reader.size(), std::ssize(expected)) << repeat;
    const auto check = [&](std::int64_t index) {
      const auto entry = reader.read(index);
      ASSERT_EQ(entry.key, expected[static_cast<std::size_t>(index)].first)
          << repeat << ' ' << index;
      ASSERT_EQ(entry.value, expected[static_cast<std::size_t>(index)].second)
          << repeat << ' ' << index;
    };
    for (int pass = 0; pass < 2; ++pass) {
      for (std::int64_t i = 0; i < reader.size(); ++i) ASSERT_NO_FATAL_FAILURE(check(i));
    }
    for (int i = 0; i < 20; ++i) {
      ASSERT_NO_FATAL_FAILURE(check(random() % static_cast<std::uint64_t>(reader.size())));
    }
  }
}

// In place: a file that is cut and written again waits for the disk.
void overwrite(const std::filesystem::path& path, const std::string& content) {
  std::fstream(path, std::ios::binary | std::ios::in | std::ios::out) << content;
  if (std::filesystem::file_size(path) != content.size()) {
    std::filesystem::resize_file(path, content.size());
  }
}

// Reads all records; what comes is an Error of one line, or values.
std::string read_all(const std::filesystem::path& folder) {
  return error_of([&] {
    LmdbReader reader(folder, "test");
    std::size_t bytes = 0;
    for (std::int64_t i = 0; i < reader.size(); ++i) bytes += reader.read(i).value.size();
    EXPECT_LE(bytes, std::filesystem::file_size(folder / "data.mdb"));
  });
}

void change_bytes(std::string& content, std::mt19937& random) {
  constexpr std::size_t kPage = 4096;
  for (int changes = 1 + static_cast<int>(random() % 3); changes > 0; --changes) {
    std::size_t at = random() % content.size();
    if (random() % 2 == 0) at = at / kPage * kPage + random() % 160;  // headers and meta pages
    if (random() % 2 == 0) {
      content[at] = static_cast<char>(content[at] ^ 1 << random() % 8);
    } else {
      const char extremes[] = {0, 1, 127, -128, -1, static_cast<char>(random())};
      content[at] = extremes[random() % 6];
    }
  }
}

// Another seed, for more: --gtest_random_seed=N.
TEST(Lmdb, ChangedBytesGiveValuesOrAnError) {
  const auto seed = static_cast<unsigned>(testing::UnitTest::GetInstance()->random_seed());
  std::mt19937 random(seed);
  int refused = 0, trials = 0;
  for (int set = 0; set < 10; ++set) {
    const TemporaryFolder folder;
    write_random(folder / "set", random, set < 5 ? 30 : 300, set % 2 == 0 ? 300 : 9000);
    const std::string good = read_file(folder / "set/data.mdb");
    for (int trial = 0; trial < 300; ++trial, ++trials) {
      std::string content = good;
      change_bytes(content, random);
      if (random() % 16 == 0) content.resize(random() % content.size());
      overwrite(folder / "set/data.mdb", content);
      const std::string message = read_all(folder / "set");
      EXPECT_EQ(message.find('\n'), message.npos)
          << "seed " << seed << " set " << set << " trial " << trial << ": " << message;
      refused += !message.empty();
    }
  }
  EXPECT_GT(refused, trials / 10);  // the changes met what matters
  EXPECT_LT(refused, trials);
  RecordProperty("refused", refused);
}

// The places of the current meta page and what must be said of each.
TEST(Lmdb, EveryWildNumberOfTheMetaPageIsNamed) {
  const TemporaryFolder folder;
  std::vector<std::string> values(30, std::string(500, 'v'));
  write_lmdb(folder / "set", values);
  const std::string good = read_file(folder / "set/data.mdb");
  const std::size_t meta = 4096 + 16;  // of the one transaction
  struct Change {
    std::size_t at;
    std::uint64_t value;
    int bytes;
    const char* expected;
  };
  const Change table[] = {
      {16, 0, 4, "is not an LMDB database"},
      {20, 2, 4, "version 2 of LMDB's format"},
      {16 + 24, 0, 4, "its page size is 0"},
      {16 + 24, 4097, 4, "its page size is 4097"},
      {16 + 24, 1u << 31, 4, "its page size is 2147483648"},
      {16 + 24, 8192, 4, "second meta page"},
      {meta + 24, 0, 4, "page sizes 4096 and 0"},
      {meta, 0, 4, "second meta page"},
      {meta + 72 + 4, 4, 2, "several values for a key"},
      {meta + 72 + 6, 0, 2, "a tree of 0 levels"},
      {meta + 72 + 6, 65535, 2, "a tree of 65535 levels"},
      {meta + 72 + 6, 1, 2, "is not the leaf page that it should be"},
      {meta + 72 + 32, 0, 8, "has no records"},
      {meta + 72 + 32, 29, 8, "more than 29 records"},
      {meta + 72 + 32, 31, 8, "ends before record 30 of 31"},
      {meta + 72 + 32, ~std::uint64_t{0}, 8, "18446744073709551615 records"},
      {meta + 72 + 40, 0, 8, "from page 0 on"},
      {meta + 72 + 40, ~std::uint64_t{0}, 8, "from page 18446744073709551615 on"},
      {meta + 120, 1u << 30, 8, "is truncated"},
      {meta + 120, ~std::uint64_t{0}, 8, "is truncated"},
      {meta + 120, 2, 8, "its last page is 2"},
      {meta + 128, 9, 8, "transactions 0 and 9"},
  };
  for (const auto& change : table) {
    std::string content = good;
    std::memcpy(content.data() + change.at, &change.value, static_cast<std::size_t>(change.bytes));
    overwrite(folder / "set/data.mdb", content);
    const std::string message = read_all(folder / "set");
    EXPECT_NE(message.find(change.expected), message.npos)
        << change.value << " at " << change.at << ": " << message;
  }
}

}  // namespace
}  // namespace inure::data
