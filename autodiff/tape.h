// Reverse-mode automatic differentiation as a vector of closures. Ops append nodes, so creation order is topological
// order and backward is one reverse loop; each closure is destroyed right after it ran, and what it saved goes back to
// the arena. The input carries the tape: ops on tape.input(x) are recorded, ops on context.input(x) are not.
#pragma once

#include <cstdint>
#include <optional>

#include "autodiff/gradients.h"
#include "autodiff/parameter.h"
#include "autodiff/var.h"

namespace tapestry {

struct TapeOptions {
  // Which random numbers dropout draws: f(seed, step, draw). Nothing: the number of tapes that the context made before.
  std::optional<std::uint64_t> step = std::nullopt;
  bool check_finite = false;  // NumericError at the first op whose result holds a NaN or infinity
};

class Tape {
 public:
  explicit Tape(Context& context, TapeOptions options = {});
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  Var input(Tensor x);     // a constant: no gradient is computed for it
  Var variable(Tensor x);  // a leaf whose gradient backward() returns; ArgumentError unless it is float32 or float64

  // The gradients of `loss`, which has one element, with respect to all leaves that it depends on. The tape is spent:
  // a second call is an ArgumentError, as is a loss from elsewhere or one that depends on no leaf.
  // NumericError when the loss is not finite. An ArgumentError names a leaf that was changed since it was recorded.
  Gradients backward(const Var& loss);
  // The same for a `y` of any shape, from dLoss/dy.
  Gradients backward(const Var& y, const Tensor& dy);

  // Writes queued buffer values (running statistics) where no optimizer takes the gradients.
  void commit();

  std::size_t nodes() const;

 private:
  Gradients run_backward(const Var& y, Tensor dy);
  detail::TapeState* state_;
};

}  // namespace tapestry
