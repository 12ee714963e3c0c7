#include "autodiff/ops/normalize.h"

#include <algorithm>
#include <limits>

#include "autodiff/ops/norm_inputs.h"
#include "autodiff/ops/reshape.h"
#include "autodiff/ops/shape.h"
#include "kernels/norm_general.h"

namespace tapestry::detail {
namespace {

using kernels::GeneralNormDims;

std::size_t count_of(const Shape& shape, const Axes& axes) {
  return static_cast<std::size_t>(sizes_of(shape, axes).size());
}

// How x becomes rows: sets first, those that share a row of weight as neighbours.
struct RowOrder {
  RowOrder(const Shape& shape, const Var& weight, const Var& bias, const Axes& reduced) {
    Axes shared;
    for (int axis : other_axes(shape.rank(), reduced)) {
      const bool own = (weight.value() && weight.shape()[axis] > 1) || (bias.value() && bias.shape()[axis] > 1);
      own ? order.add(axis) : shared.add(axis);
    }
    weight_rows = count_of(shape, order);
    parameter = with_ones(shape, shared);
    for (int axis : shared) order.add(axis);
    rows = count_of(shape, order);
    n = count_of(shape, reduced);
    for (int axis : reduced) order.add(axis);
    inverse = inverse_order(order);
    moves = !std::ranges::is_sorted(order);
  }

  Var rows_of(const Var& x, std::size_t count, const Location& where) const {
    const Var moved = moves ? permute(x, order, where) : x;
    return reshape(moved, Shape{static_cast<std::int64_t>(count), static_cast<std::int64_t>(n)}, where);
  }
  Var parameter_rows(const Var& given, const Location& where) const {
    if (!given.value()) return {};
    return rows_of(given.shape() == parameter ? given : broadcast_to(given, parameter, where), weight_rows, where);
  }
  Var back(const Var& y, const Shape& shape, const Location& where) const {
    return moves ? permute(reshape(y, sizes_of(shape, order), where), inverse, where) : reshape(y, shape, where);
  }

  Axes order, inverse;
  Shape parameter;  // of x's rank, with what weight and bias do not have as 1
  std::size_t rows, n, weight_rows;
  bool moves;
};

// Makes the statistics those of all replicas: the mean of their means, and that of their mean squared distances from
// it.
void share_moments(const ReplicaMean& replicas, std::span<double> stats, std::span<double> scratch) {
  const auto average = [&](const auto& value) {
    for (std::size_t row = 0; row < scratch.size(); ++row) scratch[row] = value(row);
    replicas(scratch);
  };
  average([&](std::size_t row) { return stats[3 * row]; });
  for (std::size_t row = 0; row < scratch.size(); ++row) {
    const double apart = stats[3 * row] - scratch[row];
    stats[3 * row] = scratch[row];
    stats[3 * row + 1] += apart * apart;
  }
  average([&](std::size_t row) { return stats[3 * row + 1]; });
  for (std::size_t row = 0; row < scratch.size(); ++row) stats[3 * row + 1] = scratch[row];
}

// Makes the means over the rows of this replica, of n elements each, those of all.
void share_products(const ReplicaMean& replicas, std::span<double> products, std::size_t n) {
  for (double& mean : products) mean *= static_cast<double>(n);
  replicas(products);
  for (double& mean : products) mean /= static_cast<double>(n);
}

Normalized norm_rows(const GeneralNormDims& dims, const Var& x, const Var& weight, const Var& bias, const Tensor& mask,
                     const NormalizeOptions& o) {
  const kernels::Device& device = x.device();
  const auto rows = static_cast<std::int64_t>(dims.rows);
  Tensor y = x.value().like(), stats = y.like({rows, 3}, DType::float64);
  if (dims.n == 0) stats.fill(std::numeric_limits<double>::quiet_NaN());
  visit_floating(o.op, x.dtype(), [&]<class T>(T) {
    kernels::norm_moments(device, dims, x.value().span<T>(), mask.span<T>(), stats.span<double>());
    if (o.replicas) share_moments(o.replicas, stats.span<double>(), y.like({rows}, DType::float64).span<double>());
    kernels::norm_apply(device, dims,
                        {.x = x.value().span<T>(),
                         .weight = weight.value().span<T>(),
                         .bias = bias.value().span<T>(),
                         .stats = std::as_const(stats).span<double>(),
                         .y = y.span<T>()});
  });
  const Var out = record(o.op, y, {x, optional(weight), optional(bias)}, o.where,
                         [op = o.op, &device, dims, replicas = o.replicas, x = x.value(), mask, weight = weight.value(),
                          stats = std::as_const(stats)](const Tensor& dy, GradSlots grads) {
                           Tensor dx = grads.overwrite(0), dweight = grads.add(1), dbias = grads.add(2);
                           Tensor products = stats.like({static_cast<std::int64_t>(dims.rows), 2});
                           if (dims.n == 0) products.fill(0);
                           const auto means = products.span<double>();
                           visit_floating(op, x.dtype(), [&]<class T>(T) {
                             kernels::norm_products(device, dims,
                                                    {.x = x.span<T>(),
                                                     .weight = weight.span<T>(),
                                                     .stats = stats.span<double>(),
                                                     .dy = dy.span<T>(),
                                                     .products = means,
                                                     .dweight = dweight.span<T>(),
                                                     .dbias = dbias.span<T>()});
                             if (replicas) share_products(replicas, means, dims.n);
                             if (dx)
                               kernels::norm_gradient(device, dims,
                                                      {.x = x.span<T>(),
                                                       .mask = mask.span<T>(),
                                                       .weight = weight.span<T>(),
                                                       .stats = stats.span<double>(),
                                                       .products = means,
                                                       .dy = dy.span<T>(),
                                                       .dx = dx.span<T>()});
                           });
                         });
  return {out, stats};
}

}  // namespace

Tensor whole_mask(const Tensor& mask, const Var& x, const Location& where) {
  if (!mask) return {};
  return broadcast_to(x.constant(selection(mask, x.dtype())), x.shape(), where).value();
}

Normalized normalize(const Var& x, const Var& weight, const Var& bias, const NormalizeOptions& o) {
  const RowOrder order(x.shape(), weight, bias, o.axes);
  const GeneralNormDims dims{
      .rows = order.rows, .n = order.n, .weight_rows = order.weight_rows, .epsilon = o.epsilon, .center = o.center};
  const Tensor mask = o.mask ? order.rows_of(x.constant(o.mask), dims.rows, o.where).value() : Tensor{};
  Normalized result = norm_rows(dims, order.rows_of(x, dims.rows, o.where), order.parameter_rows(weight, o.where),
                                order.parameter_rows(bias, o.where), mask, o);
  result.y = order.back(result.y, x.shape(), o.where);
  return result;
}

}  // namespace tapestry::detail
