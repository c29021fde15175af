#include "inure/errors/tree_draw.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "inure/base/clones.hpp"
#include "inure/errors/philox_batch.hpp"

namespace inure {
namespace {

using T = ProductTree;

constexpr int kBlocks = 16;                                 // of Philox, side by side
constexpr std::uint64_t kCertain = std::uint64_t{1} << 40;  // a rate of 1

std::size_t index(int i) { return static_cast<std::size_t>(i); }

enum class On { kWeights, kBefore, kNow, kChange };

// What a test is on, besides weights.
On subject(int test) {
  if (test < T::kBBefore || test == T::kABeforeIs0 || test >= T::kProductBefore) return On::kBefore;
  if ((test >= T::kA && test < T::kB) || test == T::kAIs0 || test >= T::kProduct) return On::kNow;
  return test >= T::kAChanges && test < T::kBChanges ? On::kChange : On::kWeights;
}

void insert(ByteSet& set, int value) {
  const auto byte = static_cast<std::uint8_t>(value);
  set[byte / 64] |= std::uint64_t{1} << byte % 64;
}

bool empty(const ByteSet& set) { return (set[0] | set[1] | set[2] | set[3]) == 0; }

ByteSet both(const ByteSet& x, const ByteSet& y) {
  return {x[0] & y[0], x[1] & y[1], x[2] & y[2], x[3] & y[3]};
}

ByteSet without(const ByteSet& x, const ByteSet& y) {
  return {x[0] & ~y[0], x[1] & ~y[1], x[2] & ~y[2], x[3] & ~y[3]};
}

template <typename Visit>
void for_each(std::uint64_t bits, const Visit& visit) {
  for (; bits; bits &= bits - 1) visit(static_cast<unsigned>(std::countr_zero(bits)));
}

template <typename Visit>
void for_each(const ByteSet& set, const Visit& visit) {
  for (unsigned word = 0; word < 4; ++word) {
    for_each(set[word], [&](unsigned bit) { visit(word * 64 + bit); });
  }
}

PhiloxCounter second_counter(std::uint32_t site) { return {site, 1, 0, 0}; }

PhiloxKey pair_key(RandomStream& random) {
  const std::uint32_t first = random.next();
  return {first, random.next()};
}

// The u0 of the 256 changes with one a_before, by bit.
using Planes = std::array<ByteSet, 8>;

INURE_CLONES
void draw_planes(PhiloxKey key, std::uint32_t a_before, Planes& planes) {
  std::uint64_t words[4][kBlocks] = {};
  for (std::uint32_t i = 0; i < kBlocks; ++i) words[0][i] = a_before * kBlocks + i;
  philox_batch<kBlocks>(key, words);
  for (std::size_t i = 0; i < kBlocks; ++i) {
    planes[i / 2][i % 2 * 2] = words[0][i] | words[1][i] << 32;
    planes[i / 2][i % 2 * 2 + 1] = words[2][i] | words[3][i] << 32;
  }
}

ByteSet none_of(const Planes& planes) {
  ByteSet any{};
  for (const ByteSet& plane : planes) {
    for (std::size_t i = 0; i < 4; ++i) any[i] |= plane[i];
  }
  return {~any[0], ~any[1], ~any[2], ~any[3]};
}

// Of the changes with one a_before, those with a u0 below a bound, and those that have it itself.
struct Compared {
  ByteSet below, equal;
};

// Compares the u0 of `now` with the bound for each of these a_before. The result has place i where
// there is any of either for the i-th of them.
INURE_CLONES
ByteSet compare(const Planes* u0, std::span<const std::uint8_t> all_before, unsigned bound,
                const ByteSet& now, Compared* result) {
  ByteSet hits{};
  for (std::size_t at = 0; at < all_before.size(); ++at) {
    const Planes& planes = u0[all_before[at]];
    ByteSet below{}, equal = now;
    for (std::size_t plane = planes.size(); plane-- > 0;) {
      const std::uint64_t one = -std::uint64_t{bound >> plane & 1};
      for (std::size_t i = 0; i < 4; ++i) {
        const std::uint64_t differs = equal[i] & (planes[plane][i] ^ one);
        below[i] |= differs & one;
        equal[i] &= ~differs;
      }
    }
    result[at] = {below, equal};
    std::uint64_t any = 0;
    for (std::size_t i = 0; i < 4; ++i) any |= below[i] | equal[i];
    hits[at / 64] |= std::uint64_t{any != 0} << at % 64;
  }
  return hits;
}

// The same for a bound of 0: nothing is below.
INURE_CLONES
ByteSet compare_to_0(const ByteSet* u0_is_0, std::span<const std::uint8_t> all_before,
                     const ByteSet& now, Compared* result) {
  ByteSet hits{};
  for (std::size_t at = 0; at < all_before.size(); ++at) {
    std::uint64_t any = 0;
    result[at].below = {};
    for (std::size_t i = 0; i < 4; ++i) {
      any |= result[at].equal[i] = u0_is_0[all_before[at]][i] & now[i];
    }
    hits[at / 64] |= std::uint64_t{any != 0} << at % 64;
  }
  return hits;
}

// The second numbers, u1 and the pick, of some changes.
INURE_CLONES
void draw_second(PhiloxKey key, const std::array<std::uint16_t, kBlocks>& sites,
                 std::uint64_t (&words)[4][kBlocks]) {
  for (std::size_t i = 0; i < kBlocks; ++i) {
    words[0][i] = sites[i];
    words[1][i] = 1;
    words[2][i] = words[3][i] = 0;
  }
  philox_batch<kBlocks>(key, words);
}

}  // namespace

// What a class's errors are like; no deltas: it has none.
struct TreeDraw::Leaf {
  std::uint64_t rate = 0;             // of 2^40
  std::vector<std::uint16_t> deltas;  // modulo 2^16
  std::vector<std::uint64_t> up_to;   // the sum of the counts of these deltas and those before

