#include "layers/norm.h"

#include <fmt/format.h>

#include <array>

#include "autodiff/ops/norm_inputs.h"
#include "kernels/error.h"

namespace tapestry {

namespace detail {

Var affine_on(const Parameter& parameter, bool given, const Var& x, std::string_view layer, const Location& where) {
  if (!given) return {};
  require_built(parameter, layer, where);
  return parameter.on(x);
}

Cost norm_cost(const Shape& out, int operations) {
  const auto elements = static_cast<double>(out.size());
  return {elements * operations, elements * sizeof(float)};
}

void check_rank(std::string_view layer, int rank, int low, int high, const Shape& shape, const Location& where) {
  constexpr std::string_view kInputs[] = {"[N, C]", "[N, L, C]", "[N, H, W, C]", "[N, D, H, W, C]"};
  if (rank >= low && rank <= high) return;
  const std::string_view first = kInputs[low - 2], last = kInputs[high - 2];
  fail<ShapeError>(where, layer,
                   fmt::format("the input must be {}{}{}; it is {}{}", first, low == high ? "" : " or ",
                               low == high ? "" : last, rank == shape.rank() ? "" : "N samples of ", to_string(shape)));
}

}  // namespace detail

Flow LayerNorm::build(Builder& b, const Flow& in) {
  const int count = axes();
  if (count < 1 || count > Shape::kMaxRank)
    fail<ArgumentError>(options.where, "LayerNorm", fmt::format("axes is {}, it must be from 1 to 6", count));
  std::array<std::int64_t, Shape::kMaxRank> sizes{};
  for (int i = 0; i < count; ++i) {
    const std::int64_t given = options.normalized_shape.rank() > 0 ? options.normalized_shape[i] : 0;
    sizes[static_cast<std::size_t>(i)] = b.size("normalized_shape", given, in, i - count, options.where);
  }
  const Shape normalized(std::span<const std::int64_t>(sizes).first(static_cast<std::size_t>(count)));
  detail::build_affine(*this, b, in, normalized);
  return in;
}

// For each element: its part of a sum, a difference, that of a sum of squares, a product; weight and bias.
Cost LayerNorm::cost(const Shape&, const Shape& out) const {
  return detail::norm_cost(out, 6 + (options.weight ? 1 : 0) + (options.bias ? 1 : 0));
}

Var LayerNorm::operator()(const Var& x, const Tail& tail) const {
  return layer_norm(x, detail::affine_on(weight, options.weight, x, "LayerNorm", options.where),
                    detail::affine_on(bias, options.bias, x, "LayerNorm", options.where),
                    {.axes = axes(),
                     .epsilon = options.epsilon,
                     .activation = detail::either(options.activation, tail),
                     .residual = tail.residual,
                     .where = options.where});
}

Flow GroupNorm::build(Builder& b, const Flow& in) {
  const auto& [groups, size] = std::pair(options.num_groups, options.group_size);
  if (groups < 0 || size < 0 || (groups == 0) == (size == 0))
    fail<ArgumentError>(options.where, "GroupNorm",
                        fmt::format("give either num_groups or group_size; they are {} and {}", groups, size));
  detail::check_epsilon("GroupNorm", options.epsilon, options.where);
  const std::int64_t channels = b.size("num_channels", options.num_channels, in, -1, options.where);
  if (channels % (groups + size) != 0)
    fail<ShapeError>(options.where, "GroupNorm",
                     groups != 0 ? fmt::format("{} channels cannot form {} equal groups", channels, groups)
                                 : fmt::format("{} channels cannot form groups of {}", channels, size));
  detail::build_affine(*this, b, in, {channels});
  return in;
}

Cost GroupNorm::cost(const Shape&, const Shape& out) const {
  return detail::norm_cost(out, 6 + (options.weight ? 1 : 0) + (options.bias ? 1 : 0));
}

Var GroupNorm::operator()(const Var& x, const Tail& tail) const {
  return group_norm(x, detail::affine_on(weight, options.weight, x, "GroupNorm", options.where),
                    detail::affine_on(bias, options.bias, x, "GroupNorm", options.where),
                    {.num_groups = options.num_groups,
                     .group_size = options.group_size,
                     .epsilon = options.epsilon,
                     .activation = detail::either(options.activation, tail),
                     .residual = tail.residual,
                     .where = options.where});
}

namespace detail {

Flow InstanceNorm::build(Builder& b, const Flow& in) {
  check_epsilon(name_, options.epsilon, options.where);
  if (in.shape) check_rank(name_, in.shape->rank() + 1, rank_, rank_, *in.shape, options.where);
  build_affine(*this, b, in, {b.size("num_features", options.num_features, in, -1, options.where)});
  return in;
}

Cost InstanceNorm::cost(const Shape&, const Shape& out) const {
  return norm_cost(out, 6 + (options.weight ? 1 : 0) + (options.bias ? 1 : 0));
}

Var InstanceNorm::operator()(const Var& x, const Tail& tail) const {
  check_rank(name_, x.shape().rank(), rank_, rank_, x.shape(), options.where);
  return instance_norm(x, affine_on(weight, options.weight, x, name_, options.where),
                       affine_on(bias, options.bias, x, name_, options.where),
                       {.epsilon = options.epsilon,
                        .activation = either(options.activation, tail),
                        .residual = tail.residual,
                        .where = options.where});
}

}  // namespace detail
}  // namespace tapestry
