// Norms whose statistics replicas have in common, against one norm of all data and against plain loops.
#include <cmath>

#include "autodiff/ops/elementwise.h"
#include "autodiff/ops/moments.h"
#include "autodiff/ops/norm.h"
#include "autodiff/ops/reduce.h"
#include "kernels/error.h"
#include "optim/sgd.h"
#include "tests/catch.h"
#include "tests/support/deadline.h"
#include "tests/train/replica_norms.h"

using namespace tapestry;
using namespace tapestry::test;
using train::Replica;
using train::Replicas;

namespace {

double tolerance(DType dtype) { return dtype == DType::float64 ? 1e-10 : 2e-6; }

}  // namespace

TEST_CASE("replicas: batch norm over all of them is batch norm of all samples together") {
  const Deadline deadline;
  const ReplicaAxes axes{.names = {"batch"}};
  for (DType dtype : {DType::float64, DType::float32})
    for (int count : {1, 2, 3, 4, 7})
      for (const Shape& shape : {Shape{4, 3}, Shape{2, 3, 5}, Shape{3, 2, 4, 9}, Shape{1, 2, 2, 2, 3}}) {
        INFO(dtype_name(dtype) << ", " << count << " of " << to_string(shape));
        const Context context{{.threads = 1, .seed = 2}};
        ReplicaData data(context, count, shape, {shape[-1]}, dtype);
        Replicas replicas{context, {.count = count}};
        const RunningVariance kind = count % 2 == 0 ? RunningVariance::unbiased : RunningVariance::biased;
        const Outcome found = outcome(replicas, data, batch_norm_over(axes, kind));
        Tape tape{replicas.context(0)};
        const Var x = tape.variable(joined(context, data.x));
        const Var y = batch_norm(x, data.weight.on(x), data.bias.on(x),
                                 {.running_mean = &data.running_mean,
                                  .running_var = &data.running_var,
                                  .momentum = 0.9,
                                  .running_variance = kind});
        const Gradients gradients = tape.backward(y, joined(context, data.dy));
        Outcome plain{values_of(y.value()),
                      values_of(gradients[x]),
                      values_of(gradients[data.weight]),
                      values_of(gradients[data.bias]),
                      {}};
        for (int i = 0; i < count; ++i) {
          append(plain.running, data.running_mean.next(x));
          append(plain.running, data.running_var.next(x));
        }
        require_same(found, plain, tolerance(dtype));
      }
}

TEST_CASE("replicas: with masks batch norm has the mean of the replicas' means, whole and in groups of indices") {
  const Deadline deadline;
  const ReplicaAxes all{.names = {"batch"}}, pairs{.names = {"batch"}, .index_groups = {{0, 1}, {2, 3}}},
      uneven{.names = {"batch"}, .index_groups = {{3, 0, 1}, {2}}};
  for (DType dtype : {DType::float64, DType::float32})
    for (const Shape& shape : {Shape{6, 4}, Shape{4, 3, 5}, Shape{3, 2, 4, 9}})
      for (bool masked : {false, true}) {
        INFO(dtype_name(dtype) << ", " << to_string(shape) << (masked ? ", masked" : ""));
        const Context context{{.threads = 1, .seed = 2}};
        const auto channels = static_cast<std::size_t>(shape[-1]);
        ReplicaData data(context, 4, shape, {shape[-1]}, dtype);
        Replicas replicas{context, {.count = 4}};
        const auto channel = [&](std::size_t k) { return k % channels; };
        const auto check = [&](const ReplicaAxes& axes, const std::vector<int>& parts) {
          require_same(outcome(replicas, data, batch_norm_over(axes), masked),
                       outcome_by_loops(data, {parts, channels, channel, channel, masked}), tolerance(dtype));
        };
        check(all, {0, 0, 0, 0});
        check(pairs, {0, 0, 1, 1});
        check(uneven, {0, 0, 1, 0});
      }
}

