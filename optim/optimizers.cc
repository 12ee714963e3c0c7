#include "optim/optimizers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <optional>

#include "kernels/error.h"

namespace tapestry {
namespace {

template <class O>
std::string name_of() {
  std::string name = O::Method::kName;
  std::ranges::transform(name, name.begin(), [](unsigned char letter) { return std::tolower(letter); });
  return name;
}

}  // namespace

std::vector<std::string> optimizer_names() {
  std::vector<std::string> names;
  detail::for_each_optimizer([&]<class O>() { names.push_back(name_of<O>()); });
  return names;
}

AnyOptimizer make_optimizer(std::string_view name, const ParameterList& parameters, const OptimizerOptions& options) {
  std::optional<AnyOptimizer> made;
  detail::for_each_optimizer([&]<class O>() {
    if (name_of<O>() == name) made.emplace(O(parameters, detail::options_of<typename O::Options>(options)));
  });
  if (!made)
    fail<ArgumentError>(options.where, "optimizer",
                        fmt::format("'{}' is none of {}", name, fmt::join(optimizer_names(), ", ")));
  return std::move(*made);
}

}  // namespace tapestry
