#include "train/replicas.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "autodiff/ops/elementwise.h"
#include "kernels/error.h"
#include "train/meeting.h"
#include "train/replica_gradients.h"

namespace tapestry::train {

struct Replicas::State {
  State(const Context& parent, ReplicasOptions given);
  ContextOptions context_options(const Context& parent, int replica) const;
  detail::Call all(std::string_view what, std::span<double> values = {}) const {
    return {.first = 0, .stride = 1, .members = members, .what = what, .values = values};
  }
  const ReplicaAxis& axis(int replica, std::string_view name) const;

  ReplicasOptions options;
  int count = 1;
  std::vector<int> members;  // 0, 1, 2 ...
  std::shared_ptr<detail::Meeting> meeting;
  std::shared_ptr<std::mutex> sinks = std::make_shared<std::mutex>();
  std::vector<Context> contexts;
  std::vector<const Gradients*> shared;  // by replica, while their mean is taken
};

namespace {

// `sink`, called by one thread at a time.
template <class Argument>
std::function<void(Argument)> one_at_a_time(std::function<void(Argument)> sink, std::shared_ptr<std::mutex> mutex) {
  if (!sink) return nullptr;
  return [sink = std::move(sink), mutex = std::move(mutex)](Argument argument) {
    const std::lock_guard lock(*mutex);
    sink(argument);
  };
}

void check_members(std::span<const int> members, int index, int size) {
  if (std::ranges::adjacent_find(members, std::greater_equal<>()) != members.end() ||
      std::ranges::find(members, index) == members.end() || members.front() < 0 || members.back() >= size)
    throw ArgumentError(fmt::format("replicas: the members of replica {}'s mean must rise from 0 to {} and name it: {}",
                                    index, size - 1, members));
}

int product(const ReplicasOptions& options) {
  std::int64_t count = 1;
  for (const AxisSize& axis : options.grid) {
    if (axis.size < 1 || axis.size > 1024)
      fail<ArgumentError>(options.where, "replicas",
                          fmt::format("axis '{}' needs a size from 1 to 1024, got {}", axis.name, axis.size));
    count = std::min<std::int64_t>(count * axis.size, 1 << 20);
  }
  if (count < 1 || count > 1024)
    fail<ArgumentError>(options.where, "replicas", fmt::format("needs 1 to 1024 replicas, got {}", count));
  return static_cast<int>(count);
}

}  // namespace

Replicas::State::State(const Context& parent, ReplicasOptions given) : options(std::move(given)) {
  if (options.threads < 0)
    fail<ArgumentError>(options.where, "replicas", fmt::format("needs threads >= 0, got {}", options.threads));
  if (!options.grid.empty() && options.count != 1)
    fail<ArgumentError>(options.where, "replicas",
                        fmt::format("a grid says how many there are; count is {}", options.count));
  if (options.grid.empty()) {
    if (options.count < 1 || options.count > 1024)
      fail<ArgumentError>(options.where, "replicas", fmt::format("needs 1 to 1024 of them, got {}", options.count));
    options.grid = {{options.axis_name, options.count}};
  }
  count = product(options);
  for (int replica = 0; replica < count; ++replica) members.push_back(replica);
  meeting = std::make_shared<detail::Meeting>(count);
  shared.resize(members.size());
  contexts.reserve(members.size());
  for (int replica : members) contexts.emplace_back(context_options(parent, replica));
}

ContextOptions Replicas::State::context_options(const Context& parent, int replica) const {
  ContextOptions own = parent.options();
  own.threads = options.threads > 0 ? options.threads : std::max(1, parent.threads() / count);
  own.target = parent.target();
  if (replica != 0)
    own.seed = Philox(parent.seed(), SeedStreams::kReplicas).word64(static_cast<std::uint64_t>(replica));
  own.warn = one_at_a_time<std::string_view>(own.warn, sinks);
  own.trace = one_at_a_time<const TraceEvent&>(own.trace, sinks);
  own.replicas.clear();
  int stride = count;
  for (const AxisSize& axis : options.grid) {
    stride /= axis.size;
    const int index = replica / stride % axis.size, first = replica - index * stride;
    own.replicas.push_back(
        {.name = axis.name,
         .size = axis.size,
         .index = index,
         .mean = [meeting = meeting, replica, index, size = axis.size, first, stride,
                  what = fmt::format("axis '{}'", axis.name)](std::span<const int> who, std::span<double> values) {
           check_members(who, index, size);
           meeting->mean(replica, {.first = first, .stride = stride, .members = who, .what = what, .values = values});
         }});
  }
  return own;
}

const ReplicaAxis& Replicas::State::axis(int replica, std::string_view name) const {
  const std::vector<ReplicaAxis>& axes = contexts[static_cast<std::size_t>(replica)].options().replicas;
  const auto found = std::ranges::find(axes, name, &ReplicaAxis::name);
  if (found == axes.end()) fail<ArgumentError>(options.where, "replicas", fmt::format("there is no axis '{}'", name));
  return *found;
}

Context& Replica::context() const { return all_.context(index_); }
int Replica::count() const { return all_.count(); }
int Replica::index(std::string_view axis) const { return all_.state_->axis(index_, axis).index; }

Tensor Replica::shard(const Tensor& batch) const { return shard(batch, index_, count()); }

Tensor Replica::shard(const Tensor& batch, std::string_view axis) const {
  const ReplicaAxis& found = all_.state_->axis(index_, axis);
  return shard(batch, found.index, found.size);
}

Tensor Replica::shard(const Tensor& batch, std::int64_t index, std::int64_t count) const {
  if (batch.rank() == 0) throw ShapeError("shard: needs a batch [N, ...], got []");
  const std::int64_t rows = batch.shape()[0], begin = rows * index / count, end = rows * (index + 1) / count;
  return batch.view(begin * batch.shape().product(1, batch.rank()), batch.shape().with(0, end - begin));
}

void Replica::mean(std::span<double> values) const {
  all_.state_->meeting->mean(index_, all_.state_->all("all replicas", values));
}

double Replica::mean(double value) const {
  mean(std::span(&value, 1));
  return value;
}

void Replica::mean(Gradients& gradients) const {
  detail::mean_gradients(*all_.state_->meeting, index_, all_.state_->all("gradients"), gradients, all_.state_->shared);
}

Replicas::Replicas(const Context& context, ReplicasOptions options)
    : state_(std::make_unique<State>(context, std::move(options))) {}
Replicas::~Replicas() = default;

int Replicas::count() const { return state_->count; }

Context& Replicas::context(int replica) {
  if (replica < 0 || replica >= count())
    fail<ArgumentError>(state_->options.where, "replicas",
                        fmt::format("there is no replica {} of {}", replica, count()));
  return state_->contexts[static_cast<std::size_t>(replica)];
}

void Replicas::run(FunctionRef<void(Replica& replica)> body) {
  detail::Meeting& meeting = *state_->meeting;
  std::vector<std::thread> threads;
  threads.reserve(state_->members.size());
  meeting.open();
  for (int index : state_->members) {
    const auto work = [this, body, index, &meeting] {
      try {
        Replica replica(*this, index);
        body(replica);
        meeting.leave(index);
      } catch (...) {
        meeting.fail(index, std::current_exception());
      }
    };
    try {
      threads.emplace_back(work);
    } catch (const std::exception& error) {
      meeting.fail(index, std::make_exception_ptr(EnvironmentError(
                              fmt::format("replicas: cannot start {} threads: {}", count(), error.what()))));
    }
  }
  for (std::thread& thread : threads) thread.join();
  if (const std::exception_ptr error = meeting.close()) std::rethrow_exception(error);
}

LossAndGradients Replicas::gradients(const Tensor& x, const Tensor& y,
                                     FunctionRef<Var(Replica& replica, const Var& x, const Tensor& y)> loss,
                                     TapeOptions options) {
  const Location& where = state_->options.where;
  if (x.rank() == 0 || y.rank() == 0 || x.shape()[0] != y.shape()[0])
    fail<ShapeError>(where, "replicas",
                     fmt::format("x and y need one row for each sample: x is {}, y is {}", to_string(x.shape()),
                                 to_string(y.shape())));
  const std::int64_t rows = x.shape()[0];
  if (rows < count())
    fail<ArgumentError>(where, "replicas", fmt::format("a batch of {} cannot be shared by {} replicas", rows, count()));
  double mean_loss = 0;
  std::optional<Gradients> mean;
  run([&](Replica& replica) {
    Tape tape{replica.context(), options};
    const Tensor part = replica.shard(x);
    const double weight = static_cast<double>(part.shape()[0]) * count() / static_cast<double>(rows);
    const Var own = loss(replica, tape.input(part), replica.shard(y));
    Gradients gradients = tape.backward(weight == 1 ? own : own * weight);
    replica.mean(gradients);
    const double all = replica.mean(own.item() * weight);
    if (replica.index() != 0) return;
    mean_loss = all;
    mean.emplace(std::move(gradients));
  });
  return {mean_loss, std::move(*mean)};
}

void replicate(const Context& context, ReplicasOptions options, FunctionRef<void(Replica& replica)> body) {
  Replicas(context, std::move(options)).run(body);
}

}  // namespace tapestry::train
