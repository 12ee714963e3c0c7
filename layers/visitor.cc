#include "layers/visitor.h"

#include <fmt/format.h>

#include "kernels/error.h"

namespace tapestry {
namespace {

void require_cell(const StateRef& state, const std::string& path) {
  if (!state.cell()) throw ArgumentError(fmt::format("'{}': its layer was moved from", path));
}

}  // namespace

void Visitor::operator()(std::string_view name, Parameter& parameter) {
  const Step step(path_, name);
  require_cell(parameter, path_);
  visit_parameter(parameter);
}

void Visitor::operator()(std::string_view name, Buffer& buffer) {
  const Step step(path_, name);
  require_cell(buffer, path_);
  visit_buffer(buffer);
}

}  // namespace tapestry
