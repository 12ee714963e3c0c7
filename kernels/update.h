// Updates of optimizers: one pass over flat memory reads and writes the weights and each piece of state once.
#pragma once

#include <span>

#include "kernels/device.h"
#include "kernels/reference.h"

namespace tapestry::kernels {

// d = scale g + weight_decay w; with momentum, b = momentum b + (1 - dampening) d (b = d when `first`), and d becomes
// b, or d + momentum b for Nesterov's form; w -= lr d. An empty `momentum` is none. As torch.optim.SGD.
void sgd(const Device&, const SgdStep&, std::span<const float> gradient, std::span<float> momentum,
         std::span<float> weight);
inline void sgd(const Device&, const SgdStep& step, std::span<const double> gradient, std::span<double> momentum,
                std::span<double> weight) {
  reference::sgd(step, gradient, momentum, weight);
}

// d = scale g (+ weight_decay w, unless decoupled); m = beta1 m + (1 - beta1) d; v = beta2 v + (1 - beta2) d^2;
// w -= lr (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + eps) (+ lr weight_decay w, when decoupled).
// With `largest` (AMSGrad) its maximum with v stands for v. d^2 saturates instead of becoming an infinity.
// Kingma and Ba 2015, Loshchilov and Hutter 2019; as torch.optim.Adam and AdamW.
void adam(const Device&, const AdamStep&, std::span<const float> gradient, std::span<float> mean,
          std::span<float> square, std::span<float> largest, std::span<float> weight);
inline void adam(const Device&, const AdamStep& step, std::span<const double> gradient, std::span<double> mean,
                 std::span<double> square, std::span<double> largest, std::span<double> weight) {
  reference::adam(step, gradient, mean, square, largest, weight);
}

// sqrt(sum x^2), summed in double. Not finite exactly when some float is not; no finite input overflows.
double l2_norm(const Device&, std::span<const float> x);
inline double l2_norm(const Device&, std::span<const double> x) { return reference::l2_norm(x); }

}  // namespace tapestry::kernels
