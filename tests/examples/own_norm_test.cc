// The norm that examples/09_own_norm.cc defines, against its formula in plain loops.
#define main own_norm_main
#include "examples/09_own_norm.cc"
#undef main

#include <cmath>
#include <vector>

#include "tests/catch.h"
#include "tests/support/targets.h"

namespace {

constexpr std::size_t kImages = 3, kPositions = 20, kChannels = 6;
const Shape kShape{3, 5, 4, 6};

struct Pair {
  double mean = 0, variance = 0;
};

// Of the elements that are in the set, or of all.
template <class In>
Pair pair_of(std::span<const float> x, const In& in) {
  std::vector<long double> set;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (in(i / (kPositions * kChannels), i % kChannels)) set.push_back(x[i]);
  const auto n = static_cast<long double>(set.size());
  long double mean = 0, variance = 0;
  for (long double v : set) mean += (v - set[0]) / n;
  mean += set[0];
  for (long double v : set) variance += (v - mean) * (v - mean) / n;
  return {static_cast<double>(mean), static_cast<double>(variance)};
}

// 3 numbers of a softmax.
std::array<double, 3> shares_of(const Parameter& weights) {
  const auto w = weights.value().span<float>();
  std::array<double, 3> shares{};
  double sum = 0;
  for (std::size_t i = 0; i < 3; ++i) sum += shares[i] = std::exp(static_cast<double>(w[i]));
  for (double& share : shares) share /= sum;
  return shares;
}

// y by the formula; `batch` gives the statistics of a channel.
template <class Batch>
std::vector<double> expected(const SwitchableNorm2d& norm, std::span<const float> x, const Batch& batch) {
  const auto m = shares_of(norm.mean_weight), v = shares_of(norm.variance_weight);
  const auto weight = norm.weight.value().span<float>(), bias = norm.bias.value().span<float>();
  std::vector<double> y(x.size());
  for (std::size_t n = 0; n < kImages; ++n) {
    const Pair image = pair_of(x, [&](std::size_t of, std::size_t) { return of == n; });
    for (std::size_t c = 0; c < kChannels; ++c) {
      const Pair instance = pair_of(x, [&](std::size_t of, std::size_t channel) { return of == n && channel == c; });
      const Pair whole = batch(c);
      const double mean = m[0] * instance.mean + m[1] * image.mean + m[2] * whole.mean;
      const double variance = v[0] * instance.variance + v[1] * image.variance + v[2] * whole.variance;
      for (std::size_t p = 0; p < kPositions; ++p) {
        const std::size_t i = (n * kPositions + p) * kChannels + c;
        y[i] = (static_cast<double>(x[i]) - mean) / std::sqrt(variance + norm.options.epsilon) *
                   static_cast<double>(weight[c]) +
               static_cast<double>(bias[c]);
      }
    }
  }
  return y;
}

SwitchableNorm2d drawn(Context& context) {
  SwitchableNorm2d norm;
  build(context, norm, kShape.drop_front());
  std::uint64_t seed = 1;
  for (Parameter* each : {&norm.weight, &norm.bias, &norm.mean_weight, &norm.variance_weight})
    each->assign(context.normal(each->shape(), 0.5, 1, ++seed));
  return norm;
}

}  // namespace

TEST_CASE("own norm: switchable norm follows its formula, in training and evaluation, with means far from 0") {
  for (const auto& [mean, std, tolerance] : {std::array{0.5, 2.0, 2e-6}, std::array{1e4, 0.1, 2e-6}})
    for (Target target : test::tested_targets()) {
      Context context{{.threads = 2, .target = target}};
      const SwitchableNorm2d norm = drawn(context);
      const Tensor x = context.normal(kShape, mean, std, 1);
      const auto batch = [&](std::size_t c) {
        return pair_of(std::as_const(x).span<float>(), [&](std::size_t, std::size_t channel) { return channel == c; });
      };
      Tape tape{context};
      const Var y = norm(tape.input(x), Mode::train);
      test::require_close(y.value().span<float>(), expected(norm, std::as_const(x).span<float>(), batch), tolerance);
      tape.commit();
      const auto running_mean = norm.running_mean.value().span<float>(),
                 running_var = norm.running_var.value().span<float>();
      for (std::size_t c = 0; c < kChannels; ++c) {
        REQUIRE(running_mean[c] == Approx(0.1 * batch(c).mean).epsilon(1e-6));
        REQUIRE(running_var[c] == Approx(0.9 + 0.1 * batch(c).variance).epsilon(1e-6));
      }
      const auto running = [&](std::size_t c) {
        return Pair{static_cast<double>(running_mean[c]), static_cast<double>(running_var[c])};
      };
      test::require_close(norm(context.input(x), Mode::eval).value().span<float>(),
                          expected(norm, std::as_const(x).span<float>(), running), tolerance);
      test::count_case(target);
    }
}

TEST_CASE("own norm: gradients of x, weight, bias and both mixtures") {
  Context context{{.threads = 1}};
  SwitchableNorm2d norm;
  build(context, norm, kShape.drop_front(), DType::float64);
  const Tensor x = context.normal(kShape, 1, 2, 1, DType::float64),
               dy = context.normal(kShape, 0, 1, 2, DType::float64);
  const auto in_x = [&](std::span<const Var> v) { return norm(v[0], Mode::train); };
  const GradcheckResult of_x = gradcheck(context, in_x, {x});
  INFO(of_x.message);
  REQUIRE(of_x.passed);

  const auto loss = [&] { return sum(norm(context.input(x), Mode::train) * context.input(dy)).item(); };
  Tape tape{context};
  const Gradients gradients = tape.backward(norm(tape.input(x), Mode::train), dy);
  for (Parameter* parameter : {&norm.weight, &norm.bias, &norm.mean_weight, &norm.variance_weight}) {
    const Tensor start = parameter->value().clone();
    for (std::size_t i = 0; i < static_cast<std::size_t>(start.size()); ++i) {
      const auto moved = [&](double by) {
        Tensor value = start.clone();
        value.span<double>()[i] += by;
        parameter->assign(value);
        return loss();
      };
      const double step = 1e-3,
                   numeric = (8 * (moved(step) - moved(-step)) - (moved(2 * step) - moved(-2 * step))) / (12 * step);
      REQUIRE(gradients[*parameter].span<double>()[i] == Approx(numeric).epsilon(1e-6).margin(1e-8));
    }
    parameter->assign(start);
  }
}
