#include "layers/layer.h"

#include "autodiff/ops/elementwise.h"
#include "kernels/error.h"
#include "layers/any_layer.h"

namespace tapestry {

Var finish(const Var& y, const Tail& tail) {
  return max_pool(activate(tail.residual.value() ? tail.residual + y : y, tail.activation), tail.pool);
}

void AnyLayer::fail_moved() { throw ArgumentError("this layer was moved from"); }

}  // namespace tapestry
