#include "optim/flat_parameters.h"

#include <limits>

#include "kernels/error.h"
#include "optim/adam.h"
#include "optim/sgd.h"
#include "tests/catch.h"
#include "tests/optim/models.h"

using namespace tapestry;
using namespace tapestry::test;

TEST_CASE("optimizers: lists of parameters that cannot be trained are refused") {
  Pulled model;
  ParameterList list = model.list();
  REQUIRE_THROWS_WITH((SGD{ParameterList{}, {.lr = 1}}), contains("SGD: there are no parameters"));
  list.push_back(list[1]);
  REQUIRE_THROWS_WITH((SGD{list, {.lr = 1}}), contains("parameter 'layer.1' is listed twice"));
  list.back() = StateRef();
  REQUIRE_THROWS_WITH((SGD{list, {.lr = 1}}), contains("parameter 5 is empty"));
  Parameter fresh;
  list.back() = fresh;
  REQUIRE_THROWS_WITH((Adam{list, {.lr = 1}}), contains("Adam: parameter number 5 (without a name) has no value yet"));
  fresh.set(model.context.zeros({2}, DType::float64));
  REQUIRE_THROWS_WITH(
      (AdamW{list, {.lr = 1}}),
      contains(
          "AdamW: parameters must have one element type: 'layer.0' is float32, number 5 (without a name) is float64"));
  fresh.set(model.context.zeros({2}, DType::int64));
  REQUIRE_THROWS_WITH((SGD{{fresh}, {.lr = 1}}), contains("holds int64"));
  for (std::size_t i = 1; i < model.parameters.size(); ++i)
    REQUIRE_FALSE(model.parameters[i].value().block().same(model.parameters[0].value().block()));
}

TEST_CASE("optimizers: parameters are laid into one block, those that lie in one already stay") {
  Pulled model;
  const std::vector<double> before = model.weights();
  const SGD first{model.list()};
  REQUIRE(model.weights() == before);
  const Block block = model.parameters[0].value().block();
  const SGD second{model.list()};
  const SGD part{ParameterList{model.parameters[1], model.parameters[3]}};
  for (const Parameter& parameter : model.parameters) REQUIRE(parameter.value().block().same(block));
}

TEST_CASE("optimizers: a parameter without a gradient is an error that names it, and changes nothing") {
  Pulled model;
  SGD optimizer{model.list(), {.lr = 0.1, .momentum = 0.9}};
  optimizer.step(model.gradients());
  const std::vector<double> before = model.weights();
  REQUIRE_THROWS_AS(optimizer.step(model.gradients(2)), ArgumentError);
  REQUIRE_THROWS_WITH(optimizer.step(model.gradients(2)), contains("SGD: parameter 'layer.2' got no gradient"));
  REQUIRE(model.weights() == before);
  REQUIRE(optimizer.steps() == 1);
}

TEST_CASE("optimizers: frozen and missing parameters rest, and start late as on their own") {
  for (bool frozen : {true, false}) {
    Pulled model, same;
    Adam optimizer{model.list(), {.lr = 0.1, .allow_missing = !frozen}};
    Adam rest{{same.parameters[0], same.parameters[1], same.parameters[3], same.parameters[4]}, {.lr = 0.1}};
    Adam late{{same.parameters[2]}, {.lr = 0.1}};
    for (int step = 0; step < 5; ++step) {
      if (frozen) model.parameters[2].freeze(step < 3);
      optimizer.step(model.gradients(!frozen && step < 3 ? 2 : 1000));
      rest.step(same.gradients());
      if (step >= 3) late.step(same.gradients());
    }
    REQUIRE(model.weights() == same.weights());
  }
}

TEST_CASE("optimizers: a gradient that is not finite stops the step before anything changes") {
  for (double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()})
    for (double clip : {0.0, 1.0})
      for (DType dtype : {DType::float32, DType::float64}) {
        Pulled model(dtype);
        Adam optimizer{model.list(), {.lr = 0.1, .clip_norm = clip}};
        optimizer.step(model.gradients());
        const std::vector<double> before = model.weights();
        Gradients gradients = model.gradients();
        Tensor third = gradients[model.parameters[3]];
        if (dtype == DType::float32) third.span<float>()[7] = static_cast<float>(bad);
        if (dtype == DType::float64) third.span<double>()[7] = bad;
        REQUIRE_THROWS_AS(optimizer.step(gradients), NumericError);
        REQUIRE_THROWS_WITH(optimizer.step(gradients),
                            contains("step 2: the gradient of parameter 'layer.3' is") && contains("at element 7"));
        REQUIRE(model.weights() == before);
        REQUIRE(optimizer.steps() == 1);
      }
  Pulled model;
  const double bad = std::numeric_limits<double>::quiet_NaN();
  SGD careless{model.list(), {.lr = 0.1, .check_finite = false}};
  careless.step(model.gradients(1000, &bad));
  REQUIRE(std::isnan(model.weights()[0]));
}

