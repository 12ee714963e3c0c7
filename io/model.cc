#include "io/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <vector>

#include "autodiff/text.h"
#include "io/file.h"
#include "io/layout.h"
#include "kernels/error.h"

namespace tapestry::io::detail {
namespace {

using tapestry::detail::Cell;

// Each parameter and buffer under its first name.
std::vector<const StateEntry*> without_aliases(std::span<const StateEntry> state) {
  std::vector<const StateEntry*> first;
  std::set<const Cell*> seen;
  for (const StateEntry& entry : state)
    if (seen.insert(entry.state.cell().get()).second) first.push_back(&entry);
  return first;
}

std::string description(DType dtype, const Shape& shape) {
  return fmt::format("{} {}", dtype_name(dtype), to_string(shape));
}

}  // namespace

void require_built(std::span<const StateEntry> state, const char* action) {
  for (const StateEntry& entry : state)
    if (!entry.state.built())
      throw ArgumentError(fmt::format("io::{}: '{}' has no value yet: build the model first", action, entry.name));
}

void save_state(std::span<const StateEntry> state, const std::string& path,
                std::map<std::string, std::string> metadata) {
  require_built(state, "save");
  std::vector<NamedTensor> tensors;
  for (const StateEntry* entry : without_aliases(state))
    tensors.push_back(
        {entry->name, to_file(entry->value(), entry->state.cell()->layout, entry->state.cell()->flattened)});
  metadata.emplace("format", "pt");
  save_safetensors(path, tensors, metadata);
}

void load_state(std::span<const StateEntry> state, std::span<const NamedTensor> tensors, const std::string& source,
                LoadOptions options) {
  require_built(state, "load");
  std::vector<std::pair<StateRef, Tensor>> found;
  std::vector<std::string> mismatches;
  std::set<std::string_view> known;
  for (const StateEntry& entry : state) known.insert(entry.name);
  for (const StateEntry* entry : without_aliases(state)) {
    const Tensor& value = entry->value();
    const Cell& cell = *entry->state.cell();
    const auto place = std::ranges::find(tensors, entry->name, &NamedTensor::name);
    const Tensor* tensor = place == tensors.end() ? nullptr : &place->value;
    const Shape shape = file_shape(value.shape(), cell.layout);
    if (tensor == nullptr) {
      if (!options.partial) mismatches.push_back(fmt::format("'{}' is missing", entry->name));
    } else if (tensor->shape() != shape || tensor->dtype() != value.dtype()) {
      mismatches.push_back(fmt::format("'{}' is {}, the model needs {}", entry->name,
                                       description(tensor->dtype(), tensor->shape()),
                                       description(value.dtype(), shape)));
    } else {
      found.emplace_back(entry->state, from_file(*tensor, value.shape(), cell.layout, cell.flattened));
    }
  }
  for (const NamedTensor& entry : tensors)
    if (!options.partial && !known.contains(entry.name))
      mismatches.push_back(fmt::format("'{}' is not in the model", printable(entry.name)));
  if (!mismatches.empty()) fail_file(source, fmt::format("does not fit the model: {}", fmt::join(mismatches, "; ")));
  for (auto& [target, tensor] : found) target.assign(tensor);
}

}  // namespace tapestry::io::detail
