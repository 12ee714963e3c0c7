#include "autodiff/ops/weight_norm.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "autodiff/cost.h"
#include "autodiff/ops/norm_operands.h"
#include "autodiff/ops/shape.h"
#include "kernels/weight_norm.h"

namespace tapestry {
namespace {

using kernels::WeightNormDims;

void check_weight(const char* op, const Var& w, double epsilon, const Location& where) {
  if (!w.value()) fail<ArgumentError>(where, op, "the weight holds nothing");
  if (w.dtype() != DType::float32 && w.dtype() != DType::float64) fail_dtype(op, w.dtype());
  detail::check_epsilon(op, epsilon, where);
}

// The norm of w [outer, features, inner], of any shape.
Var norm_of(const OpInfo& op, const WeightNormDims& dims, const Var& w, const Var& gain, const CallOptions& options) {
  if (gain.value() && gain.dtype() != w.dtype())
    fail<ArgumentError>(
        options.where, op.name,
        fmt::format("the weight is {}, what scales it is {}", dtype_name(w.dtype()), dtype_name(gain.dtype())));
  const kernels::Device& device = w.device();
  Tensor y = w.value().like();
  Tensor stats = w.value().like({3, static_cast<std::int64_t>(dims.features)}, DType::float64);
  visit_floating(op.name, w.dtype(), [&]<class T>(T) {
    kernels::weight_norm_forward(device, dims, w.value().span<T>(), gain.value().span<T>(), y.span<T>(),
                                 stats.span<double>());
  });
  return record(op, y, {w, optional(gain)}, options,
                [op = op.name, &device, dims, w = w.value(), gain = gain.value(), stats = std::as_const(stats)](
                    const Tensor& dy, GradSlots grads) {
                  Tensor dw = grads.overwrite(0), dgain = grads.add(1);
                  visit_floating(op, w.dtype(), [&]<class T>(T) {
                    kernels::weight_norm_backward<T>(device, dims,
                                                     {.w = w.span<T>(),
                                                      .gain = gain.span<T>(),
                                                      .stats = stats.span<double>(),
                                                      .dy = dy.span<T>(),
                                                      .dw = dw.span<T>(),
                                                      .dgain = dgain.span<T>()});
                  });
                });
}

// The norm of each index along `features`, which exist and are different.
Var norm_features(const OpInfo& op, const Var& w, const Var& gain, const Axes& features, bool center, double epsilon,
                  const CallOptions& options) {
  WeightNormDims dims{.center = center, .epsilon = epsilon};
  const auto size = [&](int begin, int end) { return static_cast<std::size_t>(w.shape().product(begin, end)); };
  bool runs_on = true;
  for (int i = 1; i < features.count(); ++i) runs_on = runs_on && features[i] == features[i - 1] + 1;
  const int rank = w.shape().rank(), first = features.count() == 0 ? rank : features[0];
  if (!runs_on) {
    const Location& where = options.where;
    const Axes order = detail::order_with_last(rank, features), last = detail::last_axes(rank, features.count());
    const Var y = norm_features(op, permute(w, order, where), gain, last, center, epsilon, where);
    return permute(y, detail::inverse_order(order), where);
  }
  dims.outer = size(0, first);
  dims.features = size(first, first + features.count());
  dims.inner = size(first + features.count(), rank);
  return norm_of(op, dims, w, gain, options);
}

// M [rows, columns] of a weight that has its outputs last.
struct Matrix {
  std::int64_t rows, columns;
};
Matrix matrix_of(const Var& w, const SpectralNormOptions& o) {
  constexpr const char* kOp = "spectral_norm";
  check_weight(kOp, w, o.epsilon, o.where);
  if (w.shape().rank() == 0) fail<ShapeError>(o.where, kOp, "the weight must have axes; it is a single number");
  const std::int64_t columns = w.shape()[detail::checked_axis(kOp, w.shape(), o.out_axis, o.where)];
  if (w.shape().size() == 0)
    fail<ShapeError>(o.where, kOp, fmt::format("the weight must have elements; it is {}", to_string(w.shape())));
  if (o.power_iterations < 1)
    fail<ArgumentError>(o.where, kOp, fmt::format("power_iterations must be positive; it is {}", o.power_iterations));
  return {w.shape().size() / columns, columns};
}

void check_vector(const char* name, const Tensor& vector, const Var& w, std::int64_t size, const Location& where) {
  constexpr const char* kOp = "spectral_norm";
  if (!vector) fail<ArgumentError>(where, kOp, fmt::format("{} holds nothing", name));
  if (vector.shape() != Shape{size})
    fail<ShapeError>(where, kOp,
                     fmt::format("{} must be [{}] for the weight {}; it is {}", name, size, to_string(w.shape()),
                                 to_string(vector.shape())));
  if (vector.dtype() != w.dtype())
    fail<ArgumentError>(
        where, kOp, fmt::format("{} is {}, the weight is {}", name, dtype_name(vector.dtype()), dtype_name(w.dtype())));
}

SpectralVectors iterate(const Var& w, const Matrix& m, const Tensor& u, const SpectralNormOptions& o) {
  SpectralVectors vectors{u.clone(), u.like(Shape{m.rows})};
  visit_floating("spectral_norm", w.dtype(), [&]<class T>(T) {
    kernels::power_iterations(w.device(), static_cast<std::size_t>(o.power_iterations), o.epsilon, w.value().span<T>(),
                              vectors.u.span<T>(), vectors.v.span<T>());
  });
  return vectors;
}

Var outputs_last(const Var& w, const SpectralNormOptions& o) {
  const int axis = w.shape().axis(o.out_axis), rank = w.shape().rank();
  return axis == rank - 1 ? w : permute(w, detail::order_with_last(rank, axis), o.where);
}

Var divided(const Var& w, const SpectralVectors& vectors, double sigma, const Location& where) {
  const kernels::Device& device = w.device();
  const double divisor = sigma == 0 ? 1 : sigma;
  Tensor y = w.value().like();
  visit_floating("spectral_norm", w.dtype(),
                 [&]<class T>(T) { kernels::spectral_forward(device, divisor, w.value().span<T>(), y.span<T>()); });
  return record(OpInfo("spectral_norm", detail::norm_cost), y, {w}, where,
                [&device, sigma, divisor, w = w.value(), u = std::as_const(vectors.u), v = std::as_const(vectors.v)](
                    const Tensor& dy, GradSlots grads) {
                  if (sigma == 0) return grads.pass(0, dy);
                  Tensor dw = grads.overwrite(0);
                  visit_floating("spectral_norm", w.dtype(), [&]<class T>(T) {
                    kernels::spectral_backward<T>(
                        device, divisor,
                        {.w = w.span<T>(), .u = u.span<T>(), .v = v.span<T>(), .dy = dy.span<T>(), .dw = dw.span<T>()});
                  });
                });
}

}  // namespace

Var weight_norm(const Var& v, const Var& g, const WeightNormOptions& o) {
  constexpr const char* kOp = "weight_norm";
  check_weight(kOp, v, o.epsilon, o.where);
  const Axes features = detail::rising_axes(kOp, "feature_axes", o.feature_axes, v.shape(), o.where);
  detail::check_beside(kOp, "g", g, v, detail::sizes_of(v.shape(), features), o.where);
  return norm_features(OpInfo(kOp, detail::norm_cost), v, g, features, false, o.epsilon, o);
}

Var weight_standardization(const Var& w, const Var& gain, const WeightStandardizationOptions& o) {
  constexpr const char* kOp = "weight_standardization";
  check_weight(kOp, w, o.epsilon, o.where);
  const int axis = detail::checked_axis(kOp, w.shape(), o.out_axis, o.where);
  detail::check_beside(kOp, "gain", gain, w, {w.shape()[axis]}, o.where);
  return norm_features(OpInfo(kOp, elementwise_cost<Saved::inputs>), w, gain, axis, true, o.epsilon, o);
}

SpectralVectors spectral_vectors(const Var& w, const Tensor& u, const SpectralNormOptions& options) {
  const Matrix m = matrix_of(w, options);
  check_vector("u", u, w, m.columns, options.where);
  return iterate(outputs_last(w, options), m, u, options);
}

Var spectral_norm(const Var& w, const Buffer& u, const Buffer& v, const SpectralNormOptions& options) {
  const Matrix m = matrix_of(w, options);
  check_vector("u", u.value(), w, m.columns, options.where);
  check_vector("v", v.value(), w, m.rows, options.where);
  const Var last = outputs_last(w, options);
  const SpectralVectors vectors =
      options.training ? iterate(last, m, u.next(w), options) : SpectralVectors{u.value(), v.value()};
  double sigma = 0;
  visit_floating("spectral_norm", w.dtype(), [&]<class T>(T) {
    sigma = kernels::bilinear(w.device(), last.value().span<T>(), vectors.u.span<T>(), vectors.v.span<T>());
  });
  if (options.training && sigma != 0 && std::isfinite(sigma)) {
    u.update(w, vectors.u, options.where);
    v.update(w, vectors.v, options.where);
  }
  const Var y = divided(last, vectors, sigma, options.where);
  const int axis = w.shape().axis(options.out_axis), rank = w.shape().rank();
  return axis == rank - 1 ? y : permute(y, detail::inverse_order(detail::order_with_last(rank, axis)), options.where);
}

}  // namespace tapestry