  std::uint16_t delta(std::uint64_t pick) const {
    const std::uint64_t at = pick * up_to.back() >> 32;
    const auto found = std::upper_bound(up_to.begin(), up_to.end(), at) - up_to.begin();
    return deltas[static_cast<std::size_t>(found)];
  }
};

TreeDraw::TreeDraw(const RegisterProfile& product, bool negative_activations)
    : tree_(std::span(product.split().data(), index(product.split_size())), "a profile"),
      negative_activations_(negative_activations),
      leaves_(index(tree_.leaves())),
      errs_(tree_.nodes().size()),
      product_ones_(256) {
  for (const ErrorClass& what : product.error_class()) {
    if (what.rate() <= 0) continue;
    Leaf& leaf = leaves_[what.id()];
    leaf.rate = static_cast<std::uint64_t>(std::ceil(what.rate() * static_cast<double>(kCertain)));
    std::uint64_t sum = 0;
    for (int i = 0; i < what.delta_size(); ++i) {
      leaf.deltas.push_back(static_cast<std::uint16_t>(what.delta(i)));
      leaf.up_to.push_back(sum += what.count(i));
    }
  }
  for (int b = -128; b < 128; ++b) {
    auto& of_bit = product_ones_[static_cast<std::uint8_t>(b)];
    for (int a = -128; a < 128; ++a) {
      for (int bit = 0; bit < ProductTree::kProductBits; ++bit) {
        if (a * b >> bit & 1) insert(of_bit[index(bit)], a);
      }
    }
  }
  for (std::size_t i = tree_.nodes().size(); i-- > 0;) {
    const ProductTree::Node& node = tree_.nodes()[i];
    errs_[i] = node.test < 0 ? !leaves_[index(node.leaf)].deltas.empty()
                             : errs_[i + 1] || errs_[index(node.one)];
  }
}

TreeDraw::~TreeDraw() = default;

std::uint16_t TreeDraw::delta(int a_before, int b_before, int a, int b, RandomStream random) const {
  if (!negative_activations_ && (a_before < 0 || a < 0)) return 0;
  const Leaf& leaf = leaves_[index(tree_.leaf(ProductTree::tests(a_before, b_before, a, b)))];
  if (leaf.deltas.empty()) return 0;
  const auto site = static_cast<std::uint32_t>(ProductTable::pair(a_before, a));
  const PhiloxKey key = pair_key(random);
  std::uint64_t u0 = 0;
  for (std::uint32_t bit = 0; bit < 8; ++bit) {
    const std::uint32_t block = site / 256 * kBlocks + 2 * bit + site % 256 / 128;
    const std::uint32_t word = philox({block, 0, 0, 0}, key)[site % 128 / 32];
    u0 |= std::uint64_t{word >> site % 32 & 1} << bit;
  }
  const PhiloxBlock second = philox(second_counter(site), key);
  return (u0 << 32 | second[0]) < leaf.rate ? leaf.delta(second[1]) : 0;
}

// The changes of activations of a pair of weights, and which of them err.
struct TreeDraw::Weights::Sites {
  PhiloxKey key{};
  std::array<Planes, 256> u0;  // by a_before
  std::array<ByteSet, 256> u0_is_0;
  ByteSet drawn{};                                        // the u0 of which a_before
  std::array<ByteSet, 256> errs{};                        // by a_before
  ByteSet some_err{};                                     // of which a_before
  std::array<std::uint16_t, ProductTable::kPairs> delta;  // of those that err
  // Waiting for their second numbers.
  std::array<std::uint16_t, kBlocks> waiting;
  std::array<const Leaf*, kBlocks> leaf_of_waiting;
  std::array<bool, kBlocks> certain;  // to err: only the delta is open
  int waiting_count = 0;

