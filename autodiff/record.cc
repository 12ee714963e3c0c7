#include "autodiff/record.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "autodiff/tape_state.h"
#include "kernels/elementwise.h"
#include "kernels/reduce.h"

namespace tapestry {
namespace {

void add_to(const kernels::Device& device, const Tensor& x, Tensor& y) {
  visit_floating("gradient", y.dtype(), [&]<class T>(T) { kernels::accumulate(device, x.span<T>(), y.span<T>()); });
}

}  // namespace

const detail::Node& GradSlots::node() const { return tape_->nodes[static_cast<std::size_t>(node_)]; }

std::int32_t GradSlots::target(int input) const {
  const detail::Node& node = this->node();
  if (static_cast<std::uint32_t>(input) >= node.inputs)
    fail<ArgumentError>(
        node.where, node.op.name,
        fmt::format("the backward asks for the gradient of input {}, there are {} inputs", input, node.inputs));
  return tape_->inputs[node.first_input + static_cast<std::uint32_t>(input)];
}

bool GradSlots::wants(int input) const { return target(input) >= 0; }

Tensor GradSlots::overwrite(int input) const {
  const std::int32_t target = this->target(input);
  if (target < 0) return {};
  Tensor& gradient = tape_->gradient(target);
  if (gradient) return tape_->new_scratch(target);
  tape_->handed_out.push_back(target);
  return gradient = tape_->new_gradient(target);
}

GradSlot GradSlots::slot(int input) const {
  const std::int32_t target = this->target(input);
  if (target < 0) return {};
  Tensor& gradient = tape_->gradient(target);
  // Two inputs of this op are one value: the op may fill both slots in any order, so each has memory of its own.
  if (std::ranges::find(tape_->handed_out, target) != tape_->handed_out.end())
    return {tape_->new_scratch(target), false};
  tape_->handed_out.push_back(target);
  if (!gradient) return {gradient = tape_->new_gradient(target), false};
  // Memory that came in through pass() may be seen by others, but never a leaf's own.
  const bool own = tape_->nodes[static_cast<std::size_t>(target)].closure == nullptr || gradient.block().unique();
  if (!own) gradient = gradient.clone();
  return {gradient, true};
}

Tensor GradSlots::add(int input) const {
  GradSlot slot = this->slot(input);
  if (slot && !slot.accumulate) std::memset(slot.tensor.raw(), 0, slot.tensor.bytes());
  return slot.tensor;
}

void GradSlots::pass(int input, const Tensor& gradient) const {
  const std::int32_t target = this->target(input);
  if (target < 0) return;
  const detail::Node& node = tape_->nodes[static_cast<std::size_t>(target)];
  if (gradient.size() != node.shape.size() || gradient.dtype() != node.dtype)
    fail<ShapeError>(
        this->node().where, this->node().op.name,
        fmt::format("the gradient of input {} must be {} {}, the backward gave {} {}", input, dtype_name(node.dtype),
                    to_string(node.shape), dtype_name(gradient.dtype()), to_string(gradient.shape())));
  if (!tape_->gradient(target) && node.closure != nullptr) {
    tape_->gradient(target) = gradient.reshape(node.shape);
  } else if (!tape_->gradient(target)) {
    tape_->gradient(target) = tape_->new_gradient(target);
    std::memcpy(tape_->gradient(target).raw(), gradient.raw(), gradient.bytes());
  } else {
    tape_->scratch.push_back({target, gradient.reshape(node.shape)});
  }
}

namespace detail {

Tensor TapeState::new_scratch(std::int32_t node) {
  scratch.push_back({node, gradient(node).like()});
  return scratch.back().tensor;
}

void TapeState::merge_scratch() {
  for (Scratch& entry : scratch) {
    Tensor& gradient = this->gradient(entry.node);
    if (nodes[static_cast<std::size_t>(entry.node)].closure != nullptr && !gradient.block().unique())
      gradient = gradient.clone();
    add_to(context->device, entry.tensor, gradient);
  }
  scratch.clear();
  handed_out.clear();
}

void TapeState::look_at_parameters(const Node& node) {
  for (std::uint32_t i = 0; i < node.inputs; ++i) {
    const std::int32_t target = inputs[node.first_input + i];
    const std::int32_t leaf = target < 0 ? -1 : leaf_of_node[static_cast<std::size_t>(target)] - 1;
    if (leaf < 0 || leaves[static_cast<std::size_t>(leaf)].parameter < 0 || !gradient(target)) continue;
    const Tensor& written = gradient(target);
    visit_floating("gradient", written.dtype(), [&]<class T>(T) {
      parameters[static_cast<std::size_t>(leaves[static_cast<std::size_t>(leaf)].parameter)].finite =
          kernels::all_finite(context->device, written.span<T>());
    });
  }
}

TapeState* common_tape(const char* op, std::span<const InputRef> inputs, const Location& where) {
  TapeState* tape = nullptr;
  ContextState* context = nullptr;
  bool wanted = false;
  for (const InputRef& input : inputs) {
    const Var& var = *input.var;
    if (!var.value() && input.optional) continue;
    if (!var.value()) fail<ArgumentError>(where, op, "an input holds nothing");
    if (context != nullptr && var.context() != context)
      fail<ArgumentError>(where, op, "the inputs belong to two contexts");
    context = var.context();
    if (var.tape() == nullptr) continue;
    if (var.tape()->generation != var.generation()) fail<ArgumentError>(where, op, "the tape of an input is gone");
    if (tape != nullptr && var.tape() != tape) fail<ArgumentError>(where, op, "the inputs belong to two tapes");
    tape = var.tape();
    wanted = wanted || var.requires_grad();
  }
  if (context == nullptr) fail<ArgumentError>(where, op, "an op needs an input");
  if (wanted && tape->spent)
    fail<ArgumentError>(where, op, "backward() has been called on this tape: it takes no more ops");
  return wanted ? tape : nullptr;
}

void* closure_space(TapeState* tape, std::size_t bytes, std::size_t alignment) {
  return tape->reserve(bytes, alignment);
}

namespace {
void check_finite(const char* op, const Tensor& y, const kernels::Device& device, const Location& where) {
  if (y.dtype() == DType::int64) return;
  visit_floating(op, y.dtype(), [&]<class T>(T) {
    if (!kernels::all_finite(device, y.span<T>()))
      fail<NumericError>(where, op, "the result holds a NaN or an infinity");
  });
}
}  // namespace

Var append(TapeState* tape, const OpInfo& op, Tensor y, std::span<const InputRef> inputs, const CallOptions& options,
           void* closure, const ClosureOps* ops) {
  const auto first = static_cast<std::uint32_t>(tape->inputs.size());
  try {
    for (const InputRef& input : inputs) tape->inputs.push_back(input.var->node());
    tape->nodes.push_back(
        {op, options.where, closure, ops, y.shape(), y.dtype(), first, static_cast<std::uint32_t>(inputs.size())});
  } catch (...) {
    ops->destroy(closure);
    throw;
  }
  if (tape->context->options.trace) tape->trace(tape->nodes.size() - 1, &y, options, inputs);
  if (tape->check_finite) check_finite(op.name, y, tape->context->device, options.where);
  return Var(std::move(y), tape->context.get(), tape, tape->generation,
             static_cast<std::int32_t>(tape->nodes.size()) - 1);
}

Var untaped(const OpInfo& op, Tensor y, std::span<const InputRef> inputs, const CallOptions& options) {
  TapeState* tape = nullptr;
  ContextState* context = nullptr;
  for (const InputRef& input : inputs) {
    if (input.var->tape() != nullptr) tape = input.var->tape();
    if (input.var->value()) context = input.var->context();
  }
  if (context->options.trace_untaped && context->options.trace) {
    std::vector<TraceInput> list;
    context->options.trace(
        {{options, listed(inputs, list), y.shape(), y.dtype()}, op, false, 0, TraceEvent::kNoNode, &y});
  }
  if (tape != nullptr && tape->check_finite) check_finite(op.name, y, tape->context->device, options.where);
  return Var(std::move(y), context, tape, tape == nullptr ? 0 : tape->generation, -1);
}

}  // namespace detail

std::uint64_t random_stream(const Var& x) {
  if (x.tape() == nullptr || x.tape()->generation != x.generation()) return 0;
  return SeedStreams::kDropout | x.tape()->step << 24 | ++x.tape()->draws;
}

}  // namespace tapestry
