#include <algorithm>
#include <vector>

#include "inure/timing/fit.hpp"
#include "inure/timing/multiplier_stages.hpp"

namespace inure::timing {
namespace {

std::size_t index(int i) { return static_cast<std::size_t>(i); }

// Beyond, a tree of some thousand classes is smaller.
constexpr int kMostNodes = 20'000;

// The nodes that some functions need, in the order of the graph.
class Extract {
 public:
  explicit Extract(const LogicGraph& graph) : graph_(graph), place_(index(graph.size()), -1) {
    for (int id = 0; id < graph.first_node(); ++id) place_[index(id)] = id;
  }

  void need(int id) { place_[index(id)] = std::max(place_[index(id)], 0); }

  ProductLogic logic() {
    for (int id = graph_.size() - 1; id >= graph_.first_node(); --id) {
      if (place_[index(id)] < 0) continue;
      for (const int in : graph_.node(id).in) need(in);
    }
    ProductLogic logic;
    int next = graph_.first_node();
    for (int id = next; id < graph_.size(); ++id) {
      if (place_[index(id)] < 0) continue;
      const LogicGraph::Node& node = graph_.node(id);
      place_[index(id)] = next;
      logic.mutable_truth()->push_back(static_cast<char>(node.truth));
      for (const int in : node.in) logic.add_back(static_cast<std::uint32_t>(next - place(in)));
      ++next;
    }
    return logic;
  }
  int place(int id) const { return place_[index(id)]; }

 private:
  const LogicGraph& graph_;
  std::vector<int> place_;  // -1: not needed
};

}  // namespace

std::optional<ProductLogic> fit_logic(const Netlist& netlist, const Multiplier& multiplier,
                                      const std::vector<int>& periods_ps,
                                      std::vector<RegisterProfile>& profiles) {
  const std::vector<MultiplierStage> stages = multiplier_stages(netlist, multiplier);
  if (check_product(netlist, stages, periods_ps).edges_differ) return {};
  // Inputs of the response: both operands before, then both now, as a profile has them.
  const ProductResponse response = product_response(netlist, stages, periods_ps);
  Extract extract(response.graph);
  const auto late = [&](std::size_t p, int bit) {
    return response.captured[p][index(bit)] != response.settled[index(bit)];
  };
  for (std::size_t p = 0; p < periods_ps.size(); ++p) {
    for (int bit = 0; bit < Multiplier::kProductBits; ++bit) {
      if (late(p, bit)) extract.need(response.captured[p][index(bit)]);
    }
  }
  ProductLogic logic = extract.logic();
  if (logic.truth().size() > kMostNodes) return {};
  for (std::size_t p = 0; p < periods_ps.size(); ++p) {
    for (int bit = 0; bit < Multiplier::kProductBits; ++bit) {
      if (!late(p, bit)) continue;
      profiles[p].add_late_bit(static_cast<std::uint32_t>(bit));
      profiles[p].add_captured(
          static_cast<std::uint32_t>(extract.place(response.captured[p][index(bit)])));
    }
  }
  return logic;
}

}  // namespace inure::timing
