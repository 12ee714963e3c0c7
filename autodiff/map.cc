#include "autodiff/map.h"

#include <fmt/format.h>

namespace tapestry::detail {

void check_map(const char* op, std::initializer_list<InputRef> inputs, const Location& where) {
  const Var& first = *inputs.begin()->var;
  for (const InputRef& input : inputs) {
    const Var& x = *input.var;
    if (!x.value()) fail<ArgumentError>(where, op, "an input holds nothing");
    if (x.dtype() != DType::float32 && x.dtype() != DType::float64)
      fail<ArgumentError>(where, op, fmt::format("the input is {}; float32 and float64 work", dtype_name(x.dtype())));
    if (x.dtype() != first.dtype())
      fail<ArgumentError>(where, op,
                          fmt::format("the inputs are {} and {}", dtype_name(first.dtype()), dtype_name(x.dtype())));
    if (x.shape() != first.shape())
      fail<ShapeError>(
          where, op,
          fmt::format("both shapes must be equal; they are {} and {}", to_string(first.shape()), to_string(x.shape())));
  }
}

}  // namespace tapestry::detail
