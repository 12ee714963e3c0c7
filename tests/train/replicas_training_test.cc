// Data parallel training with replicas against one process.
#include <array>
#include <cmath>

#include "autodiff/ops/dropout.h"
#include "autodiff/ops/elementwise.h"
#include "autodiff/ops/loss.h"
#include "autodiff/ops/reduce.h"
#include "layers/activation.h"
#include "layers/linear.h"
#include "layers/sequential.h"
#include "optim/sgd.h"
#include "tests/catch.h"
#include "train/replicas.h"

using namespace tapestry;
using train::Replica;
using train::Replicas;

namespace {

std::vector<float> numbers(const Tensor& x) { return {x.span<float>().begin(), x.span<float>().end()}; }

Sequential perceptron() { return Input{5} >> Linear{{.out = 7}} >> Tanh{} >> Linear{{.out = 3}}; }

Tensor labels(const Context& context, std::int64_t rows) {
  Tensor y = context.empty({rows}, DType::int64);
  for (std::int64_t i = 0; i < rows; ++i) y.span<std::int64_t>()[static_cast<std::size_t>(i)] = i % 3;
  return y;
}

}  // namespace

TEST_CASE("replicas: the mean of gradients is that of one process on the whole batch, whatever the shards") {
  for (DType dtype : {DType::float64, DType::float32}) {
    Context context{{.threads = 2, .seed = 3}};
    Sequential model = perceptron();
    model.build(context, {5}, dtype);
    for (std::int64_t rows : {7, 12, 64}) {
      const Tensor x = context.normal({rows, 5}, 0, 1, 1, dtype), y = labels(context, rows);
      Tape tape{context};
      const Var loss = cross_entropy(model(tape.input(x), Mode::train), y);
      const Gradients expected = tape.backward(loss);
      for (int count = 1; count <= 7; ++count) {
        INFO(dtype_name(dtype) << ", " << rows << " rows, " << count << " replicas");
        Replicas replicas{context, {.count = count}};
        const auto shared = replicas.gradients(x, y, [&](Replica&, const Var& part, const Tensor& labels) {
          return cross_entropy(model(part, Mode::train), labels);
        });
        const double tolerance = dtype == DType::float64 ? 1e-13 : 2e-6;
        REQUIRE(std::abs(shared.loss - loss.item()) < tolerance);
        REQUIRE(shared.gradients.parameters().size() == 4);
        for (std::size_t i = 0; i < 4; ++i) {
          const Tensor a = shared.gradients.parameters()[i].gradient.to(DType::float64),
                       b = expected.parameters()[i].gradient.to(DType::float64);
          REQUIRE(shared.gradients.parameters()[i].parameter == expected.parameters()[i].parameter);
          for (std::size_t k = 0; k < a.span<double>().size(); ++k)
            REQUIRE(std::abs(a.span<double>()[k] - b.span<double>()[k]) < tolerance);
        }
      }
    }
  }
}

TEST_CASE("replicas: gradients of each replica become the unweighted mean, the same bits in each") {
  Context context{{.threads = 1}};
  Parameter w, unused;
  w.set(context.zeros({1100}));
  unused.set(context.zeros({2}));
  Replicas replicas{context, {.count = 3}};
  for (int run = 0; run < 200; ++run) {
    std::array<std::vector<float>, 3> found;
    std::array<bool, 3> none{};
    replicas.run([&](Replica& replica) {
      Tape tape{replica.context()};
      const Var x = tape.input(replica.context().uniform({1100}, 0, 1, static_cast<std::uint64_t>(replica.index())));
      unused.on(x);
      Gradients gradients = tape.backward(sum(w.on(x) * x));
      const auto i = static_cast<std::size_t>(replica.index());
      replica.mean(gradients);
      found[i] = numbers(gradients[w]);
      none[i] = !gradients[unused];
    });
    REQUIRE((found[0] == found[1] && found[0] == found[2]));
    REQUIRE(none == std::array<bool, 3>{true, true, true});
    std::array<Tensor, 3> x;
    for (int i = 0; i < 3; ++i)
      x[static_cast<std::size_t>(i)] = replicas.context(i).uniform({1100}, 0, 1, static_cast<std::uint64_t>(i));
    for (std::size_t k = 0; k < 1100; ++k) {
      const auto at = [&](std::size_t i) { return static_cast<double>(std::as_const(x[i]).span<float>()[k]); };
      REQUIRE(found[0][k] == static_cast<float>((at(0) + at(1) + at(2)) / 3));
    }
  }
}

TEST_CASE("replicas: training keeps one model, the same bits run after run, as one process does to rounding") {
  const auto trained = [](int count, double p) {
    Context context{{.threads = 2, .seed = 3}};
    Sequential model = perceptron();
    model.build(context, {5}, DType::float64);
    SGD optimizer{model.parameters(), {.lr = 0.1, .momentum = 0.9, .clip_norm = 1}};
    Replicas replicas{context, {.count = count}};
    for (std::uint64_t step = 0; step < 20; ++step) {
      const Tensor x = context.normal({30, 5}, 0, 1, step, DType::float64);
      auto [loss, gradients] =
          replicas.gradients(x, labels(context, 30),
                             [&](Replica&, const Var& part, const Tensor& y) {
                               return cross_entropy(model(dropout(part, {.p = p}), Mode::train), y);
                             },
                             {.step = step});
      optimizer.step(gradients);
    }
    std::vector<double> weights;
    for (const StateRef& parameter : model.parameters())
      for (double value : parameter.value().span<double>()) weights.push_back(value);
    return weights;
  };
  const std::vector<double> one = trained(1, 0), four = trained(4, 0), dropped = trained(4, 0.5);
  for (int run = 0; run < 10; ++run) {
    REQUIRE(trained(4, 0) == four);
    REQUIRE(trained(4, 0.5) == dropped);
  }
  REQUIRE(dropped != four);
  for (std::size_t i = 0; i < one.size(); ++i) REQUIRE(four[i] == Approx(one[i]).epsilon(1e-11).margin(1e-12));
}

TEST_CASE("replicas: gradients outlive the replicas, and buffers are those of replica 0 once the step is made") {
  Context context{{.threads = 1}};
  Parameter w;
  Buffer seen;
  w.set(context.full({2}, 1));
  seen.set(context.zeros({1}));
  const auto step = [&] {
    Replicas replicas{context, {.count = 3}};
    return replicas.gradients(context.full({6, 2}, 2), labels(context, 6),
                              [&](Replica& replica, const Var& x, const Tensor&) {
                                seen.update(x, replica.context().full({1}, replica.index() + 5));
                                return mean(x * w.on(x));
                              });
  };
  auto [loss, gradients] = step();
  REQUIRE(loss == 2);
  REQUIRE(numbers(gradients[w]) == std::vector<float>{1, 1});
  REQUIRE(seen.value().item() == 0);
  SGD optimizer{{w}, {.lr = 0.5}};
  optimizer.step(gradients);
  REQUIRE(numbers(w.value()) == std::vector<float>{0.5, 0.5});
  REQUIRE(seen.value().item() == 5);
}
