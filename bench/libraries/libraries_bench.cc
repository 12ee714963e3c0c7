// Highway beside xsimd beside plain loops beside what Tapestry runs: the same kernels on one thread, with the working
// set in each level of the caches and in memory. Each result is held against the exact one before a time is taken.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "bench/libraries/variants.h"
#include "bench/support.h"
#include "train/machine.h"

namespace {

using namespace tapestry;
using bench::Kernel;
using bench::Variant;

struct Level {
  std::string name;
  std::size_t bytes;  // of the working set
};

// Half of each cache, and four times the last one.
std::vector<Level> find_levels() {
  std::vector<Level> levels;
  for (const train::Cache& cache : train::find_machine().caches)
    levels.push_back({fmt::format("L{}", cache.level), cache.bytes / 2});
  levels.push_back({"memory", 8 * levels.back().bytes});
  return levels;
}

// Memory that all benchmarks take in turn.
bench::Arrays arrays_for(Kernel kernel, std::size_t size) {
  static const Context context{{.threads = 1}};
  static Tensor memory;
  const std::size_t room = (size + 63) / 64 * 64 + 64 * 5;  // no array starts where another one does in a page
  const auto needed = static_cast<std::int64_t>(5 * room);
  if (!memory || memory.size() < needed) memory = context.empty({needed});
  float* start = memory.span<float>().data();
  const auto fill = [&](std::size_t array, auto value) {
    float* at = start + array * room;
    for (std::size_t i = 0; i < size; ++i) at[i] = value(i);
    return at;
  };
  const auto x = [](std::size_t i) { return 0.5f + static_cast<float>(i * 2654435761u % 1000) * 1.5e-3f; };
  const auto small = [](std::size_t) { return 0.25f; };
  const bool adam = kernel == Kernel::adam;
  return {fill(0, x), kernel == Kernel::dot ? fill(1, x) : nullptr, fill(2, small), adam ? fill(3, small) : nullptr,
          adam ? fill(4, small) : nullptr};
}

void time_variant(benchmark::State& state, const Variant& variant, const Level& level) {
  static std::map<const Variant*, double> errors;
  if (!errors.contains(&variant)) errors[&variant] = bench::ulp_error(variant);
  const double error = errors[&variant], bound = bench::ulp_bound(variant.kernel, variant.library);
  if (!(error <= bound))
    return state.SkipWithError(fmt::format("{:.3g} ulp from the exact result, {} are allowed", error, bound).c_str());
  const bool one = variant.kernel == Kernel::sum;
  const double resident = variant.kernel == Kernel::adam ? 16 : one ? 4 : 8;
  const auto size = static_cast<std::size_t>(static_cast<double>(level.bytes) / resident) / 256 * 256;
  const bench::Arrays arrays = arrays_for(variant.kernel, size);
  for (auto _ : state) {
    variant.run(arrays, size);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(static_cast<double>(state.iterations()) *
                                                    static_cast<double>(size) * bench::bytes_of(variant.kernel)));
  state.counters["ulp"] = error;
  state.counters["working_set"] = static_cast<double>(level.bytes);
  state.SetLabel(bench::sample_text(variant.kernel));
}

const bool registered = [] {
  static const std::vector<Variant> variants = bench::all_variants();
  static const std::vector<Level> levels = find_levels();
  for (const Variant& variant : variants)
    for (const Level& level : levels)
      benchmark::RegisterBenchmark(
          fmt::format("{}/{}/{}/{}", bench::kernel_name(variant.kernel), variant.library, variant.target, level.name)
              .c_str(),
          [&](benchmark::State& state) { time_variant(state, variant, level); });
  return true;
}();

}  // namespace

BENCHMARK_MAIN();
