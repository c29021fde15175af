#include "inure/errors/product_table.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <string_view>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"

namespace inure {
namespace {

static_assert(std::endian::native == std::endian::little, "the file is little-endian");
static_assert(sizeof(ProductTable::Exception) == 4);

constexpr std::string_view kMagic = "INUREPT\n";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kPairs = ProductTable::kPairs;

std::size_t index(int i) { return static_cast<std::size_t>(i); }

template <typename T>
void put(std::string& out, const T* data, std::size_t count) {
  out.append(reinterpret_cast<const char*>(data), count * sizeof(T));
}

void put32(std::string& out, std::size_t value) {
  const auto word = static_cast<std::uint32_t>(value);
  put(out, &word, 1);
}

// Takes a file apart from its beginning.
class Reader {
 public:
  Reader(const std::filesystem::path& path, std::string_view text) : path_(path), text_(text) {}

  template <typename T>
  void get(T* data, std::size_t count) {
    if (count > text_.size() / sizeof(T)) damaged("it ends too early");
    std::memcpy(data, text_.data(), count * sizeof(T));
    text_.remove_prefix(count * sizeof(T));
  }
  std::uint32_t get32() {
    std::uint32_t word = 0;
    get(&word, 1);
    return word;
  }
  int get_int() {
    const std::uint32_t word = get32();
    if (word > std::numeric_limits<int>::max()) damaged("a number is too large");
    return static_cast<int>(word);
  }
  std::size_t left() const { return text_.size(); }
  [[noreturn]] void damaged(std::string_view what) const {
    fail("{}: a damaged product table: {}; make it anew", path_.string(), what);
  }

 private:
  const std::filesystem::path& path_;
  std::string_view text_;
};

// What a clock period takes at least, without exceptions.
constexpr std::size_t kClockBytes = 16 + 4 * kPairs;

// Whoever uses a table searches its exceptions and takes their operands as indices.
void check_exceptions(const Reader& reader, const ProductTable& table,
                      const ProductTable::Clock& clock) {
  for (std::size_t pair = 0; pair < kPairs; ++pair) {
    int before = -1;
    for (std::uint64_t i = clock.first[pair]; i < clock.first[pair + 1]; ++i) {
      const ProductTable::Exception e = clock.exceptions[i];
      if (e.operands <= before) reader.damaged("its exceptions are not in order");
      if (!table.negative_activations && (e.operands & 0x8080) != 0) {
        reader.damaged("an exception has a negative activation");
      }
      if (e.delta == 0) reader.damaged("an exception is none");
      before = e.operands;
    }
    if (before >= 0 && !table.enumerated[pair]) {
      reader.damaged("an exception's weights were not enumerated");
    }
  }
}

ProductTable::Clock get_clock(Reader& reader) {
  ProductTable::Clock clock;
  clock.period_ps = reader.get_int();
  reader.get32();
  std::uint64_t count = 0;
  reader.get(&count, 1);
  std::vector<std::uint32_t> counts(kPairs);
  reader.get(counts.data(), kPairs);
  clock.first.reserve(kPairs + 1);
  clock.first.push_back(0);
  for (const std::uint32_t n : counts) clock.first.push_back(clock.first.back() + n);
  if (clock.first.back() != count || count > reader.left() / sizeof(ProductTable::Exception)) {
    reader.damaged("the numbers of exceptions do not fit");
  }
  clock.exceptions.resize(count);
  reader.get(clock.exceptions.data(), count);
  return clock;
}

}  // namespace

std::uint64_t product_table_checksum(std::string_view text) {
  std::uint64_t state = 0x9E3779B97F4A7C15u ^ text.size();
  for (std::size_t at = 0; at < text.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + at, std::min<std::size_t>(8, text.size() - at));
    state = (state ^ word) * 0xBF58476D1CE4E5B9u;
    state ^= state >> 31;
  }
  return state;
}

std::span<const ProductTable::Exception> ProductTable::exceptions(int clock, int b_previous,
                                                                  int b) const {
  const Clock& what = clocks[index(clock)];
  const auto at = index(pair(b_previous, b));
  return std::span(what.exceptions).subspan(what.first[at], what.first[at + 1] - what.first[at]);
}

