#include "autodiff/ops/pool.h"

#include <cmath>
#include <functional>

#include "autodiff/ops/elementwise.h"
#include "autodiff/ops/norm.h"
#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/ops.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

const Shape kLines[] = {{1, 4, 1},  {2, 5, 3},  {1, 8, 16}, {3, 9, 17}, {0, 4, 2},  {2, 6, 0},
                        {1, 7, 33}, {2, 12, 5}, {4, 4, 2},  {1, 31, 1}, {2, 10, 8}, {1, 5, 64}};
const Shape kImages[] = {{1, 4, 4, 1}, {2, 5, 4, 3}, {1, 6, 6, 16}, {1, 5, 7, 17}, {0, 4, 4, 2},  {2, 6, 4, 0},
                         {1, 4, 9, 4}, {2, 4, 4, 5}, {3, 5, 5, 2},  {1, 9, 8, 1},  {1, 4, 5, 33}, {2, 7, 7, 2}};
const Shape kVolumes[] = {{1, 4, 4, 4, 1}, {1, 4, 5, 4, 2}, {2, 4, 4, 4, 3}, {1, 5, 4, 4, 4},
                          {0, 4, 4, 4, 2}, {1, 4, 4, 6, 1}, {1, 4, 4, 4, 9}, {1, 5, 5, 5, 1},
                          {2, 4, 4, 5, 1}, {1, 4, 4, 4, 5}, {1, 4, 6, 4, 2}, {1, 4, 4, 4, 0}};

// x with numbers so far apart that small steps make no other one the largest.
Var apart(const Var& x) {
  Tensor c = x.value().like();
  visit_floating("apart", c.dtype(), [&]<class T>(T) {
    std::int64_t i = 0;
    for (T& value : c.span<T>()) value = static_cast<T>(i++ * 1237 % 4099);
  });
  return x + x.constant(c);
}

template <class F>
void check_all(std::span<const Shape> shapes, const F& f) {
  std::uint64_t seed = 1;
  for (const Shape& shape : shapes)
    check_op([&](std::span<const Var> v) { return f(v[0]); }, {shape}, {.low = -3, .high = 3, .seed = seed++});
}

std::vector<float> floats(const Var& v) {
  const auto values = v.value().span<float>();
  return {values.begin(), values.end()};
}

}  // namespace

TEST_CASE("max_pool: gradients of every option") {
  check_all(kLines, [](const Var& x) { return max_pool1d(apart(x), {.kernel = 2}); });
  check_all(kLines, [](const Var& x) { return max_pool1d(apart(x), {.kernel = 3, .stride = 2, .padding = 1}); });
  check_all(kLines, [](const Var& x) { return max_pool1d(apart(x), {.kernel = 2, .stride = 3, .ceil_mode = true}); });
  check_all(kLines, [](const Var& x) { return max_pool1d(apart(x), {.kernel = 2, .stride = 1, .dilation = 3}); });
  check_all(kImages, [](const Var& x) { return max_pool2d(apart(x), {.kernel = 2}); });
  check_all(kImages, [](const Var& x) { return max_pool2d(apart(x), {.kernel = 3, .stride = 2, .padding = 1}); });
  check_all(kImages, [](const Var& x) {
    return max_pool2d(apart(x), {.kernel = {2, 3}, .stride = {3, 1}, .padding = {1, 0}});
  });
  check_all(kImages, [](const Var& x) { return max_pool2d(apart(x), {.kernel = 3, .ceil_mode = true}); });
  check_all(kImages, [](const Var& x) { return max_pool2d(apart(x), {.kernel = 2, .stride = 1, .dilation = {1, 2}}); });
  check_all(kVolumes, [](const Var& x) { return max_pool3d(apart(x), {.kernel = 2}); });
  check_all(kVolumes, [](const Var& x) {
    return max_pool3d(apart(x), {.kernel = {1, 2, 3}, .stride = 2, .padding = {0, 1, 1}});
  });
  check_all(kVolumes, [](const Var& x) { return max_pool3d(apart(x), {.kernel = 3, .ceil_mode = true}); });
}

