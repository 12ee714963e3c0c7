// Pointwise kernels on whole arrays: choice of the instruction set, threads, and the tape.
#pragma once

#include <initializer_list>
#include <span>

#include "autodiff/pointwise/pointwise.h"
#include "autodiff/record.h"

namespace tapestry::pointwise {

// How many formulas there are: ops are the numbers below.
std::size_t count();
const Signature& signature(Op op);
// The options in the order of the signature; those that are left out are as it says.
Params with_defaults(const Signature& signature, std::span<const double> options);
// Whether backward() takes the op's result instead of its input.
bool saves_output(Op op, const Params& params);

// y = op(x). float runs on the vectors of device.target, double in plain loops.
void forward(const kernels::Device& device, Op op, const Params& params, std::span<const float> x, std::span<float> y);
void forward(const kernels::Device& device, Op op, const Params& params, std::span<const double> x,
             std::span<double> y);

// dx = dy op'; `saved` is y where saves_output(op, params), else x. Does nothing when dx is empty.
void backward(const kernels::Device& device, Op op, const Params& params, std::span<const float> saved,
              std::span<const float> dy, std::span<float> dx);
void backward(const kernels::Device& device, Op op, const Params& params, std::span<const double> saved,
              std::span<const double> dy, std::span<double> dx);

// y = x > 0 ? x : w x with weights that repeat: element i has w[i % w.size()].
void prelu(const kernels::Device& device, std::span<const float> x, std::span<const float> w, std::span<float> y);
void prelu(const kernels::Device& device, std::span<const double> x, std::span<const double> w, std::span<double> y);
// dx and dw; either may be empty.
void prelu_backward(const kernels::Device& device, std::span<const float> x, std::span<const float> w,
                    std::span<const float> dy, std::span<float> dx, std::span<float> dw);
void prelu_backward(const kernels::Device& device, std::span<const double> x, std::span<const double> w,
                    std::span<const double> dy, std::span<double> dx, std::span<double> dw);

// The op on the tape. `values`: its options, in the order of the signature. ArgumentError for one that breaks its rule,
// and unless x holds float32 or float64.
Var apply(Op op, std::initializer_list<double> values, const Var& x, const CallOptions& options);
// ArgumentError unless x holds float32 or float64.
void check_floating(const char* name, const Var& x, const Location& where);

}  // namespace tapestry::pointwise
