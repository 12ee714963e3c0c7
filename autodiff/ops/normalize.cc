#include "autodiff/ops/normalize.h"

#include <limits>

#include "autodiff/ops/norm_operands.h"
#include "autodiff/ops/row_order.h"
#include "autodiff/ops/shape.h"

namespace tapestry::detail {
namespace {

using kernels::GeneralNormDims;

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
  Tensor y = x.value().like();
  const Tensor stats = row_statistics(o.op, dims, x, mask, o.replicas);
  visit_floating(o.op, x.dtype(), [&]<class T>(T) {
    kernels::norm_apply(device, dims,
                        {.x = x.value().span<T>(),
                         .weight = weight.value().span<T>(),
                         .bias = bias.value().span<T>(),
                         .stats = stats.span<double>(),
                         .y = y.span<T>()});
  });
  const Var out = record(OpInfo(o.op, norm_cost), y, {x, optional(weight), optional(bias)}, o.where,
                         [op = o.op, &device, dims, replicas = o.replicas, x = x.value(), mask, weight = weight.value(),
                          stats](const Tensor& dy, GradSlots grads) {
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

Tensor row_statistics(const char* op, const GeneralNormDims& dims, const Var& x, const Tensor& mask,
                      const ReplicaMean& replicas) {
  const auto rows = static_cast<std::int64_t>(dims.rows);
  Tensor stats = x.value().like({rows, 3}, DType::float64);
  if (dims.n == 0) stats.fill(std::numeric_limits<double>::quiet_NaN());
  visit_floating(op, x.dtype(), [&]<class T>(T) {
    kernels::norm_moments(x.device(), dims, x.value().span<T>(), mask.span<T>(), stats.span<double>());
  });
  if (replicas) share_moments(replicas, stats.span<double>(), stats.like({rows}).span<double>());
  return stats;
}

Normalized normalize(const Var& x, const Var& weight, const Var& bias, const NormalizeOptions& o) {
  const RowOrder order(x.shape(), o.axes, weight, bias);
  const Tensor mask = o.mask ? order.rows_of(x.constant(o.mask), o.where).value() : Tensor{};
  Normalized result = norm_rows(order.dims(o.epsilon, o.center), order.rows_of(x, o.where),
                                order.parameter_rows(weight, o.where), order.parameter_rows(bias, o.where), mask, o);
  result.y = order.back(result.y, o.where);
  return result;
}

}  // namespace tapestry::detail
