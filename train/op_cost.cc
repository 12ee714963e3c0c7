#include "train/op_cost.h"

#include <algorithm>
#include <string_view>

namespace tapestry::train {
namespace {

double elements(const Shape& shape) { return static_cast<double>(shape.size()); }

double bytes(const Shape& shape, DType dtype) { return elements(shape) * static_cast<double>(dtype_bytes(dtype)); }

double bytes(const TraceInput& input) { return input.present ? bytes(input.shape, input.dtype) : 0; }

bool one_of(std::string_view op, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, op) != names.end();
}

// The operations of a product of x and a weight, without the bias; 0 for other ops.
double product_flops(std::string_view op, const TraceEvent& event) {
  if (event.inputs.size() < 2 || !event.inputs[1].present) return 0;
  const Shape &x = event.inputs[0].shape, &weight = event.inputs[1].shape;
  const auto channels = [&] { return static_cast<double>(std::max<std::int64_t>(weight[-1], 1)); };
  if (op.starts_with("conv_transpose"))  // [kernel..., O/G, C]: each input meets this part of the weight
    return 2 * elements(x) * elements(weight) / channels();
  if (op.starts_with("conv"))  // [kernel..., C/G, O]: each output does
    return 2 * elements(event.output) * elements(weight) / channels();
  if (op == "linear") return 2 * elements(event.output) * static_cast<double>(x[-1]);
  if (op == "matmul" &&
      event.output[-2] != 0)  // x has M of the output and K on its last axes, in one order or the other
    return 2 * elements(event.output) * static_cast<double>(x[-1] * x[-2] / event.output[-2]);
  return 0;
}

// What of the inputs a backward pass reads, beside dy.
double saved_bytes(std::string_view op, const TraceEvent& event) {
  if (op == "sum" || op == "mean" || op == "dropout" || op == "pad" || op == "slice" || op == "permute" ||
      op == "broadcast_to" || op == "concat" || op == "stack" || op == "interpolate" || op.find("pool") != op.npos)
    return 0;
  double read = 0;
  const bool products = product_flops(op, event) > 0;
  for (std::size_t i = 0; i < event.inputs.size(); ++i) {
    // x is needed for the weight's gradient and the weight for that of x, the bias for nothing.
    if (!products || (i < 2 && event.inputs[1 - i].wants_gradient)) read += bytes(event.inputs[i]);
  }
  return read;
}

}  // namespace

OpCosts op_costs(const TraceEvent& event) {
  const std::string_view op = event.op;
  if (op == "reshape") return {};  // the same memory under another shape
  const double written = elements(event.output);
  double largest = written, gradients = 0, bias = 0;
  std::size_t present = 0;
  OpCosts costs{
      .forward = {.flops = 0, .bytes = bytes(event.output, event.dtype), .written = bytes(event.output, event.dtype)},
      .backward = {.flops = 0, .bytes = bytes(event.output, event.dtype) + saved_bytes(op, event)}};
  for (std::size_t i = 0; i < event.inputs.size(); ++i) {
    const TraceInput& input = event.inputs[i];
    if (!input.present) continue;
    ++present;
    largest = std::max(largest, elements(input.shape));
    costs.forward.bytes += bytes(input);
    if (!input.wants_gradient) continue;
    gradients += elements(input.shape);
    costs.backward.bytes += bytes(input);
    costs.backward.written += bytes(input);
    if (i == 2) bias = written;  // its gradient sums dy
  }

  if (const double product = product_flops(op, event); product > 0) {
    const int passes = (event.inputs[0].wants_gradient ? 1 : 0) + (event.inputs[1].wants_gradient ? 1 : 0);
    costs.forward.flops = product + (present > 2 ? written : 0);
    costs.backward.flops = passes * product + bias;
    costs.forward.products = product;
    costs.backward.products = passes * product;
  } else if (op.find("norm") != op.npos) {
    // Forward as the layers count: 1 for the mean, 3 for the variance, 2 for the result, and 1 for each that lies
    // beside x. Backward 2 for the normalized x again, 3 for the sums of dy and of dy times it, 4 for dx.
    const auto beside = static_cast<double>(present - 1);
    costs.forward.flops = largest * (6 + beside);
    costs.backward.flops = largest * (9 + beside);
  } else if (op.find("cross_entropy") != op.npos || op.find("softmax") != op.npos) {
    costs.forward.flops = 4 * largest;  // largest, difference, exp, sum
    costs.backward.flops = 3 * largest;
  } else if (one_of(op, {"permute", "slice", "pad", "concat", "stack", "broadcast_to", "cast", "gather"})) {
    // Nothing is computed.
  } else {
    costs.forward.flops = largest;
    costs.backward.flops = gradients;
  }
  return costs;
}

}  // namespace tapestry::train
