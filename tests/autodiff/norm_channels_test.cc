#include <cmath>

#include "autodiff/gradcheck.h"
#include "autodiff/ops/elementwise.h"
#include "autodiff/ops/norm.h"
#include "autodiff/tape.h"
#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/ops.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

const Shape kShapes[] = {{3, 2, 4},     {2, 5, 6},     {4, 3, 3, 2},    {1, 4, 4, 8}, {2, 7, 18},
                         {3, 2, 2, 12}, {2, 3, 5, 16}, {2, 2, 2, 2, 4}, {5, 9, 1, 6}, {1, 2, 3, 2, 3, 2},
                         {0, 3, 3, 4},  {2, 17, 34},   {2, 3, 130}};

// The op alone and with each of its inputs and tails: weight, bias, both; residual, ReLU, both, and another activation.
template <class Options, class Op>
void check_forms(const Shape& shape, const Options& given, const Op& op, double tolerance) {
  const Shape c{shape[-1]};
  const OpCheck check{.low = -2, .high = 2, .tolerance = tolerance};
  check_op([&](std::span<const Var> v) { return op(v[0], Var{}, Var{}, given); }, {shape}, check);
  check_op([&](std::span<const Var> v) { return op(v[0], v[1], Var{}, given); }, {shape, c}, check);
  check_op([&](std::span<const Var> v) { return op(v[0], Var{}, v[1], given); }, {shape, c}, check);
  check_op([&](std::span<const Var> v) { return op(v[0], v[1], v[2], given); }, {shape, c, c}, check);
  for (Activation activation : {Activation::none, Activation::silu}) {
    Options options = given;
    options.activation = activation;
    // check_fused compares the ReLU with the op on its own: differences must not cross its kink.
    check_op([&](std::span<const Var> v) { return op(v[0], v[1], v[2], options); }, {shape, c, c}, check);
    check_op(
        [&](std::span<const Var> v) {
          Options with = options;
          with.residual = v[3];
          return op(v[0], v[1], v[2], with);
        },
        {shape, c, c, shape}, check);
  }
}

// y and all gradients of op(x, weight, bias, residual), then the same with what follows the norm as ops of their own.
template <class Options, class Op>
void check_fused(const Shape& shape, const Options& given, const Op& op, bool with_residual) {
  for (Target target : tested_targets()) {
    Context context{{.threads = 2, .target = target}};
    for (DType dtype : {DType::float32, DType::float64}) {
      const Shape c{shape[-1]};
      const Tensor inputs[] = {context.normal(shape, 0.5, 2, 1).to(dtype), context.uniform(c, 0.5, 1.5, 2).to(dtype),
                               context.normal(c, 0, 1, 3).to(dtype), context.normal(shape, 0, 1, 4).to(dtype)};
      const Tensor dy = context.normal(shape, 0, 1, 5).to(dtype);
      const auto run = [&](bool fused) {
        Tape tape{context};
        Var v[4];
        for (int i = 0; i < 4; ++i) v[i] = tape.variable(inputs[i]);
        Options options = given;
        Var y;
        if (fused) {
          options.activation = Activation::relu;
          if (with_residual) options.residual = v[3];
          y = op(v[0], v[1], v[2], options);
        } else {
          y = op(v[0], v[1], v[2], options);
          if (with_residual) y = y + v[3];
          y = relu(y);
        }
        const Gradients gradients = tape.backward(y, dy);
        std::vector<Tensor> all{y.value(), gradients[v[0]], gradients[v[1]], gradients[v[2]]};
        if (with_residual) all.push_back(gradients[v[3]]);
        return all;
      };
      const auto expected = run(false), found = run(true);
      for (std::size_t i = 0; i < expected.size(); ++i) {
        INFO(target_name(target) << " " << dtype_name(dtype) << " " << to_string(shape) << " result " << i);
        const Tensor want = expected[i].to(DType::float64), got = found[i].to(DType::float32);
        require_close(got.span<float>(), want.span<double>(), 1e-6);
      }
      count_case(target);
    }
  }
}

// As many equal numbers as `like` has.
Tensor filled(const Var& like, double value) {
  Tensor all = like.value().like();
  all.fill(value);
  return all;
}

}  // namespace

TEST_CASE("group_norm: gradients with weight, bias, residual and activations, in groups of any width") {
  const auto op = [](const Var& x, const Var& w, const Var& b, const GroupNormOptions& o) {
    return group_norm(x, w, b, o);
  };
  for (const Shape& shape : kShapes)
    for (std::int64_t groups : {1, 2, 3, 6})
      if (shape[-1] % groups == 0) {
        const double tolerance = shape.size() / std::max<std::int64_t>(1, shape[0]) / groups < 16 ? 3e-5 : 4e-6;
        check_forms(shape, GroupNormOptions{.num_groups = groups, .epsilon = groups == 2 ? 0.1 : 1e-5}, op, tolerance);
        check_fused(shape, GroupNormOptions{.num_groups = groups}, op, false);
        check_fused(shape, GroupNormOptions{.num_groups = groups}, op, true);
      }
}

