#include "autodiff/ops/weight_norm.h"

#include <cmath>
#include <limits>

#include "autodiff/ops/elementwise.h"
#include "autodiff/ops/reduce.h"
#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/golden.h"
#include "tests/support/ops.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

Buffer buffer_of(Tensor value) {
  Buffer buffer;
  buffer.set(std::move(value));
  return buffer;
}

// The largest difference from PREFIX/y and PREFIX/dx of tests/golden/norm_reference.npz, and from /dgamma where a
// gain is given.
void check_vector(const std::string& name, const std::function<Var(const Var& w, const Var& gain)>& f) {
  Context context{{.threads = 1}};
  const auto arrays = golden_arrays(context, "norm_reference");
  const bool gain = arrays.contains(name + "/gamma");
  for (DType dtype : {DType::float64, DType::float32}) {
    INFO(name << " in " << dtype_name(dtype));
    const double tolerance = dtype == DType::float64 ? 1e-10 : 2e-6;
    Tape tape{context};
    const Var w = tape.variable(arrays.at(name + "/x").to(dtype));
    const Var g = gain ? tape.variable(arrays.at(name + "/gamma").to(dtype)) : Var{};
    const Var y = f(w, g);
    require_near("y", y.value().to(DType::float64), arrays.at(name + "/y"), tolerance);
    const Gradients gradients = tape.backward(y, arrays.at(name + "/dy").to(dtype));
    require_near("dx", gradients[w].to(DType::float64), arrays.at(name + "/dx"), tolerance);
    if (gain) require_near("dgamma", gradients[g].to(DType::float64), arrays.at(name + "/dgamma"), tolerance);
  }
}

}  // namespace

TEST_CASE("norms of weights: the vectors of the float64 reference") {
  check_vector("weight norm", [](const Var& w, const Var& g) { return weight_norm(w, g); });
  check_vector("weight standardization", [](const Var& w, const Var& g) { return weight_standardization(w, g); });
  check_vector("spectral norm", [](const Var& w, const Var&) {
    Context context{{.threads = 1}};
    const Tensor start = golden_arrays(context, "norm_reference").at("spectral norm/u").to(w.dtype()).reshape({4});
    const Buffer u = buffer_of(start), v = buffer_of(context.zeros({6}, w.dtype()));
    return spectral_norm(w, u, v, {.power_iterations = 3});
  });
}

TEST_CASE("weight_norm: gradients along every axis, and several") {
  const Shape shapes[] = {{1},     {7},       {3, 1},    {1, 5},       {2, 9},       {4, 16},
                          {3, 17}, {5, 2, 3}, {2, 3, 4}, {2, 2, 2, 3}, {3, 1, 2, 4}, {2, 1, 2, 1, 2, 3}};
  const OpCheck check{.low = 0.2, .high = 2};
  for (const Shape& shape : shapes) {
    for (int axis = -shape.rank(); axis < shape.rank(); ++axis)
      check_op([axis](std::span<const Var> v) { return weight_norm(v[0], v[1], {.feature_axes = axis}); },
               {shape, {shape[axis]}}, check);
    check_op([](std::span<const Var> v) { return weight_norm(v[0], v[1], {.feature_axes = Axes{}}); }, {shape, {}},
             check);
    check_op([](std::span<const Var> v) { return weight_norm(v[0], {}); }, {shape}, check);
  }
  check_op(
      [](std::span<const Var> v) {
        return weight_norm(v[0], v[1], {.feature_axes = {0, 1}});
      },
      {{2, 3, 4}, {2, 3}});
  check_op(
      [](std::span<const Var> v) {
        return weight_norm(v[0], v[1], {.feature_axes = {-1, 0}});
      },
      {{2, 3, 4}, {2, 4}});
  check_op(
      [](std::span<const Var> v) {
        return weight_norm(v[0], v[1], {.feature_axes = {0, 2}, .epsilon = 0.5});
      },
      {{2, 3, 4}, {2, 4}});
}

