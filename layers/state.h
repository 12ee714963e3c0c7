// The state of any layer, Sequential or struct with visit: parameters and buffers, by name.
#pragma once

#include "layers/visitor.h"

namespace tapestry {

struct StateEntry {
  std::string name;  // dotted path from the layer that was asked
  StateRef state;
  bool is_buffer = false;

  const Tensor& value() const { return state.value(); }
  const Shape& shape() const { return state.shape(); }
};

namespace detail {
std::vector<StateEntry> state_of(const LayerRef& layer);
ParameterList parameters_of(const LayerRef& layer);

// visit() is not const since building goes through it too; looking at the state changes nothing.
template <class L>
LayerRef as_ref(const L& layer) {
  return LayerRef(const_cast<L&>(layer));
}
}  // namespace detail

// All parameters and buffers in visit order.
template <detail::Stateful L>
std::vector<StateEntry> state(const L& layer) {
  return detail::state_of(detail::as_ref(layer));
}

// The parameters alone, frozen ones too: what optimizers take. They keep the parameters alive.
template <detail::Stateful L>
ParameterList parameters(const L& layer) {
  return detail::parameters_of(detail::as_ref(layer));
}

// The number of trained numbers, frozen ones too; buffers do not count. 0 before the model is built.
template <detail::Stateful L>
std::int64_t parameter_count(const L& layer) {
  std::int64_t count = 0;
  for (const StateRef& parameter : parameters(layer)) count += parameter.value().size();
  return count;
}

// Takes all parameters of a layer out of training, or back into it. Running statistics still follow Mode.
template <detail::Stateful L>
void freeze(L& layer, bool frozen = true) {
  for (StateRef& parameter : parameters(layer)) parameter.freeze(frozen);
}

// ArgumentError, which names the layer, when it is called before build().
void require_built(const StateRef& state, std::string_view type, const Location& where);

}  // namespace tapestry
