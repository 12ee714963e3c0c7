#include "autodiff/replicas.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "autodiff/context_state.h"
#include "autodiff/var.h"
#include "kernels/error.h"

namespace tapestry::detail {
namespace {

const ReplicaAxis& find_axis(std::span<const ReplicaAxis> bound, const std::string& name, const char* op,
                             const Location& where) {
  const auto found = std::ranges::find(bound, name, &ReplicaAxis::name);
  if (found != bound.end()) return *found;
  std::vector<std::string_view> names;
  for (const ReplicaAxis& axis : bound) names.push_back(axis.name);
  fail<ArgumentError>(where, op,
                      bound.empty()
                          ? fmt::format("no replica axis '{}': this context has none", name)
                          : fmt::format("no replica axis '{}': this context has '{}'", name, fmt::join(names, "', '")));
}

// The group that has the index of `axis`, in rising order; all indices when there are no groups.
std::vector<int> members_of(const ReplicaAxis& axis, const std::vector<std::vector<int>>& groups, const char* op,
                            const Location& where) {
  std::vector<int> mine, seen;
  for (const std::vector<int>& group : groups) {
    if (std::ranges::find(group, axis.index) != group.end()) mine = group;
    seen.insert(seen.end(), group.begin(), group.end());
  }
  std::vector<int> all;
  for (int index = 0; index < axis.size; ++index) all.push_back(index);
  if (groups.empty()) return all;
  std::ranges::sort(seen);
  if (seen != all || std::ranges::any_of(groups, &std::vector<int>::empty))
    fail<ArgumentError>(where, op,
                        fmt::format("index groups must be a partition of the {} replicas of axis '{}', 0 to {}; got {}",
                                    axis.size, axis.name, axis.size - 1, groups));
  std::ranges::sort(mine);
  return mine;
}

ReplicaPart resolve(std::span<const ReplicaAxis> bound, const ReplicaAxes& axes, const char* op,
                    const Location& where) {
  if (axes.names.empty()) fail<ArgumentError>(where, op, "replica axes need a name");
  if (axes.names.size() > 1 && !axes.index_groups.empty())
    fail<ArgumentError>(where, op,
                        fmt::format("index groups belong to one replica axis; {} are named: '{}'", axes.names.size(),
                                    fmt::join(axes.names, "', '")));
  ReplicaPart part{axes, {}, 1};
  for (const std::string& name : axes.names) {
    const ReplicaAxis& axis = find_axis(bound, name, op, where);
    if (std::ranges::count(axes.names, name) > 1)
      fail<ArgumentError>(where, op, fmt::format("replica axis '{}' is named twice", name));
    part.steps.push_back({&axis, members_of(axis, axes.index_groups, op, where)});
    part.count *= static_cast<int>(part.steps.back().members.size());
  }
  return part;
}

}  // namespace

void check_replica_axes(std::span<const ReplicaAxis> axes) {
  for (const ReplicaAxis& axis : axes) {
    if (axis.name.empty()) throw ArgumentError("context: a replica axis needs a name");
    if (std::ranges::count(axes, axis.name, &ReplicaAxis::name) > 1)
      throw ArgumentError(fmt::format("context: there are two replica axes '{}'", axis.name));
    if (axis.size < 1 || axis.index < 0 || axis.index >= axis.size)
      throw ArgumentError(fmt::format("context: replica axis '{}' needs an index from 0 to size - 1; got {} of {}",
                                      axis.name, axis.index, axis.size));
    if (!axis.mean) throw ArgumentError(fmt::format("context: replica axis '{}' has no mean", axis.name));
  }
}

ReplicaMean::ReplicaMean(const Var& x, const ReplicaAxes* axes, const char* op, const Location& where) {
  if (axes == nullptr) return;
  if (x.context() == nullptr) fail<ArgumentError>(where, op, "an input holds nothing");
  ContextState& context = *x.context();
  const std::lock_guard lock(context.mutex);
  for (const auto& part : context.replica_parts)
    if (part->asked.names == axes->names && part->asked.index_groups == axes->index_groups) {
      part_ = part.get();
      return;
    }
  context.replica_parts.push_back(std::make_unique<ReplicaPart>(resolve(context.options.replicas, *axes, op, where)));
  part_ = context.replica_parts.back().get();
}

int ReplicaMean::count() const { return part_ == nullptr ? 1 : part_->count; }

void ReplicaMean::operator()(std::span<double> values) const {
  if (part_ == nullptr) return;
  for (const ReplicaPart::Step& step : part_->steps) step.axis->mean(step.members, values);
}

}  // namespace tapestry::detail
