#include "kernels/local_response.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/local_response.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/simd/lanes-inl.h"
#include "kernels/simd/wide-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

using V = hn::Vec<Doubles>;

// Room for one row: terms [before + n + after], the sums over their windows [n], and the factors [n].
class RowBuffers {
 public:
  RowBuffers(const LocalResponseDims& dims, double* first)
      : n_(dims.n), width_(dims.before + 1 + dims.after), sums(first), factors(first + n_), terms(first + 2 * n_) {}

  // Calls term(i, lanes) for the terms of the row, and leaves in sums[i] those of [i - before, i + after]. Sums of 1,
  // 2, 4 ... neighbours are made from each other, and those that the width has as binary digits make the window's.
  template <class Term>
  HWY_INLINE void SumWindows(std::size_t before, const Term& term) {
    const Doubles d;
    std::fill(terms, terms + before, 0.0);
    for_lanes(d, n_, [&](std::size_t i, auto lanes) HWY_ATTR { store(term(i, lanes), d, terms + before + i, lanes); });
    std::fill(terms + before + n_, terms + n_ + width_ - 1, 0.0);
    std::fill(sums, sums + n_, 0.0);
    std::size_t at = 0, length = n_ + width_ - 1;
    for (std::size_t span = 1; span <= width_; span *= 2) {
      if (width_ & span) {
        for_lanes(d, n_, [&](std::size_t i, auto lanes) HWY_ATTR {
          store(hn::Add(load(d, sums + i, lanes), load(d, terms + at + i, lanes)), d, sums + i, lanes);
        });
        at += span;
      }
      if (2 * span > width_) return;
      length -= span;
      for_lanes(d, length, [&](std::size_t i, auto lanes) HWY_ATTR {
        store(hn::Add(load(d, terms + i, lanes), load(d, terms + i + span, lanes)), d, terms + i, lanes);
      });
    }
  }

  // sums become s, factors s^-beta. Square roots where they do, else libm, whose last digits no short vector code has.
  HWY_INLINE void Respond(const LocalResponseDims& dims, const float* HWY_RESTRICT x) {
    const Doubles d;
    SumWindows(dims.before, [&](std::size_t i, auto lanes) HWY_ATTR {
      const V v = Widened(x + i, lanes);
      return hn::Mul(v, v);
    });
    const V k = hn::Set(d, dims.k), scale = hn::Set(d, dims.scale), one = hn::Set(d, 1.0);
    const bool roots = dims.beta == 0.75 || dims.beta == 0.5;
    for_lanes(d, n_, [&](std::size_t i, auto lanes) HWY_ATTR {
      const V s = hn::MulAdd(load(d, sums + i, lanes), scale, k);
      store(s, d, sums + i, lanes);
      if (!roots) return;
      const V root = hn::Sqrt(s);
      store(hn::Div(one, dims.beta == 0.5 ? root : hn::Mul(root, hn::Sqrt(root))), d, factors + i, lanes);
    });
    for (std::size_t i = 0; i < n_ && !roots; ++i) factors[i] = std::pow(sums[i], -dims.beta);
  }

 private:
  std::size_t n_, width_;

 public:
  double *sums, *factors, *terms;
};

void ForwardRows(const LocalResponseDims& dims, const float* HWY_RESTRICT x, float* HWY_RESTRICT y, std::size_t rows,
                 double* room) {
  RowBuffers row(dims, room);
  for (std::size_t r = 0; r < rows; ++r, x += dims.n, y += dims.n) {
    row.Respond(dims, x);
    for_lanes(Doubles(), dims.n, [&](std::size_t i, auto lanes) HWY_ATTR {
      StoreNarrowed(hn::Mul(Widened(x + i, lanes), load(Doubles(), row.factors + i, lanes)), y + i, lanes);
    });
  }
}

void BackwardRows(const LocalResponseDims& dims, const float* HWY_RESTRICT x, const float* HWY_RESTRICT dy,
                  float* HWY_RESTRICT dx, std::size_t rows, double* room) {
  const Doubles d;
  RowBuffers row(dims, room);
  const V slope = hn::Set(d, 2 * dims.scale * dims.beta);
  for (std::size_t r = 0; r < rows; ++r, x += dims.n, dy += dims.n, dx += dims.n) {
    row.Respond(dims, x);
    row.SumWindows(dims.after, [&](std::size_t i, auto lanes) HWY_ATTR {
      const V product = hn::Mul(Widened(dy + i, lanes), Widened(x + i, lanes));
      const V s = only(d, load(d, row.sums + i, lanes), hn::Set(d, 1.0), lanes);
      return hn::Div(hn::Mul(product, load(d, row.factors + i, lanes)), s);
    });
    for_lanes(d, dims.n, [&](std::size_t i, auto lanes) HWY_ATTR {
      const V through = hn::Mul(hn::Mul(slope, Widened(x + i, lanes)), load(d, row.sums + i, lanes));
      StoreNarrowed(hn::MulSub(Widened(dy + i, lanes), load(d, row.factors + i, lanes), through), dx + i, lanes);
    });
  }
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {
namespace {

HWY_EXPORT(ForwardRows);
HWY_EXPORT(BackwardRows);

// Calls body(first element, rows, room) for pieces of the rows.
template <class Body>
void for_rows(const Device& device, const LocalResponseDims& dims, std::size_t size, const Body& body) {
  if (size == 0) return;
  parallel_for(device.pool, size / dims.n, std::max<std::size_t>(1, kGrain / 4 / dims.n),
               [&](std::size_t begin, std::size_t end) {
                 const Block room = device.arena.allocate((3 * dims.n + dims.before + dims.after) * sizeof(double));
                 body(begin * dims.n, end - begin, reinterpret_cast<double*>(room.data()));
               });
}

}  // namespace

void local_response_forward(const Device& device, const LocalResponseDims& dims, std::span<const float> x,
                            std::span<float> y) {
  for_rows(device, dims, y.size(), [&](std::size_t at, std::size_t rows, double* room) {
    TAPESTRY_CALL(device.target, ForwardRows)(dims, x.data() + at, y.data() + at, rows, room);
  });
}

void local_response_backward(const Device& device, const LocalResponseDims& dims, std::span<const float> x,
                             std::span<const float> dy, std::span<float> dx) {
  for_rows(device, dims, dx.size(), [&](std::size_t at, std::size_t rows, double* room) {
    TAPESTRY_CALL(device.target, BackwardRows)(dims, x.data() + at, dy.data() + at, dx.data() + at, rows, room);
  });
}

}  // namespace tapestry::kernels
#endif
