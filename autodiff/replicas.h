// Statistics that replicas have in common. A replica is one of several computations that run the same ops in the same
// order on data of their own; which axes of replicas there are is said by the Context of each, never ambient.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

namespace tapestry {

class Var;
struct Location;

// What an op asks for: the mean over one axis of replicas or over several, or over groups of its indices alone.
struct ReplicaAxes {
  std::vector<std::string> names;
  // A partition of the indices of the one axis that is named, such as {{0, 1}, {2, 3}}; nothing: all together.
  std::vector<std::vector<int>> index_groups = {};
};

// One axis of replicas, as a Context knows it.
struct ReplicaAxis {
  std::string name;
  int size = 1;
  int index = 0;  // of this replica, from 0
  // A collective: replaces `values` by the unweighted mean of the values of `members`, indices of this axis in rising
  // order with `index` among them; summed in that order, so that all members get the same bits. Returns when all of
  // them have called it; throws when one of them never will.
  std::function<void(std::span<const int> members, std::span<double> values)> mean = nullptr;
};

namespace detail {

struct ReplicaPart;

// ArgumentError for axes that cannot be: no name, one name twice, an index outside of the size, no reduction.
void check_replica_axes(std::span<const ReplicaAxis> axes);

// The mean over the replicas that `axes` names: made once at an op's door, then called in the forward and in the
// backward pass. One pointer, which stays valid as long as the context of x, so tapes may keep it. Every replica of the
// part must make the same calls with as many values, whatever its data are, or all of them fail.
class ReplicaMean {
 public:
  ReplicaMean() = default;
  // Without `axes` there is this replica alone, and the mean changes nothing. ArgumentError for a name that the context
  // of x has not, no name or one twice, groups of several axes, and groups that are no partition of the indices.
  ReplicaMean(const Var& x, const ReplicaAxes* axes, const char* op, const Location& where);

  explicit operator bool() const { return part_ != nullptr; }
  int count() const;                                // replicas in the part
  void operator()(std::span<double> values) const;  // a collective; over several axes it is the mean of the means

 private:
  const ReplicaPart* part_ = nullptr;
};

}  // namespace detail
}  // namespace tapestry
