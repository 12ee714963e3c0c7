// What all optimizers share: the parameters laid out flat, the checks before a step, clipping, and the named state.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "autodiff/gradients.h"
#include "autodiff/location.h"
#include "autodiff/parameter.h"
#include "kernels/update.h"

namespace tapestry {

namespace detail {

struct StepRules {
  double clip_norm;
  bool check_finite, allow_missing;
};

// ArgumentError "<optimizer>: <rule>, got <value>" unless `good`.
struct OptionCheck {
  const char* optimizer;
  const Location& where;
  void operator()(bool good, const char* rule, double value) const;
};
void require_rate(const OptionCheck& require, double lr);
// Of what divides where a gradient is zero: a smaller one would be 0 in float32, and 0 / 0 the update.
void require_divisor(const OptionCheck& require, double eps);
void require_rules(const OptionCheck& require, double weight_decay, const StepRules& rules);

// The names of an update's pieces of state, in the order of kernels::UpdatePiece; nullptr: the optimizer does without.
using StateNames = std::array<const char*, 3>;

class FlatParameters {
 public:
  // Keeps the parameters alive. Those that do not lie in one block, in order, are moved there. ArgumentError, prefixed
  // by `optimizer`, for no parameters, one given twice, one without a value, or different element types.
  FlatParameters(const char* optimizer, const ParameterList& parameters, StepRules rules, const Location& where,
                 const StateNames& state_names);
  FlatParameters(FlatParameters&&) noexcept = default;
  FlatParameters& operator=(FlatParameters&&) noexcept = default;

  // Checks everything, commits queued buffers, then calls update(device, number, scale, piece) for each piece, whose
  // gradients shall be multiplied by `scale`; for its parameters it is update `number`, from 1. An error leaves
  // weights, state and buffers as they were.
  template <class Update>
  void step(Gradients& gradients, const Update& update) {
    const double scale = prepare(gradients);
    gradients.commit();
    visit_floating(optimizer_, dtype_, [&]<class T>(T) {
      for (const Run& run : runs_) update(gradients.device(), slots_[run.slot].steps + 1, scale, piece<T>(run));
    });
    finish();
  }

  std::int64_t steps() const { return steps_; }
  double last_norm() const { return last_norm_; }

  // Views of the state, and the number of updates of each parameter as "step/<parameter>".
  std::vector<NamedTensor> state() const;
  // Takes over what state() gave; ArgumentError, which lists all that does not fit, changes nothing.
  void load_state(std::span<const NamedTensor> entries);

 private:
  struct Slot {
    StateRef parameter;
    Shape shape;
    std::int64_t offset;  // of its state, in elements
    std::int64_t steps;
  };
  struct Run {
    std::size_t slot;  // the first one
    const std::byte* gradient;
    std::size_t size;  // in elements
  };

  double prepare(const Gradients& gradients);
  void find_gradients(const Gradients& gradients);
  void check_found() const;
  void form_runs();
  void check_finite(const kernels::Device& device) const;
  double norm(const kernels::Device& device) const;
  void finish();
  bool adjoins(std::size_t left, std::size_t right) const;
  std::string label(std::size_t slot) const;
  [[noreturn]] void refuse(const std::string& message) const;

  template <class T>
  std::span<const T> gradient(const Run& run) const {
    return {reinterpret_cast<const T*>(run.gradient), run.size};
  }
  template <class T>
  kernels::UpdatePiece<T> piece(const Run& run) {
    const Slot& slot = slots_[run.slot];
    kernels::UpdatePiece<T> piece{
        gradient<T>(run), {}, {slot.parameter.cell()->value.template span<T>().data(), run.size}};
    for (std::size_t k = 0; k < states_.size(); ++k)
      if (states_[k])
        piece.state[k] = states_[k].template span<T>().subspan(static_cast<std::size_t>(slot.offset), run.size);
    return piece;
  }

  const char* optimizer_;
  StepRules rules_;
  Location where_;
  DType dtype_ = DType::float32;
  std::vector<Slot> slots_;
  std::vector<std::pair<const Cell*, std::size_t>> by_cell_;  // sorted
  StateNames state_names_;
  std::array<Tensor, 3> states_;
  std::int64_t steps_ = 0;
  double last_norm_ = 0;
  // Of the step under way; kept for their memory.
  bool known_finite_ = false;         // of the gradients found: nothing has to be looked at again
  std::vector<const Tensor*> found_;  // by slot; nullptr for parameters that this step leaves alone
  std::vector<Run> runs_;
};

}  // namespace detail
}  // namespace tapestry
