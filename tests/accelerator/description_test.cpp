// Broken descriptions of accelerators and broken stage folders: each is refused in one line that
// names the file and what is wrong.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>

#include "inure/accelerator/accelerator.hpp"
#include "inure/accelerator/stage_files.hpp"
#include "inure/base/error.hpp"
#include "tests/common.hpp"

namespace inure {
namespace {

void expect_one_line(const std::string& message, const std::string& part, const std::string& what) {
  EXPECT_NE(message.find(part), std::string::npos)
      << what << "\n  gave:     " << message << "\n  expected: " << part;
  EXPECT_EQ(message.find('\n'), std::string::npos) << what << " gave " << message;
}

struct Broken {
  const char* text;
  const char* message;  // part of it
};

TEST(Description, RefusesBrokenOnesWithTheReason) {
  const Broken table[] = {
      {"kind: \"pipecnn", "device.prototxt:1:"},
      {"clock_mhz: -5", "clock_mhz is -5; it is above 0, and 100000 at most"},
      {"clock_mhz: nan", "clock_mhz is nan"},
      {"kind: \"pipecnn\"\nvec_size 4", "device.prototxt:2:10: Expected \":\", found \"4\""},
      {"kind: \"pipecnn\"\nlanes: 16", "device.prototxt:2:6:"},
      {"lanes: 16", "no field named \"lanes\""},
      {"arithmetic: EXACT", "Unknown enumeration value of \"EXACT\" for field \"arithmetic\""},
      {"vec_size: -4", "Expected integer, got: -"},
      {"vec_size: four", "Expected integer, got: four"},
      {"kind: 7", "Expected string, got: 7"},
      {"kind: \"pipecnn\" kind: \"opencl\"", "\"kind\" is specified multiple times"},
      {"errors { bit_flip { where: PRODUCTS rate: often } }", "Expected double, got: often"},
      {"errors { bit_flip { where: NOWHERE rate: 0.1 } }",
       "value of \"NOWHERE\" for field \"where"},
      {"errors { bit_flip { rate: 0.1 } }", "missing required fields: errors.bit_flip[0].where"},
      {"errors { stuck_at { lane: 1 bit: 3 } }", "errors.stuck_at[0].multiplier"},
      {"errors { bit_flip { where: PRODUCTS rate: 0.1 }", "device.prototxt:1:"},
      {"format { layer: \"conv1\" weights: 7 input: 7 }",
       "missing required fields: format[0].output"},
      {"format { layer: \"conv1\" weights: 7.5 input: 7 output: 5 }", "Expected integer, got: 7.5"},
      {"format { layer: \"conv1\" weights: 7 input: 7 output: 5 }\n"
       "format { layer: \"conv1\" weights: 6 input: 7 output: 5 }",
       "device.prototxt: layer \"conv1\" has two formats"},
      {"format { layer: \"conv1\" weights: 77 input: 7 output: 5 }",
       "device.prototxt: layer \"conv1\" has a fraction of 77; -16 to 24"},
      {"format { layer: \"conv1\" weights: 7 input: 7 output: -17 }", "a fraction of -17"},
      {"host_layer: \"fc6\" accelerator_layer: \"fc6\"",
       "device.prototxt: layer \"fc6\" is both a host_layer and an accelerator_layer"},
      {"\x01\x02\x7f", "device.prototxt:1:1:"},
  };
  for (const Broken& broken : table) {
    expect_one_line(error_of([&] { parse_description(broken.text, "device.prototxt"); }),
                    broken.message, broken.text);
  }
}

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// What no description should have, of the field's type; nothing where it is no number.
std::vector<double> odd_values(const FieldDescriptor* field) {
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return {std::nan(""), INFINITY, -INFINITY, -1, 0, 1e300, 2147483647};
    case FieldDescriptor::CPPTYPE_INT32:
      return {-2147483648.0, -1, 0, 2147483647};
    case FieldDescriptor::CPPTYPE_UINT32:
      return {0, 2147483647, 4294967295.0};
    default:
      return {};
  }
}

void set_number(Message& message, const FieldDescriptor* field, double value) {
  const auto* reflection = message.GetReflection();
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE) {
    reflection->SetDouble(&message, field, value);
  } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_INT32) {
    reflection->SetInt32(&message, field, static_cast<std::int32_t>(value));
  } else {
    reflection->SetUInt32(&message, field, static_cast<std::uint32_t>(value));
  }
}

