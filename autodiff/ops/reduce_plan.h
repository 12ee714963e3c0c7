// How any set of axes is reduced by kernels that know x [outer, size, inner]; not part of the public interface.
#pragma once

#include "autodiff/axes.h"
#include "autodiff/location.h"
#include "autodiff/var.h"
#include "kernels/extreme.h"
#include "kernels/reduce.h"

namespace tapestry::detail {

// x brought into the form [outer, size, inner] with `size` reduced: by merging axes where that is enough, else by a
// permuted copy. Results are in the order of the axes that stay.
class ReducePlan {
 public:
  ReducePlan(const kernels::Device& device, const Tensor& x, const Axes& reduced);

  const kernels::ReduceDims& dims() const { return dims_; }
  const Tensor& x() const { return x_; }
  double count() const { return static_cast<double>(dims_.size); }  // elements behind each result

  // The sums of `term`, as float64 [outer * inner]; `center`, float64 of that size, may hold nothing.
  Tensor sums(const kernels::Device& device, kernels::Term term, const Tensor& center) const;
  // out = factor * sums.
  void sum(const kernels::Device& device, kernels::Term term, const Tensor& center, double factor, Tensor& out) const;
  // out, of x's type, = the extremes of x.
  void extremes(const kernels::Device& device, kernels::Extreme which, Tensor& out) const;

 private:
  Tensor x_;
  kernels::ReduceDims dims_;
};

// What an op reduces and what comes out. Refuses, in the op's name, x of nothing or of integers, and axes that x does
// not have or that are named twice.
struct Reduced {
  Reduced(const char* op, const Var& x, const Axes& axes, bool keepdim, const Location& where);

  Shape kept;  // reduced axes have size 1
  Shape y;
  ReducePlan plan;

 private:
  Reduced(const Var& x, const Axes& reduced, bool keepdim);
};

// ShapeError unless each result stands for `least` elements or more, and for one at least.
void need_elements(const char* op, const Reduced& reduced, const Var& x, int least, const Location& where);

// body(i) for each of `size` results.
template <class Body>
void for_results(const kernels::Device& device, std::size_t size, const Body& body) {
  parallel_for(device.pool, size, kernels::kGrain, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) body(i);
  });
}

// out = factor * x, element for element; x is float64, out any floating type.
void scale_to(const kernels::Device& device, const Tensor& x, double factor, Tensor& out);

}  // namespace tapestry::detail
