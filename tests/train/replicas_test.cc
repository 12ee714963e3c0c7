// Means over replicas, shards, seeds and sinks.
#include "train/replicas.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "autodiff/ops/dropout.h"
#include "autodiff/ops/elementwise.h"
#include "tests/catch.h"

using namespace tapestry;
using train::Replica;
using train::Replicas;

namespace {

std::vector<float> numbers(const Tensor& x) { return {x.span<float>().begin(), x.span<float>().end()}; }

// What the mean over named axes makes of value(replica), in each replica.
template <class Value>
std::vector<double> named_means(Replicas& replicas, const ReplicaAxes& axes, const Value& value) {
  std::vector<double> means(static_cast<std::size_t>(replicas.count()));
  replicas.run([&](Replica& replica) {
    const Var x = replica.context().input(replica.context().zeros({1}));
    const tapestry::detail::ReplicaMean mean(x, &axes, "test", Location{});
    double& own = means[static_cast<std::size_t>(replica.index())] = value(replica.index());
    mean(std::span(&own, 1));
  });
  return means;
}

}  // namespace

TEST_CASE("replicas: the mean is summed in the order of the indices, the same bits in each, 1 to 7 replicas") {
  const Context context{{.threads = 1}};
  const std::vector<double> parts{1e16, 1, -1e16, 3, 1e-3, 7, -0.125};
  for (int count = 1; count <= 7; ++count) {
    Replicas replicas{context, {.count = count}};
    double expected = 0;
    for (int i = 0; i < count; ++i) expected += parts[static_cast<std::size_t>(i)];
    expected /= count;
    for (int run = 0; run < 200; ++run) {
      std::vector<std::vector<double>> found(static_cast<std::size_t>(count));
      replicas.run([&](Replica& replica) {
        const double own = parts[static_cast<std::size_t>(replica.index())];
        std::vector<double> values{own, 2 * own, static_cast<double>(replica.index()), 0.1};
        replica.mean(values);
        values.push_back(replica.mean(values[0] + replica.index()));
        found[static_cast<std::size_t>(replica.index())] = values;
      });
      for (const std::vector<double>& values : found) REQUIRE(values == found[0]);
      REQUIRE(found[0][0] == expected);
      REQUIRE(found[0][1] == 2 * expected);
      REQUIRE(found[0][2] == (count - 1) / 2.0);
      REQUIRE(found[0][3] == 0.1);  // equal numbers are their mean, which a sum of three is not
    }
  }
}

TEST_CASE("replicas: groups of indices take their means apart") {
  const Context context{{.threads = 1}};
  Replicas replicas{context, {.count = 4, .axis_name = "devices"}};
  const auto square = [](int i) { return i * i; };
  for (int run = 0; run < 50; ++run) {
    REQUIRE(named_means(replicas, {.names = {"devices"}}, square) == std::vector<double>{3.5, 3.5, 3.5, 3.5});
    REQUIRE(named_means(replicas, {.names = {"devices"}, .index_groups = {{0, 1}, {2, 3}}}, square) ==
            std::vector<double>{0.5, 0.5, 6.5, 6.5});
    REQUIRE(named_means(replicas, {.names = {"devices"}, .index_groups = {{3, 1}, {2}, {0}}}, square) ==
            std::vector<double>{0, 5, 4, 5});
  }
}

TEST_CASE("replicas: a grid has several axes, the last one runs fastest; over both the mean is that of all") {
  const Context context{{.threads = 1}};
  Replicas replicas{context, {.grid = {{"data", 2}, {"model", 3}}}};
  REQUIRE(replicas.count() == 6);
  const auto square = [](int i) { return i * i; };
  const auto near = [](const std::vector<double>& found, const std::vector<double>& expected) {
    for (std::size_t i = 0; i < 6; ++i) REQUIRE(found[i] == Approx(expected[i]).epsilon(1e-15));
  };
  near(named_means(replicas, {.names = {"data"}}, square), {4.5, 8.5, 14.5, 4.5, 8.5, 14.5});
  near(named_means(replicas, {.names = {"model"}}, square), {5 / 3., 5 / 3., 5 / 3., 50 / 3., 50 / 3., 50 / 3.});
  for (const ReplicaAxes& both : {ReplicaAxes{{"data", "model"}}, ReplicaAxes{{"model", "data"}}}) {
    const std::vector<double> found = named_means(replicas, both, square);
    near(found, std::vector<double>(6, 55 / 6.));
    REQUIRE(std::ranges::count(found, found[0]) == 6);
  }
  near(named_means(replicas, {.names = {"model"}, .index_groups = {{0, 2}, {1}}}, square), {2, 1, 2, 17, 16, 17});
  std::vector<int> data(6), model(6);
  replicas.run([&](Replica& replica) {
    data[static_cast<std::size_t>(replica.index())] = replica.index("data");
    model[static_cast<std::size_t>(replica.index())] = replica.index("model");
  });
  REQUIRE(data == std::vector<int>{0, 0, 0, 1, 1, 1});
  REQUIRE(model == std::vector<int>{0, 1, 2, 0, 1, 2});
}

