// Descriptions that are well written, but of an accelerator or of errors that there cannot be.

#include <gtest/gtest.h>

#include "inure/base/error.hpp"
#include "inure/pipecnn/pipecnn.hpp"
#include "tests/common.hpp"

namespace inure {
namespace {

std::string refusal(const std::string& text) {
  Registry registry;
  pipecnn::register_kinds(registry);
  return error_of([&] { registry.make(parse_description(text, "test")); });
}

std::string flip(const std::string& fields) { return "errors { bit_flip { " + fields + " } }"; }
std::string stuck(const std::string& fields) { return "errors { stuck_at { " + fields + " } }"; }

TEST(PipecnnDescription, RefusesImpossibleOnesWithTheReason) {
  const std::pair<std::string, std::string> table[] = {
      {"kind: 'tpu'", "kind \"tpu\" is not known; known: pipecnn, pipecnn_reference"},
      {"kind: ''", "kind \"\" is not known; known: pipecnn"},
      {"vec_size: 3", "vec_size 3 and lane_num 16 must be powers of two from 1 to 64"},
      {"vec_size: 0", "vec_size is 0; 1 to 1024 are possible"},
      {"lane_num: 24", "lane_num 24 must be"},
      {"lane_num: 128", "lane_num 128 must be"},
      {"vec_size: 4294967292", "vec_size is 4294967292; 1 to"},
      {flip("where: PRODUCTS rate: 2"), "bit_flip in PRODUCTS: the rate is 2; it is a probability"},
      {flip("where: WEIGHTS rate: -0.1"), "bit_flip in WEIGHTS: the rate is -0.1"},
      {flip("where: OUTPUTS rate: nan"), "bit_flip in OUTPUTS: the rate is nan"},
      {flip("where: OUTPUTS rate: inf"), "bit_flip in OUTPUTS: the rate is inf"},
      {flip("where: WEIGHTS rate: 0.1 high_bit: 8"),
       "bit_flip in WEIGHTS: bits 0 to 8; a value there has bits 0 to 7"},
      {flip("where: ACTIVATIONS rate: 0.1 low_bit: 9"), "bits 9 to 7"},
      {flip("where: PRODUCTS rate: 0.1 high_bit: 16"), "a value there has bits 0 to 15"},
      {flip("where: ACCUMULATORS rate: 0.1 low_bit: 32"), "a value there has bits 0 to 31"},
      {flip("where: OUTPUTS rate: 0.1 low_bit: 5 high_bit: 4"), "bits 5 to 4"},
      {flip("where: OUTPUTS rate: 0.1 high_bit: 4294967295"), "errors: bit_flip in OUTPUTS: bits"},
      {flip("where: OUTPUTS rate: 0.1 low_bit: 4294967295"), "errors: bit_flip in OUTPUTS: bits"},
      {stuck("lane: 16 multiplier: 0 bit: 0 value: 1"),
       "lane 16 does not exist; there are 0 to 15"},
      {"lane_num: 8 " + stuck("lane: 8 multiplier: 0 bit: 0 value: 1"), "there are 0 to 7"},
      {stuck("lane: 0 multiplier: 4 bit: 0 value: 1"), "multiplier 4 does not exist"},
      {stuck("lane: 0 multiplier: 0 bit: 16 value: 1"), "bit 16 does not exist"},
      {stuck("lane: 0 multiplier: 0 bit: 0 value: 2"), "value 2 does not exist"},
  };
  for (const auto& [text, part] : table) {
    const std::string message = refusal(text);
    EXPECT_NE(message.find(part), std::string::npos) << text << "\n  gave " << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << text << " gave " << message;
  }
}

}  // namespace
}  // namespace inure
