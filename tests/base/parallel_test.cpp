#include "inure/base/parallel.hpp"

#include <gtest/gtest.h>
#include <omp.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "inure/base/error.hpp"

namespace inure {
namespace {

class Parallel : public testing::Test {
 protected:
  void TearDown() override { set_threads(0); }
};

TEST_F(Parallel, RunsEveryIndexOnce) {
  for (const int count : {1, 2, 3, 8}) {
    set_threads(count);
    EXPECT_EQ(threads(), count);
    for (const std::int64_t size : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> runs(static_cast<std::size_t>(size));
      parallel_for(size, [&](std::int64_t i) { ++runs[static_cast<std::size_t>(i)]; });
      for (const auto& n : runs) EXPECT_EQ(n, 1) << size << " on " << count;
    }
  }
}

TEST_F(Parallel, UsesSeveralThreadsAndTellsLibrariesSo) {
  set_threads(3);
  std::atomic<int> arrived{0};
  parallel_for(3, [&](std::int64_t) {
    EXPECT_TRUE(omp_in_parallel());
    ++arrived;  // ends only when three bodies run at once
    while (arrived < 3) std::this_thread::yield();
  });
  EXPECT_EQ(arrived, 3);
}

TEST_F(Parallel, AnotherThreadSeesTheCount) {
  set_threads(2);
  int seen = 0;
  std::thread([&] { seen = threads(); }).join();
  EXPECT_EQ(seen, 2);
}

TEST_F(Parallel, NestedCallsRunInSequence) {
  set_threads(4);
  std::atomic<int> sum{0};
  parallel_for(4, [&](std::int64_t) {
    const auto owner = std::this_thread::get_id();
    parallel_for(100, [&](std::int64_t i) {
      EXPECT_EQ(std::this_thread::get_id(), owner);
      sum += static_cast<int>(i);
    });
  });
  EXPECT_EQ(sum, 4 * 4950);
}

TEST_F(Parallel, ThrowsTheExceptionOfTheLowestIndex) {
  for (const int count : {1, 4}) {
    set_threads(count);
    for (int repeat = 0; repeat < 20; ++repeat) {
      std::string message;
      try {
        parallel_for(64, [](std::int64_t i) {
          if (i >= 5) fail("body {}", i);
        });
      } catch (const Error& error) {
        message = error.what();
      }
      EXPECT_EQ(message, "body 5");
    }
  }
}

TEST_F(Parallel, ZeroMeansTheDefaultAndNegativeIsRefused) {
  const int all = threads();
  set_threads(all + 3);
  EXPECT_EQ(omp_get_max_threads(), all + 3);
  set_threads(0);
  EXPECT_EQ(threads(), all);
  EXPECT_EQ(omp_get_max_threads(), all);
  EXPECT_THROW(set_threads(-1), Error);
}

TEST_F(Parallel, RefusesMoreThreadsThanLibrariesBear) {
  set_threads(kMaxThreads);
  EXPECT_EQ(threads(), kMaxThreads);
  for (const int count : {kMaxThreads + 1, 40000, 100000, 2147483647}) {
    try {
      set_threads(count);
      ADD_FAILURE() << count << " were taken";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("at most 256"), std::string::npos) << error.what();
    }
    EXPECT_EQ(threads(), kMaxThreads) << "after " << count;
  }
}

}  // namespace
}  // namespace inure