  void draw(const Leaf& leaf, const ByteSet& before, const ByteSet& now) {
    if (leaf.rate >= kCertain) {
      return for_each(before, [&](unsigned a_before) { add(leaf, a_before, now); });
    }
    for_each(without(before, drawn), [&](unsigned a_before) { draw_u0(a_before); });
    std::array<std::uint8_t, 256> values;
    std::size_t count = 0;
    for_each(before, [&](unsigned value) { values[count++] = static_cast<std::uint8_t>(value); });
    const std::span all_before(values.data(), count);
    std::array<Compared, 256> result;
    const auto bound = static_cast<unsigned>(leaf.rate >> 32);
    const ByteSet hits = bound == 0 ? compare_to_0(u0_is_0.data(), all_before, now, result.data())
                                    : compare(u0.data(), all_before, bound, now, result.data());
    for_each(hits, [&](unsigned at) {
      if (bound > 0) add(leaf, values[at], result[at].below);
      for_each(result[at].equal, [&](unsigned a) { wait(leaf, values[at] * 256 + a, false); });
    });
  }

  void draw_u0(unsigned a_before) {
    insert(drawn, static_cast<int>(a_before));
    draw_planes(key, a_before, u0[a_before]);
    u0_is_0[a_before] = none_of(u0[a_before]);
  }

  // These err.
  void add(const Leaf& leaf, unsigned a_before, const ByteSet& now) {
    if (leaf.deltas.size() > 1) {
      return for_each(now, [&](unsigned a) { wait(leaf, a_before * 256 + a, true); });
    }
    insert(some_err, static_cast<int>(a_before));
    for (std::size_t word = 0; word < 4; ++word) errs[a_before][word] |= now[word];
    for_each(now, [&](unsigned a) { delta[a_before * 256 + a] = leaf.deltas[0]; });
  }

  void wait(const Leaf& leaf, unsigned site, bool errs_for_certain) {
    const std::size_t at = index(waiting_count++);
    waiting[at] = static_cast<std::uint16_t>(site);
    leaf_of_waiting[at] = &leaf;
    certain[at] = errs_for_certain;
    if (waiting_count == kBlocks) settle();
  }

