#include "inure/errors/job_errors.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "inure/errors/product_table.hpp"

namespace inure {
namespace {

constexpr std::size_t kAhead = 24;  // segments that are fetched ahead

// Which keys are marked; `found` has room for one more.
std::size_t find_marked(std::span<const std::uint16_t> keys, const std::uint8_t* marks,
                        std::uint32_t* found) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    found[count] = static_cast<std::uint32_t>(i);
    count += marks[keys[i]];
  }
  return count;
}

}  // namespace

void JobErrors::reset(std::size_t jobs) {
  jobs_ = jobs;
  size_ = 0;
  job_ends_.clear();
  hits_.clear();
}

// Sorted by job, and still by key: counted, then put down.
void JobErrors::add(std::span<const Key> keys, const Errors& errors) {
  if (errors.count == 0) return;
  struct OfJob {
    std::uint32_t at, header, key, unused;  // 16 bytes: found by a shift
  };
  constexpr std::uint32_t kNone = ~0u;
  std::array<OfJob, WeightUses::kJobs> of_job;
  of_job.fill({0, 0, kNone, 0});
  const auto for_each = [&](const auto& visit) {
    std::size_t i = 0;
    for (const Key& key : keys) {
      for (; i < key.end; ++i) visit(of_job[errors.jobs[i]], key.key, i);
    }
  };
  for_each([](OfJob& job, std::uint32_t key, std::size_t) {
    if (job.key != key) job.at += kHeader;
    job.key = key;
    ++job.at;
  });
  job_ends_.push_back(static_cast<std::uint32_t>(size_));
  for (std::size_t job = 0; job < jobs_; ++job) {
    size_ += std::exchange(of_job[job].at, static_cast<std::uint32_t>(size_));
    job_ends_.push_back(static_cast<std::uint32_t>(size_));
  }
  if (words_.size() < size_) words_.resize(2 * size_);
  std::uint32_t* const words = words_.data();
  const auto end_segment = [&](const OfJob& job) {
    words[job.header] = job.key << 16 | (job.at - job.header - kHeader);
  };
  for (OfJob& job : of_job) job.key = kNone;
  for_each([&](OfJob& job, std::uint32_t key, std::size_t i) {
    if (job.key != key) {
      if (job.key != kNone) end_segment(job);
      job.header = job.at;
      job.at += kHeader;
      job.key = key;
    }
    words[job.at++] = errors.entries[i];
  });
  for (const OfJob& job : of_job) {
    if (job.key != kNone) end_segment(job);
  }
}

void JobErrors::find_hits(const ActivationPlanes& planes, std::span<const TapJob> jobs,
                          int images) {
  positions_ = static_cast<std::size_t>(planes.positions());
  const std::size_t positions = static_cast<std::size_t>(images) * positions_;
  ends_.assign(positions + 1, 0);
  for (std::size_t job = 0; job < jobs.size(); ++job) find_hits(planes, jobs[job], job, images);
  sort_hits(positions);
}

void JobErrors::find_hits(const ActivationPlanes& planes, const TapJob& job, std::size_t number,
                          int images) {
  thread_local std::vector<std::uint32_t> heads(ProductTable::kPairs), found;
  thread_local std::vector<std::uint8_t> marks(ProductTable::kPairs);  // which have a head
  std::uint32_t* const words = words_.data();
  const auto for_each_segment = [&](const auto& visit) {
    for (std::size_t i = number; i < job_ends_.size(); i += jobs_ + 1) {
      for (std::uint32_t at = job_ends_[i]; at < job_ends_[i + 1];) {
        const std::uint32_t size = kHeader + (words[at] & 0xFFFF);
        visit(at);
        at += size;
      }
    }
  };
  bool any = false;
  for_each_segment([&](std::uint32_t at) {
    const std::uint32_t key = words[at] >> 16;
    words[at + 1] = marks[key] == 0 ? 0 : heads[key];
    heads[key] = at + 1;
    marks[key] = 1;
    any = true;
  });
  if (!any) return;
  ActivationPlanes::Pairs pairs(planes, job);
  found.resize(positions_ + 1);
  const int columns = planes.columns();
  for (int n = 0; n < images; ++n) {
    const std::span<const std::uint16_t> keys = pairs.of_image(n);
    const std::size_t count = find_marked(keys, marks.data(), found.data());
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint16_t key = keys[found[i]];
      if (key == 0) {  // perhaps only for want of a step before
        const auto in_image = static_cast<int>(found[i]);
        if (!job.has_before(in_image / columns, in_image % columns)) continue;
      }
      const auto position = static_cast<std::uint32_t>(n * positions_ + found[i]);
      for (std::uint32_t s = heads[key]; s != 0; s = words[s]) {
        hits_.push_back({s - 1, position});
        ++ends_[position + 1];
      }
    }
  }
  for_each_segment([&](std::uint32_t at) { marks[words[at] >> 16] = 0; });
}

void JobErrors::sort_hits(std::size_t positions) {
  for (std::size_t i = 0; i < positions; ++i) ends_[i + 1] += ends_[i];
  segments_.resize(hits_.size() + kAhead);
  for (const Hit& hit : hits_) segments_[ends_[hit.position]++] = hit.segment;
}

void JobErrors::apply(std::span<const JobErrors> all, const Surroundings& around, int image,
                      std::uint32_t* sums) {
  const std::size_t positions = all[0].positions_;
  const int channel_bits = around.range().channel_bits, columns = around.columns();
  const std::uint32_t channel_mask = (1u << channel_bits) - 1;
  std::vector<std::uint32_t> nowhere(static_cast<std::size_t>(around.range().channels));
  std::vector<std::uint32_t*> outputs(static_cast<std::size_t>(around.range().distances()));
  std::uint32_t* const* const to = outputs.data();
  for (std::size_t i = 0; i < positions; ++i) {
    const std::size_t position = image * positions + i;
    const auto is_hit = [&](const JobErrors& e) { return !e.segments(position).empty(); };
    if (std::none_of(all.begin(), all.end(), is_hit)) continue;
    around.find(static_cast<int>(i) / columns, static_cast<int>(i) % columns, sums, nowhere.data(),
                outputs.data());
    for (const JobErrors& errors : all) {
      const std::uint32_t* const words = errors.words_.data();
      for (const std::uint32_t& segment : errors.segments(position)) {
        __builtin_prefetch(&words[(&segment)[kAhead]]);
        __builtin_prefetch(&words[(&segment)[kAhead] + 16]);
        const std::uint32_t* entry = words + segment + kHeader;
        const std::uint32_t* const last = entry + (words[segment] & 0xFFFF);
        for (; entry != last; ++entry) {
          to[(*entry & OutputRange::kOutput) >> channel_bits][*entry & channel_mask] +=
              static_cast<std::uint32_t>(static_cast<std::int32_t>(*entry) >> OutputRange::kBits);
        }
      }
    }
  }
}

}  // namespace inure
