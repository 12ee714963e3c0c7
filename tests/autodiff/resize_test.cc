#include "autodiff/ops/resize.h"

#include <cmath>

#include "autodiff/ops/shape.h"
#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/ops.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

const Shape kShapes[] = {{1, 4, 1},       {2, 5, 3},       {3, 3, 17},    {0, 4, 2},     {2, 6, 0},
                         {1, 4, 4, 1},    {2, 5, 4, 3},    {1, 3, 7, 16}, {1, 3, 3, 33}, {1, 3, 4, 5, 1},
                         {2, 3, 3, 3, 2}, {1, 5, 3, 4, 9}, {0, 3, 3, 1},  {1, 9, 3, 4}};

template <class F>
void check_all(const F& f) {
  for (const Shape& shape : kShapes) check_op([&](std::span<const Var> v) { return f(v[0]); }, {shape});
}

using Row = std::vector<float>;

Row floats(const Var& v) {
  const auto values = v.value().span<float>();
  return {values.begin(), values.end()};
}

// `width` in front of each spatial axis and `width` + `more` behind it.
PadOptions frame(const Var& x, std::int64_t width, std::int64_t more, PadMode mode) {
  PadOptions options{.before = {0}, .after = {0}, .mode = mode};
  for (int axis = 1; axis + 1 < x.shape().rank(); ++axis) {
    options.before.add(width);
    options.after.add(width + more);
  }
  options.before.add(0);
  options.after.add(0);
  return options;
}

}  // namespace

TEST_CASE("interpolate: gradients of every mode, by size and by factor") {
  for (double factor : {2.0, 0.5, 1.7}) {
    check_all([&](const Var& x) { return interpolate(x, {.scale_factor = factor}); });
    for (bool corners : {false, true})
      check_all([&](const Var& x) {
        return interpolate(x, {.scale_factor = factor, .mode = Interpolation::linear, .align_corners = corners});
      });
  }
  for (std::int64_t size : {1, 3, 8}) {
    check_all([&](const Var& x) { return interpolate(x, {.size = size}); });
    for (bool corners : {false, true})
      check_all([&](const Var& x) {
        return interpolate(x, {.size = size, .mode = Interpolation::linear, .align_corners = corners});
      });
  }
}

TEST_CASE("interpolate: worked examples, one number an axis") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.tensor({1, 3, 1}, {0, 4, 8}));
  CHECK(floats(interpolate(x, {.scale_factor = 2})) == Row{0, 0, 4, 4, 8, 8});
  CHECK(floats(interpolate(x, {.size = 2})) == Row{0, 4});
  CHECK(floats(interpolate(x, {.scale_factor = 2, .mode = Interpolation::linear})) == Row{0, 1, 3, 5, 7, 8});
  CHECK(floats(interpolate(x, {.size = 5, .mode = Interpolation::linear, .align_corners = true})) ==
        Row{0, 2, 4, 6, 8});
  CHECK(floats(interpolate(x, {.size = 1, .mode = Interpolation::linear, .align_corners = true})) == Row{0});
  const Var image = context.input(context.zeros({2, 4, 6, 3}));
  CHECK(interpolate(image, {.size = {5, 7}}).shape() == Shape{2, 5, 7, 3});
  CHECK(interpolate(image, {.scale_factor = {1.5, 0.4}}).shape() == Shape{2, 6, 2, 3});
  // An infinity next to a position that is hit exactly does not reach it.
  const Var endless = context.input(context.tensor({1, 3, 1}, {1, 2, INFINITY}));
  CHECK(floats(interpolate(endless, {.size = 5, .mode = Interpolation::linear, .align_corners = true}))[2] == 2);
}

TEST_CASE("interpolate: results are the same bits at any number of threads") {
  Context one{{.threads = 1}};
  const Tensor x = one.normal({5, 33, 31, 17}, 0, 1, 1);
  const auto run = [&](Context& context) {
    Tape tape{context};
    const Var in = tape.variable(x);
    const Var y = interpolate(in, {.scale_factor = 1.3, .mode = Interpolation::linear});
    const Gradients gradients = tape.backward(y, y.value());
    return std::pair(y.value(), gradients[in]);
  };
  const auto [y, dx] = run(one);
  for (int threads : {2, 3, 7}) {
    Context context{{.threads = threads}};
    const auto [other_y, other_dx] = run(context);
    REQUIRE(std::ranges::equal(y.span<float>(), other_y.span<float>()));
    REQUIRE(std::ranges::equal(dx.span<float>(), other_dx.span<float>()));
  }
}

