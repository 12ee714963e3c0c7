#include "layers/state.h"

#include "kernels/error.h"

namespace tapestry {
namespace {

class Lister : public Visitor {
 public:
  std::vector<StateEntry> entries;

 protected:
  void visit_parameter(Parameter& parameter) override { entries.push_back({path(), parameter, false}); }
  void visit_buffer(Buffer& buffer) override { entries.push_back({path(), buffer, true}); }
};

}  // namespace

namespace detail {

std::vector<StateEntry> state_of(const LayerRef& layer) {
  Lister lister;
  layer.visit(lister);
  return std::move(lister.entries);
}

ParameterList parameters_of(const LayerRef& layer) {
  ParameterList parameters;
  for (StateEntry& entry : state_of(layer))
    if (!entry.is_buffer) parameters.push_back(std::move(entry.state));
  return parameters;
}

}  // namespace detail

void require_built(const StateRef& state, std::string_view type, const Location& where) {
  if (!state.cell()) fail<ArgumentError>(where, type, "the layer was moved from");
  if (!state.built()) fail<ArgumentError>(where, type, "the layer is used before build()");
}

}  // namespace tapestry
