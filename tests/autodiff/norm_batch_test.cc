// Batch norm's running statistics, PyTorch's numbers, refusals and bits at any number of threads.
#include <array>
#include <cmath>
#include <limits>

#include "autodiff/gradcheck.h"
#include "autodiff/ops/norm.h"
#include "autodiff/tape.h"
#include "kernels/error.h"
#include "tests/catch.h"

using namespace tapestry;

namespace {

struct Running {
  explicit Running(const Context& context, std::int64_t channels = 2, DType dtype = DType::float32) {
    mean.set(context.zeros({channels}, dtype));
    var.set(context.full({channels}, 1, dtype));
    batches.set(context.zeros({}, DType::int64));
  }
  BatchNormOptions options(BatchNormOptions given = {}) const {
    given.running_mean = &mean;
    given.running_var = &var;
    given.num_batches_tracked = &batches;
    return given;
  }
  bool untouched() const {
    return batches.value().item() == 0 && mean.value().span<float>()[1] == 0 && var.value().span<float>()[1] == 1;
  }
  Buffer mean, var, batches;
};

// Means 2 and 25, biased variances 1 and 225, unbiased ones 2 and 450.
Tensor two_by_two(const Context& context) { return context.tensor({2, 2}, {1, 10, 3, 40}); }

void require_numbers(const Tensor& found, std::initializer_list<double> expected) {
  const Tensor wide = found.to(DType::float64);
  const auto values = std::as_const(wide).span<double>();
  REQUIRE(values.size() >= expected.size());
  std::size_t i = 0;
  for (double value : expected) REQUIRE(values[i++] == Approx(value).epsilon(1e-6).margin(3e-8));
}

}  // namespace

TEST_CASE("batch_norm: running statistics are queued in forward and committed once") {
  Context context{{.threads = 1}};
  const Running running(context);
  {
    Tape tape{context};
    batch_norm(tape.input(two_by_two(context)), running.options());
    REQUIRE(running.untouched());
  }
  REQUIRE(running.untouched());
  batch_norm(context.input(two_by_two(context)), running.options());
  REQUIRE(running.untouched());
  {
    Tape tape{context};
    batch_norm(tape.input(two_by_two(context)), running.options({.training = false}));
    tape.commit();
  }
  REQUIRE(running.untouched());

  Tape tape{context};
  batch_norm(tape.input(two_by_two(context)),
             running.options({.momentum = 0.75, .running_variance = RunningVariance::unbiased}));
  tape.commit();
  require_numbers(running.mean.value(), {0.5, 6.25});
  require_numbers(running.var.value(), {1.25, 113.25});
  REQUIRE(running.batches.value().item() == 1);
}

TEST_CASE("batch_norm: a biased running variance, and the average of all batches") {
  Context context{{.threads = 1}};
  const Running biased(context), average(context), kept(context);
  for (int step = 0; step < 3; ++step) {
    Tape tape{context};
    Tensor x = two_by_two(context);
    x.span<float>()[1] += static_cast<float>(30 * step);
    batch_norm(tape.input(x), biased.options({.momentum = 0}));
    batch_norm(tape.input(x),
               average.options({.momentum = std::nullopt, .running_variance = RunningVariance::unbiased}));
    batch_norm(tape.input(x), kept.options({.momentum = 1}));
    tape.commit();
  }
  require_numbers(biased.mean.value(), {2, 55});
  require_numbers(biased.var.value(), {1, 225});
  require_numbers(average.mean.value(), {2, 40});
  require_numbers(average.var.value(), {2, (450 + 0 + 450) / 3.0});
  require_numbers(kept.mean.value(), {0, 0});
  REQUIRE(average.batches.value().item() == 3);
}

