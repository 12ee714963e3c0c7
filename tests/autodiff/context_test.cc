#include "autodiff/context.h"

#include <cstdlib>

#include "autodiff/parameter.h"
#include "autodiff/var.h"
#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/targets.h"

using namespace tapestry;

TEST_CASE("context: options are checked, and two contexts live side by side") {
  REQUIRE_THROWS_WITH(Context({.threads = -1}), contains("got -1"));
  REQUIRE_THROWS_AS(Context({.threads = 100000}), ArgumentError);
  Context one{{.threads = 1, .seed = 1, .target = Target::scalar}}, two{{.threads = 2, .seed = 2}};
  REQUIRE(one.target() == Target::scalar);
  REQUIRE(two.threads() == 2);
  const Tensor a = one.uniform({100}, 0, 1, 5), b = two.uniform({100}, 0, 1, 5),
               c = Context{{.threads = 1, .seed = 2}}.uniform({100}, 0, 1, 5);
  REQUIRE(std::ranges::equal(b.span<float>(), c.span<float>()));
  REQUIRE_FALSE(std::ranges::equal(a.span<float>(), b.span<float>()));
}

TEST_CASE("context: TAPESTRY_TARGET and TAPESTRY_THREADS are taken or refused with their names") {
  const char* target = std::getenv("TAPESTRY_TARGET");
  const std::string kept = target == nullptr ? "" : target;
  setenv("TAPESTRY_TARGET", "foo", 1);
  REQUIRE_THROWS_AS(Context{}, EnvironmentError);
  REQUIRE_THROWS_WITH(Context{}, contains("TAPESTRY_TARGET") && contains("'foo'") && contains("scalar"));
  setenv("TAPESTRY_TARGET", "neon", 1);
#if defined(__x86_64__)
  REQUIRE_THROWS_WITH(Context{}, contains("not available"));
#endif
  setenv("TAPESTRY_TARGET", "scalar", 1);
  REQUIRE(Context{}.target() == Target::scalar);
  setenv("TAPESTRY_TARGET", kept.c_str(), 1);
  setenv("TAPESTRY_THREADS", "3", 1);
  REQUIRE(Context{}.threads() == 3);
  for (const char* bad : {"0", "-2", "two", "3x", "99999999999"}) {
    setenv("TAPESTRY_THREADS", bad, 1);
    REQUIRE_THROWS_WITH(Context{}, contains("TAPESTRY_THREADS") && contains(bad));
  }
  unsetenv("TAPESTRY_THREADS");
}

TEST_CASE("context: random tensors are the same at any thread count, and have the moments they should") {
  Context one{{.threads = 1, .seed = 9}}, seven{{.threads = 7, .seed = 9}};
  const Shape shape{400, 251};
  const Tensor a = one.normal(shape, 3, 2, 1), b = seven.normal(shape, 3, 2, 1);
  REQUIRE(std::ranges::equal(a.span<float>(), b.span<float>()));
  double sum = 0, squares = 0;
  for (float x : a.span<float>()) {
    sum += x;
    squares += (x - 3.0) * (x - 3.0);
  }
  const auto count = static_cast<double>(a.size());
  REQUIRE(sum / count == Approx(3).margin(0.03));
  REQUIRE(squares / count == Approx(4).margin(0.08));
  const Tensor uniform = one.uniform(shape, -1, 2, 2, DType::float64);
  for (double x : uniform.span<double>()) REQUIRE((x >= -1 && x < 2));
  REQUIRE_THROWS_AS(one.uniform(shape, 2, 1, 0), ArgumentError);
  REQUIRE_THROWS_AS(one.normal(shape, 0, -1, 0), ArgumentError);
  REQUIRE_THROWS_AS(one.normal(shape, 0, 1, 0, DType::int64), ArgumentError);
}

