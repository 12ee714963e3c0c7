// One op with the sizes that a command line gives, as a model of one layer.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "layers/sequential.h"

namespace tapestry::tools {

struct OpOptions {
  std::string op;
  std::vector<std::int64_t> shape = {};  // of x: [N, ..., C]
  std::int64_t out = 0;                  // channels that come out; 0: as many as go in
  std::int64_t kernel = 3;               // of convolutions and pools, along each axis
  std::int64_t stride = 0;               // 0: 1 for convolutions, the kernel for pools
  std::int64_t padding = -1;             // -1: half of the kernel for convolutions, none for pools
  std::int64_t groups = 0;               // 0: 1 for convolutions, what the layer takes for norms
};

std::span<const std::string_view> op_names();

// Not yet built. ArgumentError for an unknown op or an impossible shape; sizes that do not fit are found when the model
// is built.
Sequential op_model(const OpOptions& options);

}  // namespace tapestry::tools
