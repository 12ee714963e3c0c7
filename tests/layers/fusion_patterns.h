// A chain of layers beside the same one by one: values, gradients, buffers, and the ops that were recorded.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>

#include "autodiff/tape.h"
#include "layers/batch_norm.h"
#include "layers/conv.h"
#include "layers/group_norm.h"
#include "layers/instance_norm.h"
#include "layers/layer_norm.h"
#include "layers/sequential.h"
#include "tests/catch.h"

namespace tapestry::test::fusion {

using Names = std::vector<std::string>;

struct Outcome {
  Names ops;                    // of the forward pass, as they were recorded
  std::vector<double> numbers;  // y, dx, the gradients of the parameters, and the buffers after the step
};

inline void append(std::vector<double>& to, const Tensor& from) {
  if (from.dtype() == DType::int64) return;
  visit_floating("append", from.dtype(), [&]<class T>(T) {
    for (T value : from.span<T>()) to.push_back(static_cast<double>(value));
  });
}

inline Outcome run(Sequential model, const Shape& input, Mode mode, DType dtype, bool fuse) {
  Outcome out;
  Context context{{.threads = 1,
                   .seed = 5,
                   .trace =
                       [&](const TraceEvent& event) {
                         if (!event.backward) out.ops.emplace_back(event.op.name);
                       },
                   .fuse = fuse}};
  model.build(context, input, dtype);
  Tape tape{context};
  const Var x = tape.variable(context.uniform(input.prepend(5), -1, 1, 1, dtype));
  const Var y = model(x, mode);
  append(out.numbers, y.value());
  const Gradients gradients = tape.backward(y, context.uniform(y.shape(), -1, 1, 2, dtype));
  append(out.numbers, gradients[x]);
  std::map<std::string, Tensor> by_name;  // fused parts may be used in another order
  for (const ParameterGradient& entry : gradients.parameters()) by_name[entry.parameter.name()] = entry.gradient;
  for (const auto& [name, gradient] : by_name) append(out.numbers, gradient);
  tape.commit();
  for (const StateEntry& entry : model.state())
    if (entry.is_buffer) append(out.numbers, entry.value());
  return out;
}

inline void require_close(const std::vector<double>& a, const std::vector<double>& b, double tolerance) {
  REQUIRE(a.size() == b.size());
  double largest = 0;
  for (double value : b) largest = std::max(largest, std::abs(value));
  for (std::size_t i = 0; i < a.size(); ++i) {
    INFO("number " << i << ": " << a[i] << " and " << b[i]);
    REQUIRE(std::abs(a[i] - b[i]) <= tolerance * largest);
  }
}

struct Pattern {
  Sequential model;
  Names fused, parts;
  Mode mode = Mode::train;
};

inline void check(const Pattern& p, const Shape& input = {6, 6, 4}) {
  for (DType dtype : {DType::float64, DType::float32}) {
    const Outcome fused = run(p.model, input, p.mode, dtype, true);
    const Outcome parts = run(p.model, input, p.mode, dtype, false);
    REQUIRE(fused.ops == p.fused);
    REQUIRE(parts.ops == p.parts);
    require_close(fused.numbers, parts.numbers, dtype == DType::float64 ? 1e-13 : 3e-6);
  }
}

inline const Initializer kWide = Uniform{-2, 2};
inline const BatchNorm2d kBatchNorm{{.momentum = 0.5, .weight_init = kWide, .bias_init = kWide}};
inline const GroupNorm kGroupNorm{{.num_groups = 2, .weight_init = kWide, .bias_init = kWide}};
inline const LayerNorm kLayerNorm{{.weight_init = kWide, .bias_init = kWide}};
inline const InstanceNorm2d kInstanceNorm{{.weight_init = kWide, .bias_init = kWide}};
inline const Conv2d kBare{{.out = 4, .kernel = 3, .padding = 1, .bias = false}};
inline const Conv2d kConv{{.out = 4, .kernel = 3, .padding = 1, .bias_init = kWide}};

}  // namespace tapestry::test::fusion
