// What the norm kernels say to each other across the dispatch.
#pragma once

namespace tapestry::kernels {

// What of dy a ReLU behind a norm lets pass: all, where the norm computed again is positive, or where y is.
enum class NormMask { none, computed, output };
template <class Span>
NormMask mask_of(bool relu, const Span& y) {
  return !relu ? NormMask::none : y.empty() ? NormMask::computed : NormMask::output;
}

// Whether floats can hold differences of this variance, and their squares.
inline bool squares_fit_float(double variance, double epsilon) {
  return variance < 1e30 && (variance > 1e-20 || epsilon > 1e-12);
}

// What layer norm reads and writes; nullptr where it is missing.
struct LayerNormArrays {
  const float *x, *weight, *bias, *residual, *y, *dy;
  float *out, *dresidual, *sum_weight, *sum_bias;
};

}  // namespace tapestry::kernels