TEST_CASE("batch_norm: several uses on one tape change the running statistics one after the other") {
  Context context{{.threads = 1}};
  const Running together(context), apart(context), average(context);
  const auto x = [&](int use) {
    Tensor tensor = two_by_two(context);
    tensor.span<float>()[0] += static_cast<float>(8 * use);
    return tensor;
  };
  {
    Tape tape{context};
    for (int use = 0; use < 3; ++use) {
      batch_norm(tape.input(x(use)), together.options({.momentum = 0.75}));
      batch_norm(tape.input(x(use)),
                 average.options({.momentum = std::nullopt, .running_variance = RunningVariance::unbiased}));
    }
    REQUIRE((together.untouched() && average.untouched()));
    tape.commit();
  }
  for (int use = 0; use < 3; ++use) {
    Tape tape{context};
    batch_norm(tape.input(x(use)), apart.options({.momentum = 0.75}));
    tape.commit();
  }
  REQUIRE(std::ranges::equal(together.mean.value().span<float>(), apart.mean.value().span<float>()));
  REQUIRE(std::ranges::equal(together.var.value().span<float>(), apart.var.value().span<float>()));
  REQUIRE(together.batches.value().item() == 3);
  require_numbers(average.mean.value(), {6, 25});
  REQUIRE(average.batches.value().item() == 3);
}

TEST_CASE("batch_norm: a gradient check, an error and a number that is not finite leave the running statistics alone") {
  Context context{{.threads = 1}};
  const Running running(context, 2, DType::float64);
  const auto result = gradcheck(context, [&](std::span<const Var> v) { return batch_norm(v[0], running.options()); },
                                {context.normal({5, 2}, 0, 1, 1, DType::float64)});
  REQUIRE(result.passed);
  REQUIRE(running.batches.value().item() == 0);
  require_numbers(running.mean.value(), {0, 0});

  const Running floats(context);
  Tape tape{context, {.check_finite = true}};
  Tensor x = two_by_two(context);
  x.span<float>()[0] = INFINITY;
  REQUIRE_THROWS_AS(batch_norm(tape.input(x), floats.options()), NumericError);
  REQUIRE(floats.untouched());
}

TEST_CASE("batch_norm: its numbers and those of group and instance norm are PyTorch's") {
  Context context{{.threads = 1}};
  for (DType dtype : {DType::float32, DType::float64}) {
    Tensor x = context.empty({2, 3, 4}, DType::float64), dy = x.like();
    for (std::size_t i = 0; i < 24; ++i) {
      x.span<double>()[i] = std::sin(static_cast<double>(i) * 1.7);
      dy.span<double>()[i] = std::cos(static_cast<double>(i) * 0.9);
    }
    const auto run = [&](const auto& op) {
      Tape tape{context};
      const Var v[] = {tape.variable(x.to(dtype)), tape.variable(context.tensor({4}, {0.5f, 1, 1.5f, 2}).to(dtype)),
                       tape.variable(context.tensor({4}, {0.1f, -0.2f, 0.3f, -0.4f}).to(dtype))};
      const Var y = op(v[0], v[1], v[2]);
      const Gradients gradients = tape.backward(y, dy.to(dtype));
      tape.commit();
      return std::array{y.value(), gradients[v[0]], gradients[v[1]], gradients[v[2]]};
    };
    const auto group = run([](const Var& a, const Var& w, const Var& b) {
      return group_norm(a, w, b, {.num_groups = 2, .epsilon = 1e-3, .activation = Activation::relu});
    });
    require_numbers(group[0], {0, 0.994891884, 1.976785795, 0, 0, 0.420177553});
    require_numbers(group[1], {0.390157926, 0.987891648, 1.833902553, -0.539533198, -0.233467589, -1.244749985});
    require_numbers(group[2], {0.347314929, 0.612025883, -0.253979497, -1.569583822});
    require_numbers(group[3], {0.81452076, 0.410814169, -0.227202095, -0.748096662});

    const auto instance =
        run([](const Var& a, const Var& w, const Var& b) { return instance_norm(a, w, b, {.epsilon = 1e-3}); });
    require_numbers(instance[0], {-0.538062719, 0.851594844, 2.262249851, -2.652529343, 0.160853472});
    require_numbers(instance[1], {0.668035651, 0.975726537, -1.583051054, -4.687212622, -1.564772427});
    require_numbers(instance[2], {-1.864728309, 0.76201697, 0.447180355, -1.427641814});

    Running running(context, 4, dtype);
    running.mean.set(context.tensor({4}, {0.1f, 0.2f, 0.3f, 0.4f}).to(dtype));
    running.var.set(context.tensor({4}, {1, 2, 3, 4}).to(dtype));
    const auto batch = [&](bool training) {
      return run([&](const Var& a, const Var& w, const Var& b) {
        return batch_norm(a, w, b,
                          running.options({.training = training,
                                           .momentum = torch_momentum(0.3),
                                           .running_variance = RunningVariance::unbiased,
                                           .epsilon = 1e-3}));
      });
    };
    const auto training = batch(true);
    require_numbers(training[0], {-0.8291182, 1.084433459, 2.365993045, -3.249674911, -0.096805549});
    require_numbers(training[1], {0.481002809, 0.756275355, -1.839877963, -2.078303495, -1.719788576});
    require_numbers(training[2], {-1.687059495, -0.253901052, 0.405955334, 0.288376458});
    require_numbers(running.mean.value(), {0.258071191, 0.169147594, 0.014417795, 0.301251786});
    require_numbers(running.var.value(), {0.740613458, 1.574240689, 2.129459042, 2.97578108});
    const auto evaluation = batch(false);
    require_numbers(evaluation[0], {-0.049837573, 0.455347333, 0.02257071, -1.822409472, 0.237047395});
    require_numbers(evaluation[1], {0.580605577, 0.495272837, -0.233489307, -1.047996023, -0.520662938});
    require_numbers(evaluation[2], {-0.267838036, -0.192257629, -0.009318057, 0.204027462});
    require_numbers(evaluation[3], {0.917762344, 0.895663541, 0.195744426, -0.652310167});
  }
}

