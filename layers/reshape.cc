#include "layers/reshape.h"

#include "kernels/error.h"

namespace tapestry {

Flow Flatten::build(Builder&, const Flow& in) const {
  if (!in.shape) return {};
  Flow out(Shape{in.shape->size()}, in.guessed);
  out.flattened = in.shape->rank() > 1 ? *in.shape : in.flattened;
  return out;
}

Lambda::Lambda(std::function<Var(const Var&)> function) : function_(std::move(function)) {
  if (!function_) throw ArgumentError("Lambda: the function is empty");
}

}  // namespace tapestry
