#include "kernels/target.h"

#include <cstdlib>

#include "kernels/error.h"
#include "kernels/tiles/tiles.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/target.cc"
#include "kernels/simd/highway.h"

#if HWY_ONCE
namespace tapestry {
namespace {

constexpr Target kAll[] = {Target::scalar, Target::sse4, Target::avx2, Target::avx3, Target::amx, Target::neon};

std::string listed(const std::vector<Target>& targets) {
  std::string names;
  for (Target target : targets) names += (names.empty() ? "" : ", ") + std::string(target_name(target));
  return names;
}

}  // namespace

std::string_view target_name(Target target) {
  switch (target) {
    case Target::scalar:
      return "scalar";
    case Target::sse4:
      return "sse4";
    case Target::avx2:
      return "avx2";
    case Target::avx3:
      return "avx3";
    case Target::amx:
      return "amx";
    case Target::neon:
      return "neon";
  }
  return "unknown";
}

std::vector<Target> available_targets() {
  const std::int64_t supported = hwy::SupportedTargets();
  std::vector<Target> targets;
  for (Target target : kAll)
    if (target == Target::scalar ||
        ((kernels::highway_bit(target) & supported) != 0 && (target != Target::amx || kernels::amx_tiles() != nullptr)))
      targets.push_back(target);
  return targets;
}

Target parse_target(std::string_view name) {
  const std::vector<Target> available = available_targets();
  for (Target target : available)
    if (target_name(target) == name) return target;
  for (Target target : kAll)
    if (target_name(target) == name)
      throw ArgumentError("target '" + std::string(name) + "' is not available here; available: " + listed(available));
  throw ArgumentError("unknown target '" + std::string(name) + "'; available: " + listed(available));
}

Target active_target() {
  const char* name = std::getenv("TAPESTRY_TARGET");
  if (name == nullptr || *name == '\0') return available_targets().back();
  try {
    return parse_target(name);
  } catch (const ArgumentError& error) {
    throw EnvironmentError(std::string("TAPESTRY_TARGET: ") + error.what());
  }
}

}  // namespace tapestry
#endif