TEST_CASE("optimizers: a NaN that no op wrote, in dy of the parameter itself, does not reach the weights") {
  Context context{{.threads = 1}};
  Parameter weight;
  weight.set(context.full({2}, 1));
  SGD optimizer{{weight}, {.lr = 0.1}};
  Tape tape{context};
  const Var w = weight.on(tape.input(context.zeros({1})));
  REQUIRE_THROWS_AS(optimizer.step(tape.backward(w, context.full({2}, std::numeric_limits<double>::quiet_NaN()))),
                    NumericError);
  REQUIRE(std::as_const(weight.value()).span<float>()[1] == 1);
}

TEST_CASE("optimizers: queued buffers are committed with the step, and only then") {
  Pulled model;
  Buffer mean;
  mean.cell()->name = "mean";
  mean.set(model.context.zeros({2}));
  SGD optimizer{model.list(), {.lr = 0.1, .allow_missing = true}};
  const auto gradients = [&](double forced) {
    Tape tape{model.context};
    Var loss = tape.input(model.context.zeros({1}));
    mean.update(loss, model.context.tensor({2}, {1, 2}));
    loss = pull(loss, model.parameters[0].on(loss), model.targets[0], &forced);
    return tape.backward(loss);
  };
  REQUIRE_THROWS_AS(optimizer.step(gradients(std::numeric_limits<double>::infinity())), NumericError);
  REQUIRE(std::as_const(mean.value()).span<float>()[1] == 0);
  optimizer.step(gradients(1));
  REQUIRE(std::as_const(mean.value()).span<float>()[1] == 2);
}

TEST_CASE("optimizers: clip_norm scales all gradients by one factor, and only when they are too long") {
  for (DType dtype : {DType::float32, DType::float64}) {
    Pulled model(dtype);
    const std::vector<double> weights = model.weights(), targets = model.wanted();
    double norm = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) norm += (weights[i] - targets[i]) * (weights[i] - targets[i]);
    norm = std::sqrt(norm);
    SGD optimizer{model.list(), {.lr = 1, .clip_norm = norm / 4}};
    optimizer.step(model.gradients());
    REQUIRE(optimizer.last_norm() == Approx(norm).epsilon(1e-6));
    const std::vector<double> after = model.weights();
    for (std::size_t i = 0; i < weights.size(); ++i)
      REQUIRE(after[i] == Approx(weights[i] - 0.25 * (weights[i] - targets[i])).margin(1e-6));
    Pulled wide(dtype);
    SGD loose{wide.list(), {.lr = 1, .clip_norm = 2 * norm}};
    loose.step(wide.gradients());
    for (std::size_t i = 0; i < weights.size(); ++i) REQUIRE(wide.weights()[i] == Approx(targets[i]).margin(1e-6));
  }
}

TEST_CASE("optimizers: the norm of enormous gradients is finite") {
  Pulled model;
  const double huge = 3e38;
  SGD optimizer{model.list(), {.lr = 1, .clip_norm = 1}};
  optimizer.step(model.gradients(1000, &huge));
  REQUIRE(optimizer.last_norm() == Approx(3e38 * std::sqrt(73.0)));
  for (double weight : model.weights()) REQUIRE(std::abs(weight) < 1.2);
}

TEST_CASE("optimizers: parameters live as long as their optimizer") {
  Context context{{.threads = 1}};
  ParameterList list;
  {
    Parameter parameter;
    parameter.set(context.full({3}, 2));
    list = {parameter};
  }
  const SGD optimizer{list};
  list.clear();
  REQUIRE(optimizer.state().size() == 1);
}

TEST_CASE("optimizers: a parameter that changed its shape is refused") {
  Pulled model;
  SGD optimizer{model.list()};
  model.parameters[0].set(model.context.zeros({4}));
  model.targets[0] = model.context.zeros({4});
  REQUIRE_THROWS_WITH(optimizer.step(model.gradients()),
                      contains("'layer.0' was float32 [3] when the optimizer was made and is float32 [4] now"));
}

TEST_CASE("optimizers: weights that were set anew are followed") {
  Pulled model, same;
  Adam a{model.list(), {.lr = 0.1}}, b{same.list(), {.lr = 0.1}};
  a.step(model.gradients());
  b.step(same.gradients());
  model.parameters[1].set(model.context.full({4, 5}, 3));
  same.parameters[1].assign(same.context.full({4, 5}, 3));
  a.step(model.gradients());
  b.step(same.gradients());
  REQUIRE(model.weights() == same.weights());
}

TEST_CASE("optimizers: results are the same bits at any thread count") {
  std::vector<std::vector<double>> results;
  for (int threads : {1, 2, 5}) {
    Pulled model(DType::float32, {.threads = threads}, {{100003}, {7}, {40000}});
    Adam optimizer{model.list(), {.lr = 0.1, .clip_norm = 0.5}};
    for (int step = 0; step < 3; ++step) optimizer.step(model.gradients());
    results.push_back(model.weights());
  }
  REQUIRE(results[0] == results[1]);
  REQUIRE(results[0] == results[2]);
}
