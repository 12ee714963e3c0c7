#include "layers/init.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "kernels/error.h"

namespace tapestry {
namespace {

template <class Value>
Tensor fill(const Context& context, const Shape& shape, DType dtype, const Value& value) {
  Tensor tensor = context.empty(shape, dtype);
  visit_floating("initialize", dtype, [&]<class T>(T) {
    const std::span<T> out = tensor.span<T>();
    parallel_for(context.device().pool, out.size(), kernels::kGrain, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) out[i] = static_cast<T>(value(i));
    });
  });
  return tensor;
}

double lower_tail(double x) { return std::erfc(-x / std::numbers::sqrt2) / 2; }

// The x below which a standard normal number falls with probability p <= 1/2. Start: Winitzki's approximation of
// erf^-1 (2008); two Halley steps bring its 2e-3 to rounding.
double lower_quantile(double p) {
  const double log_term = std::log(4 * p * (1 - p));
  constexpr double kA = 0.147;  // his
  const double half = 2 / (std::numbers::pi * kA) + log_term / 2;
  double y = std::sqrt(std::max(0.0, std::sqrt(half * half - log_term / kA) - half));  // erfc(y) = 2p
  for (int i = 0; i < 2; ++i) {
    const double step = (std::erfc(y) - 2 * p) * std::exp(y * y) * std::sqrt(std::numbers::pi) / 2;
    y += step / (1 + y * step);
  }
  return -std::numbers::sqrt2 * y;
}

double quantile(double p) { return p <= 0.5 ? lower_quantile(p) : -lower_quantile(1 - p); }

Tensor truncated(const Context& context, const Shape& shape, DType dtype, const Philox& philox,
                 const TruncatedNormal& init) {
  if (!(init.std > 0) || !(init.low < init.high) || !std::isfinite(init.mean))
    throw ArgumentError(
        fmt::format("TruncatedNormal: needs std > 0 and low < high, got {}, {} and {}", init.std, init.low, init.high));
  double low = (init.low - init.mean) / init.std, high = (init.high - init.mean) / init.std;
  const double sign = low > 0 ? -1 : 1;  // mirrored: probabilities near 1 have lost the digits that those near 0 have
  if (low > 0) std::tie(low, high) = std::pair(-high, -low);
  const double first = lower_tail(low), width = lower_tail(high) - first;
  if (!(width > 0))
    throw ArgumentError(
        fmt::format("TruncatedNormal: [{}, {}] is too far from the mean {}", init.low, init.high, init.mean));
  return fill(context, shape, dtype, [&](std::size_t i) {
    const double x = quantile(first + width * (philox.uniform(i) + 0x1p-54));
    return std::clamp(init.mean + sign * init.std * x, init.low, init.high);
  });
}

Tensor uniform(const Context& context, const Shape& shape, DType dtype, const Philox& philox, double low, double high) {
  if (!(low <= high) || !std::isfinite(high - low))
    throw ArgumentError(fmt::format("Uniform: needs finite low <= high, got {} and {}", low, high));
  return fill(context, shape, dtype, [&](std::size_t i) { return low + (high - low) * philox.uniform(i); });
}

Tensor normal(const Context& context, const Shape& shape, DType dtype, const Philox& philox, double mean, double std) {
  if (!std::isfinite(mean) || !std::isfinite(std) || std < 0)
    throw ArgumentError(fmt::format("Normal: needs a finite mean and std >= 0, got {} and {}", mean, std));
  return fill(context, shape, dtype, [&](std::size_t i) { return mean + std * normal_pair(philox, i / 2)[i % 2]; });
}

// Makes the columns of q [columns][rows] orthonormal: Gram-Schmidt, each column twice, which is as exact as
// Householder's ("twice is enough", Giraud et al. 2005). The signs are those of a QR whose R has a positive diagonal.
void orthonormalize(std::vector<double>& q, std::size_t rows, std::size_t columns) {
  const auto column = [&](std::size_t j) { return std::span(q).subspan(j * rows, rows); };
  for (std::size_t j = 0; j < columns; ++j) {
    const std::span<double> x = column(j);
    for (int pass = 0; pass < 2; ++pass)
      for (std::size_t k = 0; k < j; ++k) {
        const std::span<const double> done = column(k);
        double dot = 0;
        for (std::size_t i = 0; i < rows; ++i) dot += done[i] * x[i];
        for (std::size_t i = 0; i < rows; ++i) x[i] -= dot * done[i];
      }
    double squares = 0;
    for (const double value : x) squares += value * value;
    for (double& value : x) value /= std::sqrt(squares);
  }
}

Tensor orthogonal(const Context& context, const Shape& shape, DType dtype, const Philox& philox, double gain) {
  if (shape.rank() < 2) throw ShapeError(fmt::format("Orthogonal: needs at least two axes, got {}", to_string(shape)));
  const auto columns = static_cast<std::size_t>(shape[-1]);
  const auto rows = static_cast<std::size_t>(shape.product(0, shape.rank() - 1));
  const std::size_t longer = std::max(rows, columns), shorter = std::min(rows, columns);
  std::vector<double> q(longer * shorter);
  for (std::size_t i = 0; i < q.size(); ++i) q[i] = normal_pair(philox, i / 2)[i % 2];
  orthonormalize(q, longer, shorter);
  return fill(context, shape, dtype, [&](std::size_t i) {
    const std::size_t row = i / columns, col = i % columns;
    return gain * (rows >= columns ? q[col * longer + row] : q[row * longer + col]);
  });
}

