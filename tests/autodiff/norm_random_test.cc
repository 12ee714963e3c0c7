// Random configurations of each norm against the oracle: in double, and in float on one of the targets.
// TAPESTRY_CASE=SEED runs one of them alone.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "tests/catch.h"
#include "tests/support/norm_case.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

constexpr std::uint64_t kCases = 4000;

// The choices of one configuration: the same for the same seed.
class Choices {
 public:
  explicit Choices(std::uint64_t seed) : philox_(seed, 4711) {}
  std::int64_t below(std::int64_t bound) {
    return static_cast<std::int64_t>(philox_.below(count_++, static_cast<std::uint64_t>(bound)));
  }
  bool one_in(std::int64_t n) { return below(n) == 0; }
  template <class T, std::size_t N>
  T of(const T (&choices)[N]) {
    return choices[below(static_cast<std::int64_t>(N))];
  }

 private:
  Philox philox_;
  std::uint64_t count_ = 0;
};

// Rank 2 to 5: ones, primes, and sizes around each vector width; at most 6000 elements.
Shape draw_shape(Choices& choices, NormKind kind) {
  constexpr std::int64_t kChannels[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  12, 13,  15,  16,  17,
                                        18, 24, 31, 32, 33, 48, 63, 64, 65, 96, 127, 129, 130, 257};
  constexpr std::int64_t kSizes[] = {1, 1, 2, 2, 3, 3, 4, 5, 5, 7, 8, 9, 11, 13, 17, 31, 33, 64, 97};
  const bool needs_positions = kind == NormKind::instance;
  for (;;) {
    const auto rank = static_cast<std::size_t>((needs_positions ? 3 : 2) + choices.below(needs_positions ? 3 : 4));
    std::vector<std::int64_t> sizes(rank);
    std::int64_t elements = 1, positions = 1;
    for (std::size_t i = 0; i < rank; ++i) {
      sizes[i] = i + 1 == rank ? choices.of(kChannels) : choices.of(kSizes);
      elements *= sizes[i];
      if (i > 0 && i + 1 < rank) positions *= sizes[i];
    }
    if (elements > 6000 || (needs_positions && positions < 2)) continue;
    if (kind == NormKind::batch_train && elements / sizes.back() < 2) continue;
    return Shape(std::span<const std::int64_t>(sizes));
  }
}

// Some axes of [first, rank), in order; at least one.
Axes draw_axes(Choices& choices, int first, int rank) {
  Axes axes;
  const int sure = first + static_cast<int>(choices.below(rank - first));
  for (int axis = first; axis < rank; ++axis)
    if (axis == sure || choices.one_in(3)) axes.add(axis);
  return axes;
}

std::int64_t size_of(const Shape& shape, const Axes& axes) {
  std::int64_t size = 1;
  for (int axis : axes) size *= shape[axis];
  return size;
}

// What stretches to x: some of its sizes, 1 for the others, without some of the first ones.
Shape draw_mask(Choices& choices, const Shape& shape) {
  std::vector<std::int64_t> sizes;
  const auto first = static_cast<int>(choices.one_in(4) ? choices.below(shape.rank() + 1) : 0);
  for (int axis = first; axis < shape.rank(); ++axis) sizes.push_back(choices.one_in(4) ? 1 : shape[axis]);
  return Shape(std::span<const std::int64_t>(sizes));
}

// Axes, masks and parameters of any kind.
void draw_options(Choices& choices, NormCase& c) {
  const int rank = c.shape.rank();
  const bool layer = c.kind == NormKind::layer || c.kind == NormKind::rms;
  const bool batch = c.kind == NormKind::batch_train || c.kind == NormKind::batch_eval;
  if (layer && choices.one_in(2)) {
    c.reduction = draw_axes(choices, 0, rank);
    c.features = draw_axes(choices, 0, rank);
  } else if (!choices.one_in(3)) {
    c.features = draw_axes(choices, batch || layer ? 0 : 1, rank);
    const bool whole = batch && c.features.count() == rank;
    const bool few = size_of(c.shape, c.features) * (batch ? 1 : c.shape[0]) == c.shape.size();  // values for a set
    if (whole || (few && (c.kind == NormKind::instance || c.kind == NormKind::batch_train))) c.features = {};
  }
  if (c.kind == NormKind::group) {
    if (choices.one_in(2)) {
      c.reduction = c.features.count() > 0 ? c.features : Axes{-1};
      Axes all;
      for (int axis = 0; axis < rank; ++axis) {
        bool feature = false;
        for (int named : c.reduction) feature = feature || c.shape.axis(named) == axis;
        if (feature || choices.one_in(2)) all.add(axis);
      }
      c.reduction = all;
    }
    c.per_position = choices.one_in(3);
  }
  if (!choices.one_in(3)) c.mask = draw_mask(choices, c.shape);
  c.fast_variance = choices.one_in(2);
}

