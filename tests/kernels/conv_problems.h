// Convolutions to test kernels with: operands between guard zones, and what plain loops in double make of them.
#pragma once

#include <cmath>
#include <string>

#include "kernels/conv.h"
#include "tests/catch.h"
#include "tests/support/targets.h"

namespace tapestry::test {

using kernels::ConvDims;

// The dims of a convolution with as much padding behind as before; `more` zeros behind on each axis come on top.
ConvDims conv_dims(std::size_t batch, std::size_t in_channels, std::size_t out_channels, std::size_t groups,
                   const ConvDims::Axes& in, const ConvDims::Axes& kernel, const ConvDims::Axes& stride,
                   const ConvDims::Axes& pad, const ConvDims::Axes& dilation, std::size_t more = 0);

// Of square images, and of lines: `size` and all that follows are the same along each axis.
ConvDims image(std::size_t batch, std::size_t in_channels, std::size_t out_channels, std::size_t size,
               std::size_t kernel, std::size_t pad = 0, std::size_t stride = 1, std::size_t dilation = 1,
               std::size_t groups = 1);
ConvDims line(std::size_t batch, std::size_t in_channels, std::size_t out_channels, std::size_t size,
              std::size_t kernel, std::size_t pad = 0, std::size_t stride = 1, std::size_t dilation = 1,
              std::size_t groups = 1);

std::string to_string(const ConvDims& dims);
std::size_t products(const ConvDims& dims);  // multiply-adds of a pass

enum class Numbers {
  real,
  whole  // up to 8: sums of fewer than 2^18 products are exact in float
};

// Inputs, and the results of all passes in double; dweight and dbias are added to what is in them before.
struct ConvProblem {
  ConvProblem(const ConvDims& dims, bool with_bias, Numbers numbers, std::uint64_t seed);

  ConvDims dims;
  bool with_bias;
  std::vector<float> x, weight, bias, dy, dweight, dbias;
  std::vector<double> y, dx, dweight_after, dbias_after;
};

// Runs all passes on the device with every operand `misalignment` elements off, and compares: results within
// `tolerance` of the largest (0: exact), inputs unchanged, nothing written outside. The outputs hold NaN before.
void check_passes(const kernels::Device& device, const ConvProblem& problem, std::size_t misalignment,
                  double tolerance);

// The results of all passes, one after the other.
std::vector<float> run_passes(const kernels::Device& device, const ConvProblem& problem);

// Fills free blocks of the arena with NaN, so that a kernel that relies on fresh memory is seen.
void poison(const kernels::Device& device);

}  // namespace tapestry::test