// Those that it holds in this field.
std::vector<Message*> messages_of(Message& message, const FieldDescriptor* field) {
  const auto* reflection = message.GetReflection();
  std::vector<Message*> found;
  if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) return found;
  if (!field->is_repeated()) {
    if (reflection->HasField(message, field)) {
      found.push_back(reflection->MutableMessage(&message, field));
    }
    return found;
  }
  for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
    found.push_back(reflection->MutableRepeatedMessage(&message, field, i));
  }
  return found;
}

// Every number of a description, each with values that are none or far away: only what
// description.proto allows is taken. A field that is missing in the table fails.
TEST(Description, EveryNumberHasARange) {
  const std::map<std::string, std::vector<double>> allowed = {
      {"AcceleratorDescription.vec_size", {}},  {"AcceleratorDescription.lane_num", {}},
      {"AcceleratorDescription.clock_mhz", {}}, {"LayerFormat.weights", {-1, 0}},
      {"LayerFormat.input", {-1, 0}},           {"LayerFormat.output", {-1, 0}},
      {"BitFlipDescription.rate", {0}},         {"BitFlipDescription.low_bit", {0}},
      {"BitFlipDescription.high_bit", {}},  // low_bit is 1
      {"StuckAtDescription.lane", {0}},         {"StuckAtDescription.multiplier", {0}},
      {"StuckAtDescription.bit", {0}},          {"StuckAtDescription.value", {0}},
      {"TimingDescription.clock_mhz", {}},      {"TimingDescription.relative_clock", {}},
      {"VoltageDescription.supply", {}},        {"VoltageDescription.nominal", {}},
      {"VoltageDescription.threshold", {0}},    {"VoltageDescription.alpha", {}}};
  const AcceleratorDescription sound = parse_description(
      "vec_size: 4 lane_num: 16 clock_mhz: 100 format { layer: 'a' weights: 7 input: 6 output: 5 } "
      "errors { bit_flip { where: PRODUCTS rate: 0.1 low_bit: 1 high_bit: 3 } "
      "stuck_at { lane: 1 multiplier: 1 bit: 1 value: 1 } "
      "timing { profile: 'p' clock_mhz: 100 voltage { supply: 0.9 nominal: 1 threshold: 0.3 "
      "alpha: 1.5 } } }",
      "sound");
  std::set<std::string> seen;
  // Takes `part` of `whole` with each value in each of its numbers.
  const std::function<void(Message&, const AcceleratorDescription&)> walk =
      [&](Message& part, const AcceleratorDescription& whole) {
        for (int i = 0; i < part.GetDescriptor()->field_count(); ++i) {
          const FieldDescriptor* field = part.GetDescriptor()->field(i);
          for (Message* below : messages_of(part, field)) walk(*below, whole);
          const std::string name = field->full_name().substr(std::string("inure.").size());
          const auto kept = std::unique_ptr<Message>(part.New());
          kept->CopyFrom(part);
          for (const double value : odd_values(field)) {
            seen.insert(name);
            ASSERT_TRUE(allowed.contains(name)) << name << " has no range in this table";
            set_number(part, field, value);
            const auto& good = allowed.at(name);
            const bool expected = std::find(good.begin(), good.end(), value) != good.end();
            const std::string message = error_of([&] { check_description(whole, "name"); });
            EXPECT_EQ(message.empty(), expected) << name << " = " << value << ": " << message;
            EXPECT_EQ(message.find('\n'), std::string::npos) << message;
            EXPECT_EQ(message.substr(0, 6), expected ? "" : "name: ") << message;
          }
          part.CopyFrom(*kept);
        }
      };
  AcceleratorDescription changed = sound;
  walk(changed, changed);  // but relative_clock, beside which there is no clock_mhz
  AcceleratorDescription relative = sound;
  relative.mutable_errors()->mutable_timing()->clear_clock_mhz();
  relative.mutable_errors()->mutable_timing()->set_relative_clock(1.1);
  for (const double value : {std::nan(""), double{INFINITY}, -1.0, 0.0, 1e300, 2147483647.0}) {
    relative.mutable_errors()->mutable_timing()->set_relative_clock(value);
    EXPECT_NE(error_of([&] { check_description(relative, "name"); }).find("relative_clock"),
              std::string::npos);
  }
  seen.insert("TimingDescription.relative_clock");
  EXPECT_EQ(seen.size(), allowed.size());
}

