#include "autodiff/ops/group_norm_sizes.h"

#include <fmt/format.h>

#include "kernels/error.h"

namespace tapestry::detail {

std::int64_t groups_of(std::string_view op, std::int64_t num_groups, std::int64_t group_size, std::int64_t channels,
                       const Shape& x, const Location& where) {
  constexpr std::int64_t kDefaultGroups = 32;
  if (num_groups < 0 || group_size < 0 || (num_groups != 0 && group_size != 0))
    fail<ArgumentError>(
        where, op, fmt::format("give either num_groups or group_size; they are {} and {}", num_groups, group_size));
  const bool neither = num_groups == 0 && group_size == 0;
  const std::int64_t divisor = neither ? kDefaultGroups : num_groups + group_size;
  if (channels % divisor == 0) return group_size != 0 ? channels / group_size : divisor;
  fail<ShapeError>(
      where, op,
      fmt::format("{} channels cannot form {}{}{}", channels,
                  group_size != 0 ? fmt::format("groups of {}", group_size) : fmt::format("{} equal groups", divisor),
                  neither ? ", the default; say .num_groups or .group_size" : "",
                  x.rank() == 0 ? "" : "; x is " + to_string(x)));
}

Shape sizes_per_position(const Shape& x, const Axes& features, const Axes& reduced, std::int64_t groups) {
  Shape sizes;
  for (int axis : reduced)
    if (!features.contains(axis)) sizes = sizes.append(x[axis]);
  return sizes.append(sizes_of(x, features).size() / groups);
}

}  // namespace tapestry::detail