TEST_CASE("weight_standardization: gradients along every axis, clamped and not") {
  const Shape shapes[] = {{3},     {7},       {3, 2},    {2, 5},       {2, 9},       {4, 16},
                          {3, 17}, {5, 2, 3}, {2, 3, 4}, {2, 2, 2, 3}, {3, 1, 2, 4}, {2, 1, 2, 1, 2, 3}};
  for (const Shape& shape : shapes)
    for (int axis = -shape.rank(); axis < shape.rank(); ++axis)
      for (double epsilon : {1e-9, 1e3}) {
        if (shape.size() / shape[axis] < 3 && epsilon < 1) continue;  // two numbers are always +-1/sqrt(2)
        const WeightStandardizationOptions options{.out_axis = axis, .epsilon = epsilon};
        check_op([&](std::span<const Var> v) { return weight_standardization(v[0], v[1], options); },
                 {shape, {shape[axis]}}, {.tolerance = 2e-5});
        check_op([&](std::span<const Var> v) { return weight_standardization(v[0], {}, options); }, {shape},
                 {.tolerance = 2e-5});
      }
}

TEST_CASE("weight_standardization: means of 0, lengths of 1, and the larger of variance and epsilon") {
  Context context{{.threads = 1}};
  const Var w = context.input(context.normal({3, 4, 5, 6}, 2, 3, 1));
  const Tensor y = weight_standardization(w, {}).value();
  for (std::size_t o = 0; o < 6; ++o) {
    double sum = 0, squares = 0;
    for (std::size_t i = o; i < 360; i += 6) {
      sum += std::as_const(y).span<float>()[i];
      squares += std::pow(std::as_const(y).span<float>()[i], 2);
    }
    REQUIRE(std::abs(sum / 60) < 1e-4);
    REQUIRE(squares == Approx(1).epsilon(1e-5));
  }
  const Var small = context.input(context.tensor({2, 1}, {0.003f, 0.005f}));  // squares of 2e-6 in all
  REQUIRE(weight_standardization(small, {}).value().span<float>()[0] == Approx(-0.001 / 0.01));
  REQUIRE(weight_standardization(small, {}, {.epsilon = 1e-8}).value().span<float>()[0] == Approx(-std::sqrt(0.5)));
}

TEST_CASE("spectral_norm: gradients with given vectors, and at the end of the iteration") {
  const Shape shapes[] = {{1},     {7},       {3, 1},    {1, 5},       {2, 9},       {4, 16},
                          {3, 17}, {5, 2, 3}, {2, 3, 4}, {2, 2, 2, 3}, {3, 1, 2, 4}, {2, 1, 2, 1, 2, 3}};
  for (const Shape& shape : shapes)
    for (int axis : {-1, 0}) {
      const std::int64_t columns = shape[axis];
      Context context{{.threads = 1}};
      const Tensor u = context.uniform({columns}, 0.1, 1, 1, DType::float64),
                   v = context.uniform({shape.size() / columns}, 0.1, 1, 2, DType::float64);
      check_op(
          [&](std::span<const Var> w) {
            return spectral_norm(w[0], buffer_of(u.to(w[0].dtype())), buffer_of(v.to(w[0].dtype())),
                                 {.training = false, .out_axis = axis});
          },
          {shape}, {.low = 0.2});
      check_op(
          [&](std::span<const Var> w) {
            return spectral_norm(w[0], buffer_of(u.to(w[0].dtype())), buffer_of(v.to(w[0].dtype())),
                                 {.power_iterations = 300, .out_axis = axis});
          },
          {shape}, {.low = 0.2});
    }
}

