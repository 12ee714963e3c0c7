#include "layers/models.h"

#include <fmt/format.h>

#include "kernels/error.h"
#include "layers/activation.h"
#include "layers/linear.h"
#include "layers/norm.h"
#include "layers/reshape.h"

namespace tapestry {
namespace {

NamedModel mlp() {
  return {.model = Input{28, 28, 1} >> Flatten{} >> Linear{{.out = 256}} >> Relu{} >> Linear{{.out = 10}},
          .input = {28, 28, 1},
          .batch = 64};
}

NamedModel mlp_ln() {
  return {.model = Input{28, 28, 1} >> Flatten{} >> Linear{{.out = 512}} >> LayerNorm{} >> Relu{} >>
                   Linear{{.out = 512}} >> LayerNorm{} >> Relu{} >> Linear{{.out = 10}},
          .input = {28, 28, 1},
          .batch = 128};
}

struct Entry {
  std::string_view name;
  NamedModel (*make)();
};
constexpr Entry kModels[] = {{"mlp", mlp}, {"mlp_ln", mlp_ln}};
constexpr std::string_view kNames[] = {kModels[0].name, kModels[1].name};

}  // namespace

std::span<const std::string_view> model_names() { return kNames; }

NamedModel make_model(std::string_view name) {
  for (const Entry& entry : kModels)
    if (entry.name == name) return entry.make();
  throw ArgumentError(fmt::format("unknown model '{}'; there are {}", name, fmt::join(kNames, ", ")));
}

}  // namespace tapestry
