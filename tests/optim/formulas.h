// What the tests of all optimizers share. Each brings cases of options, and its formula by hand: what becomes of a
// weight w after some steps whose gradient is w - target, in plain double as PyTorch's documentation has it.
#pragma once

#include <fmt/format.h>

#include <limits>
#include <vector>

#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/optim/models.h"
#include "tests/support/targets.h"

namespace tapestry::test {

inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInf = std::numeric_limits<double>::infinity();

template <class O>
using Cases = std::vector<typename O::Options>;
template <class O>
using ByHand = double (*)(const typename O::Options& options, double w, double target, int steps);

// Takes `steps` steps with O, and compares all weights with what they are by hand.
template <class O>
void require_formula(Pulled& model, const typename O::Options& options, ByHand<O> by_hand, int steps,
                     double tolerance) {
  std::vector<double> expected = model.weights();
  const std::vector<double> targets = model.wanted();
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = by_hand(options, expected[i], targets[i], steps);
  O optimizer{model.list(), options};
  for (int step = 0; step < steps; ++step) optimizer.step(model.gradients());
  compare(model.weights(), expected, tolerance);
  REQUIRE(optimizer.steps() == steps);
}

// Every case: 25 steps in double, and in float on every target.
template <class O>
void check_formula(const Cases<O>& cases, ByHand<O> by_hand) {
  for (const auto& options : cases) {
    INFO(O::Method::kName << " case " << &options - cases.data());
    Pulled wide(DType::float64);
    require_formula<O>(wide, options, by_hand, 25, 1e-12);
    for (const Target target : tested_targets()) {
      INFO(target_name(target));
      Pulled model(DType::float32, {.threads = 2, .target = target});
      require_formula<O>(model, options, by_hand, 25, 2e-6);
      count_case(target);
    }
  }
}

// The numbers of one kind of state or of the weights, as floats between guard zones and as doubles.
struct Both {
  Guarded<float> data;
  std::vector<double> wide;
  Both(std::size_t size, std::size_t misalignment, std::uint64_t seed, double low, double high)
      : data(size, misalignment) {
    fill_random(data.span(), seed, low, high);
    wide = widened(data.span());
  }
  void check(double scale = 1) const {
    REQUIRE(data.intact());
    require_close(data.span(), wide, 1e-6, scale);
  }
};

template <class O>
void check_kernel_once(const kernels::Device& device, const typename O::Options& options, std::int64_t number,
                       std::size_t size, std::size_t misalignment) {
  const auto step = O::Method::step(options, number, number == 7 ? 0.5 : 1);
  Both gradient(size, misalignment, 1, -2, 2), weight(size, misalignment, 2, -1, 1);
  kernels::UpdatePiece<float> floats{gradient.data.span(), {}, weight.data.span()};
  kernels::UpdatePiece<double> doubles{gradient.wide, {}, weight.wide};
  std::vector<Both> state;
  state.reserve(3);
  const detail::StateNames names = O::Method::state_names(options);
  for (std::size_t k = 0; k < names.size(); ++k) {
    if (names[k] == nullptr) continue;
    const bool squares = std::string_view(names[k]).find("sq") != std::string_view::npos;  // above those of all means
    state.emplace_back(size, misalignment, 3 + k, squares ? 0.25 : -0.3, squares ? 1 : 0.3);
    floats.state[k] = state.back().data.span();
    doubles.state[k] = state.back().wide;
  }
  update(device, step, floats);
  update(device, step, doubles);
  gradient.check();
  for (const Both& each : state) each.check(4);
  weight.check();
}

// Every case on every target: at awkward sizes, between guard zones, the first update and later ones.
template <class O>
void check_kernel(const Cases<O>& cases) {
  for_each_target([&](const kernels::Device& device) {
    for (const std::size_t size : awkward_sizes())
      for (const std::size_t misalignment : kMisalignments)
        for (const auto& options : cases)
          for (const std::int64_t number : {std::int64_t{1}, std::int64_t{7}, std::int64_t{1} << 40}) {
            INFO(O::Method::kName << " case " << &options - cases.data() << " size " << size << " misalignment "
                                  << misalignment << " update " << number);
            check_kernel_once<O>(device, options, number, size, misalignment);
            count_case(device.target);
          }
  });
}

}  // namespace tapestry::test
