#include "kernels/norm_general.h"

#include <algorithm>
#include <cmath>

#include "kernels/simd/or_null.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm/general.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/simd/lanes-inl.h"
#include "kernels/simd/wide-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

using V = hn::Vec<Doubles>;

// kSums sums over [0, n), each made of four that run side by side: add(j, lanes, sums) adds the terms of the elements
// from j on, and nothing for lanes that do not count.
template <std::size_t kSums, class Add>
HWY_INLINE void RowSums(std::size_t n, double* totals, const Add& add) {
  const Doubles d;
  const std::size_t step = hn::Lanes(d);
  V sums[4][kSums];
  for (auto& chain : sums)
    for (auto& sum : chain) sum = hn::Zero(d);
  std::size_t j = 0;
  for (; j + 4 * step <= n; j += 4 * step)
    for (std::size_t u = 0; u < 4; ++u) add(j + u * step, AllLanes{}, sums[u]);
  for_lanes(d, n - j, [&](std::size_t k, auto lanes) HWY_ATTR { add(j + k, lanes, sums[0]); });
  for (std::size_t k = 0; k < kSums; ++k)
    totals[k] =
        hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(sums[0][k], sums[1][k]), hn::Add(sums[2][k], sums[3][k]))));
}

// v where the mask is not 0; lanes that do not count become 0.
template <class Lanes>
HWY_INLINE V Selected(V v, const float* mask, std::size_t j, Lanes lanes) {
  const Doubles d;
  v = only(d, v, hn::Zero(d), lanes);
  return mask == nullptr ? v : hn::IfThenZeroElse(hn::Eq(Widened(mask + j, lanes), hn::Zero(d)), v);
}

// One row, `count` numbers of which are selected, `first` among them; 0 in its place where they are not centred.
void RowMoments(const GeneralNormDims& dims, const float* HWY_RESTRICT x, const float* mask, double first, double count,
                double* stats) {
  const Doubles d;
  double sum = 0, squares = 0;
  if (dims.center) {
    const V start = hn::Set(d, first);
    RowSums<1>(dims.n, &sum, [&](std::size_t j, auto lanes, V* sums) HWY_ATTR {
      sums[0] = hn::Add(sums[0], Selected(hn::Sub(Widened(x + j, lanes), start), mask, j, lanes));
    });
  }
  const double mean = first + sum / count;
  const V center = hn::Set(d, mean);
  RowSums<1>(dims.n, &squares, [&](std::size_t j, auto lanes, V* sums) HWY_ATTR {
    const V t = Selected(hn::Sub(Widened(x + j, lanes), center), mask, j, lanes);
    sums[0] = hn::MulAdd(t, t, sums[0]);
  });
  stats[0] = mean;
  stats[1] = squares / count;
}

using Row = reference::RowView<float>;

void RowApply(const Row& row, std::size_t n, const float* HWY_RESTRICT x, const float* weight, const float* bias,
              float* HWY_RESTRICT y) {
  const Doubles d;
  const V mean = hn::Set(d, row.mean), rstd = hn::Set(d, row.rstd);
  for_lanes(d, n, [&](std::size_t j, auto lanes) HWY_ATTR {
    V v = hn::Mul(hn::Sub(Widened(x + row.at + j, lanes), mean), rstd);
    if (weight != nullptr) v = hn::Mul(v, Widened(weight + row.weight_at + j, lanes));
    if (bias != nullptr) v = hn::Add(v, Widened(bias + row.weight_at + j, lanes));
    StoreNarrowed(v, y + row.at + j, lanes);
  });
}

// a b, and 0 where a is.
HWY_INLINE V Product(V a, V b) { return hn::IfThenZeroElse(hn::Eq(a, hn::Zero(Doubles())), hn::Mul(a, b)); }

