// All optimizers. This is their one list, for users, for programs that choose one by name, and for the build, which
// takes kernels/update/NAME.cc and tests/optim/NAME_test.cc for each optim/NAME.h.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "optim/adam.h"
#include "optim/rmsprop.h"
#include "optim/sgd.h"

namespace tapestry {

using AnyOptimizer = std::variant<SGD, Adam, AdamW, RMSprop>;

// What programs let their users say, whatever the optimizer.
struct OptimizerOptions {
  double lr = 1e-3;
  double momentum = 0.9;  // the first beta of Adam and AdamW
  double weight_decay = 0;
  double clip_norm = 0;  // see SGDOptions
  Location where = std::source_location::current();
};

// The names that make_optimizer() knows: "sgd" and so on.
std::vector<std::string> optimizer_names();
// The optimizer of that name; all that `options` do not say is as by default. ArgumentError for an unknown name, with
// those that are known, and as of the optimizer. std::visit([&](auto& optimizer) { ... }, made) takes it into use.
AnyOptimizer make_optimizer(std::string_view name, const ParameterList& parameters,
                            const OptimizerOptions& options = {});

namespace detail {

template <class Options>
Options options_of(const OptimizerOptions& given) {
  Options options{};
  options.lr = given.lr;
  options.weight_decay = given.weight_decay;
  options.clip_norm = given.clip_norm;
  options.where = given.where;
  if constexpr (requires { options.momentum; })
    options.momentum = given.momentum;
  else
    options.betas[0] = given.momentum;
  return options;
}

// Calls visit.operator()<O>() for each optimizer O.
template <class Visit>
void for_each_optimizer(const Visit& visit) {
  [&]<class... Os>(std::type_identity<std::variant<Os...>>) {
    (visit.template operator()<Os>(), ...);
  }(std::type_identity<AnyOptimizer>{});
}

}  // namespace detail
}  // namespace tapestry
