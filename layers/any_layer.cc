#include "layers/any_layer.h"

#include "kernels/error.h"

namespace tapestry {

void AnyLayer::fail_moved() { throw ArgumentError("this layer was moved from"); }

}  // namespace tapestry
