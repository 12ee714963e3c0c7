// How an op describes itself, and what a listener hears of a call of it (ContextOptions::trace).
#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <typeinfo>

#include "autodiff/dtype.h"
#include "autodiff/location.h"
#include "autodiff/shape.h"

namespace tapestry {

class Tensor;

// `flops`: additions and multiplications, a multiply-add is two, as in layers/summary.h; a function such as exp is one.
// `bytes`: the least that moves between the op and memory when nothing is left in a cache: each input that it needs is
// read once, each result is written once.
struct OpCost {
  double flops = 0, bytes = 0;
  double written = 0;   // of the bytes; the others are read
  double products = 0;  // of the operations, those of products and convolutions, which a matrix unit may take
};

struct OpCosts {
  OpCost forward;
  OpCost backward;    // for the gradients that the inputs want
  bool known = true;  // otherwise assumed, as the op does not tell
};

// Where an op is called, and with which options, which it points at: a struct whose last member is its Location, or
// any value beside a Location.
class CallOptions {
 public:
  CallOptions(const Location& where = {}) : where(where) {}  // NOLINT: implicit
  template <class Options>
  requires requires(const Options& options) {
    { options.where } -> std::convertible_to<Location>;
  }
  CallOptions(const Options& options) : CallOptions(options.where, options) {}  // NOLINT: implicit
  template <class Options>
  CallOptions(const Location& where, const Options& options)
      : where(where), options_(&options), type_(&typeid(Options)) {}

  // The options if they are of this very type, such as ConvOptions<2>; nullptr otherwise.
  template <class Options>
  const Options* options() const {
    return type_ != nullptr && *type_ == typeid(Options) ? static_cast<const Options*>(options_) : nullptr;
  }

  Location where;

 private:
  const void* options_ = nullptr;
  const std::type_info* type_ = nullptr;
};

struct TraceInput {
  Shape shape;
  DType dtype;
  bool wants_gradient;
  const Tensor* value;  // nullptr: the input holds nothing
};

// What one call was given. What it points at lives as long as the call.
struct OpCall : CallOptions {
  std::span<const TraceInput> inputs;
  Shape output;
  DType dtype;  // of the output
};

// What an op says of itself to record(), once for all calls: constexpr OpInfo kLinear("linear", linear_cost).
struct OpInfo {
  constexpr OpInfo(const char* name, OpCosts (*cost)(const OpCall&) = nullptr) : name(name), cost(cost) {}  // NOLINT

  const char* name;
  OpCosts (*cost)(const OpCall&);  // nullptr: nobody knows
};

// One op, as it was run.
struct TraceEvent : OpCall {  // without inputs and options in the backward pass
  static constexpr std::size_t kNoNode = static_cast<std::size_t>(-1);

  OpInfo op;
  bool backward;
  double seconds;        // since the event before it on the same tape; what is not on a tape counts to the next
  std::size_t node;      // on its tape: the forward and the backward pass of an op have the same; kNoNode: on none
  const Tensor* result;  // of the forward pass
};

}  // namespace tapestry
