#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "bench/libraries/variants.h"

namespace tapestry::bench {
namespace {

using Exact = long double;

struct Range {
  float low, high;
};

// Of x. Where the exact result leaves the normal floats, a unit in the last place means nothing.
Range range_of(Kernel kernel) {
  switch (kernel) {
    case Kernel::exp:
      return {-87, 88};
    case Kernel::log:
    case Kernel::sqrt:
      return {std::numeric_limits<float>::min(), std::numeric_limits<float>::max()};
    case Kernel::tanh:
      return {-10, 10};
    case Kernel::erf:
      return {-4, 4};
    case Kernel::sigmoid:
    case Kernel::silu:
    case Kernel::softplus:
      return {-80, 80};
    case Kernel::relu:
      return {-1000, 1000};
    case Kernel::gelu:
      return {-5, 5};
    case Kernel::softmax:
      return {-8, 8};
    default:
      return {0.5f, 2};  // all of one sign: a sum that cancels has no digits to compare
  }
}

Exact exactly(Kernel kernel, Exact x) {
  switch (kernel) {
    case Kernel::exp:
      return std::exp(x);
    case Kernel::log:
      return std::log(x);
    case Kernel::sqrt:
      return std::sqrt(x);
    case Kernel::tanh:
      return std::tanh(x);
    case Kernel::erf:
      return std::erf(x);
    case Kernel::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Kernel::silu:
      return x / (1 + std::exp(-x));
    case Kernel::softplus:
      return std::max<Exact>(x, 0) + std::log1p(std::exp(-std::abs(x)));
    case Kernel::gelu:
      return 0.5L * x * std::erfc(-x / std::sqrt(2.0L));
    default:
      return std::max<Exact>(x, 0);
  }
}

// Floats in order: those below zero mirrored.
std::int64_t order_of(float x) {
  const auto bits = std::bit_cast<std::int32_t>(x);
  return bits < 0 ? std::int64_t{std::numeric_limits<std::int32_t>::min()} - bits : bits;
}
float at_order(std::int64_t order) {
  return std::bit_cast<float>(
      static_cast<std::int32_t>(order < 0 ? std::int64_t{std::numeric_limits<std::int32_t>::min()} - order : order));
}

constexpr std::size_t kSample = (1 << 19) + 7;  // of each kind; no multiple of any vector

// One half lies evenly, the other one evenly among the floats, where most are small.
std::vector<float> sample_of(Kernel kernel) {
  const Range range = range_of(kernel);
  const std::int64_t low = order_of(range.low), high = order_of(range.high);
  std::vector<float> x(2 * kSample);
  for (std::size_t i = 0; i < kSample; ++i) {
    const double part = static_cast<double>(i) / (kSample - 1);
    x[2 * i] = static_cast<float>((1 - part) * range.low + part * range.high);
    x[2 * i + 1] = at_order(low + static_cast<std::int64_t>(part * static_cast<double>(high - low)));
  }
  return x;
}

// What goes in and what must come out.
struct Sample {
  std::vector<float> x = {}, y = {}, out = {}, mean = {}, square = {};
  std::vector<Exact> want = {};
};

std::vector<Exact> wanted(Kernel kernel, const Sample& s) {
  const std::size_t size = s.x.size();
  std::vector<Exact> want(size);
  if (kernel == Kernel::sum || kernel == Kernel::dot) {
    Exact sum = 0;
    for (std::size_t i = 0; i < size; ++i) sum += kernel == Kernel::dot ? Exact{s.x[i]} * s.y[i] : Exact{s.x[i]};
    return {sum};
  }
  for (std::size_t i = 0; i < size; ++i) {
    if (kernel == Kernel::axpy) {
      want[i] = s.out[i] + Exact{kFactor} * s.x[i];
    } else if (kernel == Kernel::adam) {
      const Exact g = s.x[i], mean = s.mean[i] + Exact{kTakeMean} * (g - s.mean[i]);
      const Exact square = s.square[i] + Exact{kTakeSquare} * (g * g - s.square[i]);
      want[i] = s.out[i] - kRate * mean / (kRoot * std::sqrt(square) + kEps);
    } else if (kernel != Kernel::softmax) {
      want[i] = exactly(kernel, s.x[i]);
    }
  }
  for (std::size_t row = 0; kernel == Kernel::softmax && row < size; row += kColumns) {
    const std::size_t end = std::min(size, row + kColumns);
    const Exact most = *std::max_element(s.x.begin() + static_cast<std::ptrdiff_t>(row),
                                         s.x.begin() + static_cast<std::ptrdiff_t>(end));
    Exact sum = 0;
    for (std::size_t i = row; i < end; ++i) sum += want[i] = std::exp(s.x[i] - most);
    for (std::size_t i = row; i < end; ++i) want[i] /= sum;
  }
  return want;
}

Sample make_sample(Kernel kernel, std::size_t size) {
  Sample s{.x = sample_of(kernel)};
  s.x.resize(std::min(size, s.x.size()));
  const std::size_t count = s.x.size();
  s.y.assign(s.x.rbegin(), s.x.rend());
  s.out.assign(count, 0.75f);
  s.mean.assign(count, 0.25f);
  s.square.assign(count, 0.5f);
  s.want = wanted(kernel, s);
  return s;
}

double error_of(float got, Exact want) {
  const int exponent = want == 0 ? -126 : std::max(-126, std::ilogb(want));
  const Exact error = std::abs(got - want) / std::ldexp(Exact{1}, exponent - 23);
  return std::isnan(error) ? std::numeric_limits<double>::infinity() : static_cast<double>(error);
}

double error_over(const Variant& variant, const Sample& sample) {
  constexpr float kGuard = 123456;
  constexpr std::size_t kAside = 1;  // no vector is aligned
  const std::size_t size = sample.x.size();
  std::array<std::vector<float>, 5> memory;
  const std::vector<float>* from[] = {&sample.x, &sample.y, &sample.out, &sample.mean, &sample.square};
  for (std::size_t i = 0; i < memory.size(); ++i) {
    memory[i].assign(size + 64, kGuard);
    std::ranges::copy(*from[i], memory[i].begin() + kAside);
  }
  const auto at = [&](std::size_t i) { return memory[i].data() + kAside; };
  variant.run({at(0), at(1), at(2), at(3), at(4)}, size);
  double worst = 0;
  for (std::size_t i = 0; i < sample.want.size(); ++i) worst = std::max(worst, error_of(at(2)[i], sample.want[i]));
  for (const auto& each : memory)
    for (std::size_t i = kAside + size; i < each.size(); ++i)
      if (each[i] != kGuard) return std::numeric_limits<double>::infinity();
  return worst;
}

}  // namespace

double ulp_error(const Variant& variant) {
  static std::vector<Sample> samples(kKernels);
  Sample& large = samples[static_cast<std::size_t>(variant.kernel)];
  if (large.x.empty()) large = make_sample(variant.kernel, 2 * kSample);
  double worst = error_over(variant, large);
  for (const std::size_t size :
       std::initializer_list<std::size_t>{1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 67, 127, 129, 255, 257})
    worst = std::max(worst, error_over(variant, make_sample(variant.kernel, size)));
  return worst;
}

double ulp_bound(Kernel kernel, std::string_view library) {
  struct Bounds {
    double highway, xsimd, plain, fast_math, tapestry;
  };
  constexpr Bounds bounds[kKernels] = {
      {1, 1.5, 0.6, 4, 1.5},           // exp
      {1, 1, 1, 4, 1},                 // log
      {0.5, 0.5, 0.5, 4, 0.5},         // sqrt
      {3, 1.5, 2.5, 4, 2.5},           // tanh
      {0, 2.5, 1, 4, 2.5},             // erf
      {2.5, 2.5, 2.5, 5, 2.5},         // sigmoid
      {0, 0, 0, 0, 0},                 // relu
      {2.5, 2.5, 2.5, 6, 2.5},         // silu
      {3, 2, 1.5, 3, 2},               // softplus
      {0, 35, 25, 35, 35},             // gelu: rounding -x / sqrt 2 is all of it
      {60, 10, 5000, 200, 0.5},        // sum: of a million terms, in as many sums as there are
      {500, 50, 25'000, 500, 25'000},  // dot
      {0.75, 0.75, 0.75, 0.75, 0.75},  // axpy
      {50, 15, 50, 20, 8},             // softmax
      {0.51, 0.51, 0.51, 0.51, 0.51},  // adam
  };
  const Bounds& found = bounds[static_cast<int>(kernel)];
  if (library == "highway") return found.highway;
  if (library == "xsimd") return found.xsimd;
  if (library == "plain") return found.plain;
  return library == "fast-math" ? found.fast_math : found.tapestry;
}

std::string sample_text(Kernel kernel) {
  const Range range = range_of(kernel);
  return fmt::format("[{:.4g}, {:.4g}]", range.low, range.high);
}

}  // namespace tapestry::bench
