#include "kernels/weight_norm.h"

#include <cmath>

#include "kernels/runtime/sum_pieces.h"

namespace tapestry::kernels {
namespace {

// How many of `count` equal parts of `size` elements are one piece of work.
std::size_t grain(std::size_t size, std::size_t count) {
  return std::max<std::size_t>(1, kGrain / 4 * count / std::max<std::size_t>(size, 1));
}

// x becomes values / |values|, or 0.
template <class T>
void normalize(std::span<T> x, std::span<const double> values, double epsilon) {
  double squares = 0;
  for (const double value : values) squares += value * value;
  const double length = std::sqrt(squares), scale = length < epsilon ? 0 : 1 / length;
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<T>(values[i] * scale);
}

template <class T>
double dot(std::span<const T> a, std::span<const T> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

}  // namespace

template <class T>
void weight_norm_forward(const Device& device, const WeightNormDims& dims, std::span<const T> w,
                         std::span<const T> gain, std::span<T> y, std::span<double> stats) {
  if (y.empty()) return;
  parallel_for(device.pool, dims.features, grain(w.size(), dims.features), [&](std::size_t begin, std::size_t end) {
    reference::weight_stats(dims, w, reference::WeightStats(stats), begin, end);
    reference::weight_norm_forward(dims, w, gain, reference::WeightStats(std::span<const double>(stats)), y, begin,
                                   end);
  });
}

template <class T>
void weight_norm_backward(const Device& device, const WeightNormDims& dims, const WeightNormBackward<T>& a) {
  if (a.w.empty() || (a.dw.empty() && a.dgain.empty())) return;
  const Block block = device.arena.allocate(2 * dims.features * sizeof(double));
  const std::span<double> sums(reinterpret_cast<double*>(block.data()), 2 * dims.features);
  parallel_for(device.pool, dims.features, grain(a.w.size(), dims.features),
               [&](std::size_t begin, std::size_t end) { reference::weight_norm_backward(dims, a, sums, begin, end); });
}

template <class T>
void power_iterations(const Device& device, std::size_t iterations, double epsilon, std::span<const T> w,
                      std::span<T> u, std::span<T> v) {
  const std::size_t rows = v.size(), columns = u.size();
  const Block block = device.arena.allocate((rows + columns) * sizeof(double));
  const std::span<double> by_row(reinterpret_cast<double*>(block.data()), rows),
      by_column(by_row.data() + rows, columns);
  for (std::size_t n = 0; n < iterations; ++n) {
    parallel_for(device.pool, rows, grain(w.size(), rows), [&](std::size_t begin, std::size_t end) {
      for (std::size_t r = begin; r < end; ++r) by_row[r] = dot(w.subspan(r * columns, columns), std::span<const T>(u));
    });
    normalize(v, std::span<const double>(by_row), epsilon);
    parallel_for(device.pool, columns, grain(w.size(), columns), [&](std::size_t begin, std::size_t end) {
      for (std::size_t c = begin; c < end; ++c) by_column[c] = 0;
      for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t c = begin; c < end; ++c)
          by_column[c] += static_cast<double>(v[r]) * static_cast<double>(w[r * columns + c]);
    });
    normalize(u, std::span<const double>(by_column), epsilon);
  }
}

template <class T>
double bilinear(const Device& device, std::span<const T> w, std::span<const T> u, std::span<const T> v) {
  return sum_pieces(device, v.size(), grain(w.size(), v.size()), [&](std::size_t begin, std::size_t end) {
    double sum = 0;
    for (std::size_t r = begin; r < end; ++r)
      sum += static_cast<double>(v[r]) * dot(w.subspan(r * u.size(), u.size()), u);
    return sum;
  });
}

template <class T>
void spectral_forward(const Device& device, double sigma, std::span<const T> w, std::span<T> y) {
  parallel_for(device.pool, y.size(), kGrain, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) y[i] = static_cast<T>(static_cast<double>(w[i]) / sigma);
  });
}

template <class T>
void spectral_backward(const Device& device, double sigma, const SpectralBackward<T>& a) {
  const double inverse = 1 / sigma;
  const double product = sum_pieces(device, a.dw.size(), kGrain / 4, [&](std::size_t begin, std::size_t end) {
    return dot(a.dy.subspan(begin, end - begin), a.w.subspan(begin, end - begin)) * inverse;
  });
  parallel_for(device.pool, a.v.size(), grain(a.dw.size(), a.v.size()), [&](std::size_t begin, std::size_t end) {
    for (std::size_t r = begin; r < end; ++r)
      for (std::size_t c = 0; c < a.u.size(); ++c) {
        const std::size_t i = r * a.u.size() + c;
        const double through = product * static_cast<double>(a.v[r]) * static_cast<double>(a.u[c]);
        a.dw[i] = static_cast<T>(inverse * (static_cast<double>(a.dy[i]) - through));
      }
  });
}

template <class T>
using In = std::span<const T>;
template <class T>
using Out = std::span<T>;

template void weight_norm_forward(const Device&, const WeightNormDims&, In<float>, In<float>, Out<float>, Out<double>);
template void weight_norm_backward(const Device&, const WeightNormDims&, const WeightNormBackward<float>&);
template void power_iterations(const Device&, std::size_t, double, In<float>, Out<float>, Out<float>);
template double bilinear(const Device&, In<float>, In<float>, In<float>);
template void spectral_forward(const Device&, double, In<float>, Out<float>);
template void spectral_backward(const Device&, double, const SpectralBackward<float>&);
template void weight_norm_forward(const Device&, const WeightNormDims&, In<double>, In<double>, Out<double>,
                                  Out<double>);
template void weight_norm_backward(const Device&, const WeightNormDims&, const WeightNormBackward<double>&);
template void power_iterations(const Device&, std::size_t, double, In<double>, Out<double>, Out<double>);
template double bilinear(const Device&, In<double>, In<double>, In<double>);
template void spectral_forward(const Device&, double, In<double>, Out<double>);
template void spectral_backward(const Device&, double, const SpectralBackward<double>&);

}  // namespace tapestry::kernels
