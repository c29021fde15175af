#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "inure/base/error.hpp"
#include "inure/base/memory_limit.hpp"
#include "inure/data/lmdb.hpp"

// The format of LMDB 0.9 on 64-bit little-endian machines, from its mdb.c. A file is a row of pages
// of one size. A page begins with
//   0: its own number, u64   8: unused, u16   10: flags, u16
//   12: end of the node offsets, u16, and begin of the nodes, u16; of an overflow page: pages, u32
//   16: offsets of the nodes, u16 each; or a meta page's content; or an overflow page's bytes
// and a node with
//   0: size of the value, u32, or lower bits of the child's page number
//   4: flags, u16, or higher bits of the child's page number   6: size of the key, u16
//   8: the key, then the value or, with kBigData, the number of the overflow page that has it.
namespace inure::data {
namespace {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little);

constexpr std::size_t kPageHeader = 16, kNodeHeader = 8, kMetaSize = 136;
constexpr std::uint32_t kMagic = 0xBEEFC0DE, kVersion = 1;
constexpr std::uint16_t kBranch = 1, kLeaf = 2, kOverflow = 4, kMeta = 8, kKinds = 0x6f;
constexpr std::uint16_t kBigData = 1;
constexpr std::uint16_t kReverseKey = 2, kIntegerKey = 8;  // of a database: the order of its keys
constexpr unsigned kMaxDepth = 32;                         // of LMDB's own cursors

template <typename Value>
Value load(const char* from) {
  Value value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

struct Meta {
  std::uint32_t page_size, order;
  std::uint16_t depth;
  std::uint64_t entries, root, last_page, transaction;
};

// bytes: of a meta page, behind the page's header.
Meta parse_meta(const char* bytes) {
  const char* const main = bytes + 24 + 48;  // behind the database of free pages
  return {load<std::uint32_t>(bytes + 24), load<std::uint16_t>(main + 4),
          load<std::uint16_t>(main + 6),   load<std::uint64_t>(main + 32),
          load<std::uint64_t>(main + 40),  load<std::uint64_t>(bytes + 120),
          load<std::uint64_t>(bytes + 128)};
}

}  // namespace

LmdbReader::LmdbReader(const fs::path& folder, std::string where) : where_(std::move(where)) {
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
  take(std::fopen(file.c_str(), "rbe"));
}

LmdbReader::LmdbReader(std::FILE* file, std::string where) : where_(std::move(where)) {
  take(file);
}

void LmdbReader::take(std::FILE* file) {
  file_.reset(file);
  struct stat status {};
  if (file_ == nullptr || fstat(fileno(file_.get()), &status) != 0) {
    fail("{}: data.mdb cannot be read: {}", where_, std::strerror(errno));
  }
  if (!S_ISREG(status.st_mode)) fail("{}: data.mdb is not a file", where_);
  if (status.st_size == 0) fail("{}: data.mdb is an empty file", where_);
  read_metas(static_cast<std::uint64_t>(status.st_size));
}

void LmdbReader::read_metas(std::uint64_t file_bytes) {
  const auto read_meta = [&](std::uint64_t at) {
    std::vector<char> page(kPageHeader + kMetaSize);
    const bool there = at + page.size() <= file_bytes;
    if (there) read_bytes(at, page.data(), page.size());
    if (!there || (load<std::uint16_t>(page.data() + 10) & kKinds) != kMeta ||
        load<std::uint32_t>(page.data() + kPageHeader) != kMagic) {
      if (at > 0) fail("{}: data.mdb is damaged: its second meta page is none", where_);
      fail("{}: is not an LMDB database of a 64-bit machine; `inure convert` makes one", where_);
    }
    const auto version = load<std::uint32_t>(page.data() + kPageHeader + 4);
    if (version != kVersion) {
      fail("{}: data.mdb has version {} of LMDB's format; Inure reads version {}", where_, version,
           kVersion);
    }
    return parse_meta(page.data() + kPageHeader);
  };
  const Meta first = read_meta(0);
  if (!std::has_single_bit(first.page_size) || first.page_size < 512 || first.page_size > 32768) {
    fail("{}: data.mdb is damaged: its page size is {}; LMDB has powers of two from 512 to 32768",
         where_, first.page_size);
  }
  const Meta second = read_meta(first.page_size);
  if (second.page_size != first.page_size) {
    fail("{}: data.mdb is damaged: its meta pages have the page sizes {} and {}", where_,
         first.page_size, second.page_size);
  }
  // Each transaction writes the meta page that the last one did not.
  const Meta& meta = first.transaction < second.transaction ? second : first;
  const Meta& other = first.transaction < second.transaction ? first : second;
  if (meta.transaction - other.transaction > 1) {
    fail("{}: data.mdb is damaged: its meta pages are of the transactions {} and {}", where_,
         first.transaction, second.transaction);
  }
  page_size_ = meta.page_size;
  last_page_ = meta.last_page;
  root_ = meta.root;
  if (last_page_ >= file_bytes / page_size_) {
    fail("{}: data.mdb is truncated: it has {} bytes, its last page of {} is number {}", where_,
         file_bytes, page_size_, last_page_);
  }
  if ((meta.order & ~(kReverseKey | kIntegerKey)) != 0) {
    fail("{}: has several values for a key (or is damaged); Caffe's databases have one", where_);
  }
  sorted_ = meta.order == 0;
  if (meta.entries == 0) fail("{}: has no records", where_);
  if (meta.depth < 1 || meta.depth > kMaxDepth || meta.entries > file_bytes / kNodeHeader) {
    fail("{}: data.mdb is damaged: a tree of {} levels with {} records in {} bytes", where_,
         meta.depth, meta.entries, file_bytes);
  }
  size_ = static_cast<std::int64_t>(meta.entries);
  levels_.resize(meta.depth);
}

void LmdbReader::read_bytes(std::uint64_t at, char* to, std::size_t count) const {
  while (count > 0) {
    const ssize_t got = pread(fileno(file_.get()), to, count, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("{}: data.mdb cannot be read: {}", where_, std::strerror(errno));
    if (got == 0) fail("{}: data.mdb has become shorter while it was read", where_);
    at += static_cast<std::uint64_t>(got);
    to += got;
    count -= static_cast<std::size_t>(got);
  }
}

void LmdbReader::check_header(const char* page, std::uint64_t number, std::uint16_t kind) const {
  if (load<std::uint64_t>(page) != number || (load<std::uint16_t>(page + 10) & kKinds) != kind) {
    fail("{}: data.mdb is damaged: page {} is not the {} page that it should be", where_, number,
         kind == kBranch ? "branch"
         : kind == kLeaf ? "leaf"
                         : "overflow");
  }
}

void LmdbReader::check_number(std::uint64_t page, std::uint64_t count) const {
  if (page >= 2 && page <= last_page_ && count <= last_page_ + 1 - page) return;
  fail("{}: data.mdb is damaged: {} pages from page {} on are named, its last page is {}", where_,
       count, page, last_page_);
}

void LmdbReader::read_page(std::uint64_t number, std::size_t depth) {
  check_number(number, 1);
  Level& level = levels_[depth];
  level.bytes.resize(page_size_);
  char* const page = level.bytes.data();
  read_bytes(number * page_size_, page, page_size_);
  check_header(page, number, depth + 1 < levels_.size() ? kBranch : kLeaf);
  const std::size_t lower = load<std::uint16_t>(page + 12), upper = load<std::uint16_t>(page + 14);
  if (lower < kPageHeader + 2 || lower % 2 != 0 || lower > upper || upper > page_size_) {
    fail("{}: data.mdb is damaged: page {} has its nodes from {} on behind {} bytes of offsets",
         where_, number, upper, lower);
  }
  level.number = number;
  level.node = 0;
  level.nodes = (lower - kPageHeader) / 2;
}

LmdbReader::Node LmdbReader::node_at(std::size_t depth) const {
  const Level& level = levels_[depth];
  const char* const page = level.bytes.data();
  const std::size_t offset = load<std::uint16_t>(page + kPageHeader + 2 * level.node);
  const std::size_t upper = load<std::uint16_t>(page + 14);
  Node node{};
  std::size_t end = offset + kNodeHeader;
  if (offset >= upper && end <= page_size_) {
    node.value_size = load<std::uint32_t>(page + offset);
    node.flags = load<std::uint16_t>(page + offset + 4);
    node.child = std::uint64_t{node.flags} << 32 | node.value_size;
    node.key = {page + end, load<std::uint16_t>(page + offset + 6)};
    end += node.key.size();
    node.value = page + end;
    const bool leaf = depth + 1 == levels_.size();
    if (leaf) end += node.flags == kBigData ? sizeof(std::uint64_t) : node.value_size;
    if (end <= page_size_) return node;
  }
  fail("{}: data.mdb is damaged: node {} of page {} does not lie in its page", where_, level.node,
       level.number);
}

void LmdbReader::descend(std::uint64_t page, std::size_t depth) {
  for (;; ++depth) {
    read_page(page, depth);
    if (depth + 1 == levels_.size()) return;
    page = node_at(depth).child;
  }
}

bool LmdbReader::step() {
  for (std::size_t depth = levels_.size(); depth-- > 0;) {
    if (++levels_[depth].node == levels_[depth].nodes) continue;
    if (depth + 1 < levels_.size()) descend(node_at(depth).child, depth + 1);
    return true;
  }
  return false;
}

void LmdbReader::take_key(std::int64_t index) {
  const std::string_view key = node_at(levels_.size() - 1).key;
  if (sorted_ && index > 0 && key <= key_) {  // a page that is met twice, or is another's
    fail("{}: data.mdb is damaged: the key of record {} is not behind the one before", where_,
         index);
  }
  key_ = key;
}

LmdbReader::Entry LmdbReader::read(std::int64_t index) {
  std::int64_t at = std::exchange(index_, -1);  // stays so where a line below throws
  if (at < 0 || index < at) {
    descend(root_, 0);
    take_key(at = 0);
  }
  while (at < index) {
    if (!step())
      fail("{}: data.mdb is damaged: it ends before record {} of {}", where_, at + 1, size_);
    take_key(++at);
  }
  const std::string_view value = value_of(node_at(levels_.size() - 1));
  if (index < size_ - 1) {
    index_ = index;
  } else if (step()) {
    fail("{}: data.mdb is damaged: it has more than {} records", where_, size_);
  }
  return {key_, value};
}

std::string_view LmdbReader::value_of(const Node& node) {
  if (node.flags != 0 && node.flags != kBigData) {
    fail("{}: holds named databases or several values for a key (or is damaged); Caffe's have none",
         where_);
  }
  if (node.flags == 0) {
    value_.assign(node.value, node.value_size);
    return value_;
  }
  const auto page = load<std::uint64_t>(node.value);
  const std::uint64_t bytes = kPageHeader + std::uint64_t{node.value_size};
  const std::uint64_t pages = (bytes + page_size_ - 1) / page_size_;
  check_number(page, pages);
  check_memory(bytes, [this] { return where_; });
  value_.resize(bytes);
  read_bytes(page * page_size_, value_.data(), bytes);
  check_header(value_.data(), page, kOverflow);
  const auto reserved = load<std::uint32_t>(value_.data() + 12);
  if (reserved < pages) {
    fail("{}: data.mdb is damaged: overflow page {} has {} pages, its value needs {}", where_, page,
         reserved, pages);
  }
  return std::string_view(value_).substr(kPageHeader);
}

}  // namespace inure::data
