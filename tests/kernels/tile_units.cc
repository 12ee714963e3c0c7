#include "tests/kernels/tile_units.h"

#include <fmt/format.h>

#include <cstdio>

#include "tests/catch.h"

namespace tapestry::test {

std::vector<const kernels::TileExecutor*> tile_executors() {
  static const std::vector<const kernels::TileExecutor*> all = [] {
    std::vector<const kernels::TileExecutor*> found{&kernels::emulated_tiles()};
    const auto add = [&](const kernels::TileExecutor* executor, const char* missing) {
      if (executor != nullptr) return found.push_back(executor);
      fmt::print(stderr, "not tested: {}\n", missing);
    };
    add(kernels::avx512_bf16_tiles(), "products of bf16 by AVX-512, which this CPU does not have");
    add(kernels::amx_tiles(), "products by AMX, which this CPU does not have, or the system does not permit");
    return found;
  }();
  return all;
}

void for_each_tile_unit(const std::function<void(const kernels::Device&)>& body, int threads) {
  for (const Target target : tested_targets()) {
    const Context context{{.threads = threads, .target = target}};
    for (const kernels::TileExecutor* executor : tile_executors())
      for (const Precision precision : {Precision::highest, Precision::high, Precision::medium}) {
        const bool best = target == tested_targets().back();
        if (!best && (executor != tile_executors().front() || precision != Precision::highest)) continue;
        const kernels::MatrixUnit unit = kernels::tile_unit(*executor, precision, 0);
        kernels::Device device = context.device();
        device.precision = precision;
        device.unit = &unit;
        INFO("target " << target_name(target) << ", " << unit.name << ", terms " << unit.terms);
        body(device);
      }
  }
}

double tile_tolerance(Precision precision) {
  return precision == Precision::highest ? 4e-6 : precision == Precision::high ? 4e-5 : 1e-2;
}

}  // namespace tapestry::test