TEST(Description, RefusesContradictionsAndRepetitions) {
  const auto errors = [](const std::string& text) { return "errors { " + text + " }"; };
  const auto stuck = [](int lane, int bit, int value) {
    return fmt::format("stuck_at {{ lane: {} multiplier: 0 bit: {} value: {} }} ", lane, bit,
                       value);
  };
  const auto flip = [](const std::string& text) {
    return "bit_flip { where: PRODUCTS rate: 0.1 " + text + " } ";
  };
  const std::pair<std::string, std::string> table[] = {
      {errors(stuck(1, 3, 0) + stuck(1, 3, 1)),
       "bit 3 of lane 1, multiplier 0 is stuck at 0 and at 1"},
      {errors(stuck(1, 3, 0) + stuck(2, 3, 1) + stuck(1, 3, 0)), ""},
      {errors(flip("") + flip("")), "two of them flip bits 0 to 15"},
      {errors(flip("high_bit: 7") + flip("low_bit: 8")), ""},
      {errors(flip("high_bit: 8") + flip("low_bit: 8")), "two of them flip bits 8 to 8"},
      {errors(flip("layer: 'a'") + flip("layer: 'b'")), ""},
      {errors(flip("layer: 'a'") + flip("layer: 'b' layer: 'a'")), "two of them flip"},
      {errors(flip("layer: 'a'") + flip("")), "two of them flip"},
      {errors(flip("") + "bit_flip { where: OUTPUTS rate: 0.1 }"), ""},
      {errors(flip("layer: 'a' layer: 'a'")), "layer \"a\" is there twice"},
      {errors(flip("layer: ''")), "a layer without a name"},
      {"host_layer: 'a' host_layer: 'a'", "host_layer: layer \"a\" is there twice"},
      {"accelerator_layer: 'a' accelerator_layer: 'a'", "accelerator_layer: layer \"a\""},
      {errors("timing { profile: 'p' clock_mhz: 100 relative_clock: 1.1 }"), "give either"},
      {"clock_mhz: 90 " + errors("timing { profile: 'p' clock_mhz: 100 }"), "keep one"},
      {"clock_mhz: 100 " + errors("timing { profile: 'p' clock_mhz: 100 }"), ""},
      {"lane_num: 1 " + errors("timing { profile: 'p' profile: 'q' relative_clock: 1.1 }"),
       "2 profiles for 1 lanes"},
      {errors("timing { profile: 'p' tables: 't' tables: 't' relative_clock: 1.1 }"),
       "2 tables for 1 profiles"},
      {errors("timing { profile: 'p' relative_clock: 1.1 voltage { supply: 0.4 nominal: 1 } }"),
       "must be above the threshold 0.4"},
      {errors("timing { profile: 'p' relative_clock: 1.1 layer: 'a' layer: 'a' }"),
       "layer \"a\" is there twice"},
  };
  for (const auto& [text, part] : table) {
    const std::string message = error_of([&] { parse_description(text, "device.prototxt"); });
    EXPECT_EQ(message.empty(), part.empty()) << text << " gave " << message;
    expect_one_line(message, part, text);
  }
}

TEST(Description, NamesTheFileThatIsMissing) {
  expect_one_line(error_of([] { read_description("no/such/device.prototxt"); }),
                  "no/such/device.prototxt", "a missing file");
}

