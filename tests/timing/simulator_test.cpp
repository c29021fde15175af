#include "inure/timing/simulator.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "inure/timing/sta.hpp"
#include "tests/common.hpp"

namespace inure::timing {
namespace {

constexpr std::uint64_t kBuffer = 0b10, kInverter = 0b01, kAnd = 0b1000, kXor = 0b0110;

// register "start", which follows the port "in"; its output through `gates` to register "end".
class Chain {
 public:
  Chain() {
    in_ = netlist.add_net("in");
    netlist.add_input("in", in_);
    start = netlist.add_net("start");
    const int d = netlist.add_net("start/D");
    gate(kBuffer, {{in_, {}, {}, {}}}, d);
    netlist.add_register({"start", d, start, {100, 100}});
  }
  static Pin pin(int net, int delay) { return {net, {}, {delay, delay}, {}}; }
  void gate(std::uint64_t truth, std::vector<Pin> pins, int output) {
    netlist.add_gate(fmt::format("g{}", output), truth, pins, output);
  }
  int gate(std::uint64_t truth, std::vector<Pin> pins) {
    const int output = netlist.add_net(fmt::format("n{}", netlist.net_count()));
    gate(truth, std::move(pins), output);
    return output;
  }
  void finish(int net, int setup = 0) {
    const int d = gate(kBuffer, {pin(net, setup)});
    netlist.add_register({"end", d, netlist.add_net("end"), {100, 100}});
    netlist.finish("chain");
  }
  // What "end" captures in the cycles whose ports are given.
  std::string run(const std::string& inputs, int period, int filter = 0) {
    TimingSimulator simulator(netlist, period, filter);
    const int end = netlist.find_registers("end", 1)[0];
    std::string captured;
    for (const char value : inputs) {
      simulator.set_input(0, value == '1');
      simulator.cycle();
      captured += simulator.captured(end) ? '1' : '0';
    }
    return captured;
  }

  Netlist netlist;
  int start = -1;

 private:
  int in_ = -1;
};

TEST(TimingSimulator, CapturesAToggleExactlyAtTheEdge) {
  Chain chain;
  chain.finish(chain.gate(kBuffer, {Chain::pin(chain.start, 850)}), 50);
  EXPECT_EQ(analyse(chain.netlist).critical_ps, 1000);
  EXPECT_EQ(chain.run("110100", 1000), "011010");  // start, then end: one cycle later
  EXPECT_EQ(chain.run("110100", 999), "001101");   // too late by 1 ps: another cycle later
  EXPECT_EQ(chain.run("110100", 499), "000110");   // two more cycles
}

TEST(TimingSimulator, SettledIsWhatALongerPeriodWouldHaveCaptured) {
  Chain chain;
  chain.finish(chain.gate(kBuffer, {Chain::pin(chain.start, 900)}));
  TimingSimulator simulator(chain.netlist, 999);
  const int end = chain.netlist.find_registers("end", 1)[0];
  std::string captured, settled;
  for (const char value : std::string("110100")) {
    simulator.set_input(0, value == '1');
    simulator.cycle();
    captured += simulator.captured(end) ? '1' : '0';
    settled += simulator.settled()[static_cast<std::size_t>(end)] ? '1' : '0';
  }
  EXPECT_EQ(captured, "001101");
  EXPECT_EQ(settled, "011010");
}

TEST(TimingSimulator, PassesEveryPulseUnlessTheFilterSwallowsIt) {
  Chain chain;  // a pulse of 200 ps at each change of `start`, seen 300 ps after it
  chain.finish(chain.gate(kXor, {Chain::pin(chain.start, 300), Chain::pin(chain.start, 500)}));
  EXPECT_EQ(chain.run("1101", 2000), "0000");
  EXPECT_EQ(chain.run("1101", 599), "0101");  // the edge falls into the pulse
  EXPECT_EQ(chain.run("1101", 600), "0000");  // and here just behind it
  Chain filtered;
  const int pulse =
      filtered.gate(kXor, {Chain::pin(filtered.start, 100), Chain::pin(filtered.start, 200)});
  filtered.finish(filtered.gate(kBuffer, {Chain::pin(pulse, 250)}));
  EXPECT_EQ(filtered.run("1101", 500), "0101");
  EXPECT_EQ(filtered.run("1101", 500, 100), "0101");  // not shorter than 100 ps
  EXPECT_EQ(filtered.run("1101", 500, 101), "0000");
}

TEST(TimingSimulator, PulseIsLostWhereItsEdgesCross) {
  for (const int fall : {701, 700, 600}) {
    Chain chain;
    const int pulse =
        chain.gate(kXor, {Chain::pin(chain.start, 100), Chain::pin(chain.start, 200)});
    // It rises at 200 and falls at 300; after this gate at 1000 and at 300 + fall.
    const int late = chain.gate(kBuffer, {{pulse, {}, {800, fall}, {}}});
    chain.finish(late);
    EXPECT_EQ(chain.run("11", 1000), fall == 701 ? "01" : "00") << fall;
  }
}

TEST(TimingSimulator, InverterSwapsTheArcsEdges) {
  Chain chain;
  chain.finish(chain.gate(kInverter, {{chain.start, {10, 20}, {300, 700}, {}}}));
  EXPECT_EQ(chain.netlist.gates().size(), 3u);
  EXPECT_EQ(analyse(chain.netlist).critical_ps, 100 + 10 + 700);
  EXPECT_EQ(chain.run("11100", 810), "10001");
  EXPECT_EQ(chain.run("11100", 809), "11001");  // the output's fall is late, its rise is not
}

TEST(TimingSimulator, RefusesAPeriodWithinTheRegistersDelay) {
  Chain chain;
  chain.finish(chain.start);
  EXPECT_EQ(error_of([&] { TimingSimulator(chain.netlist, 100); }),
            "timing simulation: a period of 100 ps; expected more than the 100 ps of register "
            "start");
}

TEST(StaticTiming, RisingAndFallingEdgesApart) {
  Chain chain;  // two inverters: 200 + 900 or 700 + 300, never 700 + 900
  const int middle = chain.gate(kInverter, {{chain.start, {}, {200, 700}, {}}});
  chain.finish(chain.gate(kInverter, {{middle, {}, {300, 900}, {}}}));
  EXPECT_EQ(analyse(chain.netlist).critical_ps, 100 + 200 + 900);
}

TEST(Netlist, RefusesLoopsAndNetsWithoutADriver) {
  Chain loop;
  const int net = loop.netlist.add_net("back");
  loop.gate(kAnd, {Chain::pin(loop.start, 1), Chain::pin(net, 1)}, net);
  EXPECT_EQ(error_of([&] { loop.finish(net); }),
            "chain: a loop of gates through g3; only registers may close a loop");
  Chain open;
  const int floating = open.netlist.add_net("floating");
  EXPECT_EQ(error_of([&] { open.finish(floating); }),
            "chain: net floating, read by g4, has 0 drivers; a net needs exactly one");
  Chain negative;
  EXPECT_EQ(error_of([&] { negative.finish(negative.start, -3); }),
            "chain: g3: the delay from net start is negative (-3 ps rising, -3 ps falling)");
  EXPECT_EQ(error_of([&] { negative.netlist.find_registers("sum", 2); }),
            "netlist: sum[0] is not the output of a register");
}

}  // namespace
}  // namespace inure::timing
