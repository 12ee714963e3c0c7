// All implementations of the kernels that are compared, and how far each may be from the exact result.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/libraries/kernel.h"

namespace tapestry::bench {

std::string_view kernel_name(Kernel kernel);
// Bytes that an element must move at least.
double bytes_of(Kernel kernel);

// A kernel by one library for one target of this CPU.
struct Variant {
  Kernel kernel;
  std::string library, target;
  std::function<void(const Arrays& arrays, std::size_t size)> run;
};

// By kernel, then library, then target, the plainest first; one thread each.
std::vector<Variant> all_variants();
// Those of Tapestry itself: what its ops call on each target, and "map", a user's lambda that is compiled without
// flags.
std::vector<Variant> tapestry_variants();

// The largest error in units in the last place of the exact result, over a sample; infinite where a result is no number
// or memory beside the elements was written.
double ulp_error(const Variant& variant);
// The largest error that is let pass, and the sample in words.
double ulp_bound(Kernel kernel, std::string_view library);
std::string sample_text(Kernel kernel);

}  // namespace tapestry::bench
