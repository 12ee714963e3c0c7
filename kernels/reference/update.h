#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "kernels/dims.h"

namespace tapestry::kernels::reference {

// See kernels/update.h.
template <class T>
void sgd(const SgdStep& step, std::span<const T> gradient, std::span<T> momentum, std::span<T> weight) {
  const T lr = static_cast<T>(step.lr), decay = static_cast<T>(step.weight_decay), scale = static_cast<T>(step.scale);
  const T rate = static_cast<T>(step.momentum), keep = step.first ? T{0} : rate;
  const T take = static_cast<T>(step.first ? 1 : 1 - step.dampening);
  for (std::size_t i = 0; i < weight.size(); ++i) {
    T g = gradient[i] * scale;
    if (decay != 0) g += decay * weight[i];
    if (!momentum.empty()) {
      momentum[i] = keep * momentum[i] + take * g;
      g = step.nesterov ? g + rate * momentum[i] : momentum[i];
    }
    weight[i] -= lr * g;
  }
}

// beta old + (1 - beta) fresh.
template <class T>
T blend(double beta, T old, T fresh) {
  return beta > 0.5 ? old + static_cast<T>(1 - beta) * (fresh - old) : fresh - static_cast<T>(beta) * (fresh - old);
}

template <class T>
void adam(const AdamStep& step, std::span<const T> gradient, std::span<T> mean, std::span<T> square,
          std::span<T> largest, std::span<T> weight) {
  const AdamFactors factors(step);
  const T rate = static_cast<T>(factors.rate), root = static_cast<T>(factors.root), eps = static_cast<T>(step.eps);
  const T inside = static_cast<T>(factors.inside), outside = static_cast<T>(factors.outside);
  const T scale = static_cast<T>(step.scale);
  for (std::size_t i = 0; i < weight.size(); ++i) {
    T g = gradient[i] * scale;
    if (inside != 0) g += inside * weight[i];
    mean[i] = blend(step.beta1, mean[i], g);
    square[i] = blend(step.beta2, square[i], std::min(std::numeric_limits<T>::max(), g * g));
    T second = square[i];
    if (!largest.empty()) second = largest[i] = std::max(largest[i], second);
    weight[i] -= rate * mean[i] / (std::sqrt(second) * root + eps) + outside * weight[i];
  }
}

template <class T>
double l2_norm(std::span<const T> x) {
  long double sum = 0;  // whose range holds the squares of doubles
  for (T value : x) sum += static_cast<long double>(value) * static_cast<long double>(value);
  return static_cast<double>(std::sqrt(sum));
}

}  // namespace tapestry::kernels::reference
