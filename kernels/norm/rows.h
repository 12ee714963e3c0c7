// What the norm of rows hands across the dispatch.
#pragma once

namespace tapestry::kernels {

// What is read and written; nullptr where it is missing.
struct RowNormArrays {
  const float *x = nullptr, *weight = nullptr, *bias = nullptr, *residual = nullptr, *y = nullptr, *dy = nullptr;
  float *out = nullptr, *dresidual = nullptr, *sum_weight = nullptr, *sum_bias = nullptr;
  bool stream = false;  // whether out goes past the caches
};

}  // namespace tapestry::kernels
