#include "autodiff/ops/local_response.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "autodiff/cost.h"
#include "autodiff/record.h"
#include "kernels/local_response.h"

namespace tapestry {
namespace {

constexpr OpInfo kLocalResponseNorm("local_response_norm",
                                    [](const OpCall& call) { return per_element_cost(call, 6, 9); });

kernels::LocalResponseDims response_dims(const Var& x, const LocalResponseNormOptions& o) {
  constexpr const char* kOp = kLocalResponseNorm.name;
  if (!x.value()) fail<ArgumentError>(o.where, kOp, "the input holds nothing");
  if (x.shape().rank() == 0) fail<ShapeError>(o.where, kOp, "x must be [..., C]; it is a single number");
  if (o.size < 1) fail<ArgumentError>(o.where, kOp, fmt::format("size must be positive; it is {}", o.size));
  if (!(o.alpha >= 0) || !std::isfinite(o.alpha))
    fail<ArgumentError>(o.where, kOp, fmt::format("alpha must be finite and not negative; it is {}", o.alpha));
  if (!std::isfinite(o.beta)) fail<ArgumentError>(o.where, kOp, fmt::format("beta must be finite; it is {}", o.beta));
  if (!(o.k > 0) || !std::isfinite(o.k))
    fail<ArgumentError>(o.where, kOp, fmt::format("k must be positive and finite; it is {}", o.k));
  const std::int64_t channels = x.shape()[-1], far = std::max<std::int64_t>(channels - 1, 0);
  return {.n = static_cast<std::size_t>(channels),
          .before = static_cast<std::size_t>(std::min(o.size / 2, far)),
          .after = static_cast<std::size_t>(std::min((o.size - 1) / 2, far)),
          .scale = o.scaling == ResponseScaling::mean ? o.alpha / static_cast<double>(o.size) : o.alpha,
          .beta = o.beta,
          .k = o.k};
}

}  // namespace

Var local_response_norm(const Var& x, const LocalResponseNormOptions& options) {
  const kernels::LocalResponseDims dims = response_dims(x, options);
  const kernels::Device& device = x.device();
  Tensor y = x.value().like();
  visit_floating(kLocalResponseNorm.name, x.dtype(),
                 [&]<class T>(T) { kernels::local_response_forward(device, dims, x.value().span<T>(), y.span<T>()); });
  return record(kLocalResponseNorm, y, {x}, options, [&device, dims, x = x.value()](const Tensor& dy, GradSlots grads) {
    Tensor dx = grads.overwrite(0);
    visit_floating(kLocalResponseNorm.name, x.dtype(), [&]<class T>(T) {
      kernels::local_response_backward(device, dims, x.span<T>(), dy.span<T>(), dx.span<T>());
    });
  });
}

}  // namespace tapestry
