#include "inure/network/stage_groups.hpp"

#include <fmt/format.h>

#include <map>

namespace inure {
namespace {

using Readers = std::map<const Value*, std::vector<std::size_t>>;

Readers readers_of(const Network& network) {
  Readers readers;
  for (std::size_t i = 0; i < network.nodes().size(); ++i) {
    for (const Value* bottom : network.nodes()[i].bottoms) readers[bottom].push_back(i);
  }
  return readers;
}

// Builds one group at a time.
class Finder {
 public:
  Finder(const Network& network, std::vector<PlacementNote>& notes)
      : nodes_(network.nodes()), readers_(readers_of(network)), notes_(notes) {}

  std::optional<StageGroup> group_at(std::size_t head) {
    StageGroup group;
    group.head = head;
    const std::string& type = layer(head).type();
    std::optional<std::string> reason;
    if (type == "Convolution" || type == "ConvolutionFloat") {
      reason = read_convolution(head, group.spec);
    } else if (type == "InnerProduct" || type == "InnerProductFloat") {
      reason = read_inner_product(head, group.spec);
    } else {
      return std::nullopt;
    }
    group.spec.name = layer(head).name();
    if (reason) {
      notes_.push_back({layer(head).name(), *reason});
      return std::nullopt;
    }
    std::size_t last = head;
    if (const auto next = only_reader(last); next && is_plain_relu(*next)) {
      group.relu = last = *next;
      group.spec.relu = true;
    }
    if (const auto next = only_reader(last); next && layer(*next).type() == "Pooling") {
      if (const auto why = read_pooling(*next, group.spec)) {
        notes_.push_back({layer(*next).name(), *why});
      } else {
        group.pool = last = *next;
      }
    }
    if (const auto next = only_reader(last); next && layer(*next).type() == "LRN") {
      if (const auto why = read_lrn(*next, group.spec)) {
        notes_.push_back({layer(*next).name(), *why});
      } else {
        group.lrn = *next;
      }
    }
    return group;
  }

 private:
  const Layer& layer(std::size_t i) const { return *nodes_[i].layer; }

  std::optional<std::size_t> only_reader(std::size_t i) const {
    if (nodes_[i].tops.size() != 1) return std::nullopt;
    const auto found = readers_.find(nodes_[i].tops[0]);
    if (found == readers_.end() || found->second.size() != 1) return std::nullopt;
    return found->second[0];
  }

  bool is_plain_relu(std::size_t i) const {
    return layer(i).type() == "ReLU" && layer(i).parameter().relu_param().negative_slope() == 0;
  }

  std::optional<std::string> read_convolution(std::size_t i, StageSpec& s) const {
    const auto& p = layer(i).parameter().convolution_param();
    const auto& in = nodes_[i].bottoms[0]->shape;
    const auto& out = nodes_[i].tops[0]->shape;
    if (nodes_[i].bottoms.size() != 1) return "it has several bottoms";
    for (const std::uint32_t d : p.dilation()) {
      if (d != 1) return fmt::format("its dilation is {}; accelerators have 1", d);
    }
    const auto both = [](const auto& given, bool has_h, int h, bool has_w, int w, int absent) {
      std::pair<int, int> pair(has_h ? h : absent, has_w ? w : absent);
      if (given.size() > 0) pair = {given.Get(0), given.Get(given.size() - 1)};
      return pair;
    };
    const auto kernel =
        both(p.kernel_size(), p.has_kernel_h(), p.kernel_h(), p.has_kernel_w(), p.kernel_w(), 0);
    const auto stride =
        both(p.stride(), p.has_stride_h(), p.stride_h(), p.has_stride_w(), p.stride_w(), 1);
    const auto pad = both(p.pad(), p.has_pad_h(), p.pad_h(), p.has_pad_w(), p.pad_w(), 0);
    if (kernel.first != kernel.second) {
      return fmt::format("its kernel is {}x{}; accelerators have square ones", kernel.first,
                         kernel.second);
    }
    if (stride.first != stride.second || pad.first != pad.second) {
      return "its stride or padding differs between height and width";
    }
    s.in_channels = static_cast<int>(in[1]);
    s.in_height = static_cast<int>(in[2]), s.in_width = static_cast<int>(in[3]);
    s.out_channels = static_cast<int>(out[1]);
    s.kernel = kernel.first, s.stride = stride.first, s.pad = pad.first;
    s.groups = static_cast<int>(p.group());
    return std::nullopt;
  }