  void settle() {
    std::uint64_t words[4][kBlocks];
    std::fill(waiting.begin() + waiting_count, waiting.end(), std::uint16_t{0});
    draw_second(key, waiting, words);
    for (std::size_t i = 0; i < index(waiting_count); ++i) {
      const Leaf& leaf = *leaf_of_waiting[i];
      if (!certain[i] && words[0][i] >= static_cast<std::uint32_t>(leaf.rate)) continue;
      insert(some_err, waiting[i] / 256);
      insert(errs[waiting[i] / 256], waiting[i] % 256);
      delta[waiting[i]] = leaf.delta(words[1][i]);
    }
    waiting_count = 0;
  }

  // Appends all that err, ascending, and forgets them.
  void move_to(std::vector<ProductTable::Exception>& out) {
    if (waiting_count > 0) settle();
    for_each(some_err, [&](unsigned a_before) {
      for_each(errs[a_before], [&](unsigned a) {
        const unsigned site = a_before * 256 + a;
        out.push_back({static_cast<std::uint16_t>(site), delta[site]});
      });
      errs[a_before] = {};
    });
    some_err = {};
  }
};

TreeDraw::Weights::Weights(const TreeDraw& draw, int b_before)
    : draw_(draw), b_before_(b_before), sites_(std::make_unique<Sites>()) {
  for (int a = -128; a < 128; ++a) {
    const ProductTree::Tests tests = ProductTree::tests(a, b_before, a, 0);
    for (int test = 0; test < ProductTree::kTests; ++test) {
      if (tests[test]) insert(ones_[index(test)], a);
    }
  }
}

TreeDraw::Weights::~Weights() = default;

void TreeDraw::Weights::draw(int b, RandomStream random,
                             std::vector<ProductTable::Exception>& out) {
  std::copy_n(draw_.product_ones_[static_cast<std::uint8_t>(b)].begin(), ProductTree::kProductBits,
              ones_.begin() + T::kProduct);
  of_weights_ = ProductTree::tests(0, b_before_, 0, b);
  sites_->key = pair_key(random);
  sites_->drawn = {};
  constexpr std::uint64_t kAll = ~std::uint64_t{0};
  const std::uint64_t negative = draw_.negative_activations_ ? kAll : 0;
  const ByteSet all{kAll, kAll, negative, negative};
  visit(0, all, all);
  sites_->move_to(out);
}

// Changes of operands that reach a node: all combinations of two sets, since the weights are known
// and a test on a change of bits is two combinations of each outcome.
void TreeDraw::Weights::visit(int at, ByteSet before, ByteSet now) {
  for (;;) {
    if (!draw_.errs_[index(at)] || empty(before) || empty(now)) return;

    const ProductTree::Node& node = draw_.tree_.nodes()[index(at)];
    if (node.test < 0) return sites_->draw(draw_.leaves_[index(node.leaf)], before, now);
    const ByteSet& ones = ones_[index(node.test)];
    switch (subject(node.test)) {
      case On::kWeights:
        at = of_weights_[node.test] ? node.one : at + 1;
        continue;
      case On::kChange:
        return visit_change(at, before, now);
      case On::kBefore:
        visit(at + 1, without(before, ones), now);
        before = both(before, ones);
        break;
      case On::kNow:
        visit(at + 1, before, without(now, ones));
        now = both(now, ones);
        break;
    }
    at = node.one;
  }
}

void TreeDraw::Weights::visit_change(int at, const ByteSet& before, const ByteSet& now) {
  const ProductTree::Node& node = draw_.tree_.nodes()[index(at)];
  const ByteSet& ones = ones_[index(T::kA + node.test - T::kAChanges)];
  const ByteSet before1 = both(before, ones), before0 = without(before, ones);
  const ByteSet now1 = both(now, ones), now0 = without(now, ones);
  visit(at + 1, before0, now0);
  visit(at + 1, before1, now1);
  visit(node.one, before0, now1);
  visit(node.one, before1, now0);
}

}  // namespace inure
