#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/error.h"
#include "optim/flat_parameters.h"

namespace tapestry::detail {
namespace {

bool all_finite(const Tensor& tensor) {
  const auto finite = [](auto value) { return std::isfinite(value); };
  if (tensor.dtype() == DType::float32) return std::ranges::all_of(tensor.span<float>(), finite);
  return tensor.dtype() != DType::float64 || std::ranges::all_of(tensor.span<double>(), finite);
}

}  // namespace

std::vector<NamedTensor> FlatParameters::state() const {
  std::vector<NamedTensor> entries;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    const std::string name = slot.parameter.name().empty() ? std::to_string(i) : slot.parameter.name();
    for (std::size_t k = 0; k < states_.size(); ++k)
      if (states_[k])
        entries.push_back({fmt::format("{}/{}", state_names_[k], name), states_[k].view(slot.offset, slot.shape)});
    Tensor steps = slot.parameter.value().like({}, DType::int64);
    steps.span<std::int64_t>()[0] = slot.steps;
    entries.push_back({"step/" + name, std::move(steps)});
  }
  return entries;
}

void FlatParameters::load_state(std::span<const NamedTensor> entries) {
  const std::vector<NamedTensor> own = state();
  std::vector<const Tensor*> sources;
  std::string mismatches;
  const auto note = [&](const std::string& text) { mismatches += (mismatches.empty() ? "" : "; ") + text; };
  for (const NamedTensor& entry : own) {
    const auto found = std::ranges::find(entries, entry.name, &NamedTensor::name);
    sources.push_back(found == entries.end() ? nullptr : &found->value);
    if (found == entries.end())
      note(fmt::format("'{}' is missing", entry.name));
    else if (found->value.shape() != entry.value.shape() || found->value.dtype() != entry.value.dtype())
      note(fmt::format("'{}' is {} {}, not {} {}", entry.name, dtype_name(found->value.dtype()),
                       to_string(found->value.shape()), dtype_name(entry.value.dtype()),
                       to_string(entry.value.shape())));
    else if (entry.value.dtype() == DType::int64 && found->value.span<std::int64_t>()[0] < 0)
      note(fmt::format("'{}' is negative", entry.name));
    else if (!all_finite(found->value))
      note(fmt::format("'{}' holds a number that is not finite", entry.name));
  }
  for (const NamedTensor& entry : entries)
    if (std::ranges::find(own, entry.name, &NamedTensor::name) == own.end())
      note(fmt::format("'{}' is unknown", entry.name));
  if (!mismatches.empty()) refuse("this state does not fit: " + mismatches);

  std::size_t next = 0;
  steps_ = 0;
  for (Slot& slot : slots_) {
    for (Tensor& state : states_)
      if (state) state.view(slot.offset, slot.shape).assign(*sources[next++]);
    slot.steps = sources[next++]->span<std::int64_t>()[0];
    steps_ = std::max(steps_, slot.steps);
  }
}

}  // namespace tapestry::detail
