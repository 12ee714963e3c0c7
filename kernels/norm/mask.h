// What the norm kernels say to each other across the dispatch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tapestry::kernels {

// What of dy a ReLU behind a norm lets pass: all, where the norm computed again is positive, or where y is.
enum class NormMask { none, computed, output };
template <class Span>
NormMask mask_of(bool relu, const Span& y) {
  return !relu ? NormMask::none : y.empty() ? NormMask::computed : NormMask::output;
}

// Whether floats can hold squares of differences up to 1e4 deviations: up to 1e38. Below a variance of 1e-20 squares
// lose digits to denormals, which an epsilon above 1e-12 hides.
inline bool squares_fit_float(double variance, double epsilon) {
  return variance < 1e30 && (variance > 1e-20 || epsilon > 1e-12);
}

// Whether `out`, in rows of `width`, is written past the caches: where these will not hold it until somebody reads it,
// a store would only read it first. Rows must begin where vectors do.
inline bool norm_streams(std::span<const float> out, std::size_t width) {
  constexpr std::size_t kLeast = std::size_t{1} << 20;  // 4 MiB, more than an L2
  return out.size() >= kLeast && width % 16 == 0 && reinterpret_cast<std::uintptr_t>(out.data()) % 64 == 0;
}

}  // namespace tapestry::kernels