double fan_of(Fans fans, FanMode mode) {
  const double in = static_cast<double>(fans.in), out = static_cast<double>(fans.out);
  return mode == FanMode::fan_in ? in : mode == FanMode::fan_out ? out : (in + out) / 2;
}

// Numbers of mean 0 and this standard deviation.
Tensor scaled(const Context& context, const Shape& shape, DType dtype, const Philox& philox, Distribution distribution,
              double std) {
  if (shape.size() == 0) return context.empty(shape, dtype);
  if (!(std > 0) || !std::isfinite(std))
    throw ArgumentError(fmt::format(
        "initialize: {} has the standard deviation {}; fans, scale and gain must be positive", to_string(shape), std));
  if (distribution == Distribution::normal) return normal(context, shape, dtype, philox, 0, std);
  if (distribution == Distribution::uniform)
    return uniform(context, shape, dtype, philox, -std::numbers::sqrt3 * std, std::numbers::sqrt3 * std);
  constexpr double kLeft = 0.87962566103423978;  // standard deviation of a normal number cut at 2
  const double whole = std / kLeft;
  return truncated(context, shape, dtype, philox, {.mean = 0, .std = whole, .low = -2 * whole, .high = 2 * whole});
}

// The elements of `value`, repeated along its axes of size 1.
Tensor stretched(const Context& context, const Tensor& value, const Shape& shape, DType dtype) {
  Shape from = value.shape();
  while (from.rank() > shape.rank() && from[0] == 1) from = from.drop_front();
  const int missing = shape.rank() - from.rank();
  bool fits = value && missing >= 0;
  for (int i = 0; fits && i < from.rank(); ++i) fits = from[i] == 1 || from[i] == shape[i + missing];
  if (!fits)
    throw ShapeError(fmt::format("initialize: the given tensor {} does not broadcast to the parameter {}",
                                 to_string(value.shape()), to_string(shape)));
  const Tensor numbers = value.to(DType::float64);
  return fill(context, shape, dtype, [&](std::size_t i) {
    std::size_t index = 0, step = 1;
    for (int axis = from.rank() - 1; axis >= 0; --axis) {
      const auto size = static_cast<std::size_t>(shape[axis + missing]);
      if (from[axis] != 1) index += i % size * step;
      step *= static_cast<std::size_t>(from[axis]);
      i /= size;
    }
    return numbers.span<double>()[index];
  });
}

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};

}  // namespace

Fans fans_of(const Shape& shape) {
  if (shape.rank() == 0) return {};
  if (shape.rank() == 1) return {shape[0], 1};
  const std::int64_t field = shape.product(0, shape.rank() - 2);
  return {shape[-2] * field, shape[-1] * field};
}

double gain(Nonlinearity nonlinearity, double slope) {
  switch (nonlinearity) {
    case Nonlinearity::tanh:
      return 5.0 / 3;
    case Nonlinearity::relu:
      return std::numbers::sqrt2;
    case Nonlinearity::leaky_relu:
      return std::sqrt(2 / (1 + slope * slope));
    case Nonlinearity::selu:
      return 0.75;
    case Nonlinearity::linear:
    case Nonlinearity::sigmoid:
      break;
  }
  return 1;
}

Initializer default_initializer() { return Kaiming{.slope = std::sqrt(5.0)}; }

Tensor initialize(const Initializer& initializer, const Context& context, const Shape& shape, Fans fans,
                  std::uint64_t number, DType dtype) {
  const Philox philox(context.seed(), SeedStreams::kInitializers + number);
  const auto with_std = [&](Distribution distribution, double std) {
    return scaled(context, shape, dtype, philox, distribution, std);
  };
  return std::visit(
      Overloaded{
          [&](const Constant& init) { return context.full(shape, init.value, dtype); },
          [&](const Uniform& init) { return uniform(context, shape, dtype, philox, init.low, init.high); },
          [&](const Normal& init) { return normal(context, shape, dtype, philox, init.mean, init.std); },
          [&](const TruncatedNormal& init) { return truncated(context, shape, dtype, philox, init); },
          [&](const VarianceScaling& init) {
            return with_std(init.distribution, std::sqrt(init.scale / fan_of(fans, init.mode)));
          },
          [&](const Kaiming& init) {
            return with_std(init.distribution,
                            gain(init.nonlinearity, init.slope) / std::sqrt(fan_of(fans, init.mode)));
          },
          [&](const Xavier& init) {
            return with_std(init.distribution, init.gain / std::sqrt(fan_of(fans, FanMode::fan_avg)));
          },
          [&](const Lecun& init) { return with_std(init.distribution, 1 / std::sqrt(fan_of(fans, FanMode::fan_in))); },
          [&](const Orthogonal& init) { return orthogonal(context, shape, dtype, philox, init.gain); },
          [&](const Given& init) {
            if (init.value.shape() != shape || !init.value)
              throw ShapeError(fmt::format("initialize: the given tensor is {}, the parameter is {}",
                                           to_string(init.value.shape()), to_string(shape)));
            return init.value.dtype() == dtype ? init.value.clone() : init.value.to(dtype);
          },
          [&](const Stretched& init) { return stretched(context, init.value, shape, dtype); },
          [&](const ElementFunction& function) {
            if (!function) throw ArgumentError("initialize: the function is empty");
            Tensor tensor = context.empty(shape, dtype);
            visit_floating("initialize", dtype, [&]<class T>(T) {
              std::int64_t index = 0;
              for (T& value : tensor.span<T>()) value = static_cast<T>(function(index++));
            });
            return tensor;
          }},
      static_cast<const InitializerKinds&>(initializer));
}

}  // namespace tapestry