TEST_CASE("philox: the known answers of the Random123 distribution") {
  REQUIRE(Philox(0, 0)(0) == std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  const std::uint64_t ones = ~std::uint64_t{0};
  REQUIRE(Philox(ones, ones)(ones) == std::array<std::uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
}

TEST_CASE("context: a tensor takes as many values as its shape has; interned names are one") {
  const Context context{{.threads = 1}};
  REQUIRE_THROWS_WITH(context.tensor({2, 3}, {1, 2}), contains("[2, 3] needs 6 values, got 2"));
  REQUIRE_THROWS_AS(context.input(Tensor{}), ArgumentError);
  REQUIRE(context.intern("a.b") == context.intern(std::string("a.") + "b"));
}

TEST_CASE("parameters: copies are others with the same numbers, references and moves are the same") {
  const Context context{{.threads = 1}};
  Parameter a;
  a.set(context.tensor({2}, {1, 2}));
  Parameter copy = a;
  copy.assign(context.tensor({2}, {5, 6}));
  REQUIRE(a.value().span<float>()[0] == 1);
  StateRef reference = a;
  REQUIRE(reference == a);
  REQUIRE(reference != copy);
  reference.assign(context.tensor({2}, {3, 4}));
  reference.freeze();
  REQUIRE(a.value().span<float>()[1] == 4);
  REQUIRE_FALSE(a.trainable());
  const Parameter moved = std::move(a);
  REQUIRE(moved == reference);
  const Tensor held = moved.value();
  Parameter own;
  own.set(held);
  REQUIRE_FALSE(own.value().block().same(held.block()));
  REQUIRE_THROWS_WITH(Parameter{}.on(context.input(held)), contains("build the model first"));
  StateRef none, buffer = Buffer{};
  REQUIRE_FALSE(none.built());
  REQUIRE_THROWS_AS(none.value(), ArgumentError);
  buffer.freeze(false);
  REQUIRE_FALSE(buffer.trainable());
}

TEST_CASE("flatten: all parameters end up in one block, in order, at multiples of 64 bytes, with their numbers") {
  const Context context{{.threads = 1}};
  std::vector<Parameter> all(3);
  ParameterList list;
  for (std::size_t i = 0; i < 3; ++i) {
    all[i].set(context.full({static_cast<std::int64_t>(5 * i + 3)}, static_cast<double>(i)));
    list.push_back(all[i]);
  }
  flatten(list);
  std::size_t offset = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    REQUIRE(all[i].value().block().same(all[0].value().block()));
    REQUIRE(all[i].value().offset() == offset);
    REQUIRE(all[i] == list[i]);
    for (float x : all[i].value().span<float>()) REQUIRE(x == static_cast<float>(i));
    offset += (all[i].value().bytes() + 63) / 64 * 64;
  }
}

TEST_CASE("shape: sizes, axes and products are checked") {
  REQUIRE(Shape{}.size() == 1);
  REQUIRE(Shape{3, 0, 5}.size() == 0);
  REQUIRE(to_string(Shape{8, 28, 28, 18}) == "[8, 28, 28, 18]");
  REQUIRE_THROWS_WITH(Shape({2, -1}), contains("-1"));
  REQUIRE_THROWS_AS(Shape({1, 1, 1, 1, 1, 1, 1}), ShapeError);
  const std::int64_t big = std::int64_t{1} << 32, huge = std::numeric_limits<std::int64_t>::max();
  REQUIRE_THROWS_AS(Shape({big, big}), ShapeError);
  REQUIRE_THROWS_AS(Shape({huge, 2}), ShapeError);
  REQUIRE_THROWS_AS(Shape({0, std::int64_t{1} << 62, std::int64_t{1} << 62}), ShapeError);
  REQUIRE_THROWS_WITH((Shape{2, 3})[2], contains("axis 2") && contains("[2, 3]"));
  REQUIRE((Shape{2, 3})[-2] == 2);
  REQUIRE(broadcast({2, 1, 3}, {4, 1}) == Shape{2, 4, 3});
  REQUIRE_THROWS_WITH(broadcast({2, 3}, {2}), contains("[2, 3]") && contains("[2]"));
}

TEST_CASE("tensor: views and conversions are checked") {
  const Context context{{.threads = 1}};
  const Tensor t = context.tensor({2, 3}, {0, 1, 2, 3, 4, 5});
  REQUIRE(t.reshape({3, 2}).block().same(t.block()));
  REQUIRE_THROWS_WITH(t.reshape({4}), contains("6 elements") && contains("[4]"));
  REQUIRE(t.view(4, {2}).span<float>()[1] == 5);
  REQUIRE_THROWS_AS(t.view(5, {2}), ShapeError);
  REQUIRE_THROWS_AS(t.view(-1, {2}), ShapeError);
  REQUIRE_THROWS_WITH(t.span<double>(), contains("float32") && contains("float64"));
  REQUIRE_THROWS_AS(t.item(), ShapeError);
  REQUIRE(t.to(DType::float64).span<double>()[3] == 3);
  REQUIRE(t.to(DType::int64).span<std::int64_t>()[4] == 4);
  REQUIRE_THROWS_AS(context.empty({std::int64_t{1} << 45}), EnvironmentError);
  REQUIRE(Tensor{}.size() == 0);
  REQUIRE(std::as_const(*std::make_unique<Tensor>()).span<float>().empty());
}
