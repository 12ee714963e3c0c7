// Norms of weights. Weights are small beside what they are multiplied with, so these are plain loops in double, for
// floats too; features, or rows and columns, are shared out to the threads.
#pragma once

#include <span>

#include "kernels/device.h"
#include "kernels/reference/weight_norm.h"

namespace tapestry::kernels {

// For w [outer, features, inner]: y = (w - mean_f) rstd_f gain_f; gain [features], empty: ones. Not centered, the mean
// is 0 and rstd = 1 / sqrt(sum w^2 + epsilon) (Salimans and Kingma 2016); centered, rstd = 1 / sqrt(max(sum (w -
// mean)^2, epsilon)) (Qiao et al. 2019, Brock et al. 2021). stats [3, features] are written, for backward.
template <class T>
void weight_norm_forward(const Device&, const WeightNormDims&, std::span<const T> w, std::span<const T> gain,
                         std::span<T> y, std::span<double> stats);
// dw is overwritten, dgain added to; either may be empty. No gradient flows through an rstd that is 1 / sqrt(epsilon).
template <class T>
void weight_norm_backward(const Device&, const WeightNormDims&, const WeightNormBackward<T>&);

// For w [rows, columns], `iterations` times: v [rows] = w u / |w u|, u [columns] = w^T v / |w^T v|, where a vector
// shorter than epsilon becomes 0 (Miyato et al. 2018).
template <class T>
void power_iterations(const Device&, std::size_t iterations, double epsilon, std::span<const T> w, std::span<T> u,
                      std::span<T> v);
// v^T w u.
template <class T>
double bilinear(const Device&, std::span<const T> w, std::span<const T> u, std::span<const T> v);
// y = w / sigma.
template <class T>
void spectral_forward(const Device&, double sigma, std::span<const T> w, std::span<T> y);
// Of y = w / sigma with sigma = v^T w u: dw = dy / sigma - v u^T (sum dy w) / sigma^2.
template <class T>
struct SpectralBackward {
  std::span<const T> w{}, u{}, v{}, dy{};
  std::span<T> dw{};
};
template <class T>
void spectral_backward(const Device&, double sigma, const SpectralBackward<T>&);

}  // namespace tapestry::kernels
