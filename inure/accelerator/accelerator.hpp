#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "inure/accelerator/description.pb.h"
#include "inure/accelerator/int8_map.hpp"
#include "inure/accelerator/stage.hpp"

// The contract between a network and whatever runs its stages: a simulator or a board.
namespace inure {

// Identifies a pass. Whatever is random about an accelerator's errors is a function of this key, of
// the stage and of the place in it, and of nothing else.
struct RunKey {
  std::uint64_t seed = 0;
  std::uint64_t iteration = 0;
  bool training = false;  // training and testing draw different errors
};

// Maps of one stage after a run. `before_pool` (after ReLU) and `before_lrn` are what backward
// needs; they are null where the stage has no pooling or LRN or where they were not asked for.
struct StageResult {
  std::shared_ptr<Int8Map> output, before_pool, before_lrn;
};

// Stages in order, with their weights; each stage reads the program's input or an earlier stage's
// output.
class Program {
 public:
  virtual ~Program() = default;
  virtual const std::vector<StageSpec>& stages() const = 0;
  // weights: [out_channels][in_channels / groups][kernel][kernel]; bias: [out_channels], at
  // bias_fraction() and within bias_bits() of the accelerator. Copied.
  virtual void load(int stage, std::span<const std::int8_t> weights,
                    std::span<const std::int32_t> bias) = 0;
  // Runs every stage on the batch. keep: also give the maps before pooling and LRN. `results` has
  // one entry a stage; maps in it that nobody else holds are used again.
  virtual void run(std::shared_ptr<const Int8Map> input, const RunKey& key, bool keep,
                   std::vector<StageResult>& results) = 0;
};

class Accelerator {
 public:
  virtual ~Accelerator() = default;
  virtual std::string summary() const = 0;  // one line: what it is
  // Why it cannot run the stage exactly as meant; nothing where it can.
  virtual std::optional<std::string> why_not(const StageSpec& stage) const = 0;
  virtual int bias_bits() const = 0;  // 8 or 32
  virtual int bias_fraction(const StageSpec& stage) const = 0;
  // Throws Error with why_not() where a stage cannot run.
  virtual std::unique_ptr<Program> compile(std::vector<StageSpec> stages) = 0;
};

// Kinds of accelerators by name. No global one: whoever needs it makes it and registers what it
// links.
class Registry {
 public:
  using Factory = std::function<std::unique_ptr<Accelerator>(const AcceleratorDescription&)>;
  void add(const std::string& kind, const std::string& summary, Factory factory);
  // Throws Error for an unknown kind (with the known ones), for what check_description() refuses
  // and for what the kind refuses.
  std::unique_ptr<Accelerator> make(const AcceleratorDescription& description) const;
  std::map<std::string, std::string> kinds() const;  // name, summary

 private:
  struct Kind {
    std::string summary;
    Factory factory;
  };
  std::map<std::string, Kind> kinds_;
};

// Throws Error, which begins with `name`, where a number is out of the range that description.proto
// gives, or where parts contradict or repeat each other. Files that it names are not looked at.
void check_description(const AcceleratorDescription& description, const std::string& name);

// Bits of a value at each place where flips happen: 8, 16 or 32.
int bits_of(BitFlipDescription::Where where);

// The description as a text file; checked. Throws Error with file, line and what is wrong.
AcceleratorDescription read_description(const std::string& path);
AcceleratorDescription parse_description(const std::string& text, const std::string& name);
std::string to_text(const AcceleratorDescription& description);

}  // namespace inure
