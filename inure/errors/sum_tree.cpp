#include "inure/errors/sum_tree.hpp"

#include <span>

#include "inure/errors/sum_outcomes.hpp"

namespace inure {

SumTree::Tests SumTree::tests(int step, int vec_size, const SumContents& before,
                              const SumContents& now) {
  Tests tests;
  put_outcomes(step, vec_size, before, now,
               [&](int word, std::uint32_t bits) { tests[static_cast<std::size_t>(word)] = bits; });
  return tests;
}

SumTree::SumTree(const RegisterProfile& accumulator, const std::string& where) {
  if (accumulator.split().empty()) return;
  const std::span split(accumulator.split().data(),
                        static_cast<std::size_t>(accumulator.split_size()));
  tree_ = TestTree(split, kTests, where);
  leaves_.resize(static_cast<std::size_t>(tree_.leaves()));
  for (const ErrorClass& what : accumulator.error_class()) {
    if (what.rate() <= 0) continue;
    Leaf& leaf = leaves_.at(what.id());
    leaf.rate = what.rate();
    double all = 0, sum = 0;
    for (const std::uint32_t count : what.count()) all += count;
    for (int i = 0; i < what.delta_size(); ++i) {
      leaf.deltas.emplace_back(what.delta(i), (sum += what.count(i)) / all);
    }
    leaf.deltas.back().second = 1;
  }
}

}  // namespace inure
