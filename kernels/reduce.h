// Reductions.
#pragma once

#include <span>

#include "kernels/device.h"
#include "kernels/reference/reduce.h"

namespace tapestry::kernels {

// Whether no element is a NaN or an infinity.
bool all_finite(const Device&, std::span<const float> x);
inline bool all_finite(const Device&, std::span<const double> x) { return reference::all_finite(x); }

// out[N] = sum over m of x[M,N], or out += ... when `accumulate`: the gradient of a bias.
void sum_rows(const Device&, std::size_t m, std::size_t n, std::span<const float> x, std::span<float> out,
              bool accumulate);
inline void sum_rows(const Device&, std::size_t m, std::size_t n, std::span<const double> x, std::span<double> out,
                     bool accumulate) {
  reference::sum_rows(m, n, x, out, accumulate);
}

// sums [outer, inner] = the sum of f(x) over the middle axis of x [outer, size, inner]; see Term for f and for
// `center` [outer, inner], which is empty where f has none. Everything is added in double, in an order that only the
// shape decides.
void reduce(const Device&, const ReduceDims&, Term, std::span<const float> x, std::span<const double> center,
            std::span<double> sums);
inline void reduce(const Device&, const ReduceDims& dims, Term term, std::span<const double> x,
                   std::span<const double> center, std::span<double> sums) {
  reference::reduce(dims, term, x, center, sums);
}

}  // namespace tapestry::kernels