TEST_CASE("spectral_norm: sigma of 4 times the identity is 4, of any matrix the largest singular value") {
  Context context{{.threads = 1}};
  Tensor four = context.zeros({8, 8});
  for (std::size_t i = 0; i < 8; ++i) four.span<float>()[9 * i] = 4;
  const Buffer u = buffer_of(context.normal({8}, 0, 1, 3)), v = buffer_of(context.zeros({8}));
  const Tensor y = spectral_norm(context.input(four), u, v).value();
  for (std::size_t i = 0; i < 8; ++i) REQUIRE(std::as_const(y).span<float>()[9 * i] == Approx(1).epsilon(1e-6));
  // Singular values 5 and 1 of [[3, 2], [2, 3]].
  const Var w = context.input(context.tensor({2, 2}, {3, 2, 2, 3}));
  const Buffer a = buffer_of(context.tensor({2}, {1, 0.3f})), b = buffer_of(context.zeros({2}));
  REQUIRE(spectral_norm(w, a, b, {.power_iterations = 50}).value().span<float>()[0] == Approx(0.6));
}

TEST_CASE("spectral_norm: training queues the next vectors, evaluation uses the stored ones") {
  Context context{{.threads = 1}};
  const Tensor w = context.normal({6, 4}, 0, 1, 1), first = context.normal({4}, 0, 1, 2);
  const Buffer u = buffer_of(first), v = buffer_of(context.normal({6}, 0, 1, 3));
  const auto changed = [&] { return !std::ranges::equal(u.value().span<float>(), first.span<float>()); };
  {
    Tape tape{context};
    spectral_norm(tape.input(w), u, v, {.training = false});
    tape.commit();
    REQUIRE(!changed());
    spectral_norm(tape.input(w), u, v);
    REQUIRE(!changed());
  }
  REQUIRE(!changed());
  spectral_norm(context.input(w), u, v);  // without a tape nothing is kept
  REQUIRE(!changed());
  Tape tape{context};
  const Tensor trained = spectral_norm(tape.input(w), u, v, {.power_iterations = 2}).value();
  const Tensor once = u.next(tape.input(w));
  spectral_norm(tape.input(w), u, v);  // goes on from the first use
  const Tensor twice = u.next(tape.input(w));
  REQUIRE(!std::ranges::equal(once.span<float>(), twice.span<float>()));
  tape.commit();
  REQUIRE(std::ranges::equal(u.value().span<float>(), twice.span<float>()));
  const SpectralVectors three = spectral_vectors(context.input(w), first, {.power_iterations = 3});
  REQUIRE(std::ranges::equal(three.u.span<float>(), twice.span<float>()));
  // Evaluation with the vectors of a training step is that step's result, to the bit.
  const SpectralVectors two = spectral_vectors(context.input(w), first, {.power_iterations = 2});
  const Tensor evaluated =
      spectral_norm(context.input(w), buffer_of(two.u), buffer_of(two.v), {.training = false}).value();
  REQUIRE(std::ranges::equal(evaluated.span<float>(), trained.span<float>()));
}

TEST_CASE("norms of weights: zeros and huge numbers stay finite, and spoil no vector") {
  Context context{{.threads = 1}};
  for (DType dtype : {DType::float32, DType::float64})
    for (double value : {0.0, 1e-30, 1.0, 1e19, 3e37}) {
      INFO("value " << value << " in " << dtype_name(dtype));
      const Buffer u = buffer_of(context.full({3}, 0.5, dtype)), v = buffer_of(context.full({5}, 0.5, dtype));
      Tape tape{context};
      const Var w = tape.variable(context.full({5, 3}, value, dtype));
      const Var y = weight_norm(w, {}) + weight_standardization(w, {}) + spectral_norm(w, u, v);
      const Tensor dw = tape.backward(sum(y))[w];
      const Tensor wide = y.value().to(DType::float64);
      for (double element : wide.span<double>()) {
        if (value == 0) REQUIRE(element == 0);
        if (value >= 1) REQUIRE(element == Approx(1 / std::sqrt(5) + 1 / std::sqrt(15)));
      }
      const Tensor wide_dw = dw.to(DType::float64);
      for (double element : wide_dw.span<double>()) REQUIRE(std::isfinite(element));
    }
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  for (float bad : {0.0f, kNaN, std::numeric_limits<float>::infinity()}) {
    const Buffer u = buffer_of(context.full({3}, 0.5)), v = buffer_of(context.full({5}, 0.25));
    Tape tape{context};
    spectral_norm(tape.input(context.full({5, 3}, bad)), u, v);
    tape.commit();
    for (float element : u.value().span<float>()) REQUIRE(element == 0.5f);
    for (float element : v.value().span<float>()) REQUIRE(element == 0.25f);
  }
}