int ProductTable::signed_delta(Exception exception, int b) {
  const int right = static_cast<std::int8_t>(exception.operands & 255) * b;
  return static_cast<std::int16_t>(right + exception.delta) - right;
}

int ProductTable::delta(int clock, int a_previous, int b_previous, int a, int b) const {
  if (!has(b_previous, b) || (!negative_activations && (a_previous < 0 || a < 0))) {
    fail("product table: the operands ({}, {}) -> ({}, {}) were not enumerated", a_previous,
         b_previous, a, b);
  }
  const auto list = exceptions(clock, b_previous, b);
  const int operands = pair(a_previous, a);
  const auto found =
      std::lower_bound(list.begin(), list.end(), operands,
                       [](Exception exception, int key) { return exception.operands < key; });
  if (found == list.end() || found->operands != operands) return 0;
  return signed_delta(*found, b);
}

double ProductTable::rate(int clock) const {
  const auto pairs = std::count(enumerated.begin(), enumerated.end(), true);
  const double all = static_cast<double>(pairs) * activations() * activations();
  return all > 0 ? static_cast<double>(clocks[index(clock)].exceptions.size()) / all : 0;
}

void write_product_table(const std::filesystem::path& path, const ProductTable& table) {
  std::string out(kMagic);
  put32(out, kVersion);
  put32(out, index(table.activations()));
  put32(out, index(table.longest_ps));
  put32(out, index(table.critical_ps));
  put32(out, table.clocks.size());
  put32(out, table.made_by.size());
  out += table.made_by;
  std::vector<std::uint8_t> enumerated(kPairs / 8);
  for (std::size_t i = 0; i < kPairs; ++i) {
    enumerated[i / 8] |= static_cast<std::uint8_t>(table.enumerated[i] << i % 8);
  }
  put(out, enumerated.data(), enumerated.size());
  for (const ProductTable::Clock& clock : table.clocks) {
    put32(out, index(clock.period_ps));
    put32(out, 0);
    const std::uint64_t count = clock.exceptions.size();
    put(out, &count, 1);
    for (std::size_t i = 0; i < kPairs; ++i) put32(out, clock.first[i + 1] - clock.first[i]);
    put(out, clock.exceptions.data(), clock.exceptions.size());
  }
  const std::uint64_t sum = product_table_checksum(out);
  put(out, &sum, 1);
  write_file_atomically(path, out);
}

ProductTable read_product_table(const std::filesystem::path& path) {
  const std::string text = read_file(path);
  if (!text.starts_with(kMagic)) fail("{}: not a product table", path.string());
  const std::string_view content(text.data(), text.size() - std::min<std::size_t>(text.size(), 8));
  Reader reader(path, std::string_view(text).substr(kMagic.size()));
  const std::uint32_t version = reader.get32();
  if (version != kVersion) {
    fail("{}: a product table of version {}; expected {}", path.string(), version, kVersion);
  }
  std::uint64_t sum = 0;
  Reader end(path, std::string_view(text).substr(content.size()));
  end.get(&sum, 1);
  if (sum != product_table_checksum(content)) reader.damaged("its checksum is wrong");

  ProductTable table;
  const std::uint32_t activations = reader.get32();
  if (activations != 128 && activations != 256) reader.damaged("neither 128 nor 256 activations");
  table.negative_activations = activations == 256;
  table.longest_ps = reader.get_int();
  table.critical_ps = reader.get_int();
  const std::size_t clocks = reader.get32(), made_by = reader.get32();
  if (clocks > reader.left() / kClockBytes) reader.damaged("it has not so many clock periods");
  if (made_by > reader.left()) reader.damaged("it ends too early");
  table.made_by.resize(made_by);
  reader.get(table.made_by.data(), made_by);
  std::vector<std::uint8_t> enumerated(kPairs / 8);
  reader.get(enumerated.data(), enumerated.size());
  for (std::size_t i = 0; i < kPairs; ++i) {
    table.enumerated.push_back(enumerated[i / 8] >> i % 8 & 1);
  }
  for (std::size_t i = 0; i < clocks; ++i) {
    table.clocks.push_back(get_clock(reader));
    check_exceptions(reader, table, table.clocks.back());
  }
  if (reader.left() != sizeof sum) reader.damaged("it is too long");
  return table;
}

}  // namespace inure
