#include "autodiff/tape_state.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/error.h"

namespace tapestry::detail {

void TapeState::begin(std::shared_ptr<ContextState> given, TapeOptions wanted) {
  context = std::move(given);
  {
    const std::lock_guard lock(context->mutex);
    step = wanted.step.value_or(context->tapes_begun);
    ++context->tapes_begun;
  }
  check_finite = wanted.check_finite;
  queue.clear();
  owners = 1;
  spent = false;
  draws = 0;
  last_event = std::chrono::steady_clock::now();
}

void TapeState::clear_nodes() noexcept {
  for (std::size_t i = nodes.size(); i-- > 0;)
    if (nodes[i].closure != nullptr && nodes[i].ops != nullptr) nodes[i].ops->destroy(nodes[i].closure);
  nodes.clear();
  inputs.clear();
  page = used = 0;
}

void TapeState::release() noexcept {
  if (--owners != 0) return;
  ++generation;
  clear_nodes();
  leaves.clear();
  leaf_of_node.clear();
  parameters.clear();
  parameter_leaves.clear();
  std::ranges::fill(parameter_table, 0);
  queue.clear();
  gradients.clear();
  gradient_blocks.clear();
  scratch.clear();
  handed_out.clear();
  watched.clear();
  const std::shared_ptr<ContextState> last = std::move(context);  // the context, and this with it, may end here
  const std::lock_guard lock(last->mutex);
  last->idle_tapes.push_back(this);
}

void* TapeState::reserve(std::size_t bytes, std::size_t alignment) {
  constexpr std::size_t kPage = 64 * 1024;
  for (;; ++page, used = 0) {
    if (page == pages.size()) {
      const std::size_t size = std::max(kPage, bytes + alignment);
      pages.push_back({std::make_unique_for_overwrite<std::byte[]>(size), size});
    }
    void* start = pages[page].bytes.get() + used;
    std::size_t space = pages[page].size - used;
    if (std::align(alignment, bytes, start, space) == nullptr) continue;
    used = pages[page].size - space + bytes;
    return start;
  }
}

std::int32_t TapeState::parameter_leaf(const StateRef& parameter) {
  if (parameter_table.size() < 2 * (parameters.size() + 1)) {
    parameter_table.assign(std::max<std::size_t>(64, 2 * parameter_table.size()), 0);
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      std::size_t at =
          reinterpret_cast<std::uintptr_t>(parameters[i].parameter.cell().get()) / 16 % parameter_table.size();
      while (parameter_table[at] != 0) at = (at + 1) % parameter_table.size();
      parameter_table[at] = static_cast<std::int32_t>(i) + 1;
    }
  }
  std::size_t at = reinterpret_cast<std::uintptr_t>(parameter.cell().get()) / 16 % parameter_table.size();
  for (; parameter_table[at] != 0; at = (at + 1) % parameter_table.size()) {
    const std::int32_t number = parameter_table[at] - 1;
    if (parameters[static_cast<std::size_t>(number)].parameter != parameter) continue;
    const Leaf& leaf = leaves[static_cast<std::size_t>(parameter_leaves[static_cast<std::size_t>(number)])];
    if (parameter.value().raw() != leaf.value.raw() || parameter.shape() != leaf.value.shape())
      throw ArgumentError("parameter '" + parameter.name() + "' was replaced between two uses on one tape");
    return leaf.node;
  }
  const auto node = static_cast<std::int32_t>(nodes.size());
  parameter_table[at] = static_cast<std::int32_t>(parameters.size()) + 1;
  parameter_leaves.push_back(static_cast<std::int32_t>(leaves.size()));
  leaves.push_back(
      {node, static_cast<std::int32_t>(parameters.size()), parameter.value(), parameter.value().block().version()});
  parameters.push_back({.parameter = parameter, .gradient = {}});
  gradient_block(
      parameter.value());  // now, and it lies below what the step saves, not as an island amid what backward frees
  nodes.push_back({"parameter", {}, nullptr, nullptr, parameter.value().shape(), parameter.value().dtype(), 0, 0});
  return node;
}

Tensor TapeState::new_gradient(std::int32_t node) {
  const Node& target = nodes[static_cast<std::size_t>(node)];
  const std::int32_t leaf = target.closure == nullptr ? leaf_of_node[static_cast<std::size_t>(node)] - 1 : -1;
  if (leaf >= 0 && leaves[static_cast<std::size_t>(leaf)].parameter >= 0)
    return parameter_gradient(leaves[static_cast<std::size_t>(leaf)].value);
  return Tensor(context->arena, target.shape, target.dtype);
}

Tensor TapeState::gradient_block(const Tensor& value) {
  const auto found = std::ranges::find_if(gradient_blocks,
                                          [&](const GradientBlock& entry) { return entry.values.same(value.block()); });
  if (found != gradient_blocks.end()) return found->gradients;
  const auto items = static_cast<std::int64_t>(value.block().bytes() / dtype_bytes(value.dtype()));
  gradient_blocks.push_back({value.block(), Tensor(context->arena, Shape{items}, value.dtype())});
  return gradient_blocks.back().gradients;
}

Tensor TapeState::parameter_gradient(const Tensor& value) {
  const Tensor block = gradient_block(value);
  Tensor gradient = block.view(static_cast<std::int64_t>(value.offset() / dtype_bytes(value.dtype())), value.shape());
  // The gap up to the next parameter, which starts at a multiple of 64 bytes.
  const std::size_t end = gradient.offset() + gradient.bytes();
  const std::size_t gap = std::min((end + 63) / 64 * 64, block.bytes()) - end;
  std::memset(gradient.raw() + gradient.bytes(), 0, gap);
  return gradient;
}

std::span<const TraceInput> listed(std::span<const InputRef> given, std::vector<TraceInput>& list) {
  list.clear();
  for (const InputRef& input : given) {
    const Tensor& value = input.var->value();
    list.push_back({value.shape(), value.dtype(), input.var->requires_grad(), value ? &value : nullptr});
  }
  return list;
}

void TapeState::trace(std::size_t number, const Tensor* y, const CallOptions& options,
                      std::span<const InputRef> given) {
  using Clock = std::chrono::steady_clock;
  const double seconds = std::chrono::duration<double>(Clock::now() - last_event).count();
  const Node& node = nodes[number];
  context->options.trace(
      {{options, listed(given, traced), node.shape, node.dtype}, node.op, y == nullptr, seconds, number, y});
  last_event = Clock::now();  // what the sink took is nobody's
}

}  // namespace tapestry::detail