TEST_CASE("batch_norm: its results and those of group and layer norm are the same bits at any number of threads") {
  Context one{{.threads = 1}};
  for (const Shape& shape : {Shape{40, 9, 9, 24}, {2, 40, 40, 48}}) {
    const Tensor x = one.normal(shape, 0, 3, 1), weight = one.normal({shape[-1]}, 1, 1, 2),
                 bias = one.normal({shape[-1]}, 0, 1, 3);
    for (int which = 0; which < 3; ++which) {
      const auto run = [&](int threads) {
        Context context{{.threads = threads}};
        Tape tape{context};
        const Var v[] = {tape.variable(x), tape.variable(weight), tape.variable(bias), tape.variable(x)};
        constexpr Activation kRelu = Activation::relu;
        const Var y = which == 0
                          ? group_norm(v[0], v[1], v[2], {.num_groups = 3, .activation = kRelu, .residual = v[3]})
                      : which == 1 ? batch_norm(v[0], v[1], v[2], {.activation = kRelu, .residual = v[3]})
                                   : layer_norm(v[0], v[1], v[2], {.activation = kRelu, .residual = v[3]});
        const Gradients gradients = tape.backward(y, x);
        return std::vector{y.value(), gradients[v[0]], gradients[v[1]], gradients[v[2]], gradients[v[3]]};
      };
      const auto expected = run(1);
      for (int threads : {2, 3, 7}) {
        const auto found = run(threads);
        for (std::size_t i = 0; i < expected.size(); ++i)
          REQUIRE(std::ranges::equal(expected[i].span<float>(), found[i].span<float>()));
      }
    }
  }
}

