#include "inure/pipecnn/lrn.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

namespace inure::pipecnn {
namespace {

// Segment a of the approximation: value at its lower end and slope, the tables of PipeCNN's lrn
// kernel.
constexpr int kSegments = 45;
constexpr float kC0[kSegments] = {
    9.98312401e-01f, 8.92383765e-01f, 8.69534866e-01f, 8.48001507e-01f, 8.27672857e-01f,
    8.08269896e-01f, 7.72814246e-01f, 7.40785193e-01f, 7.11686616e-01f, 6.84743320e-01f,
    6.38046300e-01f, 5.98139529e-01f, 5.63585746e-01f, 5.32842946e-01f, 4.82570938e-01f,
    4.42066574e-01f, 4.08721176e-01f, 3.80120836e-01f, 3.35733988e-01f, 3.01782553e-01f,
    2.74896454e-01f, 2.52503409e-01f, 2.19044754e-01f, 1.94367577e-01f, 1.75328514e-01f,
    1.59766323e-01f, 1.37073713e-01f, 1.20695464e-01f, 1.08253750e-01f, 9.81965345e-02f,
    8.37272488e-02f, 7.34111523e-02f, 6.56398695e-02f, 5.93964327e-02f, 5.04776032e-02f,
    4.41593533e-02f, 3.94211944e-02f, 3.56262849e-02f, 3.02252062e-02f, 2.64117530e-02f,
    2.35583854e-02f, 2.12767794e-02f, 1.80355644e-02f, 1.57509127e-02f, 1.40434261e-02f,
};
constexpr float kC1[kSegments] = {
    -1.07542919e-01f, -2.28535953e-02f, -2.15331066e-02f, -2.03286855e-02f, -1.92268508e-02f,
    -3.55023570e-02f, -3.20657642e-02f, -2.91245494e-02f, -2.65861837e-02f, -4.68257134e-02f,
    -3.99817597e-02f, -3.45887189e-02f, -3.02571264e-02f, -5.05149626e-02f, -4.06040782e-02f,
    -3.34413514e-02f, -2.80826706e-02f, -4.46757687e-02f, -3.40991637e-02f, -2.69894342e-02f,
    -2.19616650e-02f, -3.37238519e-02f, -2.48195600e-02f, -1.91265576e-02f, -1.52482883e-02f,
    -2.29016249e-02f, -1.64847560e-02f, -1.25042597e-02f, -9.85141038e-03f, -1.46114169e-02f,
    -1.03881575e-02f, -7.81187564e-03f, -6.11526810e-03f, -9.00946183e-03f, -6.36361270e-03f,
    -4.76376961e-03f, -3.71675305e-03f, -5.45684726e-03f, -3.84135330e-03f, -2.86894660e-03f,
    -2.23458481e-03f, -3.27498492e-03f, -2.30149338e-03f, -1.71686994e-03f, -1.33609904e-03f,
};

struct Segments {
  float start[kSegments], inverse_width[kSegments];
};

// Segment 0 ends at 2^13; then four equal segments between powers of two.
constexpr Segments make_segments() {
  Segments s{};
  s.start[0] = 1;
  s.inverse_width[0] = 1.22085215e-4f;
  for (int a = 1; a < kSegments; ++a) {
    const int e = 13 + (a - 1) / 4;
    const auto power = static_cast<float>(1 << e);
    s.start[a] = power * (1 + static_cast<float>((a - 1) % 4) / 4);
    s.inverse_width[a] = 4 / power;
  }
  return s;
}

constexpr Segments kSegmentTable = make_segments();

}  // namespace

std::int8_t lrn_value(float x, float s) {
  const auto bits = std::bit_cast<std::uint32_t>(s);
  const int e = static_cast<int>(bits >> 23) - 127;
  const std::uint32_t m = bits & 0x7FFFFF;
  const int a = e < 13 ? 0 : ((e - 13) << 2) + static_cast<int>(m >> 21) + 1;
  if (a >= kSegments) return 0;
  const float t = ((s - kSegmentTable.start[a]) * kSegmentTable.inverse_width[a]) * kC1[a] + kC0[a];
  return static_cast<std::int8_t>(std::nearbyint(std::min(t * x, 127.0f)));
}

void lrn(const std::int8_t* in, std::int64_t pixels, int channels, int fraction, std::int8_t* out) {
  constexpr int kReach = 2;
  std::vector<float> x(channels + 2 * kReach, 0.0f), squares(channels + 2 * kReach, 0.0f);
  const auto step = static_cast<float>(1 << -fraction);
  for (std::int64_t p = 0; p < pixels; ++p, in += channels, out += channels) {
    for (int c = 0; c < channels; ++c) {
      x[c] = static_cast<float>(in[c]) * step;
      squares[c + kReach] = x[c] * x[c];
    }
    for (int c = 0; c < channels; ++c) {
      const float* q = &squares[c];
      out[c] = lrn_value(x[c], q[0] + q[1] + q[2] + q[3] + q[4]);
    }
  }
}

}  // namespace inure::pipecnn
