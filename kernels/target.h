// The instruction sets for which the kernels were compiled, and the choice among them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tapestry {

// From the plainest to the best. `scalar` is Highway's fallback, compiled without vector instructions of its own; `amx`
// is avx3 with the CPU's matrix unit for products and convolutions.
enum class Target : std::uint8_t { scalar, sse4, avx2, avx3, amx, neon };

std::string_view target_name(Target target);

// The targets that were compiled in and that this CPU can run, plainest first; never empty.
std::vector<Target> available_targets();

// The best available target, or the one that the environment variable TAPESTRY_TARGET names.
// EnvironmentError when the variable holds an unknown name or a target that this CPU or build does not have.
Target active_target();

// The target called `name`; ArgumentError, which lists the available ones, when it is unknown or not available.
Target parse_target(std::string_view name);

}  // namespace tapestry
