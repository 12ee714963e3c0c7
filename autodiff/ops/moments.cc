#include "autodiff/ops/moments.h"

#include <array>
#include <cmath>
#include <utility>

#include "autodiff/cost.h"
#include "autodiff/ops/cast.h"
#include "autodiff/ops/norm_operands.h"
#include "autodiff/ops/normalize.h"
#include "autodiff/ops/reshape.h"
#include "autodiff/ops/row_order.h"
#include "autodiff/ops/shape.h"

namespace tapestry {
namespace {

using detail::RowOrder;
using kernels::Device;
using kernels::GeneralNormDims;

constexpr OpInfo kMoments("moments", elementwise_cost<Saved::inputs>),
    kNormalizeWith("normalize_with", detail::norm_cost);

// [rows, columns], float64: values(row) are the numbers of a row.
template <std::size_t kColumns, class Values>
Tensor table(const Tensor& like, std::size_t rows, const Values& values) {
  Tensor table = like.like({static_cast<std::int64_t>(rows), static_cast<std::int64_t>(kColumns)}, DType::float64);
  const auto to = table.span<double>();
  for (std::size_t row = 0; row < rows; ++row) {
    const std::array<double, kColumns> numbers = values(row);
    for (std::size_t i = 0; i < kColumns; ++i) to[kColumns * row + i] = numbers[i];
  }
  return table;
}

// (mean, variance) of each row of x [rows, n], as float64 [rows, 2].
Var row_moments(const GeneralNormDims& dims, const Var& x, const Tensor& mask, const detail::ReplicaMean& replicas,
                const Location& where) {
  const Device& device = x.device();
  const Tensor stats = detail::row_statistics(kMoments.name, dims, x, mask, replicas);
  const auto found = stats.span<double>();
  const Tensor y = table<2>(stats, dims.rows, [&](std::size_t row) -> std::array<double, 2> {
    return {found[3 * row], found[3 * row + 1]};
  });
  // dx = (dmean + 2 dvariance (x - mean)) / count is what a norm with a deviation of 1 takes away from dy.
  const Tensor plain = table<3>(stats, dims.rows, [&](std::size_t row) -> std::array<double, 3> {
    return {found[3 * row], 1, found[3 * row + 2]};
  });
  return record(kMoments, y, {x}, where,
                [&device, dims, replicas, x = x.value(), mask, plain](const Tensor& dy, GradSlots grads) {
                  Tensor products = dy.clone();
                  const auto values = products.span<double>();
                  if (replicas) replicas(values);
                  const auto n = static_cast<double>(dims.n);
                  for (std::size_t row = 0; row < dims.rows; ++row) {
                    values[2 * row] /= -n;
                    values[2 * row + 1] /= -n / 2;
                  }
                  Tensor dx = grads.overwrite(0), nothing = x.like();
                  if (!dx) return;
                  nothing.fill(0);
                  visit_floating(kMoments.name, x.dtype(), [&]<class T>(T) {
                    kernels::norm_gradient(device, dims,
                                           {.x = x.span<T>(),
                                            .mask = mask.span<T>(),
                                            .stats = plain.span<double>(),
                                            .products = values,
                                            .dy = std::as_const(nothing).span<T>(),
                                            .dx = dx.span<T>()});
                  });
                });
}

// x [rows, n] by given statistics [rows].
Var normalize_rows(const GeneralNormDims& dims, const Var& x, const Var& mean, const Var& variance, const Var& weight,
                   const Var& bias, const Location& where) {
  const Device& device = x.device();
  const auto means = mean.value().span<double>(), variances = variance.value().span<double>();
  const Tensor stats = table<3>(x.value(), dims.rows, [&](std::size_t row) -> std::array<double, 3> {
    return {means[row], variances[row], 0};  // 0: constants
  });
  Tensor y = x.value().like();
  visit_floating(kNormalizeWith.name, x.dtype(), [&]<class T>(T) {
    kernels::norm_apply(device, dims,
                        {.x = x.value().span<T>(),
                         .weight = weight.value().span<T>(),
                         .bias = bias.value().span<T>(),
                         .stats = stats.span<double>(),
                         .y = y.span<T>()});
  });
  return record(kNormalizeWith, y, {x, mean, variance, optional(weight), optional(bias)}, where,
                [&device, dims, x = x.value(), weight = weight.value(), stats](const Tensor& dy, GradSlots grads) {
                  Tensor dx = grads.overwrite(0), dmean = grads.overwrite(1), dvariance = grads.overwrite(2),
                         dweight = grads.add(3), dbias = grads.add(4);
                  Tensor products = stats.like({static_cast<std::int64_t>(dims.rows), 2});
                  products.fill(0);
                  visit_floating(kNormalizeWith.name, x.dtype(), [&]<class T>(T) {
                    kernels::norm_products(device, dims,
                                           {.x = x.span<T>(),
                                            .weight = weight.span<T>(),
                                            .stats = stats.span<double>(),
                                            .dy = dy.span<T>(),
                                            .products = products.span<double>(),
                                            .dweight = dweight.span<T>(),
                                            .dbias = dbias.span<T>()});
                    if (dx)
                      kernels::norm_gradient(device, dims,
                                             {.x = x.span<T>(),
                                              .weight = weight.span<T>(),
                                              .stats = stats.span<double>(),
                                              .products = std::as_const(products).span<double>(),
                                              .dy = dy.span<T>(),
                                              .dx = dx.span<T>()});
                  });
                  const std::span<const double> sums = products.span<double>(), from = stats.span<double>();
                  for (std::size_t row = 0; row < dims.rows; ++row) {
                    const double rstd = 1 / std::sqrt(from[3 * row + 1] + dims.epsilon),
                                 scale = -rstd * static_cast<double>(dims.n);
                    if (dmean) dmean.span<double>()[row] = scale * sums[2 * row];
                    if (dvariance) dvariance.span<double>()[row] = scale * rstd / 2 * sums[2 * row + 1];
                  }
                });
}

// What stretches to x, with x's rank.
Var beside(const char* name, const Var& given, const Shape& x, const Location& where) {
  if (!given.value()) return {};
  if (!stretches(given.shape(), x))
    fail<ShapeError>(where, kNormalizeWith.name,
                     fmt::format("{} must stretch to x {}; it is {}", name, to_string(x), to_string(given.shape())));
  Shape shape = given.shape();
  while (shape.rank() < x.rank()) shape = shape.prepend(1);
  return reshape(given, shape, where);
}

}  // namespace

Moments moments(const Var& given, const MomentsOptions& o) {
  constexpr const char* kOp = kMoments.name;
  detail::check_operands(kOp, given, {}, o.where);
  detail::check_mask(kOp, o.mask, given.shape(), o.where);
  const detail::ReplicaMean replicas(given, o.replicas, kOp, o.where);
  const Var x = detail::NormOperands(given, {}, {}, o.where).x;
  const Shape& shape = x.shape();
  const Axes axes = o.axes.count() == 0 ? detail::last_axes(shape.rank(), shape.rank())
                                        : detail::rising_axes(kOp, "axes", o.axes, shape, o.where);
  const RowOrder order(shape, axes);
  const Tensor mask = detail::whole_mask(o.mask, x, o.where);
  const Var both = row_moments(order.dims(0), order.rows_of(x, o.where),
                               mask ? order.rows_of(x.constant(mask), o.where).value() : Tensor{}, replicas, o.where);
  const auto part = [&](std::int64_t i) {
    const Var column = slice(both, {.axis = 1, .begin = i, .end = i + 1, .where = o.where});
    return reshape(column, detail::with_ones(shape, axes), o.where);
  };
  return {part(0), part(1)};
}

Var normalize_with(const Var& given, const Var& mean, const Var& variance, const Var& weight, const Var& bias,
                   const NormalizeWithOptions& o) {
  constexpr const char* kOp = kNormalizeWith.name;
  detail::check_operands(kOp, given, {}, o.where);
  if (!mean.value() || !variance.value()) fail<ArgumentError>(o.where, kOp, "mean and variance must be given");
  detail::check_epsilon(kOp, o.epsilon, o.where);
  const Shape& shape = given.shape();
  const detail::NormOperands in(given, beside("weight", weight, shape, o.where), beside("bias", bias, shape, o.where),
                                o.where);
  Var statistics[] = {beside("mean", mean, shape, o.where), beside("variance", variance, shape, o.where)};
  const Shape sets = broadcast(statistics[0].shape(), statistics[1].shape());
  Axes reduced;
  for (int axis = 0; axis < sets.rank(); ++axis)
    if (sets[axis] == 1) reduced.add(axis);
  const RowOrder order(shape, reduced, in.weight, in.bias);
  for (Var& each : statistics) {
    each = cast(each, DType::float64, o.where);
    if (each.shape() != sets) each = broadcast_to(each, sets, o.where);
    each = order.one_per_row(each, o.where);
  }
  const Var y =
      normalize_rows(order.dims(o.epsilon), order.rows_of(in.x, o.where), statistics[0], statistics[1],
                     order.parameter_rows(in.weight, o.where), order.parameter_rows(in.bias, o.where), o.where);
  return order.back(y, o.where);
}

Var normalize_with(const Var& x, const Var& mean, const Var& variance, const NormalizeWithOptions& options) {
  return normalize_with(x, mean, variance, {}, {}, options);
}

}  // namespace tapestry
