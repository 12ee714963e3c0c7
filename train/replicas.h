// Replicas as threads of one process: each runs the same body on data of its own, with a context of its own, and they
// take means together. Data parallel training reads
//
//   train::Replicas replicas{context, {.count = 4}};
//   for (const auto& [images, labels] : dataset.batches(context, {.size = 128})) {
//     auto [loss, gradients] = replicas.gradients(images, labels, [&](train::Replica&, const Var& x, const Tensor& y) {
//       return cross_entropy(model(x, Mode::train), y);
//     });
//     optimizer.step(gradients);
//   }
//
// There is one model, which all replicas read and nobody changes before they have ended: then one optimizer makes one
// step from the mean of their gradients, and commits the buffers that replica 0 queued. Statistics that are shared
// (ReplicaAxes{{"batch"}}) are the same in each replica; those that are not are replica 0's.
//
// What replicas may share: tensors that nobody writes, parameters and buffers (their updates are queued on each
// replica's tape), the layers of a built model, memory that another replica frees. What they may not: a Tape, Gradients
// or a Var; writing a tensor, building or loading a model, set(), assign(), freeze() and steps of optimizers, as long
// as others read. `warn` and `trace` of the context are called by one replica at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "autodiff/tape.h"

namespace tapestry::train {

struct AxisSize {
  std::string name;
  int size = 1;
};

struct ReplicasOptions {
  int count = 1;
  std::string axis_name = "batch";  // what ops call them: ReplicaAxes{.names = {"batch"}}
  std::vector<AxisSize> grid = {};  // several axes in the place of both, such as {{"data", 2}, {"model", 2}}
  int threads = 0;                  // of each replica; 0: its share of the context's, 1 at least
  Location where = std::source_location::current();
};

class Replicas;

// One of the replicas, as its body sees it. Means are collectives: all replicas must take the same ones in the same
// order, or all of them end with a PeerError.
class Replica {
 public:
  Replica(Replicas& all, int index) : all_(all), index_(index) {}

  Context& context() const;
  int index() const { return index_; }  // among all; in a grid the last axis runs fastest
  int count() const;
  // The index on one axis; ArgumentError when there is none of this name.
  int index(std::string_view axis) const;

  // This replica's rows of [N, ...], in the same memory: row N i / count and what follows up to N (i + 1) / count.
  // Sizes differ by 1 at most; with N < count some shards are empty. With an axis, i and count are those of the axis.
  Tensor shard(const Tensor& batch) const;
  Tensor shard(const Tensor& batch, std::string_view axis) const;

  // The unweighted mean over all replicas, summed in the order of their indices: the same bits in each.
  void mean(std::span<double> values) const;
  double mean(double value) const;
  // The same for the gradients of parameters, in place, summed in double. ArgumentError, which names the first one,
  // when the replicas' gradients are not of the same parameters.
  void mean(Gradients& gradients) const;

 private:
  Tensor shard(const Tensor& batch, std::int64_t index, std::int64_t count) const;

  Replicas& all_;
  int index_;
};

struct LossAndGradients {
  double loss;
  Gradients gradients;
};

class Replicas {
 public:
  // Contexts for each replica, with the target, precision and sinks of `context` and an arena, threads and a seed of
  // their own: dropout differs by replica, and is the same in each run. Replica 0 has the seed of `context`.
  // ArgumentError for a count outside 1 to 1024, and for axes without a name or with one name.
  Replicas(const Context& context, ReplicasOptions options);
  ~Replicas();
  Replicas(const Replicas&) = delete;
  Replicas& operator=(const Replicas&) = delete;

  int count() const;
  Context& context(int replica);

  // Runs the body in `count` threads of their own, none of them a pool's, and returns when all have ended. When one
  // throws, what the others ask for together is a PeerError that names it and its reason; the first error is thrown
  // again here. Replicas that wait for others that have ended, or that wait for something else, end with a PeerError
  // too. ArgumentError when they run already, EnvironmentError when the system refuses a thread.
  void run(FunctionRef<void(Replica& replica)> body);

  // The mean loss of a batch x [N, ...], y [N, ...] and its gradients: each replica has the loss of its shard, which is
  // a mean over its rows. Where N is no multiple of `count`, shards count by their rows, so that this is the gradient
  // of the mean over the batch. ShapeError when x and y have different rows, ArgumentError when there are less than
  // count. The gradients are of a tape of replica 0, and an optimizer's step runs on its threads.
  LossAndGradients gradients(const Tensor& x, const Tensor& y,
                             FunctionRef<Var(Replica& replica, const Var& x, const Tensor& y)> loss,
                             TapeOptions options = {});

 private:
  friend class Replica;
  struct State;
  std::unique_ptr<State> state_;
};

// Replicas{context, options}.run(body), once; contexts start anew with each call.
void replicate(const Context& context, ReplicasOptions options, FunctionRef<void(Replica& replica)> body);

}  // namespace tapestry::train
