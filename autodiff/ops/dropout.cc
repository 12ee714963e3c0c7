#include "autodiff/ops/dropout.h"

#include <fmt/format.h>

#include "autodiff/context_state.h"
#include "autodiff/cost.h"
#include "autodiff/record.h"
#include "kernels/dropout.h"

namespace tapestry {

namespace {
constexpr OpInfo kDropout("dropout", elementwise_cost<Saved::nothing>);
}

void detail::require_probability(const DropoutOptions& options) {
  if (!(options.p >= 0 && options.p <= 1))
    fail<ArgumentError>(options.where, kDropout.name, fmt::format("p must be in [0, 1]; it is {}", options.p));
}

Var dropout(const Var& x, const DropoutOptions& options) {
  if (!x.value()) fail<ArgumentError>(options.where, kDropout.name, "the input holds nothing");
  detail::require_probability(options);
  const kernels::DropoutDims dims{.p = options.p, .seed = x.context()->options.seed, .stream = random_stream(x)};
  const kernels::Device& device = x.device();
  Tensor y = x.value().like();
  visit_floating(kDropout.name, x.dtype(),
                 [&]<class T>(T) { kernels::dropout(device, dims, x.value().span<T>(), y.span<T>()); });
  return record(kDropout, y, {x}, options, [&device, dims](const Tensor& dy, GradSlots grads) {
    Tensor dx = grads.overwrite(0);
    visit_floating(kDropout.name, dy.dtype(),
                   [&]<class T>(T) { kernels::dropout(device, dims, dy.span<T>(), dx.span<T>()); });
  });
}

}  // namespace tapestry