TEST(Description, ComesBackFromItsText) {
  const AcceleratorDescription description = parse_description(
      "kind: 'pipecnn' vec_size: 8 arithmetic: PIPECNN_2018 # a comment\n"
      "format { layer: 'conv1' weights: 7 input: 0 output: -3 }\n"
      "errors { bit_flip { where: OUTPUTS rate: 1e-5 high_bit: 6 layer: 'conv1' } }",
      "test");
  EXPECT_EQ(description.lane_num(), 16u);
  EXPECT_EQ(description.errors().bit_flip(0).rate(), 1e-5);
  const std::string text = to_text(description);
  EXPECT_EQ(to_text(parse_description(text, "again")), text);
  EXPECT_EQ(parse_description("", "empty").kind(), "pipecnn");
}

// A sound stage in a folder of its own.
class Stage {
 public:
  Stage() {
    for (const auto& [key, value] : {std::pair{"w", 5},
                                     {"h", 4},
                                     {"c", 2},
                                     {"k", 3},
                                     {"kh", 3},
                                     {"m", 6},
                                     {"stride", 1},
                                     {"pad", 1},
                                     {"split", 1},
                                     {"relu", 1},
                                     {"pool", 1},
                                     {"pool_size", 2},
                                     {"pool_stride", 2},
                                     {"lrn", 0},
                                     {"frac_w", 7},
                                     {"frac_din", 5},
                                     {"frac_dout", 3}}) {
      keys_.emplace_back(key, std::to_string(value));
    }
    write("input.bin", 5 * 4 * 2);
    write("weights.bin", 6 * 1 * 3 * 3);
    write("bias.bin", 6);
    write_keys();
  }

  const std::filesystem::path& folder() const { return folder_.path(); }
  void remove(const std::string& file) { std::filesystem::remove(folder_ / file); }
  void write(const std::string& file, int size) {
    std::string bytes(size, '\0');
    for (int i = 0; i < size; ++i) bytes[i] = static_cast<char>(i - 20);
    std::ofstream(folder_ / file, std::ios::binary) << bytes;
  }
  // No value: without the key.
  void set(const std::string& key, const std::optional<std::string>& value) {
    for (auto at = keys_.begin(); at != keys_.end(); ++at) {
      if (at->first != key) continue;
      if (value) at->second = *value;
      if (!value) keys_.erase(at);
      break;
    }
    write_keys();
  }
  void append_line(const std::string& line) {
    std::ofstream(folder_ / "layer.txt", std::ios::app) << line << "\n";
  }

 private:
  void write_keys() const {
    std::ofstream out(folder_ / "layer.txt");
    for (const auto& [key, value] : keys_) out << key << "=" << value << "\n";
  }

  const TemporaryFolder folder_;
  std::vector<std::pair<std::string, std::string>> keys_;
};

TEST(StageFiles, ReadsChannelsFirstIntoChannelsLast) {
  const Stage stage;
  const StageFiles files = read_stage(stage.folder());
  EXPECT_EQ(files.spec.name, stage.folder().filename().string());
  EXPECT_EQ(files.spec.groups, 2);
  EXPECT_EQ(files.spec.out_height(), 2);
  EXPECT_EQ(files.input.fraction, 5);
  // Byte i is i - 20: channel 1 begins at 20; pixel (2, 3) is the 13th of 20.
  EXPECT_EQ(files.input.values[(2 * 5 + 3) * 2 + 0], 13 - 20);
  EXPECT_EQ(files.input.values[(2 * 5 + 3) * 2 + 1], 20 + 13 - 20);
  EXPECT_EQ(channels_first(files.input)[33], static_cast<char>(13));
  EXPECT_EQ(files.weights[53], 33);
}

