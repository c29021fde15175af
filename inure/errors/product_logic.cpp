#include "inure/errors/product_logic.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "inure/base/clones.hpp"
#include "inure/base/error.hpp"

namespace inure {
namespace {

// Ids of bits 0 of the operands, and of the first node.
constexpr int kABefore = 2, kBBefore = 10, kA = 18, kB = 26, kFirstNode = 34;
constexpr int kOperandBits = 8, kProductBits = 16;
// Lanes are changes of activations, a_before * 256 + a; so many words at once.
constexpr std::size_t kWords = 64, kRow = ProductTable::kPairs / 64, kWordsOfBefore = 256 / 64;

using Functions = LateBits::Functions;
using Node = LateBits::Node;
using Output = LateBits::Output;

std::size_t index(int i) { return static_cast<std::size_t>(i); }

// The function where input k has this value; it no longer matters.
constexpr std::uint8_t cofactor(std::uint8_t truth, int k, bool value) {
  constexpr std::uint8_t kOnes[] = {0xAA, 0xCC, 0xF0};
  const int shift = 1 << k;
  if (value) {
    const int high = truth & kOnes[k];
    return static_cast<std::uint8_t>(high | high >> shift);
  }
  const int low = truth & ~kOnes[k];
  return static_cast<std::uint8_t>(low | low << shift);
}

constexpr std::uint8_t with_inverted(std::uint8_t truth, int k) {
  constexpr std::uint8_t kOnes[] = {0xAA, 0xCC, 0xF0};
  const int shift = 1 << k;
  return static_cast<std::uint8_t>((truth & kOnes[k]) >> shift | (truth & ~kOnes[k]) << shift);
}

// What is left of functions where a weight is known: its bits are the ids first to first + 7.
class Folding {
 public:
  Functions run(const Functions& whole, int first, int weight) {
    to_.resize(kFirstNode + whole.nodes.size());
    for (int id = 0; id < kFirstNode; ++id) to_[index(id)] = {id, false};
    for (int bit = 0; bit < kOperandBits; ++bit) {
      to_[index(first + bit)] = {weight >> bit & 1, false};
    }
    left_.nodes.clear();
    for (std::size_t i = 0; i < whole.nodes.size(); ++i) {
      to_[index(kFirstNode) + i] = fold(whole.nodes[i]);
    }
    left_.outputs.clear();
    for (const Output& output : whole.outputs) {
      Output now = to_[index(output.id)];
      now.inverted ^= output.inverted;
      left_.outputs.push_back(now);
    }
    return needed();
  }

 private:
  Output fold(const Node& node) {
    Node folded{node.truth, {}};
    for (int k = 0; k < 3; ++k) {
      const Output in = to_[index(node.in[index(k)])];
      if (in.inverted) folded.truth = with_inverted(folded.truth, k);
      if (in.id < 2) folded.truth = cofactor(folded.truth, k, in.id == 1);
      folded.in[index(k)] = in.id;
    }
    if (folded.truth == 0) return {0, false};
    if (folded.truth == 0xFF) return {1, false};
    int last = 0, count = 0;
    for (int k = 0; k < 3; ++k) {
      if (cofactor(folded.truth, k, false) == folded.truth) {
        folded.in[index(k)] = 0;
      } else {
        last = k;
        ++count;
      }
    }
    if (count == 1) return {folded.in[index(last)], (folded.truth & 1) != 0};
    left_.nodes.push_back(folded);
    return {kFirstNode + static_cast<int>(left_.nodes.size()) - 1, false};
  }

  // Without the nodes that nothing reads.
  Functions needed() {
    std::vector<int>& place = place_;
    place.assign(left_.nodes.size(), -1);
    const auto need = [&](int id) {
      if (id >= kFirstNode) place[index(id - kFirstNode)] = 0;
    };
    for (const Output& output : left_.outputs) need(output.id);
    for (std::size_t i = left_.nodes.size(); i-- > 0;) {
      if (place[i] < 0) continue;
      for (const int in : left_.nodes[i].in) need(in);
    }
    Functions result;
    const auto moved = [&](int id) { return id < kFirstNode ? id : place[index(id - kFirstNode)]; };
    for (std::size_t i = 0; i < left_.nodes.size(); ++i) {
      if (place[i] < 0) continue;
      place[i] = kFirstNode + static_cast<int>(result.nodes.size());
      Node node = left_.nodes[i];
      for (int& in : node.in) in = moved(in);
      result.nodes.push_back(node);
    }
    for (const Output& output : left_.outputs) {
      result.outputs.push_back({moved(output.id), output.inverted});
    }
    return result;
  }