// dweight and dbias are those of this row, or nullptr.
void RowProducts(const Row& row, std::size_t n, const float* HWY_RESTRICT x, const float* HWY_RESTRICT dy,
                 const float* weight, double* products, float* HWY_RESTRICT dweight, float* HWY_RESTRICT dbias) {
  const Doubles d;
  const V mean = hn::Set(d, row.mean), rstd = hn::Set(d, row.rstd);
  const double first = static_cast<double>(dy[row.at]) * row.weight(0);
  const V start = hn::Set(d, first);
  double totals[2];
  RowSums<2>(n, totals, [&](std::size_t j, auto lanes, V* sums) HWY_ATTR {
    const V h = hn::Mul(hn::Sub(Widened(x + row.at + j, lanes), mean), rstd), p = Widened(dy + row.at + j, lanes);
    const V g = weight == nullptr ? p : hn::Mul(p, Widened(weight + row.weight_at + j, lanes));
    sums[0] = hn::Add(sums[0], only(d, hn::Sub(g, start), hn::Zero(d), lanes));
    sums[1] = hn::Add(sums[1], Product(g, h));
    if (dweight != nullptr) StoreNarrowed(hn::Add(Widened(dweight + j, lanes), Product(p, h)), dweight + j, lanes);
    if (dbias != nullptr) StoreNarrowed(hn::Add(Widened(dbias + j, lanes), p), dbias + j, lanes);
  });
  products[0] = first + totals[0] / static_cast<double>(n);
  products[1] = totals[1] / static_cast<double>(n);
}