  // Fully connected: a convolution whose kernel covers the map; a map that is not square is one
  // long vector.
  std::optional<std::string> read_inner_product(std::size_t i, StageSpec& s) const {
    const auto& p = layer(i).parameter().inner_product_param();
    const auto& in = nodes_[i].bottoms[0]->shape;
    if (p.axis() != 1 || in.size() < 2) return "its axis is not 1";
    if (p.transpose()) return "its weights are transposed";
    std::int64_t inputs = 1;
    for (std::size_t d = 1; d < in.size(); ++d) inputs *= in[d];
    const bool square = in.size() == 4 && in[2] == in[3];
    s.in_channels = static_cast<int>(square ? in[1] : inputs);
    s.in_height = s.in_width = s.kernel = square ? static_cast<int>(in[2]) : 1;
    s.out_channels = static_cast<int>(p.num_output());
    return std::nullopt;
  }

  std::optional<std::string> read_pooling(std::size_t i, StageSpec& s) const {
    const auto& p = layer(i).parameter().pooling_param();
    const auto& in = nodes_[i].bottoms[0]->shape;
    const auto& out = nodes_[i].tops[0]->shape;
    if (p.pool() != caffe::PoolingParameter::MAX) return "accelerators pool the maximum only";
    if (in.size() != 4 || p.global_pooling()) return "accelerators do not pool globally";
    const bool has_window = p.has_kernel_h() || p.has_kernel_w() || p.has_stride_h() ||
                            p.has_stride_w() || p.has_pad_h() || p.has_pad_w();
    if (has_window) return "its window is given for height and width apart";
    if (p.pad() != 0) return fmt::format("its padding is {}; accelerators have 0", p.pad());
    const MaxPooling pool{static_cast<int>(p.kernel_size()), static_cast<int>(p.stride())};
    for (const std::size_t axis : {2, 3}) {
      if (in[axis] < pool.size) return "its window is larger than the map";
      if ((in[axis] - pool.size) / pool.stride + 1 != out[axis]) {
        return fmt::format(
            "Caffe pools {} to {} values (ceil mode), an accelerator drops the last window (floor "
            "mode)",
            in[axis], out[axis]);
      }
    }
    s.pool = pool;
    return std::nullopt;
  }

  std::optional<std::string> read_lrn(std::size_t i, StageSpec& s) const {
    const auto& p = layer(i).parameter().lrn_param();
    if (p.norm_region() != caffe::LRNParameter::ACROSS_CHANNELS) {
      return "accelerators normalise across channels only";
    }
    if (p.local_size() != 5 || p.alpha() != 1e-4f || p.beta() != 0.75f || p.k() != 1.0f) {
      return "accelerators normalise with local_size 5, alpha 1e-4, beta 0.75, k 1 only";
    }
    s.lrn = true;
    return std::nullopt;
  }

  const std::vector<Network::Node>& nodes_;
  Readers readers_;
  std::vector<PlacementNote>& notes_;
};

}  // namespace

std::vector<std::size_t> StageGroup::nodes() const {
  std::vector<std::size_t> all{head};
  for (const auto& part : {relu, pool, lrn}) {
    if (part) all.push_back(*part);
  }
  return all;
}

std::vector<StageGroup> find_stage_groups(const Network& network,
                                          std::vector<PlacementNote>& notes) {
  Finder finder(network, notes);
  std::vector<StageGroup> groups;
  for (std::size_t i = 0; i < network.nodes().size(); ++i) {
    if (auto group = finder.group_at(i)) groups.push_back(std::move(*group));
  }
  return groups;
}

std::optional<StageGroup> fit(StageGroup group, int frac_w, int frac_in, int frac_out,
                              const Accelerator& accelerator, std::vector<PlacementNote>& notes) {
  StageSpec& s = group.spec;
  s.frac_w = frac_w, s.frac_in = frac_in, s.frac_out = frac_out;
  std::optional<std::string> reason = accelerator.why_not(s);
  if (reason && group.lrn) {
    const std::string with_lrn = *reason;
    s.lrn = false;
    group.lrn.reset();
    reason = accelerator.why_not(s);
    notes.push_back({s.name, "its LRN runs on the host: " + with_lrn});
  }
  if (reason && group.pool) {
    const std::string with_pool = *reason;
    s.pool.reset();
    group.pool.reset();
    reason = accelerator.why_not(s);
    if (!reason) notes.push_back({s.name, "its pooling runs on the host: " + with_pool});
  }
  if (!reason) return group;
  notes.push_back({s.name, *reason});
  return std::nullopt;
}

}  // namespace inure
