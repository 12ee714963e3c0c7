// Inside of Context; not part of the public interface.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>
#include <vector>

#include "autodiff/context.h"

namespace tapestry::detail {

struct TapeState;

// What names and groups of replica axes mean in one context: the mean along each axis, one after the other.
struct ReplicaPart {
  struct Step {
    const ReplicaAxis* axis;
    std::vector<int> members;
  };
  ReplicaAxes asked;
  std::vector<Step> steps;
  int count;  // replicas in the part
};

struct ContextState {
  explicit ContextState(ContextOptions options);
  ~ContextState();

  ContextOptions options;
  Arena arena;
  ThreadPool pool;
  kernels::Device device;

  std::mutex mutex;  // guards what follows
  std::uint64_t tapes_begun = 0;
  // Layer paths. Cells of built models keep them too: a model may outlive its context.
  std::shared_ptr<std::unordered_set<std::string>> names = std::make_shared<std::unordered_set<std::string>>();
  std::vector<std::unique_ptr<TapeState>> tapes;  // all tapes ever made; a Var may look at one that has ended
  std::vector<TapeState*> idle_tapes;
  std::vector<std::unique_ptr<ReplicaPart>> replica_parts;  // all that ops have asked for; tapes point at them
};

}  // namespace tapestry::detail
