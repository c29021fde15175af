// Sound files, small ones, to begin with: written by Inure where it writes their kind.

#include <fmt/format.h>

#include "inure/base/file.hpp"
#include "inure/caffe/files.hpp"
#include "inure/data/lmdb.hpp"
#include "inure/errors/operand_trace.hpp"
#include "inure/errors/product_table.hpp"
#include "inure/errors/timing_profile.hpp"
#include "tests/common.hpp"
#include "tests/fuzz/targets.hpp"

namespace inure::fuzz {
namespace {

namespace fs = std::filesystem;

class Seeds {
 public:
  explicit Seeds(fs::path folder) : folder_(std::move(folder)) {}

  // Where a target's next seed is to be written.
  fs::path next(const std::string& target) {
    fs::create_directories(folder_ / target);
    return folder_ / target / fmt::format("seed{}", number_++);
  }
  void add(const std::string& target, const std::string& text) {
    write_file_atomically(next(target), text);
  }

 private:
  fs::path folder_;
  int number_ = 0;
};

const char* const kNet =
    "name: 'n'\n"
    "layer { name: 'd' type: 'Data' top: 'data' top: 'label' include { phase: TRAIN stage: 'a' }\n"
    "  transform_param { scale: 0.5 mirror: true crop_size: 4 mean_value: 3 }\n"
    "  data_param { source: 's' batch_size: 2 backend: LMDB } }\n"
    "layer { name: 'c' type: 'Convolution' bottom: 'data' top: 'c' param { lr_mult: 1 }\n"
    "  convolution_param { num_output: 2 kernel_size: 3 pad_h: 1 stride: 2 group: 1\n"
    "    weight_filler { type: 'xavier' } } }\n"
    "layer { name: 'l' type: 'SoftmaxWithLoss' bottom: 'c' bottom: 'label' top: 'l' }\n";
const char* const kOldNet =
    "name: 'n' input: 'data' input_dim: 1 input_dim: 1 input_dim: 4 input_dim: 4\n"
    "layers { name: 'c' type: CONVOLUTION bottom: 'data' top: 'c' blobs_lr: 1 weight_decay: 1\n"
    "  convolution_param { num_output: 2 kernel_size: 3 } }\n"
    "layers { layer { name: 'p' type: 'pool' pool: MAX kernelsize: 2 stride: 2 } bottom: 'c' "
    "top: 'p' }\n";

void add_caffe(Seeds& seeds) {
  seeds.add("net", kNet);
  seeds.add("net", kOldNet);
  seeds.add("solver",
            "net: 'n' base_lr: 0.1 lr_policy: 'step' stepsize: 10 max_iter: 100 type: "
            "'SGD' momentum: 0.9 weight_decay: 1e-4 solver_mode: CPU snapshot: 10\n");
  seeds.add("solver", std::string("solver_type: NESTEROV stepvalue: 1 net_param { ") + kNet + "}");
  caffe::NetParameter model = caffe::parse_net(kNet, "seed");
  caffe::BlobProto blob;
  for (const int size : {2, 1, 3, 3}) blob.mutable_shape()->add_dim(size);
  for (int i = 0; i < 18; ++i) blob.add_data(0.1f * static_cast<float>(i));
  *model.mutable_layer(1)->add_blobs() = blob;
  caffe::write_model(seeds.next("caffemodel"), model);
  caffe::NetParameter old;
  old.add_layers()->set_name("c"),
      old.mutable_layers(0)->set_type(caffe::V1LayerParameter::CONVOLUTION);
  *old.mutable_layers(0)->add_blobs() = blob;
  seeds.add("caffemodel", old.SerializeAsString());
  caffe::SolverState state;
  state.set_iter(10), state.set_current_step(1), state.set_learned_net("a.caffemodel");
  *state.add_history() = blob;
  caffe::write_solver_state(seeds.next("solverstate"), state);
  caffe::BlobProto mean;
  mean.set_num(1), mean.set_channels(2), mean.set_height(1), mean.set_width(2);
  for (int i = 0; i < 4; ++i) mean.add_data(1);
  seeds.add("mean", mean.SerializeAsString());
}

void add_data(Seeds& seeds) {
  using namespace std::string_literals;
  seeds.add("idx", "\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x02"s + "12345678" + "\n%\n" +
                       "\0\0\x08\x01\0\0\0\x02"s + "\x01\x02");
  seeds.add("cifar", "\x03" + std::string(3072, 'x') + "\x04" + std::string(3072, 'y'));
  seeds.add("list", "a.png 0\nfolder/b c.jpg 12\r\n\n");
  caffe::Datum datum;
  datum.set_channels(1), datum.set_height(2), datum.set_width(2), datum.set_label(3);
  datum.set_data("abcd");
  seeds.add("datum", datum.SerializeAsString());
  const TemporaryFolder folder;
  data::LmdbWriter writer(folder / "lmdb");
  for (int i = 0; i < 3; ++i) writer.append(fmt::format("{:08}", i), datum.SerializeAsString());
  writer.append("00000003", std::string(9000, 'z'));  // on pages of its own
  writer.finish();
  seeds.add("lmdb", read_file(folder / "lmdb/data.mdb"));
  datum.clear_data();
  for (const float value : {1.0f, 2.0f, 3.0f, 4.0f}) datum.add_float_data(value);
  seeds.add("datum", datum.SerializeAsString());
  // A grey picture of one pixel.
  datum.clear_float_data();
  datum.set_encoded(true);
  datum.set_data("P5 1 1 255\nx");
  seeds.add("datum", datum.SerializeAsString());
}

void add_accelerator(Seeds& seeds) {
  seeds.add("description",
            "kind: 'pipecnn' vec_size: 4 lane_num: 16 arithmetic: PIPECNN_2018 clock_mhz: 100\n"
            "format { layer: 'a' weights: 7 input: -1 output: 5 } host_layer: 'b'\n"
            "accelerator_layer: 'a' errors { bit_flip { where: PRODUCTS rate: 1e-4 low_bit: 1 "
            "high_bit: 9 layer: 'a' } stuck_at { lane: 3 multiplier: 1 bit: 12 value: 1 }\n"
            "timing { profile: 'p' relative_clock: 1.05 voltage { supply: 0.9 nominal: 1 } } }");
  seeds.add("stage",
            "w=2\nh=2\nc=1\nk=1\nkh=1\nm=1\nstride=1\npad=0\nsplit=0\nrelu=1\npool=0\n"
            "pool_size=2\npool_stride=2\nlrn=0\nfrac_w=7\nfrac_din=5\nfrac_dout=3\n"
            "\n%\nabcd\n%\nw\n%\nb");
  seeds.add("result", "accuracy 0.8125\nseconds 1.250\n");
  seeds.add("label", "a network's name: r\xC3\xA9seau\n! id");
}

ProductTable table() {
  ProductTable table;
  table.made_by = "seed";
  table.longest_ps = 9000, table.critical_ps = 9500;
  table.enumerated.resize(ProductTable::kPairs, true);
  ProductTable::Clock clock{8800, {{1, 2}, {3, 4}}, {}};
  clock.first.assign(ProductTable::kPairs + 1, 2);
  clock.first[0] = 0, clock.first[1] = 1;
  table.clocks.push_back(clock);
  return table;
}

void add_errors(Seeds& seeds) {
  write_product_table(seeds.next("table"), table());
  OperandTrace trace;
  trace.vec_size = 2, trace.lane = 1, trace.layer = "conv", trace.about = "seed";
  trace.activations = {1, 2, 3, 4}, trace.weights = {5, 6, 7, 8}, trace.first = {1, 0};
  write_operand_trace(seeds.next("trace"), trace);

  TimingProfile profile;
  profile.set_design("seed"), profile.set_corner("none"), profile.set_netlist(1);
  profile.set_critical_ps(10000), profile.set_vec_size(1), profile.set_negative_activations(false);
  ProductLogic& logic = *profile.add_product_logic();
  logic.set_truth("\x96");
  for (const unsigned back : {8u, 16u, 1u}) logic.add_back(back);
  ClockProfile& clock = *profile.add_clock();
  clock.set_period_ps(9500);
  RegisterProfile& product = *clock.add_product();
  const auto add_class = [](RegisterProfile& what, int delta) {
    for (const unsigned split : {17u, 0u, 0u}) what.add_split(split);
    ErrorClass& error = *what.add_error_class();
    error.set_id(1), error.set_rate(0.25), error.set_trials(100);
    error.add_delta(delta), error.add_count(3);
  };
  add_class(product, -8);
  add_class(*clock.mutable_accumulator(), 4096);
  write_timing_profile(seeds.next("profile"), profile);
  const TemporaryFolder folder;
  write_timing_profile(folder / "p.txt", profile);
  seeds.add("profile_text", read_file(folder / "p.txt"));
  product.add_late_bit(3), product.add_captured(34);
  write_timing_profile(seeds.next("profile"), profile);
}

const char* const kLibrary =
    "library(l) { /* cells */ cell (INV) { area : 1; pin(A) { direction : input; }\n"
    " pin(Y) { direction : output; function : \"(!A)\"; timing() { values ( \\\n"
    " \"0.1, 0.2\"); } } }\n"
    "cell (DFF) { ff (S,SN) { next_state : \"D\"; clocked_on : \"CLK\"; }\n"
    " pin(CLK) { direction : input; } pin(D) { direction : input; }\n"
    " pin(Q) { direction : output; function : \"S\"; } } }\n";

void add_circuits(Seeds& seeds) {
  seeds.add("liberty", kLibrary);
  const std::string sdf =
      "(DELAYFILE (SDFVERSION \"3.0\") (TIMESCALE 1ps)\n"
      "(CELL (CELLTYPE \"top\") (INSTANCE) (DELAY (ABSOLUTE (INTERCONNECT r/Q u/A (1:2:3) (4))\n"
      "(INTERCONNECT u/Y r/D (0)) (INTERCONNECT x f/CLK (9)) (INTERCONNECT f/O f/I0 (5)))))\n"
      "(CELL (INSTANCE u) (DELAY (ABSOLUTE (COND A==1 (IOPATH A Y (5) (6))))))\n"
      "(CELL (INSTANCE f) (DELAY (ABSOLUTE (IOPATH CLK O (5)))) (TIMINGCHECK (SETUP (posedge I0) "
      "(posedge CLK) (7))))\n"
      "(CELL (INSTANCE r) (DELAY (ABSOLUTE (IOPATH (posedge CLK) Q (5) (6)))) (TIMINGCHECK "
      "(SETUPHOLD (posedge D) (posedge CLK) (7) (1)))))\n";
  seeds.add("sdf", sdf);
  const std::string mapped =
      R"({"modules":{"top":{"ports":{"clk":{"direction":"input","bits":[2]}},"cells":{)"
      R"("u":{"type":"INV","connections":{"A":[4],"Y":[3]}},)"
      R"("r":{"type":"DFF","connections":{"CLK":[2],"D":[3],"Q":[4]}}},)"
      R"("netnames":{"clk":{"bits":[2]},"d":{"bits":[3]},"q":{"bits":[4,4],"offset":1}}}}})";
  seeds.add("cells", mapped + "\n%\n" + sdf + "\n%\n" + kLibrary);
  const std::string placed =
      R"({"modules":{"top":{"netnames":{"clk":{"bits":[2]},"q":{"bits":[4]}},"cells":{)"
      R"("f":{"type":"ICESTORM_LC","parameters":{"LUT_INIT":"0000000000000001",)"
      R"("DFF_ENABLE":"1","CARRY_ENABLE":"0"},"connections":{"I0":[4],"O":[4],"CLK":[2]}},)"
      R"("p$sb_io":{"type":"SB_IO","connections":{"D_IN_0":[2]}}}}}})";
  seeds.add("nextpnr", placed + "\n%\n" + sdf + "\n%\n" + placed);
  seeds.add("report", R"({"critical_paths":[{"from":"posedge clk","to":"posedge clk",)"
                      R"("path":[{"delay":1.5},{"delay":2}]}]})");
}

}  // namespace

void write_seeds(const fs::path& folder) {
  Seeds seeds(folder);
  add_caffe(seeds);
  add_data(seeds);
  add_accelerator(seeds);
  add_errors(seeds);
  add_circuits(seeds);
}

}  // namespace inure::fuzz
