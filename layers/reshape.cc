#include "layers/reshape.h"

#include "kernels/error.h"

namespace tapestry {

Lambda::Lambda(std::function<Var(const Var&)> function) : function_(std::move(function)) {
  if (!function_) throw ArgumentError("Lambda: the function is empty");
}

}  // namespace tapestry
