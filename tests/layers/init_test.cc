#include "layers/init.h"

#include <cmath>

#include "kernels/error.h"
#include "tests/catch.h"

using namespace tapestry;

namespace {

struct SampleMoments {
  double mean = 0, std = 0, kurtosis = 0, low = 0, high = 0;
};

SampleMoments moments(const Tensor& tensor) {
  const std::span<const double> x = tensor.span<double>();
  const auto n = static_cast<double>(x.size());
  SampleMoments result{.low = x[0], .high = x[0]};
  for (const double value : x) {
    result.mean += value / n;
    result.low = std::min(result.low, value);
    result.high = std::max(result.high, value);
  }
  double second = 0, fourth = 0;
  for (const double value : x) {
    const double square = (value - result.mean) * (value - result.mean);
    second += square / n;
    fourth += square * square / n;
  }
  result.std = std::sqrt(second);
  result.kurtosis = fourth / (second * second);
  return result;
}

const Context& shared_context() {
  static const Context context{{.threads = 2, .seed = 7}};
  return context;
}

Tensor draw(const Initializer& initializer, const Shape& shape = {400, 250}, std::uint64_t number = 0) {
  return initialize(initializer, shared_context(), shape, fans_of(shape), number, DType::float64);
}

void require_moments(const Initializer& initializer, double std, double kurtosis, double bound) {
  const SampleMoments found = moments(draw(initializer));
  CHECK(std::abs(found.mean) < 0.015 * std);
  CHECK(found.std == Approx(std).epsilon(0.01));
  CHECK(found.kurtosis == Approx(kurtosis).epsilon(0.03));
  CHECK(found.high <= bound);
  CHECK(found.low >= -bound);
  if (std::isfinite(bound)) CHECK(found.high > 0.99 * bound);
}

constexpr double kUniform = 1.8, kNormal = 3;  // kurtoses
constexpr double kCut = 2.0 / 0.87962566103423978;
// Of a normal number cut at 2: (3 - 2 phi(2) (8 + 6) / (2 Phi(2) - 1)) / 0.8796...^4.
constexpr double kTruncated = 2.3656;

}  // namespace

TEST_CASE("init: fans follow [..., in, out]") {
  const auto check = [](const Shape& shape, std::int64_t in, std::int64_t out) {
    CHECK(fans_of(shape).in == in);
    CHECK(fans_of(shape).out == out);
  };
  check({}, 1, 1);
  check({5}, 5, 1);
  check({5, 7}, 5, 7);
  check({3, 3, 1, 10}, 9, 90);
  check({2, 3, 4, 5, 6}, 120, 144);
}

TEST_CASE("init: gains are those of PyTorch") {
  CHECK(gain(Nonlinearity::linear) == 1);
  CHECK(gain(Nonlinearity::sigmoid) == 1);
  CHECK(gain(Nonlinearity::tanh) == Approx(5.0 / 3));
  CHECK(gain(Nonlinearity::relu) == Approx(std::sqrt(2.0)));
  CHECK(gain(Nonlinearity::leaky_relu) == Approx(std::sqrt(2 / 1.0001)));
  CHECK(gain(Nonlinearity::leaky_relu, 2) == Approx(std::sqrt(0.4)));
  CHECK(gain(Nonlinearity::selu) == 0.75);
}

TEST_CASE("init: plain distributions have their moments and bounds") {
  const SampleMoments uniform = moments(draw(Uniform{.low = 2, .high = 6}));
  CHECK(uniform.mean == Approx(4).epsilon(0.005));
  CHECK(uniform.std == Approx(4 / std::sqrt(12.0)).epsilon(0.01));
  CHECK(uniform.low >= 2);
  CHECK(uniform.high < 6);
  const SampleMoments normal = moments(draw(Normal{.mean = -1, .std = 0.5}));
  CHECK(normal.mean == Approx(-1).epsilon(0.01));
  CHECK(normal.std == Approx(0.5).epsilon(0.01));
  CHECK(normal.kurtosis == Approx(3).epsilon(0.03));
  const SampleMoments constant = moments(draw(Constant{3}));
  CHECK(constant.low == 3);
  CHECK(constant.high == 3);
}

TEST_CASE("init: truncated normal numbers stay within the cut, also far from the mean") {
  const SampleMoments two = moments(draw(TruncatedNormal{}));
  CHECK(two.std == Approx(0.87962566103423978).epsilon(0.01));
  CHECK(two.kurtosis == Approx(kTruncated).epsilon(0.03));
  CHECK(two.low >= -2);
  CHECK(two.high <= 2);
  // E[x | x > a] = phi(a) / (1 - Phi(a)), "inverse Mills ratio": 6.1584826 for a = 6.
  const SampleMoments far = moments(draw(TruncatedNormal{.low = 6, .high = 100}));
  CHECK(far.low >= 6);
  CHECK(far.mean == Approx(6.1584826).epsilon(1e-3));
  const SampleMoments below = moments(draw(TruncatedNormal{.low = -100, .high = -6}));
  CHECK(below.high <= -6);
  CHECK(below.mean == Approx(-6.1584826).epsilon(1e-3));
  const SampleMoments wide = moments(draw(TruncatedNormal{.mean = 3, .std = 2, .low = -50, .high = 50}));
  CHECK(wide.mean == Approx(3).epsilon(0.01));
  CHECK(wide.std == Approx(2).epsilon(0.01));
}

TEST_CASE("init: the quantile behind truncated numbers is exact") {
  // Cut so narrowly that the quantile of the middle is known: Phi^-1(0.975) = 1.959963984540054.
  const double x = 1.959963984540054;
  const SampleMoments narrow = moments(draw(TruncatedNormal{.low = x - 1e-9, .high = x + 1e-9}));
  CHECK(std::abs(narrow.mean - x) < 1e-10);
  CHECK(narrow.std == Approx(1e-9 / std::sqrt(3.0)).epsilon(0.02));
}

