// Replicas that fail or that do not do the same: errors that say who and why, never a hang.
#include <array>
#include <limits>
#include <string>
#include <vector>

#include "autodiff/ops/elementwise.h"
#include "autodiff/ops/reduce.h"
#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/deadline.h"
#include "train/replicas.h"

using namespace tapestry;
using train::Replica;
using train::Replicas;

namespace {

std::string error_of(const auto& body) {
  try {
    body();
    return "";
  } catch (const std::exception& error) {
    return error.what();
  }
}

// What each replica met, the empty text for nothing.
template <class Body>
std::vector<std::string> errors_of(Replicas& replicas, const Body& body) {
  std::vector<std::string> errors(static_cast<std::size_t>(replicas.count()));
  try {
    replicas.run([&](Replica& replica) {
      try {
        body(replica);
      } catch (const std::exception& error) {
        errors[static_cast<std::size_t>(replica.index())] = error.what();
        throw;
      }
    });
  } catch (const Error&) {
  }
  return errors;
}

struct Odd : std::exception {
  const char* what() const noexcept override { return "odd"; }
};

}  // namespace

TEST_CASE("replicas: when one fails, the others' next mean says which and why, and run throws the first error") {
  const test::Deadline deadline;
  const Context context{{.threads = 1}};
  Replicas replicas{context, {.count = 4}};
  for (int run = 0; run < 200; ++run) {
    const auto body = [&](Replica& replica) {
      replica.mean(1.0);
      if (replica.index() == 2) throw NumericError("the loss is nan");
      replica.mean(1.0);
    };
    REQUIRE_THROWS_AS(replicas.run(body), NumericError);
    const std::vector<std::string> errors = errors_of(replicas, body);
    REQUIRE(errors[2] == "the loss is nan");
    for (std::size_t i : {0u, 1u, 3u}) REQUIRE(errors[i] == "replicas: replica 2 failed: the loss is nan");
  }
  REQUIRE_THROWS_AS(replicas.run([](Replica& replica) {
    if (replica.index() == 0) throw Odd();
    replica.mean(1.0);
  }),
                    Odd);
  REQUIRE_THROWS_AS(replicas.run([](Replica& replica) {
    if (replica.index() == 3) throw 5;
    replica.mean(1.0);
  }),
                    int);
  REQUIRE_THROWS_WITH(replicas.run([](Replica&) { throw ShapeError("all of them"); }), "all of them");
  replicas.run([](Replica& replica) { replica.mean(1.0); });
}

TEST_CASE("replicas: an error that a replica swallowed is still the error of the run") {
  const test::Deadline deadline;
  const Context context{{.threads = 1}};
  Replicas replicas{context, {.count = 2}};
  std::string swallowed;
  REQUIRE_THROWS_AS(replicas.run([&](Replica& replica) {
    if (replica.index() == 0) swallowed = error_of([&] { replica.mean(1.0); });
  }),
                    PeerError);
  REQUIRE_THAT(swallowed, contains("replica 1 has ended"));
}

TEST_CASE("replicas: one more mean than the others take is an error, in whichever order they end") {
  const test::Deadline deadline;
  const Context context{{.threads = 1}};
  Replicas replicas{context, {.count = 3}};
  for (int run = 0; run < 200; ++run)
    for (int longer = 0; longer < 3; ++longer) {
      const auto body = [&](Replica& replica) {
        replica.mean(1.0);
        if (replica.index() == longer) replica.mean(1.0);
      };
      REQUIRE_THROWS_AS(replicas.run(body), PeerError);
      const auto errors = errors_of(replicas, body);
      for (int i = 0; i < 3; ++i)
        if (i == longer)
          REQUIRE_THAT(errors[static_cast<std::size_t>(i)],
                       contains("wait for each other in vain") &&
                           contains("replica " + std::to_string(longer) +
                                    " asks for the mean of all replicas (values 1, members 3)"));
        else
          REQUIRE(errors[static_cast<std::size_t>(i)].empty());
    }
}

