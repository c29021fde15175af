#include "inure/errors/timing_profile.hpp"

#include <google/protobuf/text_format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <numeric>
#include <set>

#include "inure/accelerator/text_format.hpp"
#include "inure/base/error.hpp"
#include "inure/base/file.hpp"
#include "inure/base/parallel.hpp"
#include "inure/base/random.hpp"
#include "inure/errors/product_logic.hpp"
#include "inure/errors/product_tree.hpp"
#include "inure/errors/sum_tree.hpp"
#include "inure/errors/tree_draw.hpp"

namespace inure {
namespace {

namespace fs = std::filesystem;

std::size_t index(int i) { return static_cast<std::size_t>(i); }

bool is_text(const fs::path& path) { return path.extension() == ".txt"; }

void check_class(const ErrorClass& what, bool product, const std::string& where) {
  if (!(what.rate() >= 0 && what.rate() <= 1)) {
    fail("{}: a rate of {}; expected 0 to 1", where, what.rate());
  }
  if (what.delta_size() != what.count_size()) {
    fail("{}: {} deltas and {} counts; expected as many", where, what.delta_size(),
         what.count_size());
  }
  if (what.rate() > 0 && what.delta().empty()) {
    fail("{}: a rate of {} without deltas", where, what.rate());
  }
  for (int i = 0; i < what.delta_size(); ++i) {
    const bool fits = product ? std::abs(std::int64_t{what.delta(i)}) <= 65535 : true;
    if (what.delta(i) == 0 || !fits) {
      fail("{}: a delta of {}; expected one that differs from 0{}", where, what.delta(i),
           product ? ", of 17 bits" : "");
    }
    if (what.count(i) == 0) fail("{}: delta {} has a count of 0", where, what.delta(i));
  }
}

void check_register(const RegisterProfile& what, std::uint64_t classes, bool product,
                    const std::string& where) {
  std::set<std::uint32_t> ids;
  for (const ErrorClass& error_class : what.error_class()) {
    const std::string of_class = fmt::format("{}, class {}", where, error_class.id());
    if (error_class.id() >= classes) fail("{}: expected 0 to {}", of_class, classes - 1);
    if (!ids.insert(error_class.id()).second) fail("{}: it is there twice", of_class);
    check_class(error_class, product, of_class);
  }
}

// How many classes the tree of a register has; make_tree reads it.
template <typename MakeTree>
std::uint64_t count_classes(const RegisterProfile& what, const std::string& where,
                            MakeTree&& make_tree) {
  if (what.split().empty()) {
    if (what.error_class().empty()) return 0;
    fail(
        "{}: classes without a tree (split) that tells which they are: characterise the lane again",
        where);
  }
  const std::span tree(what.split().data(), index(what.split_size()));
  return static_cast<std::uint64_t>(make_tree(tree).leaves());
}

// Without nodes where the profile has none.
const ProductLogic& logic_of(const TimingProfile& profile, int multiplier) {
  return profile.product_logic().empty() ? ProductLogic::default_instance()
                                         : profile.product_logic(multiplier);
}

void check_profile(const TimingProfile& profile, const std::string& name) {
  if (profile.vec_size() < 1 || profile.vec_size() > 1024) {
    fail("{}: vec_size is {}; expected 1 to 1024", name, profile.vec_size());
  }
  if (profile.critical_ps() < 1 || profile.critical_ps() > 100'000'000) {
    fail("{}: critical_ps is {}; expected 1 to 1e8", name, profile.critical_ps());
  }
  if (profile.product_logic_size() != 0 &&
      profile.product_logic_size() != static_cast<int>(profile.vec_size())) {
    fail("{}: logic of {} multipliers; expected {}, vec_size, or none", name,
         profile.product_logic_size(), profile.vec_size());
  }
  for (const ProductLogic& logic : profile.product_logic()) check_logic(logic, name);
  std::set<std::uint32_t> periods;
  for (const ClockProfile& clock : profile.clock()) {
    const std::string where = fmt::format("{}: clock of {} ps", name, clock.period_ps());
    if (clock.period_ps() < 1 || clock.period_ps() > 100'000'000) {
      fail("{}: expected 1 to 1e8", where);
    }
    if (!periods.insert(clock.period_ps()).second) fail("{}: it is there twice", where);
    if (clock.product_size() != static_cast<int>(profile.vec_size())) {
      fail("{}: products of {} multipliers; expected {}, vec_size", where, clock.product_size(),
           profile.vec_size());
    }
    for (int i = 0; i < clock.product_size(); ++i) {
      const std::string product = fmt::format("{}, product {}", where, i);
      const auto tree = [&](auto split) { return ProductTree(split, product); };
      check_register(clock.product(i), count_classes(clock.product(i), product, tree), true,
                     product);
      check_late_bits(logic_of(profile, i), clock.product(i), product);
    }
    const std::string sums = where + ", accumulator";
    const auto tree = [&](auto split) { return TestTree(split, SumTree::kTests, sums); };
    check_register(clock.accumulator(), count_classes(clock.accumulator(), sums, tree), false,
                   sums);
  }
}

}  // namespace

TimingProfile read_timing_profile(const fs::path& path) {
  const std::string content = is_text(path) ? read_text_file(path) : read_file(path);
  TimingProfile profile;
  if (is_text(path)) {
    parse_text_format(content, path.string(), "a timing profile",
                      "inure/errors/timing_profile.proto", profile);
  } else if (!profile.ParsePartialFromString(content)) {
    fail("{}: not a timing profile, or a damaged one (one in text has a name that ends in .txt)",
         path.string());
  } else if (!profile.IsInitialized()) {
    fail("{}: not a timing profile: it lacks {}", path.string(),
         profile.InitializationErrorString());
  }
  check_profile(profile, path.string());
  return profile;
}

void write_timing_profile(const fs::path& path, const TimingProfile& profile) {
  if (!profile.IsInitialized()) {
    fail("{}: the profile lacks {}", path.string(), profile.InitializationErrorString());
  }
  check_profile(profile, path.string());
  std::string content;
  if (is_text(path)) {
    google::protobuf::TextFormat::PrintToString(profile, &content);
  } else {
    content = profile.SerializeAsString();
  }
  write_file_atomically(path, content);
}

int find_clock(const TimingProfile& profile, double period_ps) {
  int best = -1;
  double best_distance = 0.001 * period_ps;
  std::string known;
  for (int i = 0; i < profile.clock_size(); ++i) {
    const double period = profile.clock(i).period_ps();
    if (std::abs(period - period_ps) <= best_distance) {
      best = i;
      best_distance = std::abs(period - period_ps);
    }
    known += fmt::format("{}{:.0f} ps ({:.4f} f_STA)", i ? ", " : "", period,
                         profile.critical_ps() / period);
  }
  if (best < 0) {
    fail(
        "no clock of {:.0f} ps ({:.4f} f_STA); choose one that it has, or measure this one "
        "(inure characterize --clocks): {}",
        period_ps, profile.critical_ps() / period_ps, known.empty() ? "none" : known);
  }
  return best;
}

namespace {

std::uint64_t expansion_seed(const TimingProfile& profile, std::uint32_t period, int multiplier) {
  std::uint64_t state = profile.netlist();
  for (const std::uint64_t word : {std::uint64_t{period}, static_cast<std::uint64_t>(multiplier)}) {
    state = (state ^ word) * 0xBF58476D1CE4E5B9u;
    state ^= state >> 31;
  }
  return state;
}

constexpr int kWeights = 256;
using Alike = std::array<int, kWeights>;

// Draws the exceptions of all pairs of weights. weights(b_before) is asked for once for each
// b_before; its draw(b, random, out) appends those of a pair. alike: by b_before, a byte, one up to
// it whose exceptions are its own, too.
template <typename Weights>
ProductTable::Clock expand(std::uint64_t seed, const std::string& where, const Alike& alike,
                           const Weights& weights, std::uint64_t most) {
  std::vector<std::vector<ProductTable::Exception>> parts(kWeights);  // by b_before
  ProductTable::Clock expanded;
  expanded.first.resize(ProductTable::kPairs + 1);
  std::atomic<std::uint64_t> count = 0;
  parallel_for(kWeights, [&](std::int64_t work) {
    const int before = static_cast<int>(work);
    if (alike[index(before)] != before) return;
    auto& part = parts[index(before)];
    auto of_before = weights(static_cast<std::int8_t>(before));
    const auto times = static_cast<std::uint64_t>(std::count(alike.begin(), alike.end(), before));
    for (int now = 0; now < kWeights && count <= most; ++now) {
      const int pair = before << 8 | now;
      const std::size_t first = part.size();
      const RandomStream random(seed, RandomPurpose::kErrors, static_cast<std::uint32_t>(pair), 0);
      of_before.draw(static_cast<std::int8_t>(now), random, part);
      expanded.first[index(pair + 1)] = part.size() - first;
      count += times * (part.size() - first);
    }
  });
  if (count > most) {
    fail("{} has more than {} wrong products; choose a longer clock period", where, most);
  }
  expanded.exceptions.reserve(count);
  for (int before = 0; before < kWeights; ++before) {
    const int like = alike[index(before)];
    auto& part = parts[index(like)];
    expanded.exceptions.insert(expanded.exceptions.end(), part.begin(), part.end());
    if (std::count(alike.begin() + before + 1, alike.end(), like) == 0) part = {};
    for (int now = 0; now < kWeights; ++now) {
      expanded.first[index(before << 8 | now) + 1] = expanded.first[index(like << 8 | now) + 1];
    }
  }
  for (std::size_t i = 1; i < expanded.first.size(); ++i) {
    expanded.first[i] += expanded.first[i - 1];
  }
  return expanded;
}

}  // namespace

ProductTable::Clock expand_products(const TimingProfile& profile, int clock, int multiplier,
                                    std::uint64_t most) {
  const ClockProfile& what = profile.clock(clock);
  const RegisterProfile& product = what.product(multiplier);
  const std::uint64_t seed = expansion_seed(profile, what.period_ps(), multiplier);
  const std::string where = fmt::format("timing profile of {}: multiplier {} at {} ps",
                                        profile.design(), multiplier, what.period_ps());
  ProductTable::Clock expanded;
  if (!product.late_bit().empty()) {
    const LateBits late(logic_of(profile, multiplier), product, profile.negative_activations());
    expanded = expand(
        seed, where, late.alike(), [&](int before) { return LateBits::Weights(late, before); },
        most);
  } else if (!product.split().empty()) {
    const TreeDraw draw(product, profile.negative_activations());
    Alike none;
    std::iota(none.begin(), none.end(), 0);
    expanded = expand(
        seed, where, none, [&](int before) { return TreeDraw::Weights(draw, before); }, most);
  } else {
    expanded.first.resize(ProductTable::kPairs + 1);
  }
  expanded.period_ps = static_cast<int>(what.period_ps());
  return expanded;
}

}  // namespace inure
