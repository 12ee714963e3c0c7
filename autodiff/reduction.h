// What becomes of many losses.
#pragma once

#include <cstdint>
#include <span>

#include "autodiff/tensor.h"

namespace tapestry {

// The mean of all losses, their sum, all of them, or their sum over the first size of the shape (kl_div only).
enum class Reduction { mean, sum, none, batchmean };

namespace detail {

// dy as the kernels of losses take it: one factor, or one number for each loss.
template <class T>
struct LossGradient {
  LossGradient(const Tensor& dy, Reduction reduction, double divisor) {
    if (reduction == Reduction::none) {
      each = dy.span<T>();
    } else {
      scale = static_cast<double>(dy.span<T>()[0]) / divisor;
    }
  }
  std::span<const T> each;
  double scale = 1;
};

}  // namespace detail
}  // namespace tapestry
