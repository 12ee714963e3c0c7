// Models by name, in one place for benchmarks, tests and programs.
#pragma once

#include <span>
#include <string_view>

#include "layers/sequential.h"

namespace tapestry {

// A benchmark model, not yet built, and the batch with which it is timed.
struct NamedModel {
  Sequential model;
  Shape input;  // of one sample
  std::int64_t batch = 0;
};

// mlp:    [28,28,1] -> 256 -> 10 with ReLU; batch 64.
// mlp_ln: [28,28,1] -> 512 -> 512 -> 10 with LayerNorm and ReLU; batch 128.
std::span<const std::string_view> model_names();

// ArgumentError, which lists the names, for an unknown one.
NamedModel make_model(std::string_view name);

}  // namespace tapestry
