#include "inure/errors/product_tree.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "inure/base/clones.hpp"
#include "inure/base/error.hpp"

namespace inure {
namespace {

// The tests, by their first ones (timing_profile.proto).
constexpr int kABefore = 0, kBBefore = 8, kA = 16, kB = 24, kAChanges = 32, kBChanges = 40;
constexpr int kABeforeIs0 = 48, kBBeforeIs0 = 49, kAIs0 = 50, kBIs0 = 51;
constexpr int kProduct = 52, kProductBefore = 68;
constexpr int kProductBits = 16;
constexpr std::size_t kMaxDepth = 512;
constexpr int kWordsOfBefore = 256 / 64;  // of a row: those with the same activation before

std::size_t index(int i) { return static_cast<std::size_t>(i); }

bool of_weights(int test) {
  return (test >= kBBefore && test < kA) || (test >= kB && test < kAChanges) ||
         (test >= kBChanges && test < kABeforeIs0) || test == kBBeforeIs0 || test == kBIs0;
}

// Divides a block of a set by where `row` is 1; says which parts have any.
INURE_CLONES
void divide(const std::uint64_t* set, const std::uint64_t* row, std::uint64_t* zero,
            std::uint64_t* one, std::uint64_t& any_zero, std::uint64_t& any_one) {
  std::uint64_t zeros = 0, ones = 0;
  for (std::size_t i = 0; i < TreeDraw::kWordsOfBlock; ++i) {
    one[i] = set[i] & row[i];
    zero[i] = set[i] & ~row[i];
    ones |= one[i];
    zeros |= zero[i];
  }
  any_zero = zeros;
  any_one = ones;
}

}  // namespace

ProductTree::Tests ProductTree::tests(int a_before, int b_before, int a, int b) {
  const auto byte = [](int value) { return std::uint64_t{static_cast<std::uint8_t>(value)}; };
  Tests tests;
  tests.operands = byte(a_before) << kABefore | byte(b_before) << kBBefore | byte(a) << kA |
                   byte(b) << kB | byte(a_before ^ a) << kAChanges |
                   byte(b_before ^ b) << kBChanges | std::uint64_t{a_before == 0} << kABeforeIs0 |
                   std::uint64_t{b_before == 0} << kBBeforeIs0 | std::uint64_t{a == 0} << kAIs0 |
                   std::uint64_t{b == 0} << kBIs0;
  tests.products = std::uint32_t{static_cast<std::uint16_t>(a * b)} |
                   std::uint32_t{static_cast<std::uint16_t>(a_before * b_before)}
                       << (kProductBefore - kProduct);
  return tests;
}

ProductTree::ProductTree(std::span<const std::uint32_t> split, const std::string& where) {
  std::vector<int> open;  // tests whose branch of 1 has not begun
  for (std::size_t i = 0; i < split.size(); ++i) {
    if (i > 0 && nodes_.back().test < 0) {
      if (open.empty()) {
        fail("{}: the tree of its classes ends before the last of {} nodes", where, split.size());
      }
      nodes_[index(open.back())].one = static_cast<int>(i);
      open.pop_back();
    }
    Node node;
    if (split[i] > kTests) {
      fail("{}: test {} in the tree of its classes; expected one below {}", where, split[i] - 1,
           kTests);
    }
    node.test = static_cast<int>(split[i]) - 1;
    if (node.test < 0) {
      node.leaf = leaves_++;
    } else {
      open.push_back(static_cast<int>(i));
    }
    if (open.size() > kMaxDepth) fail("{}: more than {} tests in a row", where, kMaxDepth);
    nodes_.push_back(node);
  }
  if (nodes_.empty() || nodes_.back().test >= 0 || !open.empty()) {
    fail("{}: the tree of its classes is cut off after {} nodes", where, split.size());
  }
}

int ProductTree::leaf(const Tests& tests) const {
  int node = 0;
  while (nodes_[index(node)].test >= 0) {
    node = tests[nodes_[index(node)].test] ? nodes_[index(node)].one : node + 1;
  }
  return nodes_[index(node)].leaf;
}

// What a class's errors are like; no deltas: it has none.
struct TreeDraw::Leaf {
  double per_log = 0;                 // 1 / ln(1 - rate)
  std::vector<std::uint16_t> deltas;  // modulo 2^16
  std::vector<std::uint64_t> up_to;   // the sum of the counts of these deltas and those before
};

TreeDraw::TreeDraw(const RegisterProfile& product, bool negative_activations)
    : tree_(std::span(product.split().data(), index(product.split_size())), "a profile"),
      leaves_(index(tree_.leaves())),
      rows_(ProductTree::kTests),
      errs_(tree_.nodes().size()) {
  all_.blocks = ~std::uint32_t{0};
  for (int pair = 0; pair < ProductTable::kPairs; ++pair) {
    const int a_before = static_cast<std::int8_t>(pair >> 8), a = static_cast<std::int8_t>(pair);
    if (!negative_activations && (a_before < 0 || a < 0)) continue;
    const ProductTree::Tests tests = ProductTree::tests(a_before, 0, a, 0);
    const std::uint64_t here = std::uint64_t{1} << pair % 64;
    all_.row[index(pair / 64)] |= here;
    for (int test = 0; test < ProductTree::kTests; ++test) {
      if (tests[test]) rows_[index(test)][index(pair / 64)] |= here;
    }
  }
  for (const ErrorClass& what : product.error_class()) {
    if (what.rate() <= 0) continue;
    Leaf& leaf = leaves_[what.id()];
    leaf.per_log = 1 / std::log1p(-what.rate());
    std::uint64_t sum = 0;
    for (int i = 0; i < what.delta_size(); ++i) {
      leaf.deltas.push_back(static_cast<std::uint16_t>(what.delta(i)));
      leaf.up_to.push_back(sum += what.count(i));
    }
  }
  std::vector<std::size_t> depth(tree_.nodes().size());
  for (int i = static_cast<int>(tree_.nodes().size()) - 1; i >= 0; --i) {
    const ProductTree::Node& node = tree_.nodes()[index(i)];
    if (node.test < 0) {
      errs_[index(i)] = !leaves_[index(node.leaf)].deltas.empty();
    } else {
      errs_[index(i)] = errs_[index(i) + 1] || errs_[index(node.one)];
      depth[index(i)] = 1 + std::max(depth[index(i) + 1], depth[index(node.one)]);
    }
  }
  depth_ = depth[0];
}

TreeDraw::~TreeDraw() = default;

TreeDraw::Weights::Weights(const TreeDraw& draw, int b_before)
    : draw_(draw), b_before_(b_before), rows_(draw.rows_), reach_(2 * draw.depth_) {
  for (int a_before = 0; a_before < 256; ++a_before) {
    const int product = static_cast<std::int8_t>(a_before) * b_before;
    for (int bit = 0; bit < kProductBits; ++bit) {
      const auto words = rows_[index(kProductBefore + bit)].begin() + a_before * kWordsOfBefore;
      std::fill_n(words, kWordsOfBefore, -static_cast<std::uint64_t>(product >> bit & 1));
    }
  }
}

void TreeDraw::Weights::draw(int b, RandomStream random,
                             std::vector<ProductTable::Exception>& out) {
  for (int bit = 0; bit < kProductBits; ++bit) {
    std::array<std::uint64_t, kWordsOfBefore> of_a{};
    for (int a = 0; a < 256; ++a) {
      const int product = static_cast<std::int8_t>(a) * b;
      of_a[index(a / 64)] |= static_cast<std::uint64_t>(product >> bit & 1) << a % 64;
    }
    Row& row = rows_[index(kProduct + bit)];
    for (std::size_t word = 0; word < row.size(); ++word) row[word] = of_a[word % kWordsOfBefore];
  }
  b_ = b;
  random_ = &random;
  out_ = &out;
  const std::size_t first = out.size();
  visit(0, draw_.all_, 0);
  std::sort(out.begin() + static_cast<std::ptrdiff_t>(first), out.end(),
            [](auto x, auto y) { return x.operands < y.operands; });
}

void TreeDraw::Weights::visit(int at, const Reach& reach, std::size_t depth) {
  if (!draw_.errs_[index(at)] || reach.blocks == 0) return;
  const ProductTree::Node& node = draw_.tree_.nodes()[index(at)];
  if (node.test < 0) return draw(node.leaf, reach);
  if (of_weights(node.test)) {
    const bool one = ProductTree::tests(0, b_before_, 0, b_)[node.test];
    return visit(one ? node.one : at + 1, reach, depth);
  }
  Reach &zero = reach_[2 * depth], &one = reach_[2 * depth + 1];
  zero.blocks = one.blocks = 0;
  for (std::uint32_t left = reach.blocks; left; left &= left - 1) {
    const int block = std::countr_zero(left);
    const std::size_t first = index(block) * kWordsOfBlock;
    std::uint64_t any_zero = 0, any_one = 0;
    divide(&reach.row[first], &rows_[index(node.test)][first], &zero.row[first], &one.row[first],
           any_zero, any_one);
    zero.blocks |= std::uint32_t{any_zero != 0} << block;
    one.blocks |= std::uint32_t{any_one != 0} << block;
  }
  visit(at + 1, zero, depth + 1);
  visit(node.one, one, depth + 1);
}

void TreeDraw::Weights::draw(int at, const Reach& reach) {
  const Leaf& leaf = draw_.leaves_[index(at)];
  const auto gap = [&] {
    return static_cast<int>(std::min(std::floor(std::log(random_->uniform()) * leaf.per_log), 1e6));
  };
  int left = gap();  // sites that do not err, until the next that does
  for (std::size_t word = 0; word < reach.row.size(); ++word) {
    if (!(reach.blocks >> word / kWordsOfBlock & 1)) {
      word += kWordsOfBlock - 1;
      continue;
    }
    for (std::uint64_t sites = reach.row[word]; sites; sites &= sites - 1) {
      const int count = std::popcount(sites);
      if (left >= count) {
        left -= count;
        break;
      }
      for (; left > 0; --left) sites &= sites - 1;
      const auto pick =
          static_cast<std::uint64_t>(random_->uniform() * static_cast<double>(leaf.up_to.back()));
      const auto delta =
          std::upper_bound(leaf.up_to.begin(), leaf.up_to.end(), pick) - leaf.up_to.begin();
      out_->push_back({static_cast<std::uint16_t>(word * 64 + index(std::countr_zero(sites))),
                       leaf.deltas[static_cast<std::size_t>(delta)]});
      left = gap();
    }
  }
}

}  // namespace inure
