#include "layers/layer.h"

#include "autodiff/ops/elementwise.h"

namespace tapestry {

Var finish(const Var& y, const Tail& tail) {
  return activate(tail.residual.value() ? tail.residual + y : y, tail.activation);
}

}  // namespace tapestry
