#include "train/plot_axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tapestry::train {

Axis linear_axis(double low, double high) {
  const double widest = std::max(std::abs(low), std::abs(high));
  // Flat lines, and zeros alone, lie in the middle.
  if (high - low < 1e-6 * widest) low -= 0.1 * widest, high += 0.1 * widest;
  if (high - low < 1e-290) low -= 1, high += 1;
  const double size = std::max(std::abs(low), std::abs(high));
  const double raw = (high - low) / 5;  // about five ticks
  int exponent = static_cast<int>(std::floor(std::log10(raw)));
  const double digit = raw / std::pow(10, exponent);
  const double step = (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10) * std::pow(10, exponent);
  if (digit > 5) ++exponent;
  const double first = std::floor(low / step + 1e-9), last = std::ceil(high / step - 1e-9);
  Axis axis{first * step, last * step};
  const bool plain = size < 1e6 && exponent >= -4;
  const int significant = std::clamp(static_cast<int>(std::floor(std::log10(size))) - exponent, 0, 16);
  for (int i = 0; i <= static_cast<int>(last - first); ++i) {
    const double at = (first + i) * step + 0.0;  // no -0
    axis.ticks.push_back(
        {at, plain ? fmt::format("{:.{}f}", at, std::max(0, -exponent)) : fmt::format("{:.{}e}", at, significant)});
  }
  return axis;
}

Axis log2_axis(double low, double high) {
  if (std::floor(high) - std::ceil(low) < 1) low = std::floor(low), high = std::ceil(high);
  if (!(high > low)) low -= 1, high += 1;
  const int first = static_cast<int>(std::ceil(low)), last = static_cast<int>(std::floor(high));
  const int every = (last - first) / 10 + 1;
  const double margin = 0.04 * (high - low);  // so that marks at the ends lie inside
  Axis axis{low - margin, high + margin};
  for (int k = first; k <= last; k += every)
    axis.ticks.push_back(
        {static_cast<double>(k), k >= -6 && k <= 20 ? fmt::format("{}", std::exp2(k)) : fmt::format("2^{}", k)});
  return axis;
}

Axis log10_axis(double low, double high) {
  if (high - low < 1) low = std::floor(low), high = std::ceil(high);
  if (!(high > low)) low -= 1, high += 1;
  const int first = static_cast<int>(std::floor(low)), last = static_cast<int>(std::floor(high));
  const int every = (last - first) / 10 + 1;
  const double margin = 0.03 * (high - low);  // likewise
  Axis axis{low - margin, high + margin};
  for (int k = first; k <= last; k += every)
    for (const int digit : {1, 2, 5}) {
      const double at = k + std::log10(digit);
      if ((digit == 1 || high - low < 2) && at >= axis.low && at <= axis.high)
        axis.ticks.push_back({at, k >= -4 && k < 6 ? fmt::format("{:.{}f}", digit * std::pow(10, k), std::max(0, -k))
                                                   : fmt::format("{}e{}", digit, k)});
    }
  return axis;
}

}  // namespace tapestry::train