TEST_CASE("init: scaled distributions follow the formulas of PyTorch and JAX") {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const double in = 400, out = 250, root3 = std::sqrt(3.0);
  require_moments(default_initializer(), 1 / std::sqrt(3 * in), kUniform, 1 / std::sqrt(in));
  require_moments(Kaiming{}, std::sqrt(2 / in), kUniform, std::sqrt(6 / in));
  require_moments(
      Kaiming{.distribution = Distribution::normal, .mode = FanMode::fan_out, .nonlinearity = Nonlinearity::tanh},
      5 / (3 * std::sqrt(out)), kNormal, kInfinity);
  require_moments(Xavier{.gain = 2}, 2 * std::sqrt(2 / (in + out)), kUniform, 2 * std::sqrt(6 / (in + out)));
  require_moments(Xavier{.distribution = Distribution::normal}, std::sqrt(2 / (in + out)), kNormal, kInfinity);
  require_moments(Lecun{}, 1 / std::sqrt(in), kTruncated, kCut / std::sqrt(in));
  require_moments(Lecun{Distribution::uniform}, 1 / std::sqrt(in), kUniform, root3 / std::sqrt(in));
  require_moments(VarianceScaling{.scale = 3, .mode = FanMode::fan_avg}, std::sqrt(6 / (in + out)), kTruncated,
                  kCut * std::sqrt(6 / (in + out)));
  require_moments(VarianceScaling{.mode = FanMode::fan_out, .distribution = Distribution::uniform}, 1 / std::sqrt(out),
                  kUniform, root3 / std::sqrt(out));
}

TEST_CASE("init: orthogonal matrices are orthogonal") {
  for (const Shape& shape :
       {Shape{8, 8}, Shape{17, 5}, Shape{5, 17}, Shape{3, 3, 4, 6}, Shape{1, 1}, Shape{2, 1, 60}}) {
    const Tensor tensor = draw(Orthogonal{.gain = 2}, shape);
    const std::span<const double> q = tensor.span<double>();
    const auto columns = static_cast<std::size_t>(shape[-1]), rows = q.size() / columns;
    const bool tall = rows >= columns;
    const std::size_t lines = tall ? columns : rows, length = tall ? rows : columns;
    const auto at = [&](std::size_t line, std::size_t i) {
      return tall ? q[i * columns + line] : q[line * columns + i];
    };
    for (std::size_t a = 0; a < lines; ++a)
      for (std::size_t b = 0; b <= a; ++b) {
        double dot = 0;
        for (std::size_t i = 0; i < length; ++i) dot += at(a, i) * at(b, i);
        CHECK(std::abs(dot - (a == b ? 4 : 0)) < 1e-12);
      }
  }
}

TEST_CASE("init: numbers are a function of seed, parameter and index, not of threads") {
  const auto numbers = [](int threads, std::uint64_t seed, std::uint64_t parameter, const Initializer& initializer) {
    const Context context{{.threads = threads, .seed = seed}};
    const Tensor tensor = initialize(initializer, context, {300, 301}, {}, parameter);
    return std::vector<float>(tensor.span<float>().begin(), tensor.span<float>().end());
  };
  for (const Initializer& initializer :
       {Initializer(Uniform{}), Initializer(Normal{}), Initializer(TruncatedNormal{})}) {
    const std::vector<float> one = numbers(1, 5, 3, initializer);
    CHECK(one == numbers(3, 5, 3, initializer));
    CHECK(one != numbers(1, 6, 3, initializer));
    CHECK(one != numbers(1, 5, 4, initializer));
  }
}

TEST_CASE("init: a given tensor and a function of the index") {
  const Context& context = shared_context();
  const Tensor given = context.tensor({2, 2}, {1, 2, 3, 4});
  const Tensor copy = draw(Given{given}, {2, 2});
  CHECK(copy.span<double>()[3] == 4);
  const Tensor ramp = draw(ElementFunction([](std::int64_t i) { return 10.0 * static_cast<double>(i); }), {3});
  CHECK(ramp.span<double>()[2] == 20);
  REQUIRE_THROWS_AS(draw(Given{given}, {4}), ShapeError);
  REQUIRE_THROWS_AS(draw(Given{}, {4}), ShapeError);
  REQUIRE_THROWS_AS(draw(ElementFunction(), {4}), ArgumentError);
}

TEST_CASE("init: impossible options are refused") {
  REQUIRE_THROWS_AS(draw(Uniform{.low = 1, .high = 0}), ArgumentError);
  REQUIRE_THROWS_AS(draw(Normal{.std = -1}), ArgumentError);
  REQUIRE_THROWS_AS(draw(TruncatedNormal{.std = 0}), ArgumentError);
  REQUIRE_THROWS_AS(draw(TruncatedNormal{.low = 1, .high = 1}), ArgumentError);
  REQUIRE_THROWS_WITH(draw(TruncatedNormal{.low = 50, .high = 60}), contains("too far from the mean 0"));
  REQUIRE_THROWS_AS(draw(VarianceScaling{.scale = -1}), ArgumentError);
  REQUIRE_THROWS_AS(draw(Xavier{.gain = 0}), ArgumentError);
  REQUIRE_THROWS_AS(draw(Orthogonal{}, {4}), ShapeError);
  CHECK(draw(Kaiming{}, {0, 4}).size() == 0);
  CHECK(draw(Orthogonal{}, {0, 4}).size() == 0);
}
