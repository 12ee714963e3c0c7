// PyTorch's numbers: tests/golden/make_golden.py writes the files.
#pragma once

#include <map>
#include <string>

#include "autodiff/context.h"

namespace tapestry::test {

// The arrays of NAME.npz, by name. meson test says where the files are; a program that is run by hand from the root of
// the tree finds them too.
std::map<std::string, Tensor> golden_arrays(const Context& context, const std::string& name);

// The largest difference of two elements; NaN where one of both is NaN, 0 where both are. The shapes must be equal.
double largest_difference(const Tensor& found, const Tensor& expected);
void require_near(const std::string& name, const Tensor& found, const Tensor& expected, double tolerance);

}  // namespace tapestry::test