TEST_CASE("instance_norm: gradients") {
  const auto op = [](const Var& x, const Var& w, const Var& b, const InstanceNormOptions& o) {
    return instance_norm(x, w, b, o);
  };
  for (const Shape& shape : kShapes) {
    check_forms(shape, InstanceNormOptions{.epsilon = 0.1}, op, 1e-5);
    check_fused(shape, InstanceNormOptions{}, op, true);
  }
}

TEST_CASE("batch_norm: gradients in training, and with running statistics") {
  Context context{{.threads = 1}};
  for (const Shape& shape : kShapes) {
    if (shape[0] == 0) continue;
    Buffer mean32, var32, mean64, var64;
    const Shape c{shape[-1]};
    mean32.set(context.normal(c, 0, 1, 7));
    var32.set(context.uniform(c, 0.5, 2, 8));
    mean64.set(mean32.value().to(DType::float64));
    var64.set(var32.value().to(DType::float64));
    for (bool training : {true, false}) {
      const auto op = [&](const Var& x, const Var& w, const Var& b, BatchNormOptions o) {
        o.training = training;
        o.running_mean = x.dtype() == DType::float32 ? &mean32 : &mean64;
        o.running_var = x.dtype() == DType::float32 ? &var32 : &var64;
        return batch_norm(x, w, b, o);
      };
      check_forms(shape, BatchNormOptions{.epsilon = 0.1}, op, 1e-5);
      check_fused(shape, BatchNormOptions{}, op, false);
      check_fused(shape, BatchNormOptions{}, op, true);
    }
  }
}

TEST_CASE("layer_norm: gradients with a residual and activations") {
  const Shape shapes[] = {{4, 9},
                          {4, 16},
                          {3, 17},
                          {70, 9},
                          {2, 33},
                          {0, 14},
                          {2, 3, 14},
                          {2, 2, 3, 15},
                          {1, 200},
                          {9, 64},
                          {1, 2, 1, 2, 2, 13},
                          {5, 31}};
  const auto op = [](const Var& x, const Var& w, const Var& b, const LayerNormOptions& o) {
    return layer_norm(x, w, b, o);
  };
  for (const Shape& shape : shapes) {
    check_forms(shape, LayerNormOptions{}, op, 4e-6);
    check_fused(shape, LayerNormOptions{}, op, false);
    check_fused(shape, LayerNormOptions{}, op, true);
  }
}

TEST_CASE("group_norm: its gradients and those of all norms through a fused ReLU away from its kink") {
  // Small weights and residuals beside a bias of 1 or -1: whole channels pass the ReLU, and others do not.
  const auto check = [](const Shape& shape, const auto& op) {
    if (shape[0] == 0) return;
    const OpFunction f = [&](std::span<const Var> v) {
      Tensor signs = filled(v[1], 1);
      visit_floating("test", signs.dtype(), [&]<class T>(T) {
        for (std::size_t c = 0; c < signs.span<T>().size(); c += 2) signs.span<T>()[c] = T{-1};
      });
      const Var small = v[0].constant(filled(v[1], 0.05));
      return op(v[0], v[1] * small, v[2] * small + v[0].constant(signs), v[3] * v[0].constant(filled(v[3], 0.05)));
    };
    const Shape c{shape[-1]};
    check_op(f, {shape, c, c, shape}, {.low = -2, .high = 2, .tolerance = 1e-5});
  };
  constexpr Activation kRelu = Activation::relu;
  for (const Shape& shape : kShapes) {
    for (bool residual : {false, true}) {
      const auto tail = [residual](const Var& r) { return residual ? r : Var{}; };
      check(shape, [&](const Var& x, const Var& w, const Var& b, const Var& r) {
        const Var y = group_norm(
            x, w, b, {.num_groups = 2 - x.shape()[-1] % 2, .epsilon = 0.1, .activation = kRelu, .residual = tail(r)});
        return residual ? y : y + r;
      });
      check(shape, [&](const Var& x, const Var& w, const Var& b, const Var& r) {
        const Var y = instance_norm(x, w, b, {.epsilon = 0.1, .activation = kRelu, .residual = tail(r)});
        return residual ? y : y + r;
      });
      check(shape, [&](const Var& x, const Var& w, const Var& b, const Var& r) {
        const Var y = batch_norm(x, w, b, {.epsilon = 0.1, .activation = kRelu, .residual = tail(r)});
        return residual ? y : y + r;
      });
      check(shape, [&](const Var& x, const Var& w, const Var& b, const Var& r) {
        const Var y = layer_norm(x, w, b, {.epsilon = 0.1, .activation = kRelu, .residual = tail(r)});
        return residual ? y : y + r;
      });
    }
  }
}
