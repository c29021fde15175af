#include <algorithm>

#include "inure/base/error.hpp"
#include "inure/caffe/files.hpp"

namespace inure::caffe {
namespace {

bool has_stage(const NetState& state, const std::string& stage) {
  return std::find(state.stage().begin(), state.stage().end(), stage) != state.stage().end();
}

bool meets(const NetState& state, const NetStateRule& rule) {
  if (rule.has_phase() && rule.phase() != state.phase()) return false;
  if (rule.has_min_level() && state.level() < rule.min_level()) return false;
  if (rule.has_max_level() && state.level() > rule.max_level()) return false;
  const auto in_state = [&](const std::string& stage) { return has_stage(state, stage); };
  return std::all_of(rule.stage().begin(), rule.stage().end(), in_state) &&
         std::none_of(rule.not_stage().begin(), rule.not_stage().end(), in_state);
}

}  // namespace

NetParameter filter_net(const NetParameter& net, const NetState& state) {
  NetParameter filtered = net;
  filtered.clear_layer();
  const auto met = [&](const NetStateRule& rule) { return meets(state, rule); };
  for (const auto& layer : net.layer()) {
    const auto& include = layer.include();
    const auto& exclude = layer.exclude();
    if (!include.empty() && !exclude.empty()) {
      fail("layer '{}' has both include and exclude rules; it may have only one kind",
           layer.name());
    }
    const bool kept = include.empty() ? std::none_of(exclude.begin(), exclude.end(), met)
                                      : std::any_of(include.begin(), include.end(), met);
    if (kept) *filtered.add_layer() = layer;
  }
  return filtered;
}

}  // namespace inure::caffe
