// How any set of axes is reduced by kernels that know x [outer, size, inner]; not part of the public interface.
#pragma once

#include <array>

#include "autodiff/tensor.h"
#include "kernels/reduce.h"

namespace tapestry::detail {

// x brought into the form [outer, size, inner] with `size` reduced: by merging axes where that is enough, else by a
// permuted copy. Results are in the order of the axes that stay.
class ReducePlan {
 public:
  ReducePlan(const kernels::Device& device, const Tensor& x, const std::array<bool, Shape::kMaxRank>& reduced);

  const kernels::ReduceDims& dims() const { return dims_; }
  const Tensor& x() const { return x_; }
  double count() const { return static_cast<double>(dims_.size); }  // elements behind each result

  // The sums of `term`, as float64 [outer * inner]; `center`, float64 of that size, may hold nothing.
  Tensor sums(const kernels::Device& device, kernels::Term term, const Tensor& center) const;
  // out = factor * sums.
  void sum(const kernels::Device& device, kernels::Term term, const Tensor& center, double factor, Tensor& out) const;

 private:
  Tensor x_;
  kernels::ReduceDims dims_;
};

// out = factor * x, element for element; x is float64, out any floating type.
void scale_to(const kernels::Device& device, const Tensor& x, double factor, Tensor& out);

}  // namespace tapestry::detail
