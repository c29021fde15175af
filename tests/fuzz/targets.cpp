#include "tests/fuzz/targets.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <functional>

#include "inure/accelerator/accelerator.hpp"
#include "inure/accelerator/stage_files.hpp"
#include "inure/base/file.hpp"
#include "inure/base/label.hpp"
#include "inure/caffe/files.hpp"
#include "inure/data/convert.hpp"
#include "inure/data/image_list.hpp"
#include "inure/data/lmdb.hpp"
#include "inure/data/record.hpp"
#include "inure/errors/exception_set.hpp"
#include "inure/errors/operand_trace.hpp"
#include "inure/errors/product_table.hpp"
#include "inure/errors/sum_tree.hpp"
#include "inure/errors/timing_profile.hpp"
#include "inure/study/sweep.hpp"
#include "inure/timing/liberty.hpp"
#include "inure/timing/nextpnr.hpp"
#include "inure/timing/sdf.hpp"
#include "inure/timing/sta.hpp"
#include "inure/timing/standard_cells.hpp"

namespace inure::fuzz {
namespace {

namespace fs = std::filesystem;

// The input is one text after the other, with a line of '%' between them.
std::vector<std::string> parts_of(const fs::path& path, std::size_t count) {
  std::string text = read_file(path);
  std::vector<std::string> parts;
  while (parts.size() + 1 < count) {
    const std::size_t end = text.find("\n%\n");
    parts.push_back(text.substr(0, end));
    text.erase(0, end == std::string::npos ? end : end + 3);
  }
  parts.push_back(text);
  return parts;
}

void read_net(const fs::path& path) {
  const caffe::NetParameter net = caffe::read_net(path);
  for (const caffe::Phase phase : {caffe::TRAIN, caffe::TEST}) {
    caffe::NetState state;
    state.set_phase(phase);
    caffe::filter_net(net, state);
  }
}

// (Products are not expanded: for a profile that always errs this is 2^32 draws by right.)
void read_profile(const fs::path& path) {
  const TimingProfile profile = read_timing_profile(path);
  for (const ClockProfile& clock : profile.clock()) SumTree(clock.accumulator(), "fuzz");
}

void read_table(const fs::path& path) {
  const ProductTable table = read_product_table(path);
  for (const ProductTable::Clock& clock : table.clocks) {
    ExceptionSet(clock, table.negative_activations);
  }
}

std::string seal_table(std::string_view input) {
  std::string text(input.substr(0, input.size() - std::min<std::size_t>(input.size(), 8)));
  const std::uint64_t sum = product_table_checksum(text);
  return text.append(reinterpret_cast<const char*>(&sum), sizeof sum);
}

void convert(const fs::path& path, const std::function<void(const fs::path& output)>& convert) {
  const fs::path output = path.parent_path() / "output";
  fs::remove_all(output);
  convert(output);
}

void convert_idx(const fs::path& path) {
  const auto parts = parts_of(path, 2);
  const fs::path labels = path.parent_path() / "labels";
  write_file_atomically(path, parts[0]);
  write_file_atomically(labels, parts[1]);
  convert(path, [&](const fs::path& output) { data::convert_idx(path, labels, output); });
}

void convert_cifar(const fs::path& path) {
  convert(path, [&](const fs::path& output) { data::convert_cifar({path}, output); });
}

void read_datum(const fs::path& path) {
  const std::string datum = read_file(path);
  data::Record record;
  for (const data::Color color :
       {data::Color::kAsStored, data::Color::kColor, data::Color::kGray}) {
    data::decode_datum(datum, color, "record", record);
  }
}

void read_lmdb(const fs::path& path) {
  data::LmdbReader reader(path.parent_path(), "folder");
  for (std::int64_t i = 0; i < std::min<std::int64_t>(reader.size(), 16); ++i) reader.read(i);
}

void read_liberty(const fs::path& path) { timing::read_liberty(path); }
void read_sdf(const fs::path& path) { timing::read_sdf(path); }

// The placed netlist, the delays and the synthesis.
void read_nextpnr(const fs::path& path) {
  const auto parts = parts_of(path, 3);
  const fs::path sdf = path.parent_path() / "sdf", synthesis = path.parent_path() / "synthesis";
  write_file_atomically(path, parts[0]);
  write_file_atomically(sdf, parts[1]);
  write_file_atomically(synthesis, parts[2]);
  analyse(timing::read_nextpnr(path, sdf, synthesis));
}

// The mapped netlist, the delays and the library.
void read_cells(const fs::path& path) {
  const auto parts = parts_of(path, 3);
  const fs::path sdf = path.parent_path() / "sdf", library = path.parent_path() / "library";
  write_file_atomically(path, parts[0]);
  write_file_atomically(sdf, parts[1]);
  write_file_atomically(library, parts[2]);
  analyse(timing::read_standard_cells(path, sdf, timing::read_liberty(library)));
}

void read_stage_of(const fs::path& path) {
  const auto parts = parts_of(path, 4);
  const fs::path folder = path.parent_path();
  write_file_atomically(folder / "layer.txt", parts[0]);
  write_file_atomically(folder / "input.bin", parts[1]);
  write_file_atomically(folder / "weights.bin", parts[2]);
  write_file_atomically(folder / "bias.bin", parts[3]);
  read_stage(folder);
}

void read_result(const fs::path& path) {
  const fs::path folder = path.parent_path() / "sweep";
  static const SweepStore store(folder, {});
  fs::copy_file(path, folder / "points" / "exact.txt", fs::copy_options::overwrite_existing);
  store.find({});
}

void read_label(const fs::path& path) {
  const std::string label = label_of(read_file(path));
  if (label_of(label) != label || label.find('\n') != label.npos) std::abort();
}

}  // namespace

const std::vector<Target>& targets() {
  static const std::vector<Target> all = {
      {"net", "input", read_net, nullptr},
      {"solver", "input", [](const fs::path& path) { caffe::read_solver(path); }, nullptr},
      {"caffemodel", "input", [](const fs::path& path) { caffe::read_model(path); }, nullptr},
      {"solverstate", "input", [](const fs::path& path) { caffe::read_solver_state(path); },
       nullptr},
      {"mean", "input", [](const fs::path& path) { caffe::read_mean(path); }, nullptr},
      {"description", "input", [](const fs::path& path) { read_description(path.string()); },
       nullptr},
      {"stage", "input", read_stage_of, nullptr},
      {"table", "input", read_table, seal_table},
      {"trace", "input", [](const fs::path& path) { read_operand_trace(path); }, nullptr},
      {"profile", "input", read_profile, nullptr},
      {"profile_text", "input.txt", read_profile, nullptr},
      {"idx", "input", convert_idx, nullptr},
      {"cifar", "input", convert_cifar, nullptr},
      {"datum", "input", read_datum, nullptr},
      {"list", "input", [](const fs::path& path) { data::read_image_list(path.string(), "layer"); },
       nullptr},
      {"lmdb", "data.mdb", read_lmdb, nullptr},
      {"liberty", "input", read_liberty, nullptr},
      {"sdf", "input", read_sdf, nullptr},
      {"nextpnr", "input", read_nextpnr, nullptr},
      {"cells", "input", read_cells, nullptr},
      {"report", "input", [](const fs::path& path) { timing::read_nextpnr_critical_path(path); },
       nullptr},
      {"result", "input", read_result, nullptr},
      {"label", "input", read_label, nullptr}};
  return all;
}

}  // namespace inure::fuzz
