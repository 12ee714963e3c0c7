#include "kernels/copy.h"

#include "tests/catch.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;
using kernels::BroadcastDims;
using kernels::GatherDims;

namespace {

struct Walk {
  BroadcastDims dims;
  std::size_t reach;  // elements that the walk spans
};

// Transposes, slices and copies, below and above the sizes at which work is split and tiled.
std::vector<Walk> walks() {
  std::vector<Walk> all;
  for (std::size_t size : awkward_sizes()) {
    all.push_back({{.rank = 1, .size = size, .sizes = {size}, .strides = {{{1}}}}, size});
    all.push_back({{.rank = 1, .size = size, .sizes = {size}, .strides = {{{3}}}}, 3 * size});
  }
  for (std::size_t m : {1u, 2u, 15u, 16u, 17u, 300u})
    for (std::size_t n : {1u, 7u, 16u, 33u, 257u})
      all.push_back({{.rank = 2, .size = m * n, .sizes = {m, n}, .strides = {{{1, m}}}}, m * n});
  // [5, 700, 3, 20] from [20, 5, 3, 700], and [40, 3, 50, 6] from [3, 40, 6, 50].
  all.push_back({{.rank = 4, .size = 210000, .sizes = {5, 700, 3, 20}, .strides = {{{2100, 1, 700, 10500}}}}, 210000});
  all.push_back({{.rank = 4, .size = 36000, .sizes = {40, 3, 50, 6}, .strides = {{{300, 12000, 1, 50}}}}, 36000});
  return all;
}

template <class T>
std::vector<T> random(std::size_t size, std::uint64_t seed) {
  std::vector<T> x(size);
  fill_random(std::span<T>(x), seed);
  return x;
}

template <class T>
void check_walk(const kernels::Device& device, const Walk& walk, std::size_t misalignment) {
  Guarded<T> x(walk.reach, misalignment), y(walk.dims.size, misalignment);
  fill_random(x.span(), 1);
  std::vector<T> expected(walk.dims.size);
  kernels::reference::gather_strided<T>(walk.dims, x.span(), expected);
  kernels::gather_strided<T>(device, walk.dims, x.span(), y.span());
  REQUIRE(std::ranges::equal(y.span(), expected));
  REQUIRE((x.intact() && y.intact()));
  for (bool accumulate : {false, true}) {
    std::vector<T> back = random<T>(walk.reach, 2);
    std::ranges::copy(back, x.span().begin());
    kernels::reference::scatter_strided<T>(walk.dims, expected, back, accumulate);
    kernels::scatter_strided<T>(device, walk.dims, expected, x.span(), accumulate);
    REQUIRE(std::ranges::equal(x.span(), back));
    REQUIRE(x.intact());
  }
  count_case(device.target);
}

}  // namespace

TEST_CASE("gather_strided, scatter_strided: every walk and alignment against plain loops") {
  for_each_target([](const kernels::Device& device) {
    for (const Walk& walk : walks())
      for (std::size_t misalignment : kMisalignments) {
        INFO("rank " << walk.dims.rank << ", size " << walk.dims.size << ", last stride "
                     << walk.dims.strides[0][walk.dims.rank - 1]);
        check_walk<float>(device, walk, misalignment);
        check_walk<double>(device, walk, misalignment);
      }
  });
}

TEST_CASE("take_rows, add_rows: repeated and missing rows, in one piece and in many") {
  for_each_target([](const kernels::Device& device) {
    for (std::size_t width : {0u, 1u, 3u, 16u, 65u})
      for (std::size_t count : {0u, 1u, 7u, 5000u}) {
        const std::size_t rows = 37;
        const std::vector<float> x = random<float>(rows * width, 1), dy = random<float>(count * width, 2);
        std::vector<std::int64_t> index(count);
        for (std::size_t i = 0; i < count; ++i) index[i] = static_cast<std::int64_t>(i * i % 31);
        std::vector<float> y(count * width), expected(count * width), dx(rows * width, 0.5f), wanted = dx;
        kernels::reference::take_rows<float>(width, x, index, expected);
        kernels::take_rows<float>(device, width, x, index, y);
        REQUIRE(y == expected);
        kernels::reference::add_rows<float>(width, dy, index, wanted);
        kernels::add_rows<float>(device, width, dy, index, dx);
        REQUIRE(dx == wanted);
        count_case(device.target);
      }
  });
}

TEST_CASE("gather_along, scatter_along: one element at a time, with repeats") {
  for_each_target([](const kernels::Device& device) {
    for (const GatherDims& dims :
         {GatherDims{1, 5, 1, 9}, {4, 3, 7, 2}, {0, 3, 2, 2}, {900, 10, 3, 20}, {2, 8, 5, 0}}) {
      const std::size_t picked = dims.outer * dims.count * dims.inner, whole = dims.outer * dims.size * dims.inner;
      const std::vector<float> x = random<float>(whole, 1), dy = random<float>(picked, 2);
      std::vector<std::int64_t> index(picked);
      for (std::size_t i = 0; i < picked; ++i) index[i] = static_cast<std::int64_t>(i * 7 % dims.size);
      std::vector<float> y(picked), expected(picked), dx(whole, 0.5f), wanted = dx;
      kernels::reference::gather_along<float>(dims, x, index, expected);
      kernels::gather_along<float>(device, dims, x, index, y);
      REQUIRE(y == expected);
      kernels::reference::scatter_along<float>(dims, dy, index, wanted);
      kernels::scatter_along<float>(device, dims, dy, index, dx);
      REQUIRE(dx == wanted);
      count_case(device.target);
    }
  });
}