TEST_CASE("norms of weights: bad options are refused") {
  Context context{{.threads = 1}};
  const Var w = context.input(context.zeros({3, 4}));
  const auto vector = [&](std::int64_t size) { return context.input(context.zeros({size})); };
  REQUIRE_THROWS_WITH(weight_norm(w, vector(3)), contains("weight_norm: g must be [4] for x [3, 4]; it is [3]"));
  REQUIRE_THROWS_WITH(weight_norm(w, {}, {.feature_axes = 2}),
                      contains("weight_norm: feature_axes names axis 2, x is [3, 4]"));
  REQUIRE_THROWS_WITH(weight_norm(w, {}, {.feature_axes = {0, -2}}), contains("feature_axes names axis -2 twice"));
  REQUIRE_THROWS_WITH(weight_norm(w, {}, {.epsilon = 0}), contains("weight_norm_test.cc:"));
  REQUIRE_THROWS_WITH(weight_norm(w, context.input(context.zeros({4}, DType::float64))),
                      contains("weight_norm: the weight is float32, what scales it is float64"));
  REQUIRE_THROWS_AS(weight_norm(Var{}, {}), ArgumentError);
  REQUIRE_THROWS_AS(weight_norm(context.input(context.zeros({3}, DType::int64)), {}), ArgumentError);
  REQUIRE_THROWS_WITH(weight_standardization(w, vector(3)), contains("gain must be [4]"));
  REQUIRE_THROWS_WITH(weight_standardization(w, {}, {.out_axis = -3}), contains("axis -3 does not exist in [3, 4]"));
  REQUIRE_THROWS_WITH(weight_standardization(w, {}, {.epsilon = -1}), contains("epsilon must be positive"));
  REQUIRE_THROWS_AS(weight_standardization(Var{}, {}), ArgumentError);
  const Buffer u = buffer_of(context.zeros({4})), v = buffer_of(context.zeros({3})), none;
  REQUIRE_THROWS_WITH(spectral_norm(w, v, v),
                      contains("spectral_norm: u must be [4] for the weight [3, 4]; it is [3]"));
  REQUIRE_THROWS_WITH(spectral_norm(w, u, u), contains("v must be [3]"));
  REQUIRE_THROWS_WITH(spectral_norm(w, none, v), contains("u holds nothing"));
  REQUIRE_THROWS_WITH(spectral_norm(w, u, v, {.power_iterations = 0}),
                      contains("power_iterations must be positive; it is 0"));
  REQUIRE_THROWS_WITH(spectral_norm(w, u, v, {.epsilon = 0}), contains("epsilon must be positive"));
  REQUIRE_THROWS_WITH(spectral_norm(w, u, v, {.out_axis = 2}), contains("axis 2 does not exist"));
  REQUIRE_THROWS_AS(spectral_norm(context.input(context.zeros({})), u, v), ShapeError);
  REQUIRE_THROWS_AS(spectral_norm(context.input(context.zeros({0, 4})), u, v), ShapeError);
  REQUIRE_THROWS_AS(spectral_norm(context.input(context.zeros({4, 0})), u, v), ShapeError);
  REQUIRE_THROWS_AS(spectral_norm(Var{}, u, v), ArgumentError);
  REQUIRE_THROWS_AS(spectral_norm(context.input(context.zeros({3, 4}, DType::float64)), u, v), ArgumentError);
  REQUIRE_THROWS_WITH(spectral_vectors(w, v.value()), contains("u must be [4]"));
}
