// What surrounds the products of tiles: floats split into terms of bf16, as rows, as their transpose and as steps of B,
// and the sums of a block on their way out. The time is that of an element; operands lie in L1 and L2.
#include "bench/support.h"
#include "kernels/tiles/pack.h"

namespace {

using namespace tapestry;
using kernels::Bf16;

constexpr std::size_t kSteps = 16, kColumns = kernels::kBlockColumns;
constexpr std::size_t kElements = kSteps * kernels::kTileDepth * kColumns;

// x [512, 32], room for what becomes of it, and the rows of x.
struct Operands {
  explicit Operands(const Context& context)
      : x(context.uniform({kSteps * kernels::kTileDepth, kColumns}, -1, 1, 1)), to(context.empty({3, kElements})) {
    for (std::size_t i = 0; i < kSteps * kernels::kTileDepth; ++i)
      rows.push_back(std::as_const(x).span<float>().data() + i * kColumns);
  }
  Bf16* out() { return reinterpret_cast<Bf16*>(to.span<float>().data()); }

  Tensor x, to;
  std::vector<const float*> rows;
};

template <class Work>
void measure(benchmark::State& state, const Work& work) {
  const Context context = bench::make_context();
  Operands operands(context);
  const auto terms = static_cast<std::size_t>(state.range(0));
  bool finite = true;
  for (auto _ : state) {
    finite = work(context.target(), terms, operands) && finite;
    benchmark::ClobberMemory();
  }
  if (!finite) return state.SkipWithError("what is finite was taken for something else");
  bench::report_elements(state, kElements);
}

void rows(benchmark::State& state) {
  measure(state, [](Target target, std::size_t terms, Operands& o) {
    return kernels::split_rows(target, o.rows[0], 0, 1, kElements, kElements,
                               {.to = o.out(), .row = 0, .plane = kElements, .terms = terms});
  });
}

void transposed(benchmark::State& state) {
  measure(state, [](Target target, std::size_t terms, Operands& o) {
    constexpr std::size_t kRows = kElements / kColumns, kRow = kRows + kernels::kTileDepth;
    bool finite = true;
    for (std::size_t i = 0; i < kRows; i += kernels::kTileDepth)
      finite = kernels::split_transposed(target, {.rows = &o.rows[i]}, kColumns,
                                         {.to = o.out() + i, .row = kRow, .plane = kRow * kColumns, .terms = terms}) &&
               finite;
    return finite;
  });
}

void steps(benchmark::State& state, bool turned) {
  measure(state, [turned](Target target, std::size_t terms, Operands& o) {
    std::vector<const float*> columns;
    for (std::size_t k = 0; k < kernels::kTileDepth; ++k) columns.push_back(o.rows[0] + k);
    bool finite = true;
    for (std::size_t i = 0; i < kSteps; ++i) {
      const kernels::StepRows step{.rows = turned ? columns.data() : &o.rows[i * kernels::kTileDepth],
                                   .first = turned ? i * kernels::kTileDepth : 0,
                                   .stride = turned ? kElements / kColumns : 1};
      finite =
          kernels::pack_step(target, step, kColumns, terms, 2, o.out() + i * terms * 2 * kernels::kTileSize) && finite;
    }
    return finite;
  });
}

void block(benchmark::State& state) {
  const Context context = bench::make_context();
  const auto stride = static_cast<std::size_t>(state.range(0));
  const Tensor from = context.uniform({kernels::kBlockRows, kColumns}, -1, 1, 1);
  Tensor to = context.zeros({kernels::kBlockRows, state.range(0)});
  const kernels::BlockRows rows(kernels::kBlockRows, stride);
  for (auto _ : state) {
    kernels::store_block(context.target(), from.span<float>().data(),
                         {.to = to.span<float>().data(),
                          .at = {rows.at, rows.at + kernels::kTileRows},
                          .columns = kColumns,
                          .add = state.range(1) != 0});
    benchmark::ClobberMemory();
  }
  bench::report_elements(state, kernels::kBlockRows * kColumns);
}

BENCHMARK(rows)->ArgName("terms")->DenseRange(1, 3);
BENCHMARK(transposed)->ArgName("terms")->DenseRange(1, 3);
BENCHMARK_CAPTURE(steps, rows, false)->ArgName("terms")->DenseRange(1, 3);
BENCHMARK_CAPTURE(steps, columns, true)->ArgName("terms")->DenseRange(1, 3);
BENCHMARK(block)->ArgNames({"stride", "add"})->ArgsProduct({{32, 256}, {0, 1}});

}  // namespace

BENCHMARK_MAIN();
