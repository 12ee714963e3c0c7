#include "autodiff/ops/cast.h"

#include <fmt/format.h>

namespace tapestry {

Var cast(const Var& x, DType dtype, Location where) {
  if (!x.value()) fail<ArgumentError>(where, "cast", "the input holds nothing");
  if (dtype != DType::float32 && dtype != DType::float64)
    fail<ArgumentError>(where, "cast", fmt::format("dtype must be float32 or float64; it is {}", dtype_name(dtype)));
  if (x.dtype() == dtype) return x;
  if (x.dtype() == DType::int64) return x.constant(x.value().to(dtype));
  return record("cast", x.value().to(dtype), {x}, where,
                [from = x.dtype()](const Tensor& dy, GradSlots grads) { grads.pass(0, dy.to(from)); });
}

}  // namespace tapestry
