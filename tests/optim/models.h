// A least-squares problem with a few named parameters, for tests of optimizers.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "autodiff/record.h"
#include "autodiff/tape.h"
#include "tests/catch.h"

namespace tapestry::test {

// loss = 1/2 sum (w - target)^2, elementwise over one parameter, added to `before`; dLoss/dw = w - target, or `forced`.
inline Var pull(const Var& before, const Var& w, const Tensor& target, const double* forced = nullptr) {
  Tensor y = before.value().clone();
  visit_floating("pull", w.dtype(), [&]<class T>(T) {
    double sum = 0;
    const std::span<const T> a = std::as_const(w.value()).span<T>(), b = std::as_const(target).span<T>();
    for (std::size_t i = 0; i < a.size(); ++i)
      sum += 0.5 * (double{a[i]} - double{b[i]}) * (double{a[i]} - double{b[i]});
    y.span<T>()[0] += static_cast<T>(sum);
  });
  return record("pull", y, {before, w}, {}, [w = w.value(), target, forced](const Tensor& dy, GradSlots grads) {
    grads.pass(0, dy);
    if (Tensor dw = grads.overwrite(1))
      visit_floating("pull", dw.dtype(), [&]<class T>(T) {
        const std::span<const T> a = w.span<T>(), b = target.span<T>();
        const std::span<T> out = dw.span<T>();
        for (std::size_t i = 0; i < out.size(); ++i) out[i] = forced != nullptr ? static_cast<T>(*forced) : a[i] - b[i];
      });
  });
}

struct Pulled {
  Context context;
  DType dtype;
  std::vector<Parameter> parameters;
  std::vector<Tensor> targets;

  explicit Pulled(DType type = DType::float32, const ContextOptions& options = {.threads = 2},
                  const std::vector<Shape>& shapes = {{3}, {4, 5}, {1}, {33}, {16}})
      : context(options), dtype(type) {
    for (const Shape& shape : shapes) {
      const std::uint64_t number = parameters.size();
      parameters.emplace_back();
      parameters.back().cell()->name = "layer." + std::to_string(number);
      parameters.back().set(context.uniform(shape, -1, 1, 2 * number + 1).to(type));
      targets.push_back(context.uniform(shape, -1, 1, 2 * number + 2).to(type));
    }
  }

  ParameterList list() const { return ParameterList(parameters.begin(), parameters.end()); }

  // The gradients, of all parameters or all but one.
  Gradients gradients(std::size_t without = 1000, const double* forced = nullptr) {
    Tape tape{context};
    Var loss = tape.input(context.zeros({1}, dtype));
    for (std::size_t i = 0; i < parameters.size(); ++i)
      if (i != without) loss = pull(loss, parameters[i].on(loss), targets[i], forced);
    return tape.backward(loss);
  }

  // All weights, as doubles.
  std::vector<double> weights() const {
    std::vector<double> all;
    for (const Parameter& parameter : parameters) {
      const Tensor wide = parameter.value().to(DType::float64);
      const std::span<const double> values = std::as_const(wide).span<double>();
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  }
  std::vector<double> wanted() const {
    std::vector<double> all;
    for (const Tensor& target : targets) {
      const Tensor wide = target.to(DType::float64);
      const std::span<const double> values = std::as_const(wide).span<double>();
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  }
};

// Every weight within `tolerance`.
inline void compare(const std::vector<double>& found, const std::vector<double>& expected, double tolerance) {
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    INFO("weight " << i << ": found " << found[i] << ", expected " << expected[i]);
    REQUIRE(std::abs(found[i] - expected[i]) <= tolerance);
  }
}

}  // namespace tapestry::test
