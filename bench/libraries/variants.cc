#include "bench/libraries/variants.h"

#include <algorithm>
#include <utility>

#include "kernels/target.h"

namespace tapestry::bench {
namespace {

// What was compiled with the flags of a target.
struct Part {
  const char* target;
  bool everywhere;  // on all CPUs of the architecture
  Function (*xsimd)(Kernel);
  Function (*plain)(Kernel);
  Function (*fast_math)(Kernel);
};

constexpr Part kParts[] = {
#if defined(__x86_64__) || defined(__i386__)
    {"sse2", true, xsimd_library::baseline::find, plain_loops::baseline::find, plain_fast_math::baseline::find},
    {"sse4", false, xsimd_library::sse4::find, plain_loops::sse4::find, plain_fast_math::sse4::find},
    {"avx2", false, xsimd_library::avx2::find, plain_loops::avx2::find, plain_fast_math::avx2::find},
    {"avx3", false, xsimd_library::avx512::find, plain_loops::avx512::find, plain_fast_math::avx512::find},
#elif defined(__aarch64__)
    {"neon", true, xsimd_library::baseline::find, plain_loops::baseline::find, plain_fast_math::baseline::find},
#endif
};

}  // namespace

std::string_view kernel_name(Kernel kernel) {
  constexpr std::string_view names[] = {"exp",      "log",  "sqrt", "tanh", "erf",  "sigmoid", "relu", "silu",
                                        "softplus", "gelu", "sum",  "dot",  "axpy", "softmax", "adam"};
  return names[static_cast<int>(kernel)];
}

double bytes_of(Kernel kernel) {
  switch (kernel) {
    case Kernel::sum:
      return 4;
    case Kernel::axpy:
      return 12;
    case Kernel::adam:
      return 28;
    default:
      return 8;
  }
}

std::vector<Variant> all_variants() {
  const std::vector<Target> targets = available_targets();
  std::vector<Variant> variants = tapestry_variants();
  for (int i = 0; i < kKernels; ++i) {
    const auto kernel = static_cast<Kernel>(i);
    const auto add = [&](const char* library, std::string_view target, Function function) {
      if (function != nullptr) variants.push_back({kernel, library, std::string(target), function});
    };
    for (const Target target : targets)
      add("highway", target_name(target), highway_library::find(kernel, static_cast<int>(target)));
    add("plain", target_name(Target::scalar), plain_loops::o2::find(kernel));
    for (const Part& part : kParts) {
      if (!part.everywhere && std::ranges::find(targets, part.target, target_name) == targets.end()) continue;
      add("xsimd", part.target, part.xsimd(kernel));
      add("plain", part.target, part.plain(kernel));
      add("fast-math", part.target, part.fast_math(kernel));
    }
  }
  std::ranges::stable_sort(variants, [](const Variant& a, const Variant& b) {
    return std::pair(a.kernel, a.library) < std::pair(b.kernel, b.library);
  });
  return variants;
}

}  // namespace tapestry::bench
