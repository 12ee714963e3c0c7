#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <span>

#include "kernels/type_list.h"

namespace tapestry::kernels {

// A loss of pairs (x, target): its number in reference::PointwiseLosses, and its options.
struct PointwiseLossDims {
  std::size_t kind = 0;
  double a = 0, b = 0;
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

// What a loss is told beside x and the target t: its options, and the weights, which only BceWithLogits reads.
template <class T>
struct LossFactors {
  T a, b, weight, pos_weight;
};

// (x - t)^2.
struct Mse {
  template <class T>
  static T value(T x, T t, const LossFactors<T>&) {
    return (x - t) * (x - t);
  }
  template <class T>
  static T slope(T x, T t, const LossFactors<T>&) {
    return 2 * (x - t);
  }
};

// |x - t|; the slope at 0 is 0.
struct L1 {
  template <class T>
  static T value(T x, T t, const LossFactors<T>&) {
    return std::abs(x - t);
  }
  template <class T>
  static T slope(T x, T t, const LossFactors<T>&) {
    const T d = x - t;
    return d > 0 ? T{1} : d < 0 ? T{-1} : d;
  }
};

// d^2 / 2 up to |d| = a and a (|d| - a / 2) beyond, d = x - t. Huber 1964.
struct Huber {
  template <class T>
  static T value(T x, T t, const LossFactors<T>& f) {
    const T d = x - t, size = std::abs(d);
    return size > f.a ? f.a * (size - f.a / 2) : d * d / 2;
  }
  template <class T>
  static T slope(T x, T t, const LossFactors<T>& f) {
    const T d = x - t;
    return std::abs(d) > f.a ? std::copysign(f.a, d) : d;
  }
};

// weight ((1 - t) softplus(x) + pos_weight t softplus(-x)), softplus(x) = max(x, 0) + log1p(exp(-|x|)).
struct BceWithLogits {
  template <class T>
  static T value(T x, T t, const LossFactors<T>& f) {
    const T small = std::log1p(std::exp(-std::abs(x)));
    return f.weight * ((1 - t) * (std::max(x, T{}) + small) + f.pos_weight * t * (std::max(-x, T{}) + small));
  }
  template <class T>
  static T slope(T x, T t, const LossFactors<T>& f) {
    return f.weight * ((1 - t) / (1 + std::exp(-x)) - f.pos_weight * t / (1 + std::exp(x)));
  }
};

// t (log t - x), 0 for t = 0.
struct KlDiv {
  template <class T>
  static T value(T x, T t, const LossFactors<T>&) {
    return t == 0 ? (x == x ? T{} : x) : t * (std::log(t) - x);
  }
  template <class T>
  static T slope(T, T t, const LossFactors<T>&) {
    return -t;
  }
};

// exp(t) (t - x).
struct KlDivLog {
  template <class T>
  static T value(T x, T t, const LossFactors<T>&) {
    return std::exp(t) * (t - x);
  }
  template <class T>
  static T slope(T, T t, const LossFactors<T>&) {
    return -std::exp(t);
  }
};

// Stirling's approximation of log(t!) for t > 1: t log t - t + log(2 pi t) / 2; 0 for smaller t, and unless f.b.
template <class T>
T poisson_constant(T t, const LossFactors<T>& f) {
  if (f.b == 0 || !(t > 1)) return 0;
  return t * std::log(t) - t + std::log(2 * std::numbers::pi_v<T> * t) / 2;
}

// exp(x) - t x, and poisson_constant.
struct PoissonNllLog {
  template <class T>
  static T value(T x, T t, const LossFactors<T>& f) {
    return std::exp(x) - t * x + poisson_constant(t, f);
  }
  template <class T>
  static T slope(T x, T t, const LossFactors<T>&) {
    return std::exp(x) - t;
  }
};

// x - t log(x + a), and poisson_constant. The slope is 1 - t / (x + a), written so that it keeps its digits near x = t.
struct PoissonNll {
  template <class T>
  static T value(T x, T t, const LossFactors<T>& f) {
    return x - t * std::log(x + f.a) + poisson_constant(t, f);
  }
  template <class T>
  static T slope(T x, T t, const LossFactors<T>& f) {
    return (x - t + f.a) / (x + f.a);
  }
};

using PointwiseLosses = TypeList<Mse, L1, Huber, BceWithLogits, KlDiv, KlDivLog, PoissonNllLog, PoissonNll>;

template <class Loss>
constexpr PointwiseLossDims loss_dims(double a = 0, double b = 0) {
  return {.kind = index_in<Loss>(PointwiseLosses{}), .a = a, .b = b};
}

// The factors of element i; c: what either pass is given.
template <class T, class Call>
LossFactors<T> factors_at(const PointwiseLossDims& dims, const Call& c, std::size_t i) {
  return {static_cast<T>(dims.a), static_cast<T>(dims.b), c.weight.empty() ? T{1} : c.weight[i],
          c.pos_weight.empty() ? T{1} : c.pos_weight[i]};
}

// See kernels/pointwise_loss.h.
template <class T>
double pointwise_loss_forward(const PointwiseLossDims& dims, const PointwiseLossForward<T>& c) {
  double sum = 0;
  visit_type(PointwiseLosses{}, dims.kind, [&]<class Loss>(Loss) {
    for (std::size_t i = 0; i < c.x.size(); ++i) {
      const T loss = Loss::value(c.x[i], c.target[i], factors_at<T>(dims, c, i));
      if (!c.losses.empty()) c.losses[i] = loss;
      sum += static_cast<double>(loss);
    }
  });
  return sum;
}

template <class T>
void pointwise_loss_backward(const PointwiseLossDims& dims, const PointwiseLossBackward<T>& c) {
  visit_type(PointwiseLosses{}, dims.kind, [&]<class Loss>(Loss) {
    for (std::size_t i = 0; i < c.x.size(); ++i) {
      const T slope = Loss::slope(c.x[i], c.target[i], factors_at<T>(dims, c, i));
      const T gradient = static_cast<T>(c.scale) * (c.dy.empty() ? T{1} : c.dy[i]) * slope;
      if (!c.dx.empty()) c.dx[i] = gradient;
      if (!c.dtarget.empty()) c.dtarget[i] = -gradient;
    }
  });
}

}  // namespace reference
}  // namespace tapestry::kernels
