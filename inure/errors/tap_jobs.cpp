#include "inure/errors/tap_jobs.hpp"

#include <algorithm>

namespace inure {
namespace {

TapJob make_job(const LaneGeometry& g, TapJob job, int height, int width) {
  const int k = g.kernel, s = g.stride;
  const int used_height = std::min(height, (g.height - 1) * s + k);
  const int used_width = std::min(width, (g.width - 1) * s + k);
  job.end_row = (used_height - job.phase_y + s - 1) / s;
  job.end_column = (used_width - job.phase_x + s - 1) / s;
  job.last_down = (k - 1 - job.phase_y) / s;
  job.last_right = (k - 1 - job.phase_x) / s;
  job.c_before = job.c;
  job.dy = job.dx = k - 1;
  switch (job.before) {
    case TapJob::Before::kLeft:
      job.dy = 0, job.dx = -1;
      job.first_column = job.phase_x == 0;
      return job;
    case TapJob::Before::kRowAbove:
      job.dy = -1;
      job.first_row = job.phase_y == 0;
      job.end_column = g.width;
      job.last_right = 0;
      return job;
    case TapJob::Before::kVector:
      job.c_before -= g.vec_size;
      break;
    case TapJob::Before::kPixel:
      job.c_before += (channel_vectors(g) - 1) * g.vec_size;
      job.dx -= s;
      break;
  }
  job.end_row = g.height, job.end_column = g.width;
  job.last_down = job.last_right = 0;
  return job;
}

}  // namespace

std::vector<TapJob::Tap> TapJob::taps(const LaneGeometry& g) const {
  const int s = g.stride, end = g.kernel - 1;
  std::vector<Tap> all;
  for (int ky = phase_y; ky <= phase_y + last_down * s; ky += s) {
    for (int kx = phase_x; kx <= phase_x + last_right * s; kx += s) {
      if (before == Before::kLeft) {
        if (kx > 0) all.push_back({ky, kx, ky, kx - 1});
      } else if (before == Before::kRowAbove) {
        if (ky > 0) all.push_back({ky, kx, ky - 1, end});
      } else {
        all.push_back({ky, kx, end, end});
      }
    }
  }
  return all;
}

std::vector<TapJob> tap_jobs(const LaneGeometry& g, int groups, int multiplier, int height,
                             int width) {
  using Before = TapJob::Before;
  const int channels = channel_vectors(g) * g.vec_size, phases = std::min(g.stride, g.kernel);
  const auto has_taps = [&](int phase) { return g.kernel > (phase == 0 ? g.stride : phase); };
  std::vector<TapJob> all;
  const auto add = [&](int group, int c, Before before, int phase_y, int phase_x) {
    TapJob job;
    job.group = group, job.c = c, job.before = before;
    job.phase_y = phase_y, job.phase_x = phase_x;
    all.push_back(make_job(g, job, height, width));
  };
  for (int group = 0; group < groups; ++group) {
    for (int c = multiplier; c < channels; c += g.vec_size) {
      add(group, c, c == multiplier ? Before::kPixel : Before::kVector, 0, 0);
      if (c >= g.group_channels) continue;  // zeros follow zeros
      for (int y = 0; y < phases; ++y) {
        if (has_taps(y)) add(group, c, Before::kRowAbove, y, 0);
        for (int x = 0; x < phases; ++x) {
          if (has_taps(x)) add(group, c, Before::kLeft, y, x);
        }
      }
    }
  }
  return all;
}

}  // namespace inure
