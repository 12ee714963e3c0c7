#include <fmt/format.h>

#include "autodiff/cost.h"
#include "autodiff/ops/shape.h"
#include "autodiff/ops/strided.h"

namespace tapestry {
namespace {

using detail::InputRef;
using kernels::BroadcastDims;
using kernels::Device;

constexpr OpInfo kConcat("concat", moving_cost<Saved::nothing>);
constexpr OpInfo kStack("stack", moving_cost<Saved::nothing>);

void require_inputs(const char* op, std::span<const InputRef> inputs, const Location& where) {
  if (inputs.empty()) fail<ArgumentError>(where, op, "needs at least one input");
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].var->value()) fail<ArgumentError>(where, op, fmt::format("input {} holds nothing", i));
    const DType dtype = inputs[i].var->dtype(), first = inputs[0].var->dtype();
    if (dtype == DType::int64) fail<ArgumentError>(where, op, "needs float32 or float64, got int64");
    if (dtype != first)
      fail<ArgumentError>(where, op,
                          fmt::format("input 0 is {}, input {} is {}", dtype_name(first), i, dtype_name(dtype)));
  }
}

// `outer` rows of `width` elements, `stride` apart.
BroadcastDims rows(std::size_t outer, std::size_t width, std::size_t stride) {
  return detail::strided_dims(Shape{static_cast<std::int64_t>(outer), static_cast<std::int64_t>(width)}, {stride, 1});
}

// y: for each outer index, the elements that each input has for it, one input after the other.
Var join(const OpInfo& op, std::span<const InputRef> inputs, const Shape& shape, std::int64_t outer_size,
         const JoinOptions& options) {
  const Device& device = inputs[0].var->device();
  const std::size_t outer = static_cast<std::size_t>(outer_size), count = inputs.size();
  Tensor y = inputs[0].var->value().like(shape);
  const std::size_t stride = outer == 0 ? 0 : static_cast<std::size_t>(y.size()) / outer;
  // Where each input starts in a row of y, and where the last one ends.
  Tensor starts = y.like(Shape{static_cast<std::int64_t>(count + 1)}, DType::int64);
  const std::span<std::int64_t> at = starts.span<std::int64_t>();
  at[0] = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const Tensor& x = inputs[i].var->value();
    const std::int64_t width = outer == 0 ? 0 : x.size() / outer_size;
    at[i + 1] = at[i] + width;
    detail::scatter_strided(device, rows(outer, static_cast<std::size_t>(width), stride), x, y,
                            static_cast<std::size_t>(at[i]), false);
  }
  return record(op, y, inputs, options, [&device, starts, outer, count, stride](const Tensor& dy, GradSlots grads) {
    const std::span<const std::int64_t> begin = starts.span<std::int64_t>();
    for (std::size_t i = 0; i < count; ++i)
      if (Tensor dx = grads.overwrite(static_cast<int>(i)))
        detail::gather_strided(device, rows(outer, static_cast<std::size_t>(begin[i + 1] - begin[i]), stride), dy,
                               static_cast<std::size_t>(begin[i]), dx);
  });
}

Var concat_refs(std::span<const InputRef> inputs, const JoinOptions& options) {
  require_inputs(kConcat.name, inputs, options.where);
  const Shape& first = inputs[0].var->shape();
  const int axis = detail::checked_axis(kConcat.name, first, options.axis, options.where);
  std::int64_t total = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Shape& shape = inputs[i].var->shape();
    if (shape.rank() != first.rank() || shape.with(axis, 0) != first.with(axis, 0))
      fail<ShapeError>(options.where, kConcat.name,
                       fmt::format("the inputs may differ in axis {} only; input 0 is {}, input {} is {}", options.axis,
                                   to_string(first), i, to_string(shape)));
    total += shape[axis];
  }
  return join(kConcat, inputs, first.with(axis, total), first.product(0, axis), options);
}

Var stack_refs(std::span<const InputRef> inputs, const JoinOptions& options) {
  require_inputs(kStack.name, inputs, options.where);
  const Shape& first = inputs[0].var->shape();
  for (std::size_t i = 1; i < inputs.size(); ++i)
    if (inputs[i].var->shape() != first)
      fail<ShapeError>(options.where, kStack.name,
                       fmt::format("the inputs need one shape; input 0 is {}, input {} is {}", to_string(first), i,
                                   to_string(inputs[i].var->shape())));
  const int axis = detail::checked_place(kStack.name, first, options.axis, options.where);
  return join(kStack, inputs, first.insert(axis, static_cast<std::int64_t>(inputs.size())), first.product(0, axis),
              options);
}

// Calls f with the list of references, which lies in the arena of the first input.
template <class F>
Var with_refs(const char* op, std::span<const Var> inputs, const JoinOptions& options, const F& f) {
  if (inputs.empty()) fail<ArgumentError>(options.where, op, "needs at least one input");
  if (!inputs[0].value()) fail<ArgumentError>(options.where, op, "input 0 holds nothing");
  const Block block = inputs[0].value().block().beside(inputs.size() * sizeof(InputRef));
  InputRef* refs = reinterpret_cast<InputRef*>(block.data());
  for (std::size_t i = 0; i < inputs.size(); ++i) new (refs + i) InputRef(inputs[i]);
  return f(std::span<const InputRef>(refs, inputs.size()), options);
}

}  // namespace

Var concat(std::initializer_list<InputRef> inputs, JoinOptions options) {
  return concat_refs({inputs.begin(), inputs.size()}, options);
}
Var concat(std::span<const Var> inputs, JoinOptions options) {
  return with_refs(kConcat.name, inputs, options, concat_refs);
}
Var stack(std::initializer_list<InputRef> inputs, JoinOptions options) {
  return stack_refs({inputs.begin(), inputs.size()}, options);
}
Var stack(std::span<const Var> inputs, JoinOptions options) {
  return with_refs(kStack.name, inputs, options, stack_refs);
}

}  // namespace tapestry
