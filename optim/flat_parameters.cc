#include "optim/flat_parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "kernels/error.h"
#include "kernels/reduce.h"

namespace tapestry::detail {
namespace {

// The space that flatten() gives to a parameter: whole cache lines.
std::int64_t padded(std::int64_t size, DType dtype) {
  const auto step = static_cast<std::int64_t>(64 / dtype_bytes(dtype));
  return (size + step - 1) / step * step;
}

bool in_one_block(const ParameterList& parameters) {
  for (std::size_t i = 1; i < parameters.size(); ++i) {
    const Tensor &left = parameters[i - 1].value(), &right = parameters[i].value();
    if (!left.block().same(right.block()) || left.offset() > right.offset()) return false;
  }
  return true;
}

}  // namespace

void OptionCheck::operator()(bool good, const char* rule, double value) const {
  if (!good) fail<ArgumentError>(where, optimizer, fmt::format("{}, got {}", rule, value));
}

void require_rate(const OptionCheck& require, double lr) {
  require(lr <= std::numeric_limits<float>::max() && lr >= 0, "lr must be finite and not negative", lr);
}

void require_divisor(const OptionCheck& require, double eps) {
  require(eps >= double{std::numeric_limits<float>::min()} && std::isfinite(eps),
          "eps must be finite and at least 1.2e-38", eps);
}

void require_rules(const OptionCheck& require, double weight_decay, const StepRules& rules) {
  require(std::isfinite(weight_decay) && weight_decay >= 0, "weight_decay must be finite and not negative",
          weight_decay);
  require(std::isfinite(rules.clip_norm) && rules.clip_norm >= 0,
          "clip_norm must be finite and positive, or 0 for none", rules.clip_norm);
}

FlatParameters::FlatParameters(const char* optimizer, const ParameterList& parameters, StepRules rules,
                               const Location& where, const StateNames& state_names)
    : optimizer_(optimizer), rules_(rules), where_(where), state_names_(state_names) {
  if (parameters.empty()) refuse("there are no parameters");
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (!parameters[i].cell()) refuse(fmt::format("parameter {} is empty", i));
    slots_.push_back({parameters[i], {}, 0, 0});
    if (!parameters[i].built()) refuse(fmt::format("parameter {} has no value yet: build the model first", label(i)));
    by_cell_.emplace_back(parameters[i].cell().get(), i);
  }
  dtype_ = parameters[0].value().dtype();
  if (dtype_ == DType::int64) refuse(fmt::format("parameter {} holds int64: needs float32 or float64", label(0)));
  std::int64_t total = 0;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const Tensor& value = parameters[i].value();
    if (value.dtype() != dtype_)
      refuse(fmt::format("parameters must have one element type: {} is {}, {} is {}", label(0), dtype_name(dtype_),
                         label(i), dtype_name(value.dtype())));
    slots_[i].shape = value.shape();
    slots_[i].offset = total;
    total += padded(value.size(), dtype_);
  }
  std::ranges::sort(by_cell_, std::less<>{}, &std::pair<const Cell*, std::size_t>::first);
  for (std::size_t i = 1; i < by_cell_.size(); ++i)
    if (by_cell_[i].first == by_cell_[i - 1].first)
      refuse(fmt::format("parameter {} is listed twice", label(by_cell_[i].second)));
  for (std::size_t k = 0; k < states_.size(); ++k) {
    if (state_names_[k] == nullptr) continue;
    states_[k] = parameters[0].value().like(Shape{total});
    std::memset(states_[k].raw(), 0, states_[k].bytes());
  }
  found_.reserve(slots_.size());
  runs_.reserve(slots_.size());
  if (!in_one_block(parameters)) flatten(parameters);
}

double FlatParameters::prepare(const Gradients& gradients) {
  find_gradients(gradients);
  check_found();
  form_runs();
  const kernels::Device& device = gradients.device();
  if (rules_.clip_norm == 0) {
    if (rules_.check_finite && !known_finite_) check_finite(device);
    return 1;
  }
  const double norm = this->norm(device);
  if (rules_.check_finite && !std::isfinite(norm)) check_finite(device);
  last_norm_ = norm;
  return norm > rules_.clip_norm ? rules_.clip_norm / norm : 1;
}