TEST_CASE("group and instance norm: bad options, shapes and types are refused by name and line") {
  Context context{{.threads = 1}};
  const auto in = [&](const Shape& shape, DType dtype = DType::float32) {
    return context.input(context.zeros(shape, dtype));
  };
  const Var x = in({8, 28, 28, 18});
  REQUIRE_THROWS_AS(group_norm(x, {.num_groups = 4}), ShapeError);
  REQUIRE_THROWS_WITH(group_norm(x, {.num_groups = 4}),
                      contains("norm_batch_test.cc:") &&
                          contains("group_norm: 18 channels cannot form 4 equal groups; x is [8, 28, 28, 18]"));
  REQUIRE_THROWS_WITH(group_norm(x, {.group_size = 4}), contains("18 channels cannot form groups of 4"));
  REQUIRE_THROWS_AS(group_norm(x, {.num_groups = -2}), ArgumentError);
  REQUIRE_THROWS_WITH(group_norm(x), contains("18 channels cannot form 32 equal groups"));
  REQUIRE_THROWS_AS(group_norm(x, {.num_groups = 2, .group_size = 9}), ArgumentError);
  REQUIRE_THROWS_WITH(group_norm(x, {.num_groups = 2, .epsilon = 0}), contains("epsilon must be positive"));
  REQUIRE_THROWS_WITH(group_norm(x, in({9}), {}, {.num_groups = 2}),
                      contains("weight must be [18] for x [8, 28, 28, 18]; it is [9]"));
  REQUIRE_THROWS_WITH(group_norm(x, {}, in({1, 18}), {.num_groups = 2}), contains("bias must be [18]"));
  REQUIRE_THROWS_WITH(group_norm(x, {.num_groups = 2, .residual = in({8, 28, 18})}), contains("residual must be"));
  REQUIRE_THROWS_WITH(layer_norm(x, {.residual = in({18})}), contains("layer_norm: residual must be"));
  REQUIRE_THROWS_AS(group_norm(in({4}), {.num_groups = 2}), ShapeError);
  REQUIRE_THROWS_AS(group_norm(in({4, 0}), {.num_groups = 2}), ShapeError);
  REQUIRE_THROWS_AS(group_norm(Var{}, {.num_groups = 2}), ArgumentError);
  REQUIRE_THROWS_WITH(instance_norm(in({4, 1, 3})), contains("instance_norm: a sample needs more than one position"));
  REQUIRE_THROWS_AS(instance_norm(in({4, 3})), ShapeError);
  REQUIRE(group_norm(in({0, 3, 4}), {.num_groups = 2}).shape() == Shape{0, 3, 4});
}

TEST_CASE("batch_norm: bad options, shapes and types are refused by name") {
  Context context{{.threads = 1}};
  const Running running(context), longer(context, 3);
  const Var x = context.input(two_by_two(context));
  const Var single = context.input(context.zeros({1, 2})), none = context.input(context.zeros({0, 2}));
  REQUIRE_THROWS_AS(batch_norm(single), ShapeError);
  REQUIRE_THROWS_WITH(batch_norm(single), contains("training needs more than one value for each channel; x is [1, 2]"));
  REQUIRE(batch_norm(none, running.options({.training = false})).shape() == Shape{0, 2});
  REQUIRE_THROWS_WITH(batch_norm(x, {.training = false}), contains("evaluation needs running_mean and running_var"));
  REQUIRE_THROWS_WITH(batch_norm(x, {.running_mean = &running.mean}), contains("given together or not at all"));
  for (double momentum : {-0.1, 1.5, std::nan("")})
    REQUIRE_THROWS_WITH(batch_norm(x, running.options({.momentum = momentum})), contains("momentum must be in [0, 1]"));
  REQUIRE_THROWS_WITH(
      batch_norm(x, {.running_mean = &running.mean, .running_var = &running.var, .momentum = std::nullopt}),
      contains("needs num_batches_tracked"));
  REQUIRE_THROWS_WITH(batch_norm(x, longer.options()), contains("running_mean must be [2] for x [2, 2]; it is [3]"));
  REQUIRE_THROWS_WITH(batch_norm(x, {.running_mean = &running.batches, .running_var = &running.batches}),
                      contains("running_mean must be [2] for x [2, 2]; it is []"));
  for (std::int64_t count : {std::int64_t{-1}, std::numeric_limits<std::int64_t>::max()}) {
    const Running damaged(context);
    damaged.batches.cell()->value.span<std::int64_t>()[0] = count;
    REQUIRE_THROWS_WITH(batch_norm(x, damaged.options({.momentum = std::nullopt})),
                        contains("num_batches_tracked must be in [0, 2^53); it is"));
    REQUIRE(batch_norm(x, damaged.options({.training = false})).shape() == x.shape());
  }
  const Running negative(context);
  negative.var.cell()->value.span<float>()[1] = -0.5f;
  REQUIRE_THROWS_WITH(batch_norm(x, negative.options({.training = false})),
                      contains("running_var must not be negative; channel 1 has -0.5"));
  const Buffer empty;
  REQUIRE_THROWS_WITH(batch_norm(x, {.running_mean = &empty, .running_var = &empty}), contains("holds nothing"));
  REQUIRE(running.untouched());
}