TEST_CASE("interpolate: errors name the rule and the numbers") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.zeros({2, 4, 6, 3}));
  const auto refuses = [&](const InterpolateOptions& options, const char* rule) {
    REQUIRE_THROWS_AS(interpolate(x, options), ArgumentError);
    REQUIRE_THROWS_WITH(interpolate(x, options), contains(rule) && contains("resize_test.cc:"));
  };
  refuses({}, "interpolate: needs either a size or a scale_factor");
  refuses({.size = 4, .scale_factor = 2}, "needs either a size or a scale_factor");
  refuses({.size = {4, 4, 4}}, "needs one number, or one for each spatial axis of [2, 4, 6, 3]; got 3");
  refuses({.size = {4, 0}}, "size must be in [1, 2147483647]; it is 0");
  refuses({.scale_factor = {1, 0}}, "scale_factor 0 of 6 positions leaves no size");
  refuses({.scale_factor = -1}, "scale_factor -1");
  refuses({.scale_factor = NAN}, "scale_factor nan");
  refuses({.scale_factor = 1e300}, "scale_factor 1e+300");
  refuses({.scale_factor = 0.1}, "leaves no size");
  refuses({.size = 4, .align_corners = true}, "align_corners is for linear alone");
  REQUIRE_THROWS_AS(interpolate(x, {.size = 2147483647}), ShapeError);
  REQUIRE_THROWS_AS(interpolate(context.input(context.zeros({2, 3})), {.size = 2}), ShapeError);
  REQUIRE_THROWS_WITH(interpolate(context.input(context.zeros({2, 0, 3})), {.size = 2}),
                      contains("x [2, 0, 3] needs 1 to"));
  REQUIRE_THROWS_AS(interpolate(context.input(context.zeros({2, 2, 3}, DType::int64)), {.size = 2}), ArgumentError);
  REQUIRE_THROWS_AS(interpolate(Var{}, {.size = 2}), ArgumentError);
  REQUIRE_THROWS_AS((PerAxis<double>{1, 2, 3, 4}), ShapeError);
}

TEST_CASE("interpolate and pad: images without channels cost nothing, however large") {
  Context context{{.threads = 1}};
  for (DType dtype : {DType::float32, DType::float64}) {
    Tape tape{context};
    const Var x = tape.variable(context.zeros({1, std::int64_t{1} << 22, std::int64_t{1} << 22, 0}, dtype));
    const Var y = pad(interpolate(x, {.scale_factor = 1.5}), {.before = {0, 1, 1, 0}, .mode = PadMode::replicate});
    REQUIRE(tape.backward(y, y.value())[x].shape() == x.shape());
  }
}

TEST_CASE("pad: gradients of the modes that repeat what lies inside") {
  for (PadMode mode : {PadMode::reflect, PadMode::replicate, PadMode::circular}) {
    check_all([&](const Var& x) { return pad(x, frame(x, 2, 0, mode)); });
    check_all([&](const Var& x) { return pad(x, frame(x, 0, 1, mode)); });
    check_all([&](const Var& x) { return pad(x, frame(x, 1, 1, mode)); });
  }
  check_all([](const Var& x) { return pad(x, frame(x, 3, 4, PadMode::replicate)); });
}

TEST_CASE("pad: what each mode repeats, and what it refuses") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.tensor({1, 3, 1}, {1, 2, 3}));
  const auto padded = [&](std::int64_t before, std::int64_t after, PadMode mode) {
    return floats(pad(x, {.before = {0, before, 0}, .after = {0, after, 0}, .mode = mode}));
  };
  CHECK(padded(2, 1, PadMode::reflect) == Row{3, 2, 1, 2, 3, 2});
  CHECK(padded(2, 1, PadMode::replicate) == Row{1, 1, 1, 2, 3, 3});
  CHECK(padded(2, 3, PadMode::circular) == Row{2, 3, 1, 2, 3, 1, 2, 3});
  CHECK(padded(1, 1, PadMode::constant) == Row{0, 1, 2, 3, 0});
  REQUIRE_THROWS_AS(padded(3, 0, PadMode::reflect), ShapeError);
  REQUIRE_THROWS_WITH(padded(0, 3, PadMode::reflect),
                      contains("pad: axis 1 of [1, 3, 1] is too short to be repeated 3 times"));
  REQUIRE_THROWS_AS(padded(4, 0, PadMode::circular), ShapeError);
  REQUIRE_THROWS_WITH(padded(std::int64_t{1} << 46, 0, PadMode::replicate),
                      contains("pad: [1, 3, 1] becomes too large"));
  REQUIRE_THROWS_WITH(pad(x, {.before = {1, 0, 0}, .mode = PadMode::replicate}),
                      contains("pad: this mode pads spatial axes alone, not axis 0"));
  REQUIRE_THROWS_AS(pad(x, {.before = {0, 0, 1}, .mode = PadMode::replicate}), ShapeError);
  REQUIRE_THROWS_WITH(pad(context.input(context.zeros({2, 3})), {.mode = PadMode::reflect}),
                      contains("x must be [N, ..., C] with one to three spatial axes for this mode; it is [2, 3]"));
  REQUIRE_THROWS_AS(pad(context.input(context.zeros({2, 0, 3})), {.before = {0, 1, 0}, .mode = PadMode::replicate}),
                    ShapeError);
}
