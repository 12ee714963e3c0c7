// What a run needs and nobody may hide: threads, memory, target, precision, seed, sinks. A program makes one; two may
// live side by side. A Context must outlive the Vars made from it; tensors, tapes and gradients keep what they need.
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "autodiff/op.h"
#include "autodiff/replicas.h"
#include "autodiff/tensor.h"
#include "kernels/device.h"
#include "kernels/random.h"

namespace tapestry {

class Var;

struct ContextOptions {
  int threads = 0;  // 0: $TAPESTRY_THREADS, else the CPUs that this process may use
  Precision precision = Precision::highest;
  std::uint64_t seed = 0;
  std::optional<Target> target = std::nullopt;             // nothing: $TAPESTRY_TARGET, else the best one
  std::function<void(std::string_view)> warn = nullptr;    // what a user should know; nothing: a line on stderr
  std::function<void(const TraceEvent&)> trace = nullptr;  // called for each op of a tape; free where not set
  bool trace_untaped = false;              // `trace` hears, too, of ops that no tape records, as in evaluation
  kernels::Meter* meter = nullptr;         // what kernels tell; of this context alone, free where not set
  std::vector<ReplicaAxis> replicas = {};  // the axes of replicas on which this context is one
  bool fuse = true;  // whether what belongs together is one pass; otherwise each part is an op of its own
};

namespace detail {
struct ContextState;
}

class Context {
 public:
  // ArgumentError for impossible options, EnvironmentError for a bad TAPESTRY_TARGET or TAPESTRY_THREADS.
  explicit Context(ContextOptions options = {});
  ~Context();
  Context(Context&&) noexcept;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  const kernels::Device& device() const;
  const ContextOptions& options() const;
  std::uint64_t seed() const { return options().seed; }
  int threads() const;
  Target target() const;
  Arena::Usage memory() const;

  Tensor empty(const Shape& shape, DType dtype = DType::float32) const;  // not initialized
  Tensor zeros(const Shape& shape, DType dtype = DType::float32) const { return full(shape, 0, dtype); }
  Tensor full(const Shape& shape, double value, DType dtype = DType::float32) const;
  // A tensor with these elements, row-major; ShapeError when their number is not the shape's.
  template <class T>
  Tensor tensor(const Shape& shape, std::span<const T> values) const;
  Tensor tensor(const Shape& shape, std::initializer_list<float> values) const {
    return tensor(shape, std::span<const float>(values.begin(), values.size()));
  }
  // Uniform in [low, high) or normal numbers from f(seed, stream, index): the same on every machine and thread count.
  Tensor uniform(const Shape& shape, double low, double high, std::uint64_t stream, DType dtype = DType::float32) const;
  Tensor normal(const Shape& shape, double mean, double std, std::uint64_t stream, DType dtype = DType::float32) const;

  // x for evaluation: ops on it are not recorded.
  Var input(Tensor x) const;

  void warn(std::string_view message) const;
  // A copy of `name` that lives as long as this Context and every holder of names(); the same pointer for the same
  // name.
  const char* intern(std::string_view name) const;
  std::shared_ptr<const void> names() const;

  const std::shared_ptr<detail::ContextState>& state() const { return state_; }

 private:
  std::shared_ptr<detail::ContextState> state_;
};

}  // namespace tapestry
