// Products and convolutions of small whole numbers: every sum is exact in float, so any order of adding gives the same
// bits, and what differs is a fault.
#include "kernels/matmul.h"
#include "tests/kernels/conv_problems.h"

using namespace tapestry;
using namespace tapestry::test;
using kernels::MatmulDims;

namespace {

constexpr std::size_t kProblems = 2600, kLarge = 80;  // of each kind
constexpr int kThreads[] = {1, 2, 3, 7};

// A sequence of random choices, the same for the same number.
class Choice {
 public:
  explicit Choice(std::uint64_t number) : philox_(number, 0xE4AC7) {}
  std::size_t below(std::size_t bound) { return philox_.below(count_++, bound); }
  std::size_t between(std::size_t low, std::size_t high) { return low + below(high - low + 1); }
  std::size_t of(std::initializer_list<std::size_t> list) { return list.begin()[below(list.size())]; }

 private:
  Philox philox_;
  std::uint64_t count_ = 0;
};

// Small ones, in which every kind of edge meets every other, or larger ones, which are split among threads.
ConvDims random_conv(Choice& choose, bool large) {
  for (;;) {
    const std::size_t rank = choose.of({1, 2, 2, 2, 3}), groups = choose.of({1, 1, 1, 1, 2, 3, 8, 17});
    const std::size_t inner = groups > 3 ? 1 : choose.of({1, 2, 3, 5, 10, 16, 17, large ? 40u : 4u}),
                      outer = groups > 3 ? choose.of({1, 1, 2})
                                         : choose.of({1, 2, 5, 8, 16, 17, 31, 33, 48, 65, large ? 130u : 3u});
    ConvDims::Axes in{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, pad{}, dilation{1, 1, 1};
    for (std::size_t axis = 3 - rank; axis < 3; ++axis) {
      in[axis] = choose.between(1, (rank == 1 ? 40u : rank == 2 ? 15u : 6u) * (large ? 3u : 1u));
      kernel[axis] = choose.of({1, 2, 3, 3, 4, 5});
      stride[axis] = choose.of({1, 1, 1, 2, 3, 6});
      pad[axis] = choose.of({0, 1, 1, 2, 3});
      dilation[axis] = choose.of({1, 1, 1, 2, 3});
    }
    const std::size_t batch = large ? choose.of({1, 2, 5, 19, 40}) : choose.of({0, 1, 2, 3, 5, 9});
    ConvDims dims = conv_dims(batch, inner * groups, outer * groups, groups, in, kernel, stride, pad, dilation,
                              choose.of({0, 0, 1}));
    dims.relu = choose.below(2) == 0;
    const std::size_t most = large ? 1'200'000 : 40'000, least = large ? 200'000 : 0;
    if (dims.out[0] * dims.out[1] * dims.out[2] != 0 && products(dims) >= least && products(dims) <= most) return dims;
  }
}

struct Product {
  explicit Product(std::uint64_t number) {
    Choice choose(number);
    const auto size = [&] { return choose.of({0, 1, 2, 3, 5, 8, 13, 15, 16, 17, 31, 33, 40, 64}); };
    dims = {.m = size(), .n = size(), .k = choose.of({0, 1, 2, 7, 16, 33, 50, 130, 300})};
    dims.transpose_a = choose.below(2) == 0;
    dims.transpose_b = choose.below(2) == 0;
    dims.accumulate = choose.below(2) == 0;
    dims.batch = choose.of({1, 1, 1, 2, 3});
    const bool shared = choose.below(3) == 0;
    dims.stride_a = dims.m * dims.k;
    dims.stride_b = shared ? 0 : dims.k * dims.n;
    dims.stride_c = dims.m * dims.n;
    a.resize(dims.batch * dims.stride_a);
    b.resize(shared ? dims.k * dims.n : dims.batch * dims.stride_b);
    bias.resize(choose.below(2) == 0 ? dims.n : 0);
    c.resize(dims.batch * dims.stride_c);
    for (std::vector<float>* operand : {&a, &b, &bias, &c}) fill_whole(*operand, ++number);
    expected = widened(c);
    const std::vector<double> wide_a = widened(a), wide_b = widened(b), wide_bias = widened(bias);
    kernels::reference::matmul<double>(dims, std::span<const double>(wide_a), wide_b, wide_bias, expected);
  }

  MatmulDims dims;
  std::vector<float> a, b, bias, c;
  std::vector<double> expected;
};

// Calls body(device) for every target and number of threads.
template <class Body>
void for_each_device(const Body& body) {
  for (const Target target : tested_targets())
    for (const int threads : kThreads) {
      INFO("target " << target_name(target) << ", threads " << threads);
      const Context context{{.threads = threads, .target = target}};
      poison(context.device());
      body(context.device());
    }
}

}  // namespace

TEST_CASE("exact: random convolutions of whole numbers, all passes, every target and number of threads") {
  std::vector<ConvProblem> problems;
  for (std::size_t i = 0; i < kProblems + kLarge; ++i) {
    Choice choose(i);
    const ConvDims dims = random_conv(choose, i >= kProblems);
    problems.emplace_back(dims, choose.below(2) == 0, Numbers::whole, 100 * i);
  }
  for_each_device([&](const kernels::Device& device) {
    for (std::size_t i = 0; i < problems.size(); ++i) {
      INFO("problem " << i);
      check_passes(device, problems[i], i % 5, 0);
      count_case(device.target);
    }
  });
}

TEST_CASE("exact: random products of whole numbers, every target and number of threads") {
  std::vector<Product> problems;
  for (std::size_t i = 0; i < kProblems; ++i) problems.emplace_back(1000 * i);
  for_each_device([&](const kernels::Device& device) {
    for (const Product& p : problems) {
      std::vector<float> c = p.c;
      kernels::matmul(device, p.dims, std::span<const float>(p.a), p.b, p.bias, c);
      INFO("m " << p.dims.m << " n " << p.dims.n << " k " << p.dims.k << " batch " << p.dims.batch);
      require_close(c, p.expected, 0);
      count_case(device.target);
    }
  });
}
