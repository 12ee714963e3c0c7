#include "tests/train/replica_norms.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "tests/catch.h"
#include "tests/support/norm_oracle.h"

namespace tapestry::test {

Values values_of(const Tensor& x) {
  const Tensor wide = x.to(DType::float64);
  return {wide.span<double>().begin(), wide.span<double>().end()};
}

void append(Values& all, const Tensor& x) {
  const Values own = values_of(x);
  all.insert(all.end(), own.begin(), own.end());
}

void require_near(const char* what, const Values& found, const Values& expected, double tolerance) {
  INFO(what);
  REQUIRE(found.size() == expected.size());
  double largest = 1;
  for (double value : expected) largest = std::max(largest, std::abs(value));
  for (std::size_t i = 0; i < found.size(); ++i) {
    INFO("element " << i << ": " << found[i] << " instead of " << expected[i]);
    REQUIRE(std::abs(found[i] - expected[i]) <= tolerance * largest);
  }
}

ReplicaData::ReplicaData(const Context& context, int replicas, const Shape& shape, const Shape& affine, DType dtype) {
  for (int i = 0; i < replicas; ++i) {
    const auto stream = static_cast<std::uint64_t>(10 * i);
    x.push_back(context.normal(shape, i - 1, 1 + 0.5 * i, stream + 1, dtype));
    dy.push_back(context.normal(shape, 0.1, 1, stream + 2, dtype));
    mask.push_back(context.uniform(shape, 0, 1, stream + 3, DType::float64));
    for (double& one : mask.back().span<double>()) one = one > 0.1 * (replicas - i) ? 1 : 0;
    mask.back() = mask.back().to(dtype);
  }
  weight.set(context.uniform(affine, 0.5, 2, 7, dtype));
  bias.set(context.uniform(affine, -1, 1, 8, dtype));
  running_mean.set(context.uniform(affine, -1, 1, 9, dtype));
  running_var.set(context.uniform(affine, 1, 2, 10, dtype));
}

Tensor joined(const Context& context, const std::vector<Tensor>& parts) {
  Values all;
  for (const Tensor& part : parts) append(all, part);
  const std::int64_t rows = parts[0].shape()[0] * static_cast<std::int64_t>(parts.size());
  return context.tensor(parts[0].shape().with(0, rows), std::span<const double>(all)).to(parts[0].dtype());
}

ReplicaNorm batch_norm_over(const ReplicaAxes& axes, RunningVariance kind) {
  return [&axes, kind](ReplicaData& data, const Var& x, const Tensor& mask) {
    return batch_norm(x, data.weight.on(x), data.bias.on(x),
                      {.running_mean = &data.running_mean,
                       .running_var = &data.running_var,
                       .momentum = 0.9,
                       .running_variance = kind,
                       .mask = mask,
                       .replicas = &axes});
  };
}

Outcome outcome(train::Replicas& replicas, ReplicaData& data, const ReplicaNorm& norm, bool masked) {
  const auto count = static_cast<std::size_t>(replicas.count());
  std::vector<Tensor> y(count), dx(count), dweight(count), dbias(count), mean(count), var(count);
  replicas.run([&](train::Replica& replica) {
    const auto i = static_cast<std::size_t>(replica.index());
    Tape tape{replica.context()};
    const Var x = tape.variable(data.x[i]);
    const Var out = norm(data, x, masked ? data.mask[i] : Tensor{});
    Gradients gradients = tape.backward(out, data.dy[i]);
    replica.mean(gradients);
    y[i] = out.value();
    dx[i] = gradients[x];
    dweight[i] = gradients[data.weight];
    dbias[i] = gradients[data.bias];
    mean[i] = data.running_mean.next(x);
    var[i] = data.running_var.next(x);
  });
  Outcome all;
  for (std::size_t i = 0; i < count; ++i) {
    append(all.y, y[i]);
    append(all.dx, dx[i]);
    append(all.running, mean[i]);
    append(all.running, var[i]);
  }
  all.dweight = values_of(dweight[0]);
  all.dbias = values_of(dbias[0]);
  for (Values* gradient : {&all.dweight, &all.dbias})
    for (double& value : *gradient) value *= static_cast<double>(count);
  return all;
}

Outcome outcome_by_loops(const ReplicaData& data, const Arrangement& a) {
  NormProblem problem;
  problem.weight = values_of(data.weight.value());
  problem.bias = values_of(data.bias.value());
  problem.center = a.center;
  const auto first = [&](std::size_t replica) { return a.sets * static_cast<std::size_t>(a.parts[replica]); };
  for (std::size_t i = 0; i < data.x.size(); ++i) {
    append(problem.x, data.x[i]);
    append(problem.dy, data.dy[i]);
    const Values mask = values_of(data.mask[i]);
    for (std::size_t k = 0; k < mask.size(); ++k) {
      problem.set.push_back(a.set(k) + first(i));
      problem.affine.push_back(a.affine(k));
      problem.replica.push_back(i);
      if (a.masked) problem.selected.push_back(mask[k] != 0);
    }
  }
  const NormSolution solution = solve(problem);
  Outcome found{solution.y, solution.dx, solution.dweight, solution.dbias, {}};
  const Values mean = values_of(data.running_mean.value()), var = values_of(data.running_var.value());
  for (std::size_t i = 0; i < data.x.size(); ++i) {
    for (std::size_t k = 0; k < a.sets; ++k)
      found.running.push_back(0.9 * mean[k % mean.size()] + 0.1 * solution.mean[first(i) + k]);
    for (std::size_t k = 0; k < a.sets; ++k)
      found.running.push_back(0.9 * var[k % var.size()] + 0.1 * solution.var[first(i) + k]);
  }
  return found;
}

void require_same(const Outcome& found, const Outcome& expected, double tolerance) {
  require_near("y", found.y, expected.y, tolerance);
  require_near("dx", found.dx, expected.dx, tolerance);
  require_near("dweight", found.dweight, expected.dweight, tolerance);
  require_near("dbias", found.dbias, expected.dbias, tolerance);
  require_near("running", found.running, expected.running, tolerance);
}

}  // namespace tapestry::test
