#include "kernels/copy.h"

#include <algorithm>

namespace tapestry::kernels {

template <class T>
void gather_strided(const Device& device, const BroadcastDims& dims, std::span<const T> x, std::span<T> y) {
  const std::size_t step = innermost_strides(dims)[0];
  parallel_for(device.pool, dims.size, kGrain, [&](std::size_t begin, std::size_t end) {
    walk_rows(dims, begin, end, [&](std::size_t out, std::size_t count, const std::array<std::size_t, 3>& at) {
      const T* from = x.data() + at[0];
      T* to = y.data() + out;
      if (step == 1) {
        std::copy_n(from, count, to);
      } else {
        for (std::size_t i = 0; i < count; ++i) to[i] = from[i * step];
      }
    });
  });
}
template void gather_strided(const Device&, const BroadcastDims&, std::span<const float>, std::span<float>);
template void gather_strided(const Device&, const BroadcastDims&, std::span<const double>, std::span<double>);
template void gather_strided(const Device&, const BroadcastDims&, std::span<const std::int64_t>,
                             std::span<std::int64_t>);

}  // namespace tapestry::kernels