NormCase draw_case(NormKind kind, std::uint64_t seed) {
  Choices choices(seed * 8 + static_cast<std::uint64_t>(kind));
  NormCase c{.kind = kind, .shape = draw_shape(choices, kind), .seed = seed};
  if (kind == NormKind::layer || kind == NormKind::rms) c.axes = static_cast<int>(1 + choices.below(c.shape.rank()));
  if (seed % 2 == 0) draw_options(choices, c);
  if (kind == NormKind::group) {
    const std::int64_t channels = size_of(c.shape, c.features.count() > 0 ? c.features : Axes{-1});
    do c.num_groups = 1 + choices.below(channels);
    while (channels % c.num_groups != 0);
  }
  c.running_variance = choices.of({RunningVariance::biased, RunningVariance::unbiased, RunningVariance::inverse_std});
  c.epsilon = choices.of({1e-5, 1e-5, 1e-6, 1e-3, 0.1, 1e-12});
  c.weight = !choices.one_in(4);
  c.bias = kind != NormKind::rms && !choices.one_in(4);
  c.residual = choices.one_in(4);
  c.relu = choices.one_in(3);
  const std::pair<double, double> data = choices.of<std::pair<double, double>>(
      {{0, 1}, {0, 1}, {0.25, 1.5}, {-3, 2}, {0, 1e-3}, {5, 1e3}, {100, 1e-2}, {1e4, 1e-2}, {-700, 3}});
  c.mean = data.first;
  c.std = data.second;
  return c;
}

bool finite(const std::vector<double>& values) {
  return std::ranges::all_of(values, [](double value) { return std::isfinite(value); });
}

void check(NormKind kind) {
  const char* only = std::getenv("TAPESTRY_CASE");
  std::vector<Context> contexts;
  for (Target target : tested_targets()) contexts.emplace_back(ContextOptions{.threads = 2, .target = target});
  for (std::uint64_t seed = 1; seed <= kCases; ++seed) {
    if (only != nullptr && std::to_string(seed) != only) continue;
    NormCase c = draw_case(kind, seed);
    if (c.relu && !finite(solve(draw(c)).y)) c.relu = false;  // what passes then is not said
    const NormProblem problem = draw(c);
    const NormSolution expected = solution_of(c, problem);
    Context& context = contexts[seed % contexts.size()];
    INFO("repeat it with TAPESTRY_CASE=" << seed << " autodiff_test '*" << kind_name(kind) << ": random*', target "
                                         << target_name(context.target()));
    const auto in_double = judge(c, problem, expected, run(contexts.front(), c, problem, DType::float64), 1e-10);
    INFO("double: " << in_double.value_or(""));
    REQUIRE(!in_double);
    const auto in_float = judge(c, problem, expected, run(context, c, problem, DType::float32), 1e-6);
    INFO("float: " << in_float.value_or(""));
    REQUIRE(!in_float);
    count_case(context.target());
  }
}

}  // namespace

TEST_CASE("group_norm: random configurations are the oracle's") { check(NormKind::group); }
TEST_CASE("layer_norm: random configurations are the oracle's") { check(NormKind::layer); }
TEST_CASE("rms_norm: random configurations are the oracle's") { check(NormKind::rms); }
TEST_CASE("batch_norm in training: random configurations are the oracle's") { check(NormKind::batch_train); }
TEST_CASE("batch_norm in evaluation: random configurations are the oracle's") { check(NormKind::batch_eval); }
TEST_CASE("instance_norm: random configurations are the oracle's") { check(NormKind::instance); }