TEST(StageFiles, RefusesBrokenFoldersWithTheReason) {
  struct Case {
    std::function<void(Stage&)> breaks;
    std::string message;
  };
  const auto sets = [](const char* key, const char* value) {
    return [=](Stage& stage) { stage.set(key, value); };
  };
  const std::vector<Case> table = {
      {[](Stage& s) { s.remove("layer.txt"); }, "layer.txt"},
      {[](Stage& s) { s.remove("input.bin"); }, "input.bin"},
      {[](Stage& s) { s.remove("weights.bin"); }, "weights.bin"},
      {[](Stage& s) { s.remove("bias.bin"); }, "bias.bin"},
      {[](Stage& s) { s.write("input.bin", 39); },
       "input.bin: has 39 bytes; layer.txt makes it 40"},
      {[](Stage& s) { s.write("weights.bin", 108); },
       "weights.bin: has 108 bytes; layer.txt makes it 54 (m*(c/groups)*k*k)"},
      {[](Stage& s) { s.write("bias.bin", 24); }, "bias.bin: has 24 bytes; layer.txt makes it 6"},
      {[](Stage& s) { s.set("stride", std::nullopt); }, "layer.txt: the key \"stride\" is missing"},
      {[](Stage& s) { s.set("pool_size", std::nullopt); }, "the key \"pool_size\" is missing"},
      {sets("kh", "5"), "layer.txt: k=3 and kh=5; only square kernels are possible"},
      {sets("w", "five"), "layer.txt:1: \"w=five\" is not key=number"},
      {sets("h", "4.5"), "layer.txt:2: \"h=4.5\" is not key=number"},
      {sets("c", ""), "layer.txt:3: \"c=\" is not key=number"},
      {sets("frac_w", "99999999999"), "layer.txt:15: \"frac_w=99999999999\" is not key=number"},
      {[](Stage& s) { s.append_line("stride 2"); }, "layer.txt:18: \"stride 2\" is not key=number"},
      {[](Stage& s) { s.set("k", "9"), s.set("kh", "9"); },
       "layer.txt: the kernel (9) is larger than the padded input (6x7)"},
      {sets("m", "0"), "layer.txt: the output channels is 0; 1 to 16777216 are possible"},
      {sets("c", "3"), "layer.txt: 2 groups do not divide 3 input and 6 output channels"},
      {sets("stride", "0"), "the stride is 0; 1 to 65536 are possible"},
      {sets("pad", "-1"), "the padding is -1; 0 to 65536 are possible"},
      {sets("pad", "2147483647"), "the padding is 2147483647; 0 to 65536 are possible"},
      {sets("pad", "60000"), "the padded input has more than 2147483647 values"},
      {sets("frac_din", "33"), "the input's fraction is 33; -16 to 24 are possible"},
      {[](Stage& s) { s.append_line("stride=2"); }, "layer.txt:18: \"stride\" is there twice"},
      {sets("pool_size", "9"), "the pooling window (9) does not fit the map (4x5)"},
  };
  for (const Case& broken : table) {
    Stage stage;
    broken.breaks(stage);
    const std::string message = error_of([&] { read_stage(stage.folder()); });
    expect_one_line(message, broken.message, broken.message);
    EXPECT_NE(message.find(stage.folder().string()), std::string::npos) << message;
  }
}

// Whatever numbers the file has: a refusal of one line, or sizes that fit the other files.
TEST(StageFiles, BelievesNoNumberBeyondItsRange) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("repeat with the seed {}", seed));
  std::mt19937 random(seed);
  const char* keys[] = {"w",        "h",         "c",     "k",         "kh",         "m",
                        "stride",   "pad",       "split", "relu",      "pool",       "frac_w",
                        "frac_din", "frac_dout", "lrn",   "pool_size", "pool_stride"};
  const std::int64_t values[] = {-2147483648, -1,       0,          1,          2,
                                 3,           255,      65535,      65536,      65537,
                                 46341,       16777216, 1000000000, 2147483646, 2147483647};
  int sound = 0;
  for (int i = 0; i < 300; ++i) {
    Stage stage;
    std::string what;
    for (auto n = random() % 4; n > 0; --n) {
      const std::string key = keys[random() % std::size(keys)];
      const std::string value = std::to_string(values[random() % std::size(values)]);
      stage.set(key, value);
      if (key == "k") stage.set("kh", value);
      what += key + "=" + value + " ";
    }
    StageFiles files;
    const std::string message = error_of([&] { files = read_stage(stage.folder()); });
    ASSERT_EQ(message.find('\n'), std::string::npos) << what << message;
    if (!message.empty()) continue;
    ++sound;
    ASSERT_EQ(files.weights.size(), std::size_t(files.spec.out_channels) * files.spec.taps());
    ASSERT_GT(files.spec.conv_height(), 0) << what;
    ASSERT_GT(files.spec.out_width(), 0) << what;
  }
  EXPECT_GT(sound, 20);
}

}  // namespace
}  // namespace inure