void FlatParameters::find_gradients(const Gradients& gradients) {
  found_.assign(slots_.size(), nullptr);
  known_finite_ = true;
  for (const ParameterGradient& entry : gradients.parameters()) {
    const Cell* cell = entry.parameter.cell().get();
    const auto place =
        std::ranges::lower_bound(by_cell_, cell, std::less<>{}, &std::pair<const Cell*, std::size_t>::first);
    if (place == by_cell_.end() || place->first != cell) continue;
    if (!entry.gradient || !entry.parameter.trainable()) continue;
    found_[place->second] = &entry.gradient;
    known_finite_ = known_finite_ && entry.known_finite();
  }
}

void FlatParameters::check_found() const {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const Tensor& value = slots_[i].parameter.value();
    if (value.shape() != slots_[i].shape || value.dtype() != dtype_)
      refuse(fmt::format("parameter {} was {} {} when the optimizer was made and is {} {} now", label(i),
                         dtype_name(dtype_), to_string(slots_[i].shape), dtype_name(value.dtype()),
                         to_string(value.shape())));
    if (found_[i] == nullptr && slots_[i].parameter.trainable() && !rules_.allow_missing)
      refuse(fmt::format(
          "parameter {} got no gradient: the loss does not depend on it. Freeze it, or set allow_missing", label(i)));
    if (found_[i] != nullptr && found_[i]->shape() != value.shape())
      refuse(fmt::format("parameter {} is {}, its gradient is {}", label(i), to_string(value.shape()),
                         to_string(found_[i]->shape())));
  }
}

// Whether one run may go on from `left` to `right`: the same steps done, and the same distance, with only padding in
// the gap, between the weights, the gradients and the state.
bool FlatParameters::adjoins(std::size_t left, std::size_t right) const {
  const Tensor &w0 = slots_[left].parameter.value(), &w1 = slots_[right].parameter.value();
  const Tensor &g0 = *found_[left], &g1 = *found_[right];
  const std::size_t distance = static_cast<std::size_t>(padded(w0.size(), dtype_)) * dtype_bytes(dtype_);
  return right == left + 1 && slots_[left].steps == slots_[right].steps && w0.block().same(w1.block()) &&
         g0.block().same(g1.block()) && w0.offset() % 64 == 0 && w1.offset() == w0.offset() + distance &&
         g0.offset() == w0.offset() && g1.offset() == w1.offset();
}

void FlatParameters::form_runs() {
  runs_.clear();
  std::size_t last = slots_.size();  // the last slot of the run that is being formed
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (found_[i] == nullptr) continue;
    if (last == slots_.size() || !adjoins(last, i)) runs_.push_back({i, found_[i]->raw(), 0});
    runs_.back().size =
        static_cast<std::size_t>(slots_[i].offset - slots_[runs_.back().slot].offset + slots_[i].shape.size());
    last = i;
  }
}

void FlatParameters::check_finite(const kernels::Device& device) const {
  visit_floating(optimizer_, dtype_, [&]<class T>(T) {
    for (const Run& run : runs_) {
      if (kernels::all_finite(device, gradient<T>(run))) continue;
      for (std::size_t i = run.slot; i < slots_.size(); ++i) {
        if (found_[i] == nullptr) continue;
        const std::span<const T> values = found_[i]->span<T>();
        const auto bad = std::ranges::find_if(values, [](T value) { return !std::isfinite(value); });
        if (bad == values.end()) continue;
        fail<NumericError>(where_, optimizer_,
                           fmt::format("step {}: the gradient of parameter {} is {} at element {}; nothing was changed",
                                       steps_ + 1, label(i), *bad, bad - values.begin()));
      }
    }
  });
}

double FlatParameters::norm(const kernels::Device& device) const {
  double norm = 0;
  visit_floating(optimizer_, dtype_, [&]<class T>(T) {
    for (const Run& run : runs_) norm = std::hypot(norm, kernels::l2_norm(device, gradient<T>(run)));
  });
  return norm;
}

void FlatParameters::finish() {
  ++steps_;
  for (std::size_t i = 0; i < slots_.size(); ++i)
    if (found_[i] != nullptr) ++slots_[i].steps;
}

std::string FlatParameters::label(std::size_t slot) const {
  const std::string& name = slots_[slot].parameter.name();
  return name.empty() ? fmt::format("number {} (without a name)", slot) : fmt::format("'{}'", name);
}

void FlatParameters::refuse(const std::string& message) const { fail<ArgumentError>(where_, optimizer_, message); }

}  // namespace tapestry::detail
