#include "inure/timing/logic_graph.hpp"

#include <gtest/gtest.h>

#include <random>

namespace inure::timing {
namespace {

// A random function of random earlier ones, constants and repeated inputs included.
struct Made {
  std::uint64_t truth;
  std::vector<int> in;  // of constants, inputs and the earlier made ones, in this order
};

TEST(LogicProgram, ComputesRandomNetworks) {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    const int inputs = 1 + static_cast<int>(random() % 8);
    LogicGraph graph(inputs);
    std::vector<int> ids = {0, 1};
    for (int i = 0; i < inputs; ++i) ids.push_back(graph.input(i));
    std::vector<Made> made;
    for (int n = 0; n < 40; ++n) {
      const std::uint64_t count = random() % (LogicGraph::kMaxInputs + 1);
      Made what{random(), {}};
      if (random() % 2) what.truth &= random();  // some are simple
      if (count < 6) what.truth &= (std::uint64_t{1} << (1u << count)) - 1;
      std::vector<int> in;
      for (std::uint64_t k = 0; k < count; ++k) {
        what.in.push_back(static_cast<int>(random() % ids.size()));
        in.push_back(ids[static_cast<std::size_t>(what.in.back())]);
      }
      made.push_back(what);
      ids.push_back(graph.make(what.truth, in));
    }
    // One program for all of them, and one of the last few, whose slots are used again.
    const LogicProgram program(graph, ids);
    const std::vector<int> last(ids.end() - 5, ids.end());
    const LogicProgram small(graph, last);
    LogicProgram::State state(program), small_state(small);
    for (int i = 0; i < inputs; ++i) {
      for (auto& word : state.input(i)) word = random();
      small_state.input(i) = state.input(i);
    }
    program.run(state);
    small.run(small_state);
    for (int i = 0; i < 5; ++i) {
      ASSERT_EQ(small.output(small_state, i),
                program.output(state, static_cast<int>(ids.size()) - 5 + i));
    }
    for (const int lane : {0, 63, 64, 777, LogicProgram::kLanes - 1}) {
      const auto at = [&](int i) {
        return program.output(state, i)[static_cast<std::size_t>(lane / 64)] >> lane % 64 & 1;
      };
      ASSERT_EQ(at(0), 0u);
      ASSERT_EQ(at(1), 1u);
      for (std::size_t n = 0; n < made.size(); ++n) {
        std::uint64_t row = 0;
        for (std::size_t k = 0; k < made[n].in.size(); ++k) row |= at(made[n].in[k]) << k;
        ASSERT_EQ(at(2 + inputs + static_cast<int>(n)), made[n].truth >> row & 1)
            << "function " << n << " in lane " << lane;
      }
    }
  }
}

TEST(LogicGraph, StoresAFunctionOnce) {
  LogicGraph graph(3);
  const int a = graph.input(0), b = graph.input(1), c = graph.input(2);
  const int both = graph.make_and(a, b);
  EXPECT_EQ(graph.make_and(a, b), both);
  EXPECT_EQ(graph.make_and(a, 1), a);
  EXPECT_EQ(graph.make_and(a, 0), 0);
  EXPECT_EQ(graph.make_or(a, a), a);
  EXPECT_EQ(graph.make(0b1100, std::array{a, b}), b);                  // a does not matter
  EXPECT_EQ(graph.make(0b11101000, std::array{a, b, 0}), both);        // a majority
  EXPECT_EQ(graph.make(0b11001010, std::array{both, both, c}), both);  // a selection
  EXPECT_EQ(graph.size(), graph.first_node() + 1);
}

}  // namespace
}  // namespace inure::timing