TEST_CASE("replicas: a body may have replicas of its own, which do not see the axes around them") {
  const Context context{{.threads = 1}};
  std::array<double, 2> found{};
  std::array<std::string, 2> errors;
  train::replicate(context, {.count = 2, .axis_name = "outer"}, [&](Replica& outer) {
    Replicas inner{outer.context(), {.count = 3, .axis_name = "inner"}};
    const auto at = static_cast<std::size_t>(outer.index());
    const auto value = [&](int i) { return 10 * outer.index() + i; };
    found[at] = outer.mean(named_means(inner, {.names = {"inner"}}, value)[2]);
    try {
      named_means(inner, {.names = {"outer"}}, value);
    } catch (const ArgumentError& error) {
      errors[at] = error.what();
    }
  });
  REQUIRE(found == std::array<double, 2>{6, 6});
  for (const std::string& error : errors) REQUIRE_THAT(error, contains("no replica axis 'outer'"));
}

TEST_CASE("replicas: threads of the contexts, and four replicas with a pool of one") {
  for (int threads : {1, 2, 5}) {
    const Context context{{.threads = threads}};
    Replicas shared{context, {.count = 2}}, own{context, {.count = 4, .threads = 3}};
    REQUIRE(shared.context(1).threads() == std::max(1, threads / 2));
    REQUIRE(own.context(3).threads() == 3);
  }
  const Context context{{.threads = 1, .target = Target::scalar}};
  Replicas replicas{context, {.count = 4}};
  REQUIRE(replicas.context(3).target() == Target::scalar);
  std::atomic<int> together = 0;
  replicas.run([&](Replica& replica) {
    parallel_for(replica.context().device().pool, 100, 10, [](std::size_t, std::size_t) {});
    ++together;
    replica.mean(1.0);
    if (together != 4) throw ArgumentError("a mean did not wait for all");
  });
}

TEST_CASE("replicas: shards are rows of the same memory, empty ones where there are too few rows") {
  const Context context{{.threads = 1}};
  const auto sizes = [&](Replicas& replicas, std::int64_t rows, auto... axis) {
    const Tensor batch = context.uniform({rows, 3}, 0, 1, 1);
    std::vector<std::int64_t> found(static_cast<std::size_t>(replicas.count()));
    std::vector<Tensor> shards(found.size());
    replicas.run([&](Replica& replica) {
      const auto i = static_cast<std::size_t>(replica.index());
      shards[i] = replica.shard(batch, axis...);
      found[i] = shards[i].shape()[0];
    });
    std::vector<float> joined;
    for (const Tensor& shard : shards) {
      REQUIRE(shard.block().same(batch.block()));
      for (float value : shard.span<float>()) joined.push_back(value);
    }
    if (sizeof...(axis) == 0) REQUIRE(joined == numbers(batch));
    return found;
  };
  Replicas four{context, {.count = 4}}, grid{context, {.grid = {{"data", 2}, {"model", 2}}}};
  REQUIRE(sizes(four, 8) == std::vector<std::int64_t>{2, 2, 2, 2});
  REQUIRE(sizes(four, 10) == std::vector<std::int64_t>{2, 3, 2, 3});
  REQUIRE(sizes(four, 2) == std::vector<std::int64_t>{0, 1, 0, 1});
  REQUIRE(sizes(four, 0) == std::vector<std::int64_t>{0, 0, 0, 0});
  REQUIRE(sizes(grid, 7, "data") == std::vector<std::int64_t>{3, 3, 4, 4});
  REQUIRE(sizes(grid, 7, "model") == std::vector<std::int64_t>{3, 4, 3, 4});
  REQUIRE_THROWS_WITH(four.run([&](Replica& replica) { replica.shard(context.zeros({})); }), contains("got []"));
}

TEST_CASE("replicas: dropout differs by replica and is the same in each run; replica 0 draws as the context would") {
  Context context{{.threads = 1, .seed = 5}};
  const Tensor x = context.full({1000}, 1);
  const auto drawn = [&] {
    std::vector<std::vector<float>> found(3);
    train::replicate(context, {.count = 3}, [&](Replica& replica) {
      Tape tape{replica.context(), {.step = 4}};
      found[static_cast<std::size_t>(replica.index())] = numbers(dropout(tape.input(x), {.p = 0.5}).value());
    });
    return found;
  };
  const auto first = drawn();
  REQUIRE(first == drawn());
  REQUIRE((first[0] != first[1] && first[1] != first[2] && first[0] != first[2]));
  Tape tape{context, {.step = 4}};
  REQUIRE(first[0] == numbers(dropout(tape.input(x), {.p = 0.5}).value()));
}

TEST_CASE("replicas: warnings and traces of all of them arrive one at a time") {
  std::atomic<int> inside = 0, clashes = 0;
  int warned = 0, traced = 0;
  const auto note = [&](int& count) {
    if (++inside != 1) ++clashes;
    ++count;
    --inside;
  };
  const Context context{{.threads = 1,
                         .warn = [&](std::string_view) { note(warned); },
                         .trace = [&](const TraceEvent&) { note(traced); }}};
  train::replicate(context, {.count = 4}, [&](Replica& replica) {
    for (int i = 0; i < 50; ++i) {
      replica.context().warn("a warning");
      Tape tape{replica.context()};
      const Var x = tape.variable(replica.context().zeros({1}));
      tape.backward(x + x);
    }
  });
  REQUIRE(clashes == 0);
  REQUIRE(warned == 200);
  REQUIRE(traced == 400);
}
