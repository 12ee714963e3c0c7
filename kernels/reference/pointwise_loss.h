#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "kernels/dims.h"

namespace tapestry::kernels::reference {

// See kernels/pointwise_loss.h.
template <class T>
T pointwise_loss(const PointwiseLossDims& dims, T x, T t, T weight, T pos_weight) {
  const T d = x - t, size = std::abs(d), delta = static_cast<T>(dims.delta);
  switch (dims.kind) {
    case PointwiseLossKind::mse:
      return d * d;
    case PointwiseLossKind::l1:
      return size;
    case PointwiseLossKind::huber:
      return size > delta ? delta * (size - delta / 2) : d * d / 2;
    case PointwiseLossKind::bce_with_logits: {
      const T small = std::log1p(std::exp(-std::abs(x)));
      return weight * ((1 - t) * (std::max(x, T{}) + small) + pos_weight * t * (std::max(-x, T{}) + small));
    }
    case PointwiseLossKind::kl_div:
      return t == 0 ? (x == x ? T{} : x) : t * (std::log(t) - x);
    case PointwiseLossKind::kl_div_log:
      return std::exp(t) * (t - x);
  }
  return std::numeric_limits<T>::quiet_NaN();
}

template <class T>
T pointwise_loss_slope(const PointwiseLossDims& dims, T x, T t, T weight, T pos_weight) {
  const T d = x - t, delta = static_cast<T>(dims.delta);
  switch (dims.kind) {
    case PointwiseLossKind::mse:
      return 2 * d;
    case PointwiseLossKind::l1:
      return d > 0 ? T{1} : d < 0 ? T{-1} : d;
    case PointwiseLossKind::huber:
      return std::abs(d) > delta ? std::copysign(delta, d) : d;
    case PointwiseLossKind::bce_with_logits:
      return weight * ((1 - t) / (1 + std::exp(-x)) - pos_weight * t / (1 + std::exp(x)));
    case PointwiseLossKind::kl_div:
      return -t;
    case PointwiseLossKind::kl_div_log:
      return -std::exp(t);
  }
  return std::numeric_limits<T>::quiet_NaN();
}

template <class T>
double pointwise_loss_forward(const PointwiseLossDims& dims, std::span<const T> x, std::span<const T> target,
                              std::span<const T> weight, std::span<const T> pos_weight, std::span<T> losses) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const T loss = pointwise_loss(dims, x[i], target[i], weight.empty() ? T{1} : weight[i],
                                  pos_weight.empty() ? T{1} : pos_weight[i]);
    if (!losses.empty()) losses[i] = loss;
    sum += static_cast<double>(loss);
  }
  return sum;
}

template <class T>
void pointwise_loss_backward(const PointwiseLossDims& dims, std::span<const T> x, std::span<const T> target,
                             std::span<const T> weight, std::span<const T> pos_weight, std::span<const T> dy,
                             double scale, std::span<T> dx, std::span<T> dtarget) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    const T slope = pointwise_loss_slope(dims, x[i], target[i], weight.empty() ? T{1} : weight[i],
                                         pos_weight.empty() ? T{1} : pos_weight[i]);
    const T gradient = static_cast<T>(scale) * (dy.empty() ? T{1} : dy[i]) * slope;
    if (!dx.empty()) dx[i] = gradient;
    if (!dtarget.empty()) dtarget[i] = -gradient;
  }
}

}  // namespace tapestry::kernels::reference
