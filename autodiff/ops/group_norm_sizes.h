// The rules of groups that group_norm and its layer have in common; not part of the public interface.
#pragma once

#include <string_view>

#include "autodiff/axes.h"
#include "autodiff/location.h"

namespace tapestry::detail {

// How many groups `channels` form: `num_groups`, or as many as have `group_size`; 32 where both are 0. ArgumentError
// for both or negative ones, ShapeError where they do not divide; it names x where that is known.
std::int64_t groups_of(std::string_view op, std::int64_t num_groups, std::int64_t group_size, std::int64_t channels,
                       const Shape& x, const Location& where);

// The sizes of weight and bias per position, shared by the groups: of the `reduced` axes of x but the features, then
// the channels of a group. All axes rise, none is below 0.
Shape sizes_per_position(const Shape& x, const Axes& features, const Axes& reduced, std::int64_t groups);

}  // namespace tapestry::detail
