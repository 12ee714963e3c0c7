#include "kernels/reduce.h"

#include <cmath>

#include "tests/catch.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;

TEST_CASE("sum_rows: every target, size and alignment against plain loops in double") {
  for_each_target([](const kernels::Device& device) {
    for (std::size_t m : {0u, 1u, 2u, 3u, 64u, 255u, 256u, 257u, 1000u})
      for (std::size_t n : {0u, 1u, 7u, 10u, 16u, 33u, 64u, 65u, 131u})
        for (std::size_t misalignment : kMisalignments)
          for (bool accumulate : {false, true}) {
            Guarded<float> x(m * n, misalignment), out(n, misalignment, 0.5f);
            fill_random(x.span(), m + n);
            std::vector<double> expected = widened(out.span());
            kernels::sum_rows(device, m, n, std::span<const double>(widened(x.span())), expected, accumulate);
            kernels::sum_rows(device, m, n, std::as_const(x).span(), out.span(), accumulate);
            INFO("m " << m << " n " << n);
            require_close(out.span(), expected, 1e-6, 1 + std::sqrt(static_cast<double>(m)));
            REQUIRE((x.intact() && out.intact()));
            count_case(device.target);
          }
  });
}

TEST_CASE("all_finite: one NaN or infinity in any place is seen") {
  for_each_target([](const kernels::Device& device) {
    for (std::size_t size : awkward_sizes())
      for (std::size_t misalignment : kMisalignments) {
        Guarded<float> x(size, misalignment, 3e38f);
        REQUIRE(kernels::all_finite(device, std::as_const(x).span()));
        for (std::size_t at = 0; at<size; at += size> 200 ? 97 : 1)
          for (float bad : {NAN, INFINITY, -INFINITY}) {
            x[at] = bad;
            REQUIRE_FALSE(kernels::all_finite(device, std::as_const(x).span()));
            x[at] = 0;
          }
        count_case(device.target);
      }
  });
}

TEST_CASE("reduce: every term, target, alignment and form against plain loops in double") {
  using kernels::ReduceDims;
  using kernels::Term;
  std::vector<ReduceDims> forms;
  for (std::size_t size : awkward_sizes()) forms.push_back({.size = size});
  for (std::size_t size : {0u, 1u, 5u, 17u, 300u})
    for (std::size_t inner : {1u, 2u, 9u, 16u, 37u, 130u}) forms.push_back({.outer = 3, .size = size, .inner = inner});
  forms.insert(forms.end(),
               {{2, 70001, 1}, {70001, 2, 1}, {1, 9001, 5}, {2, 701, 530}, {5000, 3, 7}, {0, 4, 4}, {4, 4, 0}});
  for_each_target([&](const kernels::Device& device) {
    for (const ReduceDims& dims : forms)
      for (std::size_t misalignment : kMisalignments)
        for (Term term : {Term::value, Term::square, Term::exp, Term::equal})
          for (bool centered : {false, true}) {
            if (dims.outer * dims.size * dims.inner > 20000 && (centered || misalignment == 3)) continue;
            const std::size_t results = dims.outer * dims.inner;
            Guarded<float> x(dims.outer * dims.size * dims.inner, misalignment);
            Guarded<double> center(centered ? results : 0, misalignment), sums(results, misalignment);
            fill_random(x.span(), results + dims.size);
            for (std::size_t i = 0; i < center.span().size(); ++i) center[i] = i < x.span().size() ? x[i] : 0.5;
            std::vector<double> expected(results);
            kernels::reference::reduce<float>(dims, term, x.span(), center.span(), expected);
            kernels::reduce(device, dims, term, std::as_const(x).span(), std::as_const(center).span(), sums.span());
            INFO("outer " << dims.outer << " size " << dims.size << " inner " << dims.inner << " term "
                          << static_cast<int>(term));
            for (std::size_t i = 0; i < results; ++i)
              if (!(std::abs(sums[i] - expected[i]) <= 1e-13 * (1 + static_cast<double>(dims.size))))
                REQUIRE(sums[i] == expected[i]);
            REQUIRE((x.intact() && sums.intact()));
            count_case(device.target);
          }
  });
}

TEST_CASE("reduce: sums with cancellation keep the digits of float") {
  for_each_target([](const kernels::Device& device) {
    constexpr std::size_t kSize = 1 << 18;
    std::vector<float> x(kSize);
    fill_random(x, 5);
    long double exact = 0;
    for (std::size_t i = 0; i < kSize; ++i) {
      if (i % 2 == 1) x[i] = -x[i - 1] + 1e-6f * static_cast<float>(i % 5);
      exact += static_cast<long double>(x[i]);
    }
    double sum = 0;
    kernels::reduce(device, {.size = kSize}, kernels::Term::value, x, {}, {&sum, 1});
    REQUIRE(std::abs(sum - static_cast<double>(exact)) < 1e-10);
    count_case(device.target);
  });
}

TEST_CASE("reduce: NaN and infinities pass") {
  using kernels::Term;
  for_each_target([](const kernels::Device& device) {
    for (Term term : {Term::value, Term::square, Term::exp, Term::equal})
      for (float bad : {NAN, INFINITY, -INFINITY})
        for (double center : {0.5, static_cast<double>(NAN)})
          for (std::size_t at : {0u, 36u}) {
            std::vector<float> x(37, 0.25f);
            x[at] = bad;
            double found = 0, expected = 0;
            const kernels::ReduceDims dims{.size = 37};
            kernels::reduce(device, dims, term, x, {&center, 1}, {&found, 1});
            kernels::reference::reduce<float>(dims, term, x, {&center, 1}, {&expected, 1});
            INFO("term " << static_cast<int>(term) << ", " << bad << ", center " << center << ", found " << found);
            if (std::isnan(expected))
              REQUIRE(std::isnan(found));
            else
              REQUIRE(found == Approx(expected));
            count_case(device.target);
          }
  });
}

TEST_CASE("reduce: the same bits at any number of threads") {
  std::vector<float> x(700 * 531);
  fill_random(x, 9);
  for (const kernels::ReduceDims& dims :
       {kernels::ReduceDims{1, 700 * 531, 1}, {1, 700, 531}, {700, 1, 531}, {1, 700 * 177, 3}}) {
    std::vector<double> first;
    for (int threads : {1, 2, 3, 7}) {
      const Context context{{.threads = threads}};
      std::vector<double> sums(dims.outer * dims.inner);
      kernels::reduce(context.device(), dims, kernels::Term::value, x, {}, sums);
      if (first.empty()) first = sums;
      REQUIRE(sums == first);
    }
  }
}
