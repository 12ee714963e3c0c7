// The table of a model: what each layer gives, holds and costs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "autodiff/shape.h"

namespace tapestry {

// What one sample costs in a layer's forward pass.
struct Cost {
  double flops = 0;
  double bytes = 0;  // of activations that the layer writes
};

struct LayerSummary {
  std::string path;             // "2", "3.body.0"; empty for the model itself
  std::string type;             // "Linear"
  std::optional<Shape> output;  // without the batch axis; nothing when it is not known
  std::int64_t parameters = 0;
  Cost cost;
};

// The layers of a built model that hold or compute something themselves, in the order in which they were built.
struct Summary {
  std::vector<LayerSummary> layers;
  std::optional<Shape> output;  // of the model

  std::int64_t parameters() const;
  Cost cost() const;
};

// An aligned table with one line a layer and a line of totals. FLOPs (a multiply-add counts two) and bytes are for the
// forward pass of one sample.
std::string to_string(const Summary& summary);

}  // namespace tapestry
