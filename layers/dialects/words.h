// What the dialects of several toolkits share; not part of the public interface.
#pragma once

#include <fmt/format.h>

#include "autodiff/location.h"
#include "kernels/error.h"
#include "layers/init.h"

namespace tapestry::detail {

// A tensor broadcasts, as brainstate and neupy do it.
inline Initializer stretched(const Initializer& initializer) {
  if (const Given* given = std::get_if<Given>(&initializer)) return Stretched{given->value};
  return initializer;
}

// ArgumentError below 1; `option` is the toolkit's word.
inline std::int64_t positive(const char* layer, const char* option, std::int64_t value, const Location& where) {
  if (value < 1) fail<ArgumentError>(where, layer, fmt::format("{} must be positive; it is {}", option, value));
  return value;
}

// ArgumentError unless one of num_groups and group_size is given and positive.
template <class To, class From>
void set_groups(To& to, const From& from) {
  if (from.num_groups.has_value() == from.group_size.has_value())
    fail<ArgumentError>(from.where, "GroupNorm",
                        from.num_groups ? fmt::format("give either num_groups or group_size, and std::nullopt for the "
                                                      "other; they are {} and {}",
                                                      *from.num_groups, *from.group_size)
                                        : "give either num_groups or group_size; both hold nothing");
  if (from.num_groups) to.num_groups = positive("GroupNorm", "num_groups", *from.num_groups, from.where);
  if (from.group_size) to.group_size = positive("GroupNorm", "group_size", *from.group_size, from.where);
}

}  // namespace tapestry::detail