TEST_CASE("avg_pool: gradients of every option") {
  check_all(kLines, [](const Var& x) { return avg_pool1d(x, {.kernel = 2}); });
  check_all(kLines, [](const Var& x) { return avg_pool1d(x, {.kernel = 3, .stride = 2, .padding = 1}); });
  check_all(kLines,
            [](const Var& x) { return avg_pool1d(x, {.kernel = 3, .ceil_mode = true, .divisor_override = 5}); });
  check_all(kImages, [](const Var& x) { return avg_pool2d(x, {.kernel = 2}); });
  check_all(kImages, [](const Var& x) { return avg_pool2d(x, {.kernel = {3, 2}, .stride = 1, .padding = 1}); });
  check_all(kImages, [](const Var& x) {
    return avg_pool2d(x, {.kernel = 3, .stride = 2, .padding = 1, .ceil_mode = true, .count_include_pad = false});
  });
  check_all(kImages, [](const Var& x) { return avg_pool2d(x, {.kernel = 2, .stride = 3, .divisor_override = -2}); });
  check_all(kVolumes, [](const Var& x) { return avg_pool3d(x, {.kernel = 2}); });
  check_all(kVolumes, [](const Var& x) {
    return avg_pool3d(x, {.kernel = {3, 1, 2}, .stride = 2, .padding = {1, 0, 0}});
  });
}

TEST_CASE("adaptive and global pooling: gradients") {
  check_all(kLines, [](const Var& x) { return adaptive_max_pool1d(apart(x), {.output_size = 3}); });
  check_all(kLines, [](const Var& x) { return adaptive_avg_pool1d(x, {.output_size = 5}); });
  check_all(kImages, [](const Var& x) { return adaptive_max_pool2d(apart(x), {.output_size = {3, 0}}); });
  check_all(kImages, [](const Var& x) { return adaptive_avg_pool2d(x, {.output_size = {1, 3}}); });
  check_all(kImages, [](const Var& x) { return adaptive_avg_pool2d(x, {.output_size = 7}); });
  check_all(kVolumes, [](const Var& x) { return adaptive_max_pool3d(apart(x), {.output_size = 1}); });
  check_all(kVolumes, [](const Var& x) { return adaptive_avg_pool3d(x, {.output_size = {1, 2, 3}}); });
  for (const auto& shapes :
       {std::span<const Shape>(kLines), std::span<const Shape>(kImages), std::span<const Shape>(kVolumes)})
    for (bool keepdim : {false, true}) {
      check_all(shapes, [&](const Var& x) { return global_max_pool(apart(x), {.keepdim = keepdim}); });
      check_all(shapes, [&](const Var& x) { return global_avg_pool(x, {.keepdim = keepdim}); });
    }
}

TEST_CASE("max_pool: gradients through windows of more than 256 taps") {
  for (const Shape& shape : {Shape{1, 17, 16, 1}, Shape{2, 20, 17, 3}, Shape{1, 300, 1, 2}})
    check_op([&](std::span<const Var> v) { return global_max_pool(apart(v[0])); }, {shape});
  check_op(
      [&](std::span<const Var> v) {
        return max_pool2d(apart(v[0]), {.kernel = {17, 16}, .stride = 1});
      },
      {{1, 19, 18, 2}});
}

TEST_CASE("max_pool: the first of equal elements gets the gradient, NaN comes through, padding never wins") {
  Context context{{.threads = 1}};
  Tape tape{context};
  const Var x = tape.variable(context.tensor({1, 2, 4, 1}, {-1, -1, NAN, 3, -1, -1, 5, 4}));
  const Var y = max_pool2d(x, {.kernel = 2});
  CHECK(floats(y)[0] == -1);
  CHECK(std::isnan(floats(y)[1]));
  const Gradients gradients = tape.backward(y, context.tensor({1, 1, 2, 1}, {7, 8}));
  const Tensor dx = gradients[x];
  const auto values = dx.span<float>();
  CHECK(std::vector<float>(values.begin(), values.end()) == std::vector<float>{7, 0, 8, 0, 0, 0, 0, 0});

  const Var low = context.input(context.tensor({1, 3, 1}, {-5, -6, -7}));
  CHECK(floats(max_pool1d(low, {.kernel = 3, .stride = 2, .padding = 1})) == std::vector<float>{-5, -6});
  Tape other{context};
  const Var lowest = other.variable(context.tensor({1, 2, 1}, {-INFINITY, -INFINITY}));
  const Gradients first = other.backward(max_pool1d(lowest, {.kernel = 2}), context.tensor({1, 1, 1}, {3}));
  CHECK(first[lowest].span<float>()[0] == 3);
  CHECK(first[lowest].span<float>()[1] == 0);
}

