#include "autodiff/tape.h"

#include <fmt/format.h>

#include <cmath>

#include "autodiff/tape_state.h"

namespace tapestry {
namespace {

detail::TapeState* idle_tape(detail::ContextState& context) {
  const std::lock_guard lock(context.mutex);
  if (context.idle_tapes.empty()) {
    context.tapes.push_back(std::make_unique<detail::TapeState>());
    context.idle_tapes.reserve(context.tapes.size());
    return context.tapes.back().get();
  }
  detail::TapeState* tape = context.idle_tapes.back();
  context.idle_tapes.pop_back();
  return tape;
}

void commit(detail::TapeState& tape) {
  for (detail::QueuedBuffer& queued : tape.queue) queued.cell->value.assign(queued.next);
  tape.queue.clear();
}

}  // namespace

Tape::Tape(Context& context, TapeOptions options) : state_(idle_tape(*context.state())) {
  state_->begin(context.state(), options);
}

Tape::~Tape() { state_->release(); }

Var Tape::input(Tensor x) {
  if (!x) throw ArgumentError("tape.input: the tensor holds nothing");
  state_->watched.push_back({x, x.block().version()});
  return Var(std::move(x), state_->context.get(), state_, state_->generation, -1);
}

Var Tape::variable(Tensor x) {
  if (!x) throw ArgumentError("tape.variable: the tensor holds nothing");
  if (x.dtype() == DType::int64) fail_dtype("tape.variable", x.dtype());
  if (state_->spent)
    throw ArgumentError("tape.variable: backward() has been called on this tape: it takes no more ops");
  const auto node = static_cast<std::int32_t>(state_->nodes.size());
  state_->leaves.push_back({node, -1, x, x.block().version()});
  state_->nodes.push_back({"variable", {}, nullptr, nullptr, x.shape(), x.dtype(), 0, 0});
  return Var(std::move(x), state_->context.get(), state_, state_->generation, node);
}

std::size_t Tape::nodes() const { return state_->nodes.size(); }

void Tape::commit() { tapestry::commit(*state_); }

Gradients Tape::backward(const Var& loss) {
  if (loss.value().size() != 1)
    throw ShapeError(fmt::format("backward: the loss must have one element; it is {}", to_string(loss.shape())));
  const double value = loss.item();
  if (!std::isfinite(value)) throw NumericError(fmt::format("backward: the loss is {}", value));
  Tensor dy = loss.value().like();
  dy.fill(1);
  return run_backward(loss, std::move(dy));
}

Gradients Tape::backward(const Var& y, const Tensor& dy) {
  if (dy.shape() != y.shape() || dy.dtype() != y.dtype())
    throw ShapeError(fmt::format("backward: y is {}, dy is {}", to_string(y.shape()), to_string(dy.shape())));
  return run_backward(y, dy);
}

Gradients Tape::run_backward(const Var& y, Tensor dy) {
  detail::TapeState& tape = *state_;
  if (tape.spent) throw ArgumentError("backward: has been called on this tape already");
  if (y.tape() != state_ || y.generation() != tape.generation)
    throw ArgumentError("backward: the value is not of this tape");
  if (!y.requires_grad())
    throw ArgumentError("backward: the value depends on no parameter and no variable of this tape");
  for (const detail::Leaf& leaf : tape.leaves)
    if (leaf.value.block().version() != leaf.version)
      throw ArgumentError(fmt::format(
          "backward: {} was changed after it was recorded",
          leaf.parameter < 0 ? "a variable"
                             : "the block of parameter '" +
                                   tape.parameters[static_cast<std::size_t>(leaf.parameter)].parameter.name() + "'"));
  for (const detail::Watched& entry : tape.watched)
    if (entry.value.block().version() != entry.version)
      throw ArgumentError(fmt::format("backward: an input or a frozen parameter, {}, was changed after it was recorded",
                                      to_string(entry.value.shape())));
  tape.spent = true;
  tape.gradients.resize(tape.nodes.size());
  tape.leaf_of_node.assign(tape.nodes.size(), 0);
  for (std::size_t i = 0; i < tape.leaves.size(); ++i)
    tape.leaf_of_node[static_cast<std::size_t>(tape.leaves[i].node)] = static_cast<std::int32_t>(i) + 1;
  if (tape.nodes[static_cast<std::size_t>(y.node())].closure == nullptr) {
    tape.gradient(y.node()) = tape.new_gradient(y.node());
    tape.gradient(y.node()).assign(dy);
  } else {
    tape.gradient(y.node()) = std::move(dy);
  }
  for (std::int32_t i = static_cast<std::int32_t>(tape.nodes.size()) - 1; i >= 0; --i) {
    detail::Node& node = tape.nodes[static_cast<std::size_t>(i)];
    if (node.closure == nullptr) continue;
    if (const Tensor gradient = std::move(tape.gradient(i)); gradient) {
      node.ops->run(node.closure, gradient, GradSlots(&tape, i));
      tape.merge_scratch();
      tape.look_at_parameters(node);
      if (tape.context->options.trace) tape.trace(static_cast<std::size_t>(i), nullptr, node.where);
    }
    node.ops->destroy(node.closure);
    node.ops = nullptr;
    tape.gradient(i) = {};
  }
  for (const detail::Leaf& leaf : tape.leaves) {
    if (leaf.parameter < 0) continue;
    ParameterGradient& entry = tape.parameters[static_cast<std::size_t>(leaf.parameter)];
    entry.gradient = tape.gradient(leaf.node);
    entry.version = entry.gradient.block().version();
  }
  return Gradients(state_);
}

Gradients::Gradients(detail::TapeState* state) : state_(state) { ++state_->owners; }

Gradients::~Gradients() {
  if (state_ != nullptr) state_->release();
}

Tensor Gradients::operator[](const Var& x) const {
  if (x.tape() != state_ || x.generation() != state_->generation || x.node() < 0 ||
      state_->leaf_of_node[static_cast<std::size_t>(x.node())] == 0)
    throw ArgumentError("gradients: this Var is no leaf of the tape: make it with tape.variable(x)");
  if (const Tensor& gradient = state_->gradient(x.node())) return gradient;
  Tensor zeros = x.value().like();
  zeros.fill(0);
  return zeros;
}

Tensor Gradients::operator[](const StateRef& parameter) const {
  for (const ParameterGradient& entry : state_->parameters)
    if (entry.parameter == parameter) return entry.gradient;
  return {};
}

std::span<const ParameterGradient> Gradients::parameters() const { return state_->parameters; }
const kernels::Device& Gradients::device() const { return state_->context->device; }
std::uint64_t Gradients::step() const { return state_->step; }
void Gradients::commit() { tapestry::commit(*state_); }

}  // namespace tapestry
