#include "autodiff/replicas.h"

#include <string>
#include <vector>

#include "autodiff/tape.h"
#include "kernels/error.h"
#include "tests/catch.h"

using namespace tapestry;

namespace {

struct Call {
  std::string axis;
  std::vector<int> members;
  std::vector<double> values;
  friend bool operator==(const Call&, const Call&) = default;
};

// An axis whose mean writes down what it is asked for, and adds 1 to each value.
ReplicaAxis noted(const std::string& name, int size, int index, std::vector<Call>& calls) {
  return {.name = name,
          .size = size,
          .index = index,
          .mean = [&calls, name](std::span<const int> members, std::span<double> values) {
            calls.push_back({name, {members.begin(), members.end()}, {values.begin(), values.end()}});
            for (double& value : values) value += 1;
          }};
}

detail::ReplicaMean mean_of(const Var& x, const ReplicaAxes& axes) {
  return detail::ReplicaMean(x, &axes, "batch_norm", Location{});
}

}  // namespace

TEST_CASE("replicas: without axes there is one replica, and its mean is what it has") {
  const Context context{{.threads = 1}};
  const detail::ReplicaMean mean(context.input(context.tensor({1}, {2.0f})), nullptr, "batch_norm", {});
  std::vector<double> values{1, 2, 3};
  mean(values);
  REQUIRE((!mean && mean.count() == 1 && values == std::vector<double>{1, 2, 3}));
  REQUIRE(detail::ReplicaMean().count() == 1);
}

TEST_CASE("replicas: the mean is asked of the named axes, in their order, with the members of the replica's group") {
  std::vector<Call> calls;
  const Context context{{.threads = 1, .replicas = {noted("data", 4, 2, calls), noted("model", 3, 0, calls)}}};
  const Var x = context.input(context.tensor({1}, {2.0f}));
  std::vector<double> values{5, 7};
  const auto run = [&](const ReplicaAxes& axes) {
    calls.clear();
    values = {5, 7};
    const detail::ReplicaMean mean = mean_of(x, axes);
    REQUIRE(static_cast<bool>(mean));
    mean(values);
    return mean.count();
  };
  REQUIRE(run({.names = {"data"}}) == 4);
  REQUIRE(calls == std::vector<Call>{{"data", {0, 1, 2, 3}, {5, 7}}});
  REQUIRE(values == std::vector<double>{6, 8});
  REQUIRE(run({.names = {"model", "data"}}) == 12);
  REQUIRE(calls == std::vector<Call>{{"model", {0, 1, 2}, {5, 7}}, {"data", {0, 1, 2, 3}, {6, 8}}});
  REQUIRE(run({.names = {"data"}, .index_groups = {{3, 0, 2}, {1}}}) == 3);
  REQUIRE(calls == std::vector<Call>{{"data", {0, 2, 3}, {5, 7}}});
  REQUIRE(run({.names = {"data"}, .index_groups = {{0, 1}, {3}, {2}}}) == 1);
  REQUIRE(calls == std::vector<Call>{{"data", {2}, {5, 7}}});
  REQUIRE(run({.names = {"data"}}) == 4);
}

TEST_CASE("replicas: a mean outlives the axes that it was made from and the context's handle, as long as a tape") {
  std::vector<Call> calls;
  auto context = std::make_unique<Context>(ContextOptions{.threads = 1, .replicas = {noted("data", 2, 1, calls)}});
  Tape tape{*context};
  auto axes = std::make_unique<ReplicaAxes>(ReplicaAxes{.names = {"data"}, .index_groups = {{0, 1}}});
  const detail::ReplicaMean mean = mean_of(tape.input(context->tensor({1}, {2.0f})), *axes);
  axes.reset();
  context.reset();
  std::vector<double> values{3};
  mean(values);
  REQUIRE((calls.size() == 1 && calls[0].members == std::vector<int>{0, 1}));
}

TEST_CASE("replicas: what cannot be asked for is refused with the names and the numbers") {
  std::vector<Call> calls;
  const Context context{{.threads = 1, .replicas = {noted("data", 4, 2, calls), noted("model", 3, 0, calls)}}};
  const Context alone{{.threads = 1}};
  const Var x = context.input(context.tensor({1}, {2.0f}));
  const auto refused = [&](const ReplicaAxes& axes, const auto& matcher) {
    REQUIRE_THROWS_WITH(mean_of(x, axes), contains("batch_norm: ") && matcher);
    REQUIRE_THROWS_AS(mean_of(x, axes), ArgumentError);
  };
  refused({.names = {"batch"}}, contains("no replica axis 'batch': this context has 'data', 'model'"));
  refused({.names = {}}, contains("need a name"));
  refused({.names = {"data", "data"}}, contains("'data' is named twice"));
  refused({.names = {"data", "model"}, .index_groups = {{0, 1}, {2}}}, contains("2 are named: 'data', 'model'"));
  using Groups = std::vector<std::vector<int>>;
  for (const Groups& groups : {Groups{{0, 1}, {2}}, Groups{{0, 1}, {2, 3, 4}}, Groups{{0, 1, 2}, {2, 3}},
                               Groups{{0, 1}, {-1, 2, 3}}, Groups{{}, {0, 1, 2, 3}}, Groups{{}}})
    refused({.names = {"data"}, .index_groups = groups}, contains("a partition of the 4 replicas of axis 'data'"));
  refused({.names = {"data"}, .index_groups = {{0, 1}, {2}}}, contains("got [[0, 1], [2]]"));
  REQUIRE_THROWS_WITH(mean_of(alone.input(alone.tensor({1}, {2.0f})), {.names = {"batch"}}),
                      contains("no replica axis 'batch': this context has none"));
  REQUIRE_THROWS_WITH(mean_of(Var{}, {.names = {"data"}}), contains("holds nothing"));
  REQUIRE(calls.empty());
}

TEST_CASE("replicas: a context refuses axes that cannot be") {
  std::vector<Call> calls;
  const auto refused = [](std::vector<ReplicaAxis> axes, const auto& matcher) {
    const ContextOptions options{.threads = 1, .replicas = std::move(axes)};
    REQUIRE_THROWS_WITH(Context(options), matcher);
    REQUIRE_THROWS_AS(Context(options), ArgumentError);
  };
  refused({noted("", 2, 0, calls)}, contains("needs a name"));
  refused({noted("data", 2, 0, calls), noted("data", 2, 1, calls)}, contains("two replica axes 'data'"));
  refused({noted("data", 2, 2, calls)}, contains("'data'") && contains("got 2 of 2"));
  refused({noted("data", 2, -1, calls)}, contains("got -1 of 2"));
  refused({noted("data", 0, 0, calls)}, contains("got 0 of 0"));
  refused({{.name = "data", .size = 2}}, contains("'data' has no mean"));
}
