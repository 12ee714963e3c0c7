#include "autodiff/ops/cast.h"

#include <fmt/format.h>

#include "autodiff/cost.h"

namespace tapestry {

namespace {
constexpr OpInfo kCast("cast", moving_cost<Saved::inputs>);
}

Var cast(const Var& x, DType dtype, Location where) {
  if (!x.value()) fail<ArgumentError>(where, kCast.name, "the input holds nothing");
  if (dtype != DType::float32 && dtype != DType::float64)
    fail<ArgumentError>(where, kCast.name,
                        fmt::format("dtype must be float32 or float64; it is {}", dtype_name(dtype)));
  if (x.dtype() == dtype) return x;
  if (x.dtype() == DType::int64) return x.constant(x.value().to(dtype));
  return record(kCast, x.value().to(dtype), {x}, where,
                [from = x.dtype()](const Tensor& dy, GradSlots grads) { grads.pass(0, dy.to(from)); });
}

}  // namespace tapestry
