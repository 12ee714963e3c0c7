#include "autodiff/cost.h"

#include <algorithm>

namespace tapestry {
namespace {

double bytes(const Shape& shape, DType dtype) { return elements(shape) * static_cast<double>(dtype_bytes(dtype)); }

double bytes(const TraceInput& input) { return input.value == nullptr ? 0 : bytes(input.shape, input.dtype); }

// The elements of the largest tensor.
double largest(const OpCall& call) {
  double most = elements(call.output);
  for (const TraceInput& input : call.inputs)
    if (input.value != nullptr) most = std::max(most, elements(input.shape));
  return most;
}

}  // namespace

double elements(const Shape& shape) { return static_cast<double>(shape.size()); }

OpCosts op_costs(const TraceEvent& event) {
  if (event.op.cost != nullptr) return event.op.cost(event);
  OpCosts assumed = elementwise_cost(event, Saved::inputs);
  assumed.known = false;
  return assumed;
}

OpCosts moving_cost(const OpCall& call, Saved saved) {
  const double y = bytes(call.output, call.dtype);
  OpCosts costs{.forward = {.bytes = y, .written = y}, .backward = {.bytes = y}};
  for (const TraceInput& input : call.inputs) {
    costs.forward.bytes += bytes(input);
    if (saved == Saved::inputs) costs.backward.bytes += bytes(input);
    if (!input.wants_gradient) continue;
    costs.backward.bytes += bytes(input);
    costs.backward.written += bytes(input);
  }
  return costs;
}

OpCosts per_element_cost(const OpCall& call, double forward, double backward) {
  OpCosts costs = moving_cost(call, Saved::inputs);
  costs.forward.flops = forward * largest(call);
  costs.backward.flops = backward * largest(call);
  return costs;
}

OpCosts elementwise_cost(const OpCall& call, Saved saved) {
  OpCosts costs = moving_cost(call, saved);
  costs.forward.flops = largest(call);
  for (const TraceInput& input : call.inputs)
    if (input.wants_gradient) costs.backward.flops += elements(input.shape);
  return costs;
}

OpCosts product_cost(const OpCall& call, double operations) {
  OpCosts costs = moving_cost(call, Saved::nothing);
  costs.forward.flops = costs.forward.products = operations;
  for (std::size_t i = 0; i < 2; ++i) {
    if (!call.inputs[i].wants_gradient) continue;
    costs.backward.bytes += bytes(call.inputs[1 - i]);
    costs.backward.products += operations;
  }
  costs.backward.flops = costs.backward.products;
  if (call.inputs.size() < 3) return costs;
  const double sums = elements(call.output);  // one addition each, and its gradient sums dy
  if (call.inputs[2].value != nullptr) costs.forward.flops += sums;
  if (call.inputs[2].wants_gradient) costs.backward.flops += sums;
  return costs;
}

}  // namespace tapestry