  Functions left_;
  std::vector<Output> to_;
  std::vector<int> place_;
};

// A node by its truth table: a tree of selections whose leaves are constants.
INURE_CLONES
void evaluate(std::uint8_t truth, const std::uint64_t* a, const std::uint64_t* b,
              const std::uint64_t* c, std::uint64_t* out) {
  std::uint64_t leaf[8];
  for (int i = 0; i < 8; ++i) leaf[i] = -(std::uint64_t{truth} >> i & 1);
  const std::uint64_t flip0 = leaf[0] ^ leaf[1], flip1 = leaf[2] ^ leaf[3];
  const std::uint64_t flip2 = leaf[4] ^ leaf[5], flip3 = leaf[6] ^ leaf[7];
#pragma GCC ivdep
  for (std::size_t i = 0; i < kWords; ++i) {
    const std::uint64_t v0 = leaf[0] ^ (a[i] & flip0), v1 = leaf[2] ^ (a[i] & flip1);
    const std::uint64_t v2 = leaf[4] ^ (a[i] & flip2), v3 = leaf[6] ^ (a[i] & flip3);
    const std::uint64_t low = v0 ^ (b[i] & (v0 ^ v1)), high = v2 ^ (b[i] & (v2 ^ v3));
    out[i] = low ^ (c[i] & (low ^ high));
  }
}

// Where a captured bit is not the right one.
INURE_CLONES
void add_wrong(const std::uint64_t* captured, bool inverted,
               const std::array<std::uint64_t, kWordsOfBefore>& right, std::uint64_t* wrong) {
  const std::uint64_t flip = -std::uint64_t{inverted};
  for (std::size_t i = 0; i < kWords; ++i) {
    wrong[i] |= captured[i] ^ flip ^ right[i % kWordsOfBefore];
  }
}

}  // namespace

void check_logic(const ProductLogic& logic, const std::string& where) {
  const std::size_t nodes = logic.truth().size();
  if (index(logic.back_size()) != 3 * nodes) {
    fail("{}: product logic of {} nodes has {} inputs; expected three for each", where, nodes,
         logic.back_size());
  }
  for (std::size_t i = 0; i < nodes; ++i) {
    for (std::size_t k = 0; k < 3; ++k) {
      const std::uint32_t back = logic.back(static_cast<int>(3 * i + k));
      if (back >= 1 && back <= index(kFirstNode) + i) continue;
      fail("{}: node {} of the product logic reads the one {} before it; expected 1 to {}", where,
           kFirstNode + static_cast<int>(i), back, index(kFirstNode) + i);
    }
  }
}

void check_late_bits(const ProductLogic& logic, const RegisterProfile& product,
                     const std::string& where) {
  if (product.late_bit_size() != product.captured_size()) {
    fail("{}: {} late bits and what {} capture; expected as many", where, product.late_bit_size(),
         product.captured_size());
  }
  for (int i = 0; i < product.late_bit_size(); ++i) {
    if (product.late_bit(i) >= kProductBits ||
        (i > 0 && product.late_bit(i) <= product.late_bit(i - 1))) {
      fail("{}: late bit {}; expected ascending ones below {}", where, product.late_bit(i),
           kProductBits);
    }
    const std::size_t ids = index(kFirstNode) + logic.truth().size();
    if (product.captured(i) >= ids) {
      fail("{}: late bit {} captures {} of the product logic; expected one below {}", where,
           product.late_bit(i), product.captured(i), ids);
    }
  }
}

LateBits::LateBits(const ProductLogic& logic, const RegisterProfile& product,
                   bool negative_activations)
    : late_bits_(product.late_bit().begin(), product.late_bit().end()),
      activation_rows_(2 * kOperandBits * kRow),
      right_(256 * late_bits_.size()),
      activations_(negative_activations ? 256 : 128) {
  for (int i = 0; i < static_cast<int>(logic.truth().size()); ++i) {
    Node& node = functions_.nodes.emplace_back();
    node.truth = static_cast<std::uint8_t>(logic.truth()[index(i)]);
    for (int k = 0; k < 3; ++k) {
      node.in[index(k)] = kFirstNode + i - static_cast<int>(logic.back(3 * i + k));
    }
  }
  for (const std::uint32_t id : product.captured()) {
    functions_.outputs.push_back({static_cast<int>(id), false});
  }
  for (std::size_t lane = 0; lane < ProductTable::kPairs; ++lane) {
    for (std::size_t bit = 0; bit < 2 * kOperandBits; ++bit) {
      const std::size_t value = bit < kOperandBits ? lane >> 8 >> bit : lane >> (bit - 8);
      activation_rows_[bit * kRow + lane / 64] |= (value & 1) << lane % 64;
    }
  }
  for (std::size_t b = 0; b < 256; ++b) {
    for (std::size_t a = 0; a < 256; ++a) {
      const int right = static_cast<std::int8_t>(a) * static_cast<std::int8_t>(b);
      for (std::size_t i = 0; i < late_bits_.size(); ++i) {
        right_[b * late_bits_.size() + i][a / 64] |=
            static_cast<std::uint64_t>(right >> late_bits_[i] & 1) << a % 64;
      }
    }
  }
}

std::array<int, 256> LateBits::alike() const {
  std::array<int, 256> alike;
  std::vector<std::pair<int, Functions>> different;
  for (int before = 0; before < 256; ++before) {
    Functions functions = Folding().run(functions_, kBBefore, static_cast<std::int8_t>(before));
    const auto same = std::find_if(different.begin(), different.end(),
                                   [&](const auto& other) { return other.second == functions; });
    alike[index(before)] = same == different.end() ? before : same->first;
    if (same == different.end()) different.emplace_back(before, std::move(functions));
  }
  return alike;
}

LateBits::Weights::Weights(const LateBits& late, int b_before)
    : late_(late), functions_(Folding().run(late.functions_, kBBefore, b_before)) {}

void LateBits::Weights::draw(int b, const RandomStream&,
                             std::vector<ProductTable::Exception>& out) {
  static constexpr std::array<std::uint64_t, kWords> kZeros{};
  static constexpr std::array<std::uint64_t, kWords> kOnes = [] {
    std::array<std::uint64_t, kWords> ones{};
    ones.fill(~std::uint64_t{0});
    return ones;
  }();
  const Functions of_pair = Folding().run(functions_, kB, b);
  of_pair_ = &of_pair;
  values_.assign(kFirstNode + of_pair.nodes.size(), kZeros.data());
  values_[1] = kOnes.data();
  node_values_.resize(of_pair.nodes.size() * kWords);
  for (int first_lane = 0; first_lane < late_.activations_ * 256;
       first_lane += 64 * static_cast<int>(kWords)) {
    for (int bit = 0; bit < kOperandBits; ++bit) {
      const std::uint64_t* rows = late_.activation_rows_.data() + first_lane / 64;
      values_[index(kABefore + bit)] = rows + index(bit) * kRow;
      values_[index(kA + bit)] = rows + index(kOperandBits + bit) * kRow;
    }
    for (std::size_t i = 0; i < of_pair.nodes.size(); ++i) {
      const Node& node = of_pair.nodes[i];
      std::uint64_t* value = node_values_.data() + i * kWords;
      evaluate(node.truth, values_[index(node.in[0])], values_[index(node.in[1])],
               values_[index(node.in[2])], value);
      values_[index(kFirstNode) + i] = value;
    }
    collect(first_lane, b, out);
  }
}

void LateBits::Weights::collect(int first_lane, int b,
                                std::vector<ProductTable::Exception>& out) const {
  const std::size_t bits = late_.late_bits_.size();
  const auto* right = late_.right_.data() + static_cast<std::uint8_t>(b) * bits;
  std::array<std::uint64_t, kWords> wrong{};
  for (std::size_t i = 0; i < bits; ++i) {
    const Output& output = of_pair_->outputs[i];
    add_wrong(values_[index(output.id)], output.inverted, right[i], wrong.data());
  }
  for (std::size_t word = 0; word < kWords; ++word) {
    const auto first_a = static_cast<int>(word % kWordsOfBefore * 64);
    if (first_a >= late_.activations_) continue;
    for (std::uint64_t left = wrong[word]; left; left &= left - 1) {
      const int at = std::countr_zero(left);
      unsigned delta = 0;
      for (std::size_t i = 0; i < bits; ++i) {
        const Output& output = of_pair_->outputs[i];
        const bool captured = (values_[index(output.id)][word] >> at & 1) != output.inverted;
        const unsigned was_right = right[i][word % kWordsOfBefore] >> at & 1;
        delta += (unsigned{captured} - was_right) << late_.late_bits_[i];
      }
      out.push_back({static_cast<std::uint16_t>(first_lane + static_cast<int>(word) * 64 + at),
                     static_cast<std::uint16_t>(delta)});
    }
  }
}

}  // namespace inure
