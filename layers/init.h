// How parameters get their first numbers. Every number is a function of (seed, parameter, index), so a model starts the
// same on any machine and thread count. Fans follow the layout [..., in, out]: fan_in = in * the product of the axes
// before it (the receptive field), fan_out likewise.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <variant>

#include "autodiff/context.h"

namespace tapestry {

struct Fans {
  std::int64_t in = 1, out = 1;
};
Fans fans_of(const Shape& shape);  // of a vector [n]: in = n, out = 1

enum class FanMode { fan_in, fan_out, fan_avg };
enum class Distribution { uniform, normal, truncated_normal };
enum class Nonlinearity { linear, sigmoid, tanh, relu, leaky_relu, selu };

// By how much a layer's weights are scaled so that its output keeps its variance: 1, 1, 5/3, sqrt(2),
// sqrt(2 / (1 + slope^2)), 3/4 (torch.nn.init.calculate_gain).
double gain(Nonlinearity nonlinearity, double slope = 0.01);

struct Constant {
  double value = 0;
};
struct Uniform {  // in [low, high)
  double low = 0, high = 1;
};
struct Normal {
  double mean = 0, std = 1;
};
struct TruncatedNormal {  // normal numbers that fell into [low, high]
  double mean = 0, std = 1, low = -2, high = 2;
};
// Variance scale / fan (jax.nn.initializers.variance_scaling). A truncated normal is cut at two standard deviations of
// the normal it comes from, and scaled so that the variance holds after the cut.
struct VarianceScaling {
  double scale = 1;
  FanMode mode = FanMode::fan_in;
  Distribution distribution = Distribution::truncated_normal;
};
// Standard deviation gain(nonlinearity, slope) / sqrt(fan); uniform numbers lie within sqrt(3) of it.
// He et al., ICCV 2015; torch.nn.init.kaiming_uniform_ and kaiming_normal_.
struct Kaiming {
  Distribution distribution = Distribution::uniform;
  FanMode mode = FanMode::fan_in;
  Nonlinearity nonlinearity = Nonlinearity::leaky_relu;
  double slope = 0;  // of leaky_relu
};
// Standard deviation gain * sqrt(2 / (fan_in + fan_out)). Glorot and Bengio, AISTATS 2010.
struct Xavier {
  Distribution distribution = Distribution::uniform;
  double gain = 1;
};
// Standard deviation sqrt(1 / fan_in). LeCun et al., "Efficient backprop", 1998.
struct Lecun {
  Distribution distribution = Distribution::truncated_normal;
};
// As a matrix [product of the axes before the last, last]: orthonormal columns, or rows where there are fewer of them,
// times gain. Saxe et al., ICLR 2014.
struct Orthogonal {
  double gain = 1;
};
// A tensor of exactly the parameter's shape.
struct Given {
  Tensor value;
};
// A tensor that broadcasts to the parameter's shape, after leading axes of size 1 that the parameter has not.
struct Stretched {
  Tensor value;
};
// Numbers from the user: called with the index of each element.
using ElementFunction = std::function<double(std::int64_t index)>;

using InitializerKinds = std::variant<Constant, Uniform, Normal, TruncatedNormal, VarianceScaling, Kaiming, Xavier,
                                      Lecun, Orthogonal, Given, Stretched, ElementFunction>;

// One of the kinds above; a number is a Constant, a tensor is Given.
struct Initializer : InitializerKinds {
  using InitializerKinds::variant;
  Initializer(double value) : variant(Constant{value}) {}          // NOLINT: implicit
  Initializer(Tensor value) : variant(Given{std::move(value)}) {}  // NOLINT: implicit
};

// What Linear and the convolutions start with, weights and biases: uniform within 1 / sqrt(fan_in) (PyTorch's default).
Initializer default_initializer();

// The first numbers of parameter `number`. ArgumentError for impossible options (a negative deviation, an empty
// interval, fans of zero, an element type other than float32 and float64 but for a Constant), ShapeError when a tensor
// does not fit.
Tensor initialize(const Initializer& initializer, const Context& context, const Shape& shape, Fans fans,
                  std::uint64_t number, DType dtype = DType::float32);

}  // namespace tapestry