TEST_CASE("replicas: means that do not fit each other are an error in all") {
  const test::Deadline deadline;
  const Context context{{.threads = 1}};
  Replicas replicas{context, {.count = 3}};
  const auto all_fail = [&](const auto& body, const auto& matcher) {
    for (int run = 0; run < 50; ++run) {
      for (const std::string& error : errors_of(replicas, body)) REQUIRE_THAT(error, matcher);
      REQUIRE_THROWS_AS(replicas.run(body), PeerError);
    }
  };
  all_fail(
      [](Replica& replica) {
        std::vector<double> values(replica.index() == 1 ? 4u : 5u);
        replica.mean(values);
      },
      contains("replica 0 asks for the mean of all replicas (values 5, members 3), replica 1") && contains("values 4"));
  all_fail(
      [](Replica& replica) {
        double value = 1;
        const std::array<int, 3> all{0, 1, 2};
        if (replica.index() == 1) return replica.mean(std::span(&value, 1));
        replica.context().options().replicas[0].mean(all, std::span(&value, 1));
      },
      contains("axis 'batch'") && contains("all replicas"));
  all_fail(
      [](Replica& replica) {
        const Var x = replica.context().input(replica.context().zeros({1}));
        const ReplicaAxes pairs{{"batch"}, {{0, 1}, {2}}}, others{{"batch"}, {{0}, {1, 2}}}, all{{"batch"}};
        const ReplicaAxes* axes = replica.index() == 0 ? &pairs : replica.index() == 1 ? &others : &all;
        double value = 1;
        tapestry::detail::ReplicaMean(x, axes, "test", Location{})(std::span(&value, 1));
      },
      contains("members 2") && contains("members 3"));
}

TEST_CASE("replicas: gradients of different parameters, or missing in one replica, name the parameter") {
  const test::Deadline deadline;
  Context context{{.threads = 1}};
  Parameter a, b;
  a.set(context.zeros({2}));
  b.set(context.zeros({2}));
  a.cell()->name = "a";
  b.cell()->name = "b";
  Replicas replicas{context, {.count = 3}};
  const auto run = [&](const auto& loss) {
    replicas.run([&](Replica& replica) {
      Tape tape{replica.context()};
      Gradients gradients = tape.backward(loss(replica.index(), tape.input(replica.context().full({2}, 1))));
      replica.mean(gradients);
    });
  };
  const auto refused = [&](const auto& loss, const auto& matcher) {
    for (int i = 0; i < 50; ++i) REQUIRE_THROWS_WITH(run(loss), matcher);
    REQUIRE_THROWS_AS(run(loss), ArgumentError);
  };
  refused([&](int replica, const Var& x) { return sum(x * (replica == 1 ? b : a).on(x)); },
          contains("gradient 0 is of 'a' in replica 0, of 'b' in replica 1"));
  refused(
      [&](int replica, const Var& x) {
        const Var y = x * a.on(x);
        return sum(replica == 2 ? y * b.on(x) : y);
      },
      contains("gradient 1 is of 'nothing' in replica 0, of 'b' in replica 2"));
  refused(
      [&](int replica, const Var& x) {
        const Var used = a.on(x), unused = b.on(x);
        return replica == 2 ? sum(x * unused * used) : sum(x * used);
      },
      contains("'b' has a gradient in replica 2, but none in replica 0"));
}

TEST_CASE("replicas: a loss that is not finite in one replica stops the step, and nothing has changed") {
  const test::Deadline deadline;
  Context context{{.threads = 1}};
  Parameter w;
  w.set(context.full({1}, 1));
  Tensor x = context.full({4, 1}, 1), y = context.zeros({4});
  x.span<float>()[3] = std::numeric_limits<float>::quiet_NaN();
  Replicas replicas{context, {.count = 4}};
  const auto loss = [&](Replica&, const Var& part, const Tensor&) { return mean(part * w.on(part)); };
  REQUIRE_THROWS_AS(replicas.gradients(x, y, loss), NumericError);
  REQUIRE(w.value().item() == 1);
  x.fill(2);
  REQUIRE(replicas.gradients(x, y, loss).loss == 2);
}

