// A fingerprint changes with everything that a result depends on, and with nothing else.

#include "inure/study/inputs.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "inure/caffe/files.hpp"
#include "tests/common.hpp"

namespace inure {
namespace {

namespace fs = std::filesystem;

class Inputs : public testing::Test {
 protected:
  Inputs() {
    fs::create_directories(folder_ / "lmdb");
    folder_.write("lmdb/data.mdb", "records"), folder_.write("lmdb/lock.mdb", "lock");
    folder_.write("mean", "mean"), folder_.write("a.png", "picture");
    folder_.write("list", "a.png 0\n");
    folder_.write("p.profile", "profile");
    fs::create_directories(folder_ / "tables");
    folder_.write("tables/product_0.table", "table");
    folder_.write("net", net(4));
  }
  std::string net(int batch) const {
    const std::string in = folder_.path().string() + "/";
    return fmt::format(
        "layer {{ name: 'd' type: 'Data' top: 'x' transform_param {{ mean_file: '{0}mean' }} "
        "data_param {{ source: '{0}lmdb' batch_size: {1} backend: LMDB }} }}\n"
        "layer {{ name: 'i' type: 'ImageData' top: 'y' image_data_param {{ source: '{0}list' "
        "root_folder: '{0}' batch_size: 2 }} }}\n",
        in, batch);
  }
  std::string of_solver(const std::string& more = "") const {
    caffe::SolverParameter solver;
    solver.set_net((folder_ / "net").string());
    solver.set_base_lr(more == "lr" ? 0.2f : 0.1f);
    if (more == "prefix") solver.set_snapshot_prefix("elsewhere"), solver.set_snapshot(7);
    return fingerprint_of(solver, true);
  }
  std::string of_accelerator(const std::string& more = "") const {
    const std::string in = folder_.path().string() + "/";
    return fingerprint_of(parse_description(
        fmt::format("vec_size: 4 errors {{ timing {{ profile: '{0}p.profile' tables: '{0}tables' "
                    "relative_clock: 1.1 }} {1} }}",
                    in, more),
        "test"));
  }

  const TemporaryFolder folder_;
};

TEST_F(Inputs, OfASolverChangeWithItsNetworkAndData) {
  const std::string before = of_solver();
  EXPECT_EQ(of_solver(), before);
  EXPECT_EQ(of_solver("prefix"), before);
  EXPECT_NE(of_solver("lr"), before);
  folder_.write("lmdb/lock.mdb", "another lock");
  EXPECT_EQ(of_solver(), before);
  for (const char* file : {"lmdb/data.mdb", "mean", "list", "a.png", "net"}) {
    const std::string kept = read_file(folder_ / file);
    const auto time = fs::last_write_time(folder_ / file);
    const std::string changed = file == std::string("net")    ? net(5)
                                : file == std::string("list") ? "a.png 1\n"
                                                              : kept + "+";
    folder_.write(file, changed);
    EXPECT_NE(of_solver(), before) << file;
    folder_.write(file, kept);
    fs::last_write_time(folder_ / file, time);
    EXPECT_EQ(of_solver(), before) << file;
  }
}

TEST_F(Inputs, OfAnAcceleratorAreItsFilesContents) {
  const std::string before = of_accelerator();
  EXPECT_NE(of_accelerator("stuck_at { lane: 0 multiplier: 0 bit: 0 value: 1 }"), before);
  for (const char* file : {"p.profile", "tables/product_0.table"}) {
    const std::string kept = read_file(folder_ / file);
    folder_.write(file, "other");
    EXPECT_NE(of_accelerator(), before) << file;
    folder_.write(file, kept);
    EXPECT_EQ(of_accelerator(), before) << file;
  }
  folder_.write("tables/product_1.table", "one more");
  EXPECT_NE(of_accelerator(), before);
}

}  // namespace
}  // namespace inure