TEST_CASE("pooling: shapes, and numbers of worked examples") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.tensor({1, 5, 1}, {1, 2, 3, 4, 5}));
  CHECK(floats(max_pool1d(x, {.kernel = 2})) == std::vector<float>{2, 4});
  CHECK(floats(max_pool1d(x, {.kernel = 2, .ceil_mode = true})) == std::vector<float>{2, 4, 5});
  CHECK(floats(avg_pool1d(x, {.kernel = 2, .padding = 1})) == std::vector<float>{0.5, 2.5, 4.5});
  CHECK(floats(avg_pool1d(x, {.kernel = 2, .padding = 1, .count_include_pad = false})) ==
        std::vector<float>{1, 2.5, 4.5});
  CHECK(floats(avg_pool1d(x, {.kernel = 2, .ceil_mode = true})) == std::vector<float>{1.5, 3.5, 5});
  CHECK(floats(avg_pool1d(x, {.kernel = 2, .divisor_override = 4})) == std::vector<float>{0.75, 1.75});
  CHECK(floats(adaptive_avg_pool1d(x, {.output_size = 2})) == std::vector<float>{2, 4});
  CHECK(floats(adaptive_max_pool1d(x, {.output_size = 5})) == floats(x));
  CHECK(floats(global_avg_pool(x)) == std::vector<float>{3});
  const Var one = context.input(context.tensor({1, 1, 1, 1}, {9}));
  CHECK(floats(max_pool2d(one, {.kernel = 2, .ceil_mode = true})) == std::vector<float>{9});

  const Var volume = context.input(context.zeros({2, 4, 6, 8, 3}));
  CHECK(max_pool3d(volume, {.kernel = 2}).shape() == Shape{2, 2, 3, 4, 3});
  CHECK(adaptive_avg_pool3d(volume, {.output_size = {0, 1, 2}}).shape() == Shape{2, 4, 1, 2, 3});
  CHECK(global_max_pool(volume).shape() == Shape{2, 3});
  CHECK(global_max_pool(volume, {.keepdim = true}).shape() == Shape{2, 1, 1, 1, 3});
}

TEST_CASE("pooling: images without channels cost nothing, however large") {
  Context context{{.threads = 1}};
  for (DType dtype : {DType::float32, DType::float64}) {
    Tape tape{context};
    const Var x = tape.variable(context.zeros({1, std::int64_t{1} << 22, std::int64_t{1} << 22, 0}, dtype));
    const Var y = avg_pool2d(max_pool2d(x, {.kernel = 2}), {.kernel = 2});
    const Var z = adaptive_avg_pool2d(adaptive_max_pool2d(y, {.output_size = 1 << 19}), {.output_size = 0});
    REQUIRE(z.shape() == Shape{1, 1 << 19, 1 << 19, 0});
    REQUIRE(tape.backward(z, z.value())[x].shape() == x.shape());
  }
}

TEST_CASE("pooling: results are the same bits at any number of threads") {
  Context one{{.threads = 1}};
  const Tensor x = one.normal({9, 33, 31, 37}, 0, 1, 1);
  const auto run = [&](Context& context) {
    std::vector<Tensor> results;
    const auto both = [&](const std::function<Var(const Var&)>& f) {
      Tape tape{context};
      const Var in = tape.variable(x), y = f(in);
      const Gradients gradients = tape.backward(y, y.value());
      results.push_back(y.value());
      results.push_back(gradients[in]);
    };
    both([](const Var& v) { return max_pool2d(v, {.kernel = 3, .stride = 2, .padding = 1}); });
    both([](const Var& v) { return max_pool2d(v, {.kernel = 2}); });
    both([](const Var& v) { return avg_pool2d(v, {.kernel = 3, .stride = 1, .padding = 1}); });
    both([](const Var& v) { return adaptive_avg_pool2d(v, {.output_size = 7}); });
    both([](const Var& v) { return global_max_pool(v); });
    both([](const Var& v) { return global_avg_pool(v); });
    return results;
  };
  const std::vector<Tensor> expected = run(one);
  for (int threads : {2, 3, 7}) {
    Context context{{.threads = threads}};
    const std::vector<Tensor> found = run(context);
    for (std::size_t i = 0; i < found.size(); ++i)
      REQUIRE(std::ranges::equal(found[i].span<float>(), expected[i].span<float>()));
  }
}