TEST_CASE("replicas: options and calls outside their rule are refused") {
  const Context context{{.threads = 1}};
  const auto refused = [&](const train::ReplicasOptions& options, const auto& matcher) {
    REQUIRE_THROWS_WITH(Replicas(context, options), matcher);
    REQUIRE_THROWS_AS(Replicas(context, options), ArgumentError);
  };
  refused({.count = 0}, contains("needs 1 to 1024 of them, got 0"));
  refused({.count = 1025}, contains("got 1025"));
  refused({.count = 2, .axis_name = ""}, contains("needs a name"));
  refused({.count = 3, .grid = {{"data", 2}}}, contains("count is 3"));
  refused({.grid = {{"data", 2}, {"data", 2}}}, contains("two replica axes 'data'"));
  refused({.grid = {{"data", 2}, {"model", 0}}}, contains("axis 'model' needs a size from 1 to 1024, got 0"));
  refused({.grid = {{"data", 1000}, {"model", 1000}}}, contains("got 1000000"));
  refused({.count = 2, .threads = -1}, contains("threads >= 0, got -1"));

  Replicas replicas{context, {.count = 3}};
  REQUIRE_THROWS_WITH(replicas.context(3), contains("no replica 3 of 3"));
  REQUIRE_THROWS_WITH(replicas.run([](Replica& replica) { replica.index("model"); }), contains("no axis 'model'"));
  REQUIRE_THROWS_WITH(replicas.run([&](Replica&) { replicas.run([](Replica&) {}); }), contains("run already"));
  const auto loss = [](Replica&, const Var& x, const Tensor&) { return x; };
  const auto zeros = [&](const Shape& shape) { return context.zeros(shape); };
  REQUIRE_THROWS_WITH(replicas.gradients(zeros({2, 4}), zeros({2}), loss),
                      contains("a batch of 2 cannot be shared by 3 replicas"));
  REQUIRE_THROWS_WITH(replicas.gradients(zeros({6, 4}), zeros({5}), loss), contains("x is [6, 4], y is [5]"));
  REQUIRE_THROWS_AS(replicas.gradients(zeros({}), zeros({6}), loss), ShapeError);
  REQUIRE_THROWS_AS(replicas.gradients(zeros({6}), zeros({6}), loss), ShapeError);
  REQUIRE_THROWS_WITH(replicas.gradients(Tensor{}, zeros({6}), loss), contains("x is []"));
}

TEST_CASE("replicas: a mean is refused where no replica runs, and twice at a time") {
  const test::Deadline deadline;
  const Context context{{.threads = 1}};
  Replicas replicas{context, {.count = 2}};
  const std::array<int, 2> both{0, 1};
  double value = 1;
  const auto mean = [&](int replica, double& of) {
    replicas.context(replica).options().replicas[0].mean(both, std::span(&of, 1));
  };
  REQUIRE_THROWS_WITH(mean(0, value), contains("axis 'batch'") && contains("where no replica runs"));
  REQUIRE_THROWS_AS(mean(0, value), ArgumentError);
  for (const std::vector<int>& members : {std::vector<int>{}, {1}, {1, 0}, {0, 0, 1}, {-1, 0}, {0, 2}})
    REQUIRE_THROWS_WITH(replicas.context(0).options().replicas[0].mean(members, std::span(&value, 1)),
                        contains("replica 0's mean must rise from 0 to 1"));
  std::string error;
  replicas.run([&](Replica& replica) {
    double own = 1, other = 1;
    if (replica.index() == 0) return mean(0, own);
    while (error.empty() || error.find("twice") == std::string::npos) {
      error = error_of([&] {
        std::array<int, 1> only{0};  // in the name of replica 0, which waits
        replicas.context(0).options().replicas[0].mean(only, std::span(&other, 1));
      });
    }
    mean(1, own);
  });
  REQUIRE_THAT(error, contains("twice at a time"));
}

TEST_CASE("replicas: a program that ends because of a peer returns 6") {
  REQUIRE(exit_code(PeerError("replica 1 failed")) == 6);
  REQUIRE(exit_code(NumericError("")) == 5);
  REQUIRE(exit_code(ArgumentError("")) == 2);
}
