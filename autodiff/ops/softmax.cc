#include "autodiff/ops/softmax.h"

#include "autodiff/axes.h"
#include "autodiff/cost.h"
#include "autodiff/record.h"
#include "kernels/softmax.h"

namespace tapestry {
namespace {

using kernels::SoftmaxDims;

// The largest, a difference, exp and a sum; backward a product, a sum and a difference.
OpCosts softmax_cost(const OpCall& call) { return per_element_cost(call, 4, 3); }

constexpr OpInfo kSoftmax("softmax", softmax_cost), kLogSoftmax("log_softmax", softmax_cost);

SoftmaxDims softmax_dims(const char* op, const Shape& x, const SoftmaxOptions& options, bool log) {
  SoftmaxDims dims{.log = log};
  if (x.rank() == 0 && (options.axis == 0 || options.axis == -1)) return dims;  // a number is a line of one element
  const int axis = detail::checked_axis(op, x, options.axis, options.where);
  dims.outer = static_cast<std::size_t>(x.product(0, axis));
  dims.size = static_cast<std::size_t>(x[axis]);
  dims.inner = static_cast<std::size_t>(x.product(axis + 1, x.rank()));
  return dims;
}

Var softmax_of(const OpInfo& op, const Var& x, const SoftmaxOptions& options, bool log) {
  if (!x.value()) fail<ArgumentError>(options.where, op.name, "the input holds nothing");
  const SoftmaxDims dims = softmax_dims(op.name, x.shape(), options, log);
  const kernels::Device& device = x.device();
  Tensor y = x.value().like();
  visit_floating(op.name, x.dtype(),
                 [&]<class T>(T) { kernels::softmax_forward(device, dims, x.value().span<T>(), y.span<T>()); });
  return record(op, y, {x}, options, [&device, dims, y](const Tensor& dy, GradSlots grads) {
    Tensor dx = grads.overwrite(0);
    visit_floating("softmax", y.dtype(), [&]<class T>(T) {
      kernels::softmax_backward(device, dims, y.span<T>(), dy.span<T>(), dx.span<T>());
    });
  });
}

}  // namespace

Var softmax(const Var& x, const SoftmaxOptions& options) { return softmax_of(kSoftmax, x, options, false); }

Var log_softmax(const Var& x, const SoftmaxOptions& options) { return softmax_of(kLogSoftmax, x, options, true); }

}  // namespace tapestry