void RowGradient(const Row& row, std::size_t n, const float* HWY_RESTRICT x, const float* HWY_RESTRICT dy,
                 const float* mask, const float* weight, const double* products, float* HWY_RESTRICT dx) {
  const Doubles d;
  const V mean = hn::Set(d, row.mean), rstd = hn::Set(d, row.rstd);
  const bool constant = !row.shares();
  const V offset = hn::Set(d, constant ? 0 : row.share * products[0]);
  const V slope = hn::Set(d, constant ? 0 : row.share * products[1]);
  for_lanes(d, n, [&](std::size_t j, auto lanes) HWY_ATTR {
    V g = Widened(dy + row.at + j, lanes);
    if (weight != nullptr) g = hn::Mul(g, Widened(weight + row.weight_at + j, lanes));
    if (constant) {
      g = Product(g, rstd);
    } else {
      const V h = hn::Mul(hn::Sub(Widened(x + row.at + j, lanes), mean), rstd);
      const V through = hn::MulAdd(h, slope, offset);
      g = Product(hn::Sub(g, Selected(through, mask == nullptr ? nullptr : mask + row.at, j, lanes)), rstd);
    }
    StoreNarrowed(g, dx + row.at + j, lanes);
  });
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {
namespace {

HWY_EXPORT(RowMoments);
HWY_EXPORT(RowApply);
HWY_EXPORT(RowProducts);
HWY_EXPORT(RowGradient);

// Calls body(row) for all rows.
template <class Body>
void for_rows(const Device& device, const GeneralNormDims& dims, const Body& body) {
  if (dims.n == 0) return;
  parallel_for(device.pool, dims.rows, std::max<std::size_t>(1, kGrain / dims.n),
               [&](std::size_t begin, std::size_t end) {
                 for (std::size_t row = begin; row < end; ++row) body(row);
               });
}

// The rows that share a row of weight, cut into groups whose sums over rows are made in float.
struct RowGroups {
  explicit RowGroups(const GeneralNormDims& d)
      : run(d.rows / d.weight_rows),
        length(std::clamp<std::size_t>(8 * kGrain / d.n, 4, 64)),
        each((run + length - 1) / length) {}
  std::size_t run, length, each;  // rows of a weight, of a group; groups of a weight
};

// out [weight_rows, n] += the groups' sums, which lie `stride` apart, in order.
void merge(const GeneralNormDims& dims, const RowGroups& groups, const float* sums, std::size_t stride,
           std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::size_t first = i / dims.n * groups.each, j = i % dims.n;
    double sum = 0;
    for (std::size_t k = first; k < first + groups.each; ++k) sum += static_cast<double>(sums[k * stride + j]);
    out[i] = static_cast<float>(static_cast<double>(out[i]) + sum);
  }
}

}  // namespace

void norm_moments(const Device& device, const GeneralNormDims& dims, std::span<const float> x,
                  std::span<const float> mask, std::span<double> stats) {
  for_rows(device, dims, [&](std::size_t row) {
    const float* const in = x.data() + row * dims.n;
    const float* const selected = mask.empty() ? nullptr : mask.data() + row * dims.n;
    double* const to = stats.data() + 3 * row;
    std::size_t first = 0, count = dims.n;
    if (selected != nullptr) {
      first = static_cast<std::size_t>(std::find_if(selected, selected + dims.n, [](float m) { return m != 0; }) -
                                       selected);
      count = static_cast<std::size_t>(std::count_if(selected, selected + dims.n, [](float m) { return m != 0; }));
    }
    to[2] = static_cast<double>(dims.n) / static_cast<double>(count);
    if (count > 0) TAPESTRY_CALL(device.target, RowMoments)
    (dims, in, selected, dims.center ? static_cast<double>(in[first]) : 0, static_cast<double>(count), to);
    if (count == 0 || !std::isfinite(to[1])) to[0] = to[1] = std::numeric_limits<double>::quiet_NaN();
  });
}

void norm_apply(const Device& device, const GeneralNormDims& dims, const NormApply<float>& a) {
  for_rows(device, dims, [&](std::size_t row) {
    TAPESTRY_CALL(device.target, RowApply)
    (reference::RowView<float>(dims, a.weight, a.stats.data(), row), dims.n, a.x.data(), or_null(a.weight),
     or_null(a.bias), a.y.data());
  });
}

void norm_products(const Device& device, const GeneralNormDims& dims, const NormProducts<float>& a) {
  if (a.x.empty()) return;
  const RowGroups groups(dims);
  const std::size_t count = groups.each * dims.weight_rows;
  const bool summed = !a.dweight.empty() || !a.dbias.empty(), direct = groups.each == 1;
  const Block block = summed && !direct ? device.arena.allocate(count * 2 * dims.n * sizeof(float)) : Block();
  float* const sums = reinterpret_cast<float*>(block.data());
  parallel_for(device.pool, count, std::max<std::size_t>(1, kGrain / (groups.length * dims.n)),
               [&](std::size_t begin, std::size_t end) {
                 for (std::size_t group = begin; group < end; ++group) {
                   float* const own = direct || !summed ? nullptr : sums + group * 2 * dims.n;
                   if (own != nullptr) std::fill(own, own + 2 * dims.n, 0.0f);
                   const auto to = [&](std::span<float> out, std::size_t place) {
                     return out.empty() ? nullptr : direct ? out.data() + group * dims.n : own + place * dims.n;
                   };
                   const std::size_t first = group / groups.each * groups.run + group % groups.each * groups.length;
                   const std::size_t last = std::min(first + groups.length, (group / groups.each + 1) * groups.run);
                   for (std::size_t row = first; row < last; ++row) {
                     TAPESTRY_CALL(device.target, RowProducts)
                     (reference::RowView<float>(dims, a.weight, a.stats.data(), row), dims.n, a.x.data(), a.dy.data(),
                      or_null(a.weight), a.products.data() + 2 * row, to(a.dweight, 0), to(a.dbias, 1));
                     if (!dims.center) a.products[2 * row] = 0;
                   }
                 }
               });
  if (direct) return;
  merge(dims, groups, sums, 2 * dims.n, a.dweight);
  if (!a.dbias.empty()) merge(dims, groups, sums + dims.n, 2 * dims.n, a.dbias);
}

void norm_gradient(const Device& device, const GeneralNormDims& dims, const NormGradient<float>& a) {
  for_rows(device, dims, [&](std::size_t row) {
    TAPESTRY_CALL(device.target, RowGradient)
    (reference::RowView<float>(dims, a.weight, a.stats.data(), row), dims.n, a.x.data(), a.dy.data(), or_null(a.mask),
     or_null(a.weight), a.products.data() + 2 * row, a.dx.data());
  });
}

}  // namespace tapestry::kernels
#endif
