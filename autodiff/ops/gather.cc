#include "autodiff/ops/gather.h"

#include <fmt/format.h>

#include <algorithm>

#include "autodiff/axes.h"
#include "autodiff/cost.h"
#include "kernels/copy.h"

namespace tapestry {
namespace {

using kernels::Device;
using kernels::GatherDims;

constexpr OpInfo kGather("gather", moving_cost<Saved::inputs>);
constexpr OpInfo kGatherRows("gather_rows", elementwise_cost<Saved::inputs>);

void require(const char* op, const Var& x, const Tensor& index, std::int64_t size, const Location& where) {
  if (x.dtype() == DType::int64) fail<ArgumentError>(where, op, "needs float32 or float64, got int64");
  if (index.dtype() != DType::int64)
    fail<ArgumentError>(where, op, fmt::format("the index must be int64, got {}", dtype_name(index.dtype())));
  const std::span<const std::int64_t> values = index.span<std::int64_t>();
  const auto bad = std::ranges::find_if(values, [&](std::int64_t i) { return i < 0 || i >= size; });
  if (bad != values.end())
    fail<ArgumentError>(where, op,
                        fmt::format("index {} at position {} is outside [0, {}); x is {}", *bad, bad - values.begin(),
                                    size, to_string(x.shape())));
}

}  // namespace

Var gather(const Var& x, const Tensor& index, GatherOptions options) {
  const Location& where = options.where;
  if (!x.value() || !index) fail<ArgumentError>(where, kGather.name, "an input holds nothing");
  const Shape& shape = x.shape();
  const int axis = detail::checked_axis(kGather.name, shape, options.axis, where);
  if (index.rank() != shape.rank() || index.shape().with(axis, 0) != shape.with(axis, 0))
    fail<ShapeError>(where, kGather.name,
                     fmt::format("x and index may differ in axis {} only; x is {}, index is {}", options.axis,
                                 to_string(shape), to_string(index.shape())));
  require(kGather.name, x, index, shape[axis], where);
  const GatherDims dims{.outer = static_cast<std::size_t>(shape.product(0, axis)),
                        .size = static_cast<std::size_t>(shape[axis]),
                        .inner = static_cast<std::size_t>(shape.product(axis + 1, shape.rank())),
                        .count = static_cast<std::size_t>(index.shape()[axis])};
  const Device& device = x.device();
  Tensor y = x.value().like(index.shape());
  visit_floating(kGather.name, y.dtype(), [&]<class T>(T) {
    kernels::gather_along(device, dims, x.value().span<T>(), index.span<std::int64_t>(), y.span<T>());
  });
  return record(kGather, y, {x}, options, [&device, dims, index = index.clone()](const Tensor& dy, GradSlots grads) {
    if (Tensor dx = grads.add(0))
      visit_floating(kGather.name, dy.dtype(), [&]<class T>(T) {
        kernels::scatter_along(device, dims, dy.span<T>(), index.span<std::int64_t>(), dx.span<T>());
      });
  });
}

Var gather_rows(const Var& table, const Tensor& indices, Location where) {
  if (!table.value() || !indices) fail<ArgumentError>(where, kGatherRows.name, "an input holds nothing");
  const Shape& shape = table.shape();
  const int rank = indices.rank() + shape.rank() - 1;
  if (shape.rank() == 0 || rank > Shape::kMaxRank)
    fail<ShapeError>(where, kGatherRows.name,
                     fmt::format("needs a table with rows, and at most {} axes in all; table is {}, indices are {}",
                                 Shape::kMaxRank, to_string(shape), to_string(indices.shape())));
  require(kGatherRows.name, table, indices, shape[0], where);
  Shape sizes = indices.shape();
  for (int axis = 1; axis < shape.rank(); ++axis) sizes = sizes.append(shape[axis]);
  const Device& device = table.device();
  const std::size_t width = static_cast<std::size_t>(shape.product(1, shape.rank()));
  Tensor y = table.value().like(sizes);
  visit_floating(kGatherRows.name, y.dtype(), [&]<class T>(T) {
    kernels::take_rows(device, width, table.value().span<T>(), indices.span<std::int64_t>(), y.span<T>());
  });
  return record(kGatherRows, y, {table}, where,
                [&device, width, indices = indices.clone()](const Tensor& dy, GradSlots grads) {
                  if (Tensor dx = grads.add(0))
                    visit_floating(kGatherRows.name, dy.dtype(), [&]<class T>(T) {
                      kernels::add_rows(device, width, dy.span<T>(), indices.span<std::int64_t>(), dx.span<T>());
                    });
                });
}

}  // namespace tapestry
