#include "kernels/random.h"

#include <cmath>
#include <numbers>

namespace tapestry {

std::array<double, 2> normal_pair(const Philox& philox, std::uint64_t counter) {
  const auto x = philox(counter);
  const std::uint64_t word0 = std::uint64_t{x[0]} << 32 | x[1], word1 = std::uint64_t{x[2]} << 32 | x[3];
  const double u = (static_cast<double>(word0 >> 11) + 1) * 0x1p-53;  // in (0, 1]
  const double radius = std::sqrt(-2 * std::log(u));
  const double angle = 2 * std::numbers::pi * static_cast<double>(word1 >> 11) * 0x1p-53;
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

}  // namespace tapestry
