// Inside of Tape, record and Gradients; not part of the public interface.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "autodiff/context_state.h"
#include "autodiff/gradients.h"
#include "autodiff/record.h"
#include "autodiff/tape.h"

namespace tapestry::detail {

struct Node {
  OpInfo op;
  Location where;
  void* closure;          // nullptr for a leaf
  const ClosureOps* ops;  // nullptr once the closure has run and is destroyed
  Shape shape;
  DType dtype;
  std::uint32_t first_input, inputs;  // in TapeState::inputs
};

struct Leaf {
  std::int32_t node;
  std::int32_t parameter;  // in TapeState::parameters, -1 for a variable
  Tensor value;            // as it was recorded
  std::uint32_t version;
};

// A constant of the computation, which must not change before backward.
struct Watched {
  Tensor value;
  std::uint32_t version;
};

struct QueuedBuffer {
  std::shared_ptr<Cell> cell;
  Tensor next;
};

// Gradients of all parameters that share a block lie in one block, at the same offsets.
struct GradientBlock {
  Block values;
  Tensor gradients;
};

struct TapeState {
  // Made ready for a run of `context`; and back to rest once Tape and Gradients have let go.
  void begin(std::shared_ptr<ContextState> context, TapeOptions options);
  void release() noexcept;  // one owner less
  void clear_nodes() noexcept;

  Tensor& gradient(std::int32_t node) { return gradients[static_cast<std::size_t>(node)]; }
  Tensor new_gradient(std::int32_t node);
  Tensor gradient_block(const Tensor& value);  // beside the block of a parameter's value; made at its first use
  Tensor parameter_gradient(const Tensor& value);
  std::int32_t parameter_leaf(const StateRef& parameter);
  void* reserve(std::size_t bytes, std::size_t alignment);
  Tensor new_scratch(std::int32_t node);
  void merge_scratch();
  void look_at_parameters(const Node& node);  // whether the gradients that `node` has just written are finite
  // Tells of a node: `y` of the forward pass and what that was given, or nothing for the backward pass.
  void trace(std::size_t node, const Tensor* y, const CallOptions& options, std::span<const InputRef> given = {});

  std::shared_ptr<ContextState> context;
  std::uint64_t step = 0;
  bool check_finite = false;
  std::uint32_t generation = 0;
  int owners = 0;
  bool spent = false;
  std::uint64_t draws = 0;  // random ops so far, recorded or not

  std::vector<Node> nodes;
  std::vector<std::int32_t> inputs;  // node numbers, -1 for constants
  std::vector<Leaf> leaves;
  std::vector<Watched> watched;
  std::vector<std::int32_t> leaf_of_node;  // filled by backward: node -> leaf number + 1
  std::vector<ParameterGradient> parameters;
  std::vector<std::int32_t> parameter_leaves;  // parameter number -> leaf number
  std::vector<std::int32_t> parameter_table;   // open addressing: parameter number + 1, by cell address
  std::vector<QueuedBuffer> queue;

  std::vector<Tensor> gradients;  // by node, during and (for leaves) after backward
  std::vector<GradientBlock> gradient_blocks;
  struct Scratch {
    std::int32_t node;
    Tensor tensor;
  };
  std::vector<Scratch> scratch;
  std::vector<std::int32_t> handed_out;  // nodes whose gradients the running backward was given to write

  struct Page {
    std::unique_ptr<std::byte[]> bytes;
    std::size_t size;
  };
  std::vector<Page> pages;  // closures
  std::size_t page = 0, used = 0;
  std::vector<TraceInput> traced;  // of the event that is being told
  std::chrono::steady_clock::time_point last_event;
};

// What listeners are told of inputs, in `list`.
std::span<const TraceInput> listed(std::span<const InputRef> given, std::vector<TraceInput>& list);

}  // namespace tapestry::detail
