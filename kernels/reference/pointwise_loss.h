#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

namespace tapestry::kernels {

// A loss of pairs (x, target); delta is Huber's.
enum class PointwiseLossKind { mse, l1, huber, bce_with_logits, kl_div, kl_div_log };
struct PointwiseLossDims {
  PointwiseLossKind kind = PointwiseLossKind::mse;
  double delta = 1;
};

// All of one size; weight, pos_weight, losses and dy may be empty, so may each gradient.
template <class T>
struct PointwiseLossForward {
  std::span<const T> x{}, target{}, weight{}, pos_weight{};
  std::span<T> losses{};
};
template <class T>
struct PointwiseLossBackward {
  std::span<const T> x{}, target{}, weight{}, pos_weight{}, dy{};
  double scale = 1;
  std::span<T> dx{}, dtarget{};
};

namespace reference {

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
double pointwise_loss_forward(const PointwiseLossDims& dims, const PointwiseLossForward<T>& a) {
  double sum = 0;
  for (std::size_t i = 0; i < a.x.size(); ++i) {
    const T loss = pointwise_loss(dims, a.x[i], a.target[i], a.weight.empty() ? T{1} : a.weight[i],
                                  a.pos_weight.empty() ? T{1} : a.pos_weight[i]);
    if (!a.losses.empty()) a.losses[i] = loss;
    sum += static_cast<double>(loss);
  }
  return sum;
}

template <class T>
void pointwise_loss_backward(const PointwiseLossDims& dims, const PointwiseLossBackward<T>& a) {
  for (std::size_t i = 0; i < a.x.size(); ++i) {
    const T slope = pointwise_loss_slope(dims, a.x[i], a.target[i], a.weight.empty() ? T{1} : a.weight[i],
                                         a.pos_weight.empty() ? T{1} : a.pos_weight[i]);
    const T gradient = static_cast<T>(a.scale) * (a.dy.empty() ? T{1} : a.dy[i]) * slope;
    if (!a.dx.empty()) a.dx[i] = gradient;
    if (!a.dtarget.empty()) a.dtarget[i] = -gradient;
  }
}

}  // namespace reference
}  // namespace tapestry::kernels
