#include "kernels/elementwise.h"

#include <cmath>

#include "tests/catch.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;
using kernels::BroadcastDims;
using kernels::CompareOp;
using kernels::ElementwiseOp;

namespace {

constexpr ElementwiseOp kOps[] = {ElementwiseOp::add,
                                  ElementwiseOp::subtract,
                                  ElementwiseOp::multiply,
                                  ElementwiseOp::divide,
                                  ElementwiseOp::minimum,
                                  ElementwiseOp::maximum,
                                  ElementwiseOp::power,
                                  ElementwiseOp::divide_denominator,
                                  ElementwiseOp::minimum_share,
                                  ElementwiseOp::maximum_share,
                                  ElementwiseOp::power_base,
                                  ElementwiseOp::power_exponent,
                                  ElementwiseOp::select,
                                  ElementwiseOp::deviation,
                                  ElementwiseOp::exp_difference,
                                  ElementwiseOp::where_equal};

// Numbers of [0.25, 1.25) with ties between the inputs and zeros in the first.
struct Numbers {
  Guarded<float> a, b, c;
  Numbers(std::size_t size_a, std::size_t size_b, std::size_t size_c, std::size_t misalignment)
      : a(size_a, misalignment), b(size_b, misalignment), c(size_c, misalignment) {
    fill_random(a.span(), 1, 0.25, 1.25);
    fill_random(b.span(), 2, 0.25, 1.25);
    fill_random(c.span(), 3);
    for (std::size_t i = 0; i < std::min(size_a, size_b); i += 3) b[i] = a[i];
    for (std::size_t i = 1; i < size_a; i += 7) a[i] = 0;
  }
};

void check(const kernels::Device& device, const BroadcastDims& dims, ElementwiseOp op, const Numbers& in,
           std::size_t misalignment) {
  Guarded<float> y(dims.size, misalignment);
  std::vector<double> expected(dims.size);
  const std::vector<double> a = widened(in.a.span()), b = widened(in.b.span()), c = widened(in.c.span());
  kernels::reference::elementwise<double>(dims, op, a, b, c, expected);
  kernels::elementwise(device, dims, op, in.a.span(), in.b.span(), in.c.span(), y.span());
  INFO("op " << static_cast<int>(op) << ", size " << dims.size << ", misalignment " << misalignment);
  require_close(y.span(), expected, 5e-7);
  REQUIRE(y.intact());
  count_case(device.target);
}

}  // namespace

TEST_CASE("elementwise: every op, target, size, alignment and pattern of standing inputs against plain loops") {
  for_each_target([](const kernels::Device& device) {
    for (std::size_t size : awkward_sizes())
      for (std::size_t misalignment : kMisalignments)
        for (std::size_t pattern = 0; pattern < 8; ++pattern) {
          BroadcastDims dims{.rank = 1, .size = size, .sizes = {size}};
          for (std::size_t k = 0; k < 3; ++k) dims.strides[k][0] = pattern >> k & 1;
          const auto length = [&](std::size_t k) { return dims.strides[k][0] != 0 ? size : 1; };
          const Numbers in(length(0), length(1), length(2), misalignment);
          for (ElementwiseOp op : kOps) {
            if (size > 2000 && op != kOps[(pattern + misalignment) % std::size(kOps)]) continue;
            check(device, dims, op, in, misalignment);
          }
        }
  });
}

TEST_CASE("elementwise: walks over several stretched axes, in pieces") {
  for_each_target([](const kernels::Device& device) {
    // [5, 3, 4, 1100] from [5, 1, 4, 1100], [3, 1, 1100] and [4, 1].
    const BroadcastDims dims{.rank = 4,
                             .size = 5 * 3 * 4 * 1100,
                             .sizes = {5, 3, 4, 1100},
                             .strides = {{{4400, 0, 1100, 1}, {0, 1100, 0, 1}, {0, 0, 1, 0}}}};
    const Numbers in(5 * 4 * 1100, 3 * 1100, 4, 1);
    for (ElementwiseOp op : kOps) check(device, dims, op, in, 1);
  });
}

TEST_CASE("elementwise: NaN, infinities, ties and signed zeros") {
  for_each_target([](const kernels::Device& device) {
    const float special[] = {NAN, INFINITY, -INFINITY, 0.0f, -0.0f, 1.0f, -2.0f, 3e38f, 1e-40f};
    Guarded<float> a(81), b(81), c(81, 0, 2.0f), y(81);
    for (std::size_t i = 0; i < 81; ++i) {
      a[i] = special[i / 9];
      b[i] = special[i % 9];
    }
    BroadcastDims dims{.rank = 1, .size = 81, .sizes = {81}};
    for (auto& strides : dims.strides) strides[0] = 1;
    for (ElementwiseOp op : kOps) {
      kernels::elementwise(device, dims, op, std::as_const(a).span(), std::as_const(b).span(), std::as_const(c).span(),
                           y.span());
      for (std::size_t i = 0; i < 81; ++i) {
        const bool through_double =
            op == ElementwiseOp::power || op == ElementwiseOp::power_base || op == ElementwiseOp::power_exponent;
        const float expected =
            through_double ? static_cast<float>(kernels::reference::elementwise_of<double>(op, a[i], b[i], c[i]))
                           : kernels::reference::elementwise_of<float>(op, a[i], b[i], c[i]);
        INFO("op " << static_cast<int>(op) << ", a " << a[i] << ", b " << b[i] << ", found " << y[i]);
        if (std::isnan(expected))
          REQUIRE(std::isnan(y[i]));
        else
          REQUIRE(y[i] == expected);
      }
    }
    count_case(device.target);
  });
}

TEST_CASE("compare: every relation, with NaN and ties") {
  for_each_target([](const kernels::Device& device) {
    const float a[] = {1, 2, 3, NAN, INFINITY, 0.0f}, b[] = {2, 2, 2, NAN, INFINITY, -0.0f};
    const BroadcastDims dims{.rank = 1, .size = 6, .sizes = {6}, .strides = {{{1}, {1}, {0}}}};
    const auto of = [&](CompareOp op) {
      std::vector<std::int64_t> y(6, 7);
      kernels::compare(device, dims, op, a, b, y);
      return y;
    };
    using Row = std::vector<std::int64_t>;
    REQUIRE(of(CompareOp::equal) == Row{0, 1, 0, 0, 1, 1});
    REQUIRE(of(CompareOp::not_equal) == Row{1, 0, 1, 1, 0, 0});
    REQUIRE(of(CompareOp::less) == Row{1, 0, 0, 0, 0, 0});
    REQUIRE(of(CompareOp::less_equal) == Row{1, 1, 0, 0, 1, 1});
    REQUIRE(of(CompareOp::greater) == Row{0, 0, 1, 0, 0, 0});
    REQUIRE(of(CompareOp::greater_equal) == Row{0, 1, 1, 0, 1, 1});
    count_case(device.target);
  });
}

TEST_CASE("accumulate: every target, size and alignment") {
  for_each_target([](const kernels::Device& device) {
    for (std::size_t size : awkward_sizes())
      for (std::size_t misalignment : kMisalignments) {
        Guarded<float> x(size, misalignment), y(size, misalignment);
        fill_random(x.span(), 1);
        fill_random(y.span(), 2);
        std::vector<double> expected = widened(y.span());
        kernels::reference::accumulate<double>(widened(x.span()), expected);
        kernels::accumulate(device, std::as_const(x).span(), y.span());
        require_close(y.span(), expected, 1e-7);
        REQUIRE(y.intact());
        count_case(device.target);
      }
  });
}