TEST_CASE("replicas: layer, RMS, group and instance norm and moments have the means of their replicas, too") {
  const Deadline deadline;
  const ReplicaAxes all{.names = {"batch"}}, pairs{.names = {"batch"}, .index_groups = {{0, 2}, {1, 3}}};
  const Shape shape{3, 4, 6};  // 24 elements a sample
  for (DType dtype : {DType::float64, DType::float32})
    for (bool masked : {false, true})
      for (bool grouped : {false, true}) {
        INFO(dtype_name(dtype) << (masked ? ", masked" : "") << (grouped ? ", in groups" : ""));
        const Context context{{.threads = 1, .seed = 2}};
        const ReplicaAxes* axes = grouped ? &pairs : &all;
        const std::vector<int> parts = grouped ? std::vector<int>{0, 1, 0, 1} : std::vector<int>{0, 0, 0, 0};
        ReplicaData data(context, 4, shape, {6}, dtype);
        Replicas replicas{context, {.count = 4}};
        const auto channel = [](std::size_t k) { return k % 6; };
        const auto check = [&](const ReplicaNorm& norm, std::size_t sets,
                               const std::function<std::size_t(std::size_t)>& set, bool center = true) {
          Outcome wanted = outcome_by_loops(data, {parts, sets, set, channel, masked, center});
          const Outcome found = outcome(replicas, data, norm, masked);
          wanted.running = found.running;  // there are none
          require_same(found, wanted, tolerance(dtype));
        };
        check(
            [&](ReplicaData& d, const Var& x, const Tensor& mask) {
              return layer_norm(x, d.weight.on(x), d.bias.on(x), {.mask = mask, .replicas = axes});
            },
            12, [](std::size_t k) { return k / 6; });
        check(
            [&](ReplicaData& d, const Var& x, const Tensor& mask) {
              return group_norm(x, d.weight.on(x), d.bias.on(x), {.num_groups = 2, .mask = mask, .replicas = axes});
            },
            6, [](std::size_t k) { return k / 24 * 2 + k % 6 / 3; });
        check(
            [&](ReplicaData& d, const Var& x, const Tensor& mask) {
              return instance_norm(x, d.weight.on(x), d.bias.on(x), {.mask = mask, .replicas = axes});
            },
            18, [](std::size_t k) { return k / 24 * 6 + k % 6; });
        check(
            [&](ReplicaData& d, const Var& x, const Tensor& mask) {
              const Moments m = moments(x, {.axes = {0, 1}, .mask = mask, .replicas = axes});
              return normalize_with(x, m.mean, m.variance, d.weight.on(x), d.bias.on(x));
            },
            6, channel);
        data.bias.set(context.zeros({6}, dtype));
        check(
            [&](ReplicaData& d, const Var& x, const Tensor& mask) {
              return rms_norm(x, d.weight.on(x), {.epsilon = 1e-5, .mask = mask, .replicas = axes}) + d.bias.on(x);
            },
            12, [](std::size_t k) { return k / 6; }, false);
      }
}

TEST_CASE("replicas: over both axes of a grid batch norm is that of all samples, over one that of its line") {
  const Deadline deadline;
  const Context context{{.threads = 1, .seed = 2}};
  ReplicaData data(context, 6, {4, 3}, {3}, DType::float64);
  Replicas replicas{context, {.grid = {{"data", 2}, {"model", 3}}}};
  const auto channel = [](std::size_t k) { return k % 3; };
  const auto check = [&](const ReplicaAxes& axes, const std::vector<int>& parts) {
    require_same(outcome(replicas, data, batch_norm_over(axes), true),
                 outcome_by_loops(data, {parts, 3, channel, channel, true}), 1e-10);
  };
  check({.names = {"data", "model"}}, {0, 0, 0, 0, 0, 0});
  check({.names = {"model"}}, {0, 0, 0, 1, 1, 1});
  check({.names = {"data"}}, {0, 1, 2, 0, 1, 2});
  check({.names = {"model"}, .index_groups = {{0, 2}, {1}}}, {0, 1, 0, 2, 3, 2});
}

TEST_CASE("replicas: brainstate's named axis over (2, 6, 4), where all replicas have the same statistics") {
  const Deadline deadline;
  const ReplicaAxes axes{.names = {"devices"}};
  const Context context{{.threads = 1}};
  ReplicaData data(context, 2, {6, 4}, {4}, DType::float32);
  Replicas replicas{context, {.count = 2, .axis_name = "devices"}};
  const Outcome found = outcome(replicas, data, batch_norm_over(axes));
  const auto half = static_cast<std::ptrdiff_t>(found.running.size() / 2);
  REQUIRE(half == 8);
  REQUIRE(Values(found.running.begin(), found.running.begin() + half) ==
          Values(found.running.begin() + half, found.running.end()));
  const auto channel = [](std::size_t k) { return k % 4; };
  require_same(found, outcome_by_loops(data, {{0, 0}, 4, channel, channel}), 1e-5);
}

