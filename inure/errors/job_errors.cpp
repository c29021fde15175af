#include "inure/errors/job_errors.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "inure/base/clones.hpp"
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

// The sums of the outputs around an input's position.
class Surroundings {
 public:
  Surroundings(const LaneGeometry& g, const OutputRange& range, int rows, int columns,
               std::uint32_t* sums)
      : first_(sums + range.first), nowhere_(static_cast<std::size_t>(range.channels)) {
    const int distances = range.distances(), sides = range.sides;
    pixel_ = std::int64_t{g.channels};
    row_ = g.width * pixel_;
    for (int d = 0; d < distances; ++d) {
      offsets_.push_back(address(-(d / sides * row_ + d % sides * pixel_)));
    }
    const auto mask = [](int at, int size) {
      return at >= 0 && at < size ? ~std::uintptr_t{0} : std::uintptr_t{0};
    };
    for (int row = 0; row < rows; ++row) {
      for (int d = 0; d < distances; ++d) rows_.push_back(mask(row - d / sides, g.height));
    }
    for (int column = 0; column < columns; ++column) {
      for (int d = 0; d < distances; ++d) columns_.push_back(mask(column - d % sides, g.width));
    }
    outputs_.resize(offsets_.size());
  }

  // By distance: the first of an output's sums, or what may be written where there is no output.
  std::uint32_t* const* of(int row, int column) {
    const std::size_t count = offsets_.size();
    find(rows_.data() + static_cast<std::size_t>(row) * count,
         columns_.data() + static_cast<std::size_t>(column) * count, offsets_.data(), count,
         reinterpret_cast<std::uintptr_t>(first_) + address(row * row_ + column * pixel_),
         reinterpret_cast<std::uintptr_t>(nowhere_.data()), outputs_.data());
    return outputs_.data();
  }

 private:
  // Addresses are integers, and whether there is an output is a mask: the loop is all vectors.
  static std::uintptr_t address(std::int64_t sums) {
    return static_cast<std::uintptr_t>(sums * std::int64_t{sizeof(std::uint32_t)});
  }
  static void find(const std::uintptr_t* rows, const std::uintptr_t* columns,
                   const std::uintptr_t* offsets, std::size_t count, std::uintptr_t here,
                   std::uintptr_t nowhere, std::uint32_t** outputs);

  std::uint32_t* first_;
  std::vector<std::uint32_t> nowhere_;
  std::int64_t pixel_, row_;  // in sums
  std::vector<std::uintptr_t> offsets_;
  std::vector<std::uintptr_t> rows_, columns_;  // [row][distance]: all ones where there is one
  std::vector<std::uint32_t*> outputs_;
};

INURE_CLONES
void Surroundings::find(const std::uintptr_t* rows, const std::uintptr_t* columns,
                        const std::uintptr_t* offsets, std::size_t count, std::uintptr_t here,
                        std::uintptr_t nowhere, std::uint32_t** outputs) {
  for (std::size_t d = 0; d < count; ++d) {
    const std::uintptr_t inside = rows[d] & columns[d];
    outputs[d] =
        reinterpret_cast<std::uint32_t*>(((here + offsets[d]) & inside) | (nowhere & ~inside));
  }
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
    std::uint32_t at, header, key, unused;
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
  columns_ = planes.columns();
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
  for (int n = 0; n < images; ++n) {
    const std::span<const std::uint16_t> keys = pairs.of_image(n);
    const std::size_t count = find_marked(keys, marks.data(), found.data());
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint16_t key = keys[found[i]];
      if (key == 0) {  // perhaps only for want of a step before
        const auto in_image = static_cast<int>(found[i]);
        if (!job.has_before(in_image / columns_, in_image % columns_)) continue;
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

void JobErrors::apply(std::span<const JobErrors> all, const LaneGeometry& g,
                      const OutputRange& range, int image, std::uint32_t* sums) {
  const std::size_t positions = all[0].positions_;
  const int channel_bits = range.channel_bits, columns = all[0].columns_;
  const std::uint32_t channel_mask = (1u << channel_bits) - 1;
  Surroundings around(g, range, static_cast<int>(positions) / columns, columns, sums);
  for (std::size_t i = 0; i < positions; ++i) {
    const std::size_t position = image * positions + i;
    const auto is_hit = [&](const JobErrors& e) { return !e.segments(position).empty(); };
    if (std::none_of(all.begin(), all.end(), is_hit)) continue;
    std::uint32_t* const* const to =
        around.of(static_cast<int>(i) / columns, static_cast<int>(i) % columns);
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
