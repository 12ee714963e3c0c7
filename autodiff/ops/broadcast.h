// What the elementwise and reducing ops share; not part of the public interface.
#pragma once

#include <initializer_list>
#include <string_view>

#include "autodiff/record.h"
#include "kernels/elementwise.h"

namespace tapestry::detail {

// The walk over y of inputs with these shapes, each of which can be broadcast to y; axes that run alike are one.
kernels::BroadcastDims broadcast_dims(const Shape& y, std::initializer_list<const Shape*> inputs);

// The shape that all inputs are broadcast to; ShapeError with the op's name and both shapes.
Shape broadcast_shape(std::string_view op, const Shape& a, const Shape& b, const Location& where);

// y = op(a, b) or op(a, b, c), whose shapes are broadcast to y's.
void elementwise(const kernels::Device& device, kernels::ElementwiseOp op, const Tensor& a, const Tensor& b, Tensor& y);
void elementwise(const kernels::Device& device, kernels::ElementwiseOp op, const Tensor& a, const Tensor& b,
                 const Tensor& c, Tensor& y);

// out = the sum of x over the axes along which out's shape was stretched to x's.
void sum_to(const kernels::Device& device, const Tensor& x, Tensor& out);

// A tensor of one element beside `like`, of the same type.
Tensor scalar_like(const Tensor& like, double value);

// Writes the gradient of input `i`, of shape `shape`: fill(g) computes it in y's shape; stretched axes are summed.
template <class Fill>
void give_gradient(const kernels::Device& device, GradSlots grads, int i, const Shape& shape, const Tensor& dy,
                   const Fill& fill) {
  if (!grads.wants(i)) return;
  Tensor gradient = grads.overwrite(i);
  if (shape == dy.shape()) return fill(gradient);
  Tensor whole = dy.like();
  fill(whole);
  sum_to(device, whole, gradient);
}
// The same where the gradient in y's shape is dy itself.
void give_gradient(const kernels::Device& device, GradSlots grads, int i, const Shape& shape, const Tensor& dy);

}  // namespace tapestry::detail