TEST_CASE("replicas: norms give the same bits run after run, at any number of threads") {
  const Deadline deadline(std::chrono::seconds(300));
  const ReplicaAxes axes{.names = {"batch"}};
  for (DType dtype : {DType::float64, DType::float32})
    for (int count : {2, 4, 7}) {
      const Context context{{.threads = 1, .seed = 2}};
      ReplicaData data(context, count, {16, 8, 11}, {11}, dtype);
      Replicas first{context, {.count = count}};
      const Outcome wanted = outcome(first, data, batch_norm_over(axes), true);
      for (int run = 0; run < 200 / count; ++run) {
        Replicas replicas{context, {.count = count, .threads = 1 + run % 3}};
        REQUIRE(outcome(replicas, data, batch_norm_over(axes), true) == wanted);
      }
    }
}

TEST_CASE("replicas: a shard without samples has no mean, so that all of them have none, and nothing is kept") {
  const Deadline deadline;
  const ReplicaAxes axes{.names = {"batch"}};
  const Context context{{.threads = 1}};
  ReplicaData data(context, 3, {2, 4}, {4}, DType::float32);
  data.x[1] = context.zeros({0, 4});
  data.dy[1] = context.zeros({0, 4});
  Replicas replicas{context, {.count = 3}};
  const Outcome found = outcome(replicas, data, batch_norm_over(axes));
  REQUIRE(found.y.size() == 16);
  for (double value : found.y) REQUIRE(std::isnan(value));
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t k = 0; k < 4; ++k) {
      REQUIRE(found.running[8 * i + k] == values_of(data.running_mean.value())[k]);
      REQUIRE(found.running[8 * i + 4 + k] == values_of(data.running_var.value())[k]);
    }
}

TEST_CASE("replicas: a step of data parallel training with batch norm is the step of one process") {
  const Deadline deadline;
  const ReplicaAxes axes{.names = {"batch"}};
  const auto trained = [&](int count) {
    Context context{{.threads = 1, .seed = 4}};
    ReplicaData data(context, 1, {24, 5}, {5}, DType::float64);
    SGD optimizer{{data.weight, data.bias}, {.lr = 0.1, .momentum = 0.9}};
    Replicas replicas{context, {.count = count}};
    for (int step = 0; step < 5; ++step) {
      auto [loss, gradients] = replicas.gradients(data.x[0], data.dy[0], [&](Replica&, const Var& x, const Tensor& dy) {
        const Var y = batch_norm_over(axes)(data, x, {});
        return mean(y * y * x.constant(dy));
      });
      optimizer.step(gradients);
    }
    Values state;
    for (const Tensor& value :
         {data.weight.value(), data.bias.value(), data.running_mean.value(), data.running_var.value()})
      append(state, value);
    return state;
  };
  const Values one = trained(1);
  for (int count : {2, 4, 6}) require_near("state", trained(count), one, 1e-12);
}

TEST_CASE("replicas: norms refuse axes that are not there, and shards whose statistics do not fit") {
  const Deadline deadline;
  const Context context{{.threads = 1}};
  const ReplicaAxes wrong{.names = {"devices"}}, axes{.names = {"batch"}},
      broken{.names = {"batch"}, .index_groups = {{0}}};
  ReplicaData data(context, 2, {2, 4}, {4}, DType::float32);
  Replicas replicas{context, {.count = 2}};
  REQUIRE_THROWS_WITH(outcome(replicas, data, batch_norm_over(wrong)),
                      contains("batch_norm: no replica axis 'devices': this context has 'batch'"));
  REQUIRE_THROWS_WITH(outcome(replicas, data, batch_norm_over(broken)),
                      contains("batch_norm: ") && contains("a partition of the 2"));
  const Var x = context.input(data.x[0]);
  REQUIRE_THROWS_WITH(batch_norm_over(axes)(data, x, {}), contains("this context has none"));
  const auto rows = [&](ReplicaData& d, const Var& input, const Tensor&) {
    return layer_norm(input, d.weight.on(input), d.bias.on(input), {.replicas = &axes});
  };
  data.x[1] = context.zeros({3, 4});
  data.dy[1] = context.zeros({3, 4});
  REQUIRE_THROWS_AS(outcome(replicas, data, rows), PeerError);
  REQUIRE_THROWS_WITH(outcome(replicas, data, rows), contains("values 2") && contains("values 3"));
}