TEST_CASE("pooling: errors name the op, the rule and the numbers") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.zeros({2, 5, 6, 3})), line = context.input(context.zeros({2, 5, 3}));
  REQUIRE_THROWS_AS(max_pool2d(line, {.kernel = 2}), ShapeError);
  REQUIRE_THROWS_WITH(max_pool2d(line, {.kernel = 2}),
                      contains("pool_test.cc:") && contains("max_pool2d: x must be [N, H, W, C]; it is [2, 5, 3]"));
  REQUIRE_THROWS_AS(max_pool2d(x, {}), ArgumentError);
  PoolWindows four = Sizes<2>{2};
  four.axes = 4;
  REQUIRE_THROWS_WITH(max_pool(x, four), contains("pool_test.cc:") && contains("max_pool: windows have 4 axes"));
  REQUIRE_THROWS_AS(batch_norm(x, {}, {}, {.pool = four}), ArgumentError);
  REQUIRE_THROWS_WITH(max_pool2d(x, {}), contains("max_pool2d: kernel must be in [1, 2147483647]; it is [0, 0]"));
  REQUIRE_THROWS_WITH(avg_pool2d(x, {.kernel = 2, .stride = -1}), contains("avg_pool2d: stride must be in"));
  REQUIRE_THROWS_WITH(max_pool2d(x, {.kernel = 2, .dilation = 0}), contains("max_pool2d: dilation must be in"));
  REQUIRE_THROWS_WITH(max_pool2d(x, {.kernel = 2, .padding = -1}), contains("max_pool2d: padding must be in"));
  REQUIRE_THROWS_AS(max_pool2d(x, {.kernel = 3, .padding = 2}), ArgumentError);
  REQUIRE_THROWS_WITH(max_pool2d(x, {.kernel = 3, .padding = {1, 2}}),
                      contains("max_pool2d: padding 2 is more than half of kernel 3"));
  REQUIRE_THROWS_AS(avg_pool2d(x, {.kernel = {6, 2}}), ShapeError);
  REQUIRE_THROWS_WITH(avg_pool2d(x, {.kernel = {6, 2}}), contains("avg_pool2d: the kernel [6, 2]"));
  REQUIRE_THROWS_AS(max_pool2d(x, {.kernel = 2147483647, .padding = 1073741823}), ArgumentError);
  REQUIRE_THROWS_AS(max_pool2d(x, {.kernel = 2147483647, .stride = 1, .dilation = 2147483647}), ShapeError);
  REQUIRE_THROWS_WITH(adaptive_avg_pool2d(x, {.output_size = {2, -1}}),
                      contains("adaptive_avg_pool2d: output_size must be in [0, 2147483647]; it is [2, -1]"));
  REQUIRE_THROWS_AS(adaptive_avg_pool2d(x, {.output_size = 2147483647}), ShapeError);
  REQUIRE_THROWS_WITH(adaptive_max_pool3d(x, {.output_size = 1}), contains("adaptive_max_pool3d: x must be"));
  REQUIRE_THROWS_WITH(global_avg_pool(context.input(context.zeros({2, 3}))),
                      contains("global_avg_pool: x must be [N, ..., C]; it is [2, 3]"));
  const Var empty = context.input(context.zeros({2, 0, 6, 3}));
  REQUIRE_THROWS_WITH(max_pool2d(empty, {.kernel = 1}), contains("x [2, 0, 6, 3] needs 1 to 2147483647 positions"));
  REQUIRE_THROWS_AS(adaptive_max_pool2d(empty, {.output_size = 1}), ShapeError);
  REQUIRE_THROWS_AS(global_max_pool(empty), ShapeError);
  REQUIRE_THROWS_AS(max_pool2d(context.input(context.zeros({1, 2, 2, 1}, DType::int64)), {.kernel = 2}), ArgumentError);
  REQUIRE_THROWS_AS(global_avg_pool(Var{}), ArgumentError);
  REQUIRE_THROWS_AS(avg_pool2d(Var{}, {.kernel = 2}), ArgumentError);
}
