#include "kernels/copy.h"

#include <algorithm>

namespace tapestry::kernels {
namespace {

constexpr std::size_t kBlock =
    16;  // rows and columns that a transpose takes at once: a cache line of floats on each side

// y[i, j] = x[j, i] for i < rows, j < columns, block by block.
template <class T>
void transpose(const T* x, std::size_t x_stride, std::size_t rows, std::size_t columns, T* y, std::size_t y_stride) {
  for (std::size_t i0 = 0; i0 < rows; i0 += kBlock)
    for (std::size_t j0 = 0; j0 < columns; j0 += kBlock) {
      const std::size_t i1 = std::min(i0 + kBlock, rows), j1 = std::min(j0 + kBlock, columns);
      for (std::size_t i = i0; i < i1; ++i)
        for (std::size_t j = j0; j < j1; ++j) y[i * y_stride + j] = x[j * x_stride + i];
    }
}

// The walk over all axes but the last, with the axis that runs along x (stride 1) moved to the end: input 0 is x,
// input 1 is y.
BroadcastDims transposing(const BroadcastDims& dims, std::size_t along) {
  BroadcastDims walk{.rank = dims.rank - 1, .size = dims.size / dims.sizes[dims.rank - 1]};
  std::size_t next = 0, y_stride = dims.size;
  for (std::size_t axis = 0; axis + 1 < dims.rank; ++axis) {
    y_stride /= dims.sizes[axis];
    const std::size_t place = axis == along ? walk.rank - 1 : next++;
    walk.sizes[place] = dims.sizes[axis];
    walk.strides[0][place] = dims.strides[0][axis];
    walk.strides[1][place] = y_stride;
  }
  return walk;
}

}  // namespace

template <class T>
void gather_strided(const Device& device, const BroadcastDims& dims, std::span<const T> x, std::span<T> y) {
  if (dims.size == 0) return;
  const std::size_t last = dims.rank - 1, step = dims.strides[0][last];
  std::size_t along = 0;
  while (along < last && dims.strides[0][along] != 1) ++along;
  if (step > 1 && along < last) {
    const BroadcastDims walk = transposing(dims, along);
    const std::size_t columns = dims.sizes[last], grain = std::max(kBlock, kGrain / columns);
    const std::size_t y_stride = walk.strides[1][walk.rank - 1];
    return parallel_for(device.pool, walk.size, grain, [&](std::size_t begin, std::size_t end) {
      walk_rows(walk, begin, end, [&](std::size_t, std::size_t count, const std::array<std::size_t, 3>& at) {
        transpose(x.data() + at[0], step, count, columns, y.data() + at[1], y_stride);
      });
    });
  }
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

template <class T>
void scatter_strided(const Device& device, const BroadcastDims& dims, std::span<const T> x, std::span<T> y,
                     bool accumulate) {
  const std::size_t step = innermost_strides(dims)[0];
  parallel_for(device.pool, dims.size, kGrain, [&](std::size_t begin, std::size_t end) {
    walk_rows(dims, begin, end, [&](std::size_t in, std::size_t count, const std::array<std::size_t, 3>& at) {
      const T* from = x.data() + in;
      T* to = y.data() + at[0];
      if (accumulate) {
        for (std::size_t i = 0; i < count; ++i) to[i * step] += from[i];
      } else if (step == 1) {
        std::copy_n(from, count, to);
      } else {
        for (std::size_t i = 0; i < count; ++i) to[i * step] = from[i];
      }
    });
  });
}

template <class T>
void take_rows(const Device& device, std::size_t width, std::span<const T> x, std::span<const std::int64_t> index,
               std::span<T> y) {
  parallel_for(device.pool, index.size(), kGrain / (width + 1) + 1, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i)
      std::copy_n(x.data() + static_cast<std::size_t>(index[i]) * width, width, y.data() + i * width);
  });
}

template <class T>
void add_rows(const Device& device, std::size_t width, std::span<const T> x, std::span<const std::int64_t> index,
              std::span<T> y) {
  if (width == 0 || y.empty()) return;
  // Each chunk owns a range of rows of y and looks for them in the whole index.
  const std::size_t rows = y.size() / width, chunks = std::clamp<std::size_t>(index.size() * width / kGrain, 1, 16);
  parallel_for(device.pool, rows, (rows + chunks - 1) / chunks, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = 0; i < index.size(); ++i) {
      const auto row = static_cast<std::size_t>(index[i]);
      if (row < begin || row >= end) continue;
      for (std::size_t j = 0; j < width; ++j) y[row * width + j] += x[i * width + j];
    }
  });
}

namespace {

// Outer indices that belong to one task of gather_along and scatter_along.
std::size_t grain_along(const GatherDims& dims) { return kGrain / (dims.count * dims.inner + 1) + 1; }

}  // namespace

template <class T>
void gather_along(const Device& device, const GatherDims& dims, std::span<const T> x,
                  std::span<const std::int64_t> index, std::span<T> y) {
  parallel_for(device.pool, dims.outer, grain_along(dims), [&](std::size_t begin, std::size_t end) {
    reference::walk_along(dims, index, begin, end, [&](std::size_t at, std::size_t from) { y[at] = x[from]; });
  });
}

template <class T>
void scatter_along(const Device& device, const GatherDims& dims, std::span<const T> x,
                   std::span<const std::int64_t> index, std::span<T> y) {
  parallel_for(device.pool, dims.outer, grain_along(dims), [&](std::size_t begin, std::size_t end) {
    reference::walk_along(dims, index, begin, end, [&](std::size_t at, std::size_t to) { y[to] += x[at]; });
  });
}

using Index = std::span<const std::int64_t>;
template void gather_strided(const Device&, const BroadcastDims&, std::span<const float>, std::span<float>);
template void gather_strided(const Device&, const BroadcastDims&, std::span<const double>, std::span<double>);
template void scatter_strided(const Device&, const BroadcastDims&, std::span<const float>, std::span<float>, bool);
template void scatter_strided(const Device&, const BroadcastDims&, std::span<const double>, std::span<double>, bool);
template void take_rows(const Device&, std::size_t, std::span<const float>, Index, std::span<float>);
template void take_rows(const Device&, std::size_t, std::span<const double>, Index, std::span<double>);
template void add_rows(const Device&, std::size_t, std::span<const float>, Index, std::span<float>);
template void add_rows(const Device&, std::size_t, std::span<const double>, Index, std::span<double>);
template void gather_along(const Device&, const GatherDims&, std::span<const float>, Index, std::span<float>);
template void gather_along(const Device&, const GatherDims&, std::span<const double>, Index, std::span<double>);
template void scatter_along(const Device&, const GatherDims&, std::span<const float>, Index, std::span<float>);
template void scatter_along(const Device&, const GatherDims&, std::span<const double>, Index, std::span<double>);

}  // namespace tapestry::kernels
