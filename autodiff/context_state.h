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
};

}  // namespace tapestry::detail
