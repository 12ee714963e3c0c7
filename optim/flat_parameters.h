// What all optimizers share: the parameters laid out flat, the checks before a step, clipping, and the named state.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "autodiff/gradients.h"
#include "autodiff/location.h"
#include "autodiff/parameter.h"

namespace tapestry {

namespace detail {

struct StepRules {
  double clip_norm;
  bool check_finite, allow_missing;
};

// Parameters that lie side by side, with their gradients and state: what one call of a kernel updates.
template <class T>
struct UpdatePiece {
  std::span<const T> gradient;
  std::array<std::span<T>, 3> state;  // in the order of the names; empty beyond them
  std::span<T> weight;
  std::int64_t step;  // the number of this update, from 1
  double scale;       // multiplies the gradient
};

class FlatParameters {
 public:
  // Keeps the cells alive. Parameters that do not lie in one block, in order, are moved there. ArgumentError, prefixed
  // by `optimizer`, for no parameters, one given twice, one without a value, or different element types.
  FlatParameters(const char* optimizer, const ParameterList& cells, StepRules rules, const Location& where,
                 std::vector<std::string> state_names);
  FlatParameters(FlatParameters&&) noexcept = default;
  FlatParameters& operator=(FlatParameters&&) noexcept = default;

  // Checks everything, then calls update(device, UpdatePiece<T>) for each piece and commits queued buffers. An error
  // leaves weights, state and buffers as they were.
  template <class Update>
  void step(Gradients& gradients, const Update& update) {
    const double scale = prepare(gradients);
    gradients.commit();
    visit_floating(optimizer_, dtype_, [&]<class T>(T) {
      for (const Run& run : runs_) update(gradients.device(), piece<T>(run, scale));
    });
    finish();
  }

  std::int64_t steps() const { return steps_; }
  double last_norm() const { return last_norm_; }
  const Location& where() const { return where_; }

  // Views of the state, and the number of updates of each parameter as "step/<parameter>".
  std::vector<NamedTensor> state() const;
  // Takes over what state() gave; ArgumentError, which lists all that does not fit, changes nothing.
  void load_state(std::span<const NamedTensor> entries);

 private:
  struct Slot {
    std::shared_ptr<Cell> cell;
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
  UpdatePiece<T> piece(const Run& run, double scale) {
    const Slot& slot = slots_[run.slot];
    UpdatePiece<T> piece{
        gradient<T>(run), {}, {slot.cell->value.template span<T>().data(), run.size}, slot.steps + 1, scale};
    for (std::size_t i = 0; i < states_.size(); ++i)
      piece.state[i] = states_[i].template span<T>().subspan(static_cast<std::size_t>(slot.offset), run.size);
    return piece;
  }

  const char* optimizer_;
  StepRules rules_;
  Location where_;
  DType dtype_ = DType::float32;
  std::vector<Slot> slots_;
  std::vector<std::pair<const Cell*, std::size_t>> by_cell_;  // sorted
  std::vector<std::string> state_names_;
  std::vector<Tensor> states_;
  std::int64_t steps_ = 0;
  double last_norm_ = 0;
  // Of the step under way; kept for their memory.
  bool known_finite_ = false;         // of the gradients found: nothing has to be looked at again
  std::vector<const Tensor*> found_;  // by slot; nullptr for parameters that this step leaves alone
  std::vector<Run> runs_;
};

// ArgumentError "<optimizer>: <option> must be ..., got <value>".
void require_option(bool good, const Location& where, const char* optimizer, const char* rule, double value);
void require_rules(const char* optimizer, double lr, double weight_decay, const StepRules& rules,
                   const Location& where);

}  // namespace detail
}  // namespace tapestry
