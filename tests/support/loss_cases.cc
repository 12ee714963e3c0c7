#include "tests/support/loss_cases.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/reference/pointwise_loss.h"

namespace tapestry::test {
namespace {

namespace reference = kernels::reference;
using reference::loss_dims;
using Wide = long double;
constexpr Wide kPi = std::numbers::pi_v<Wide>;

Wide huber_of(Wide d, Wide delta) { return std::abs(d) <= delta ? d * d / 2 : delta * (std::abs(d) - delta / 2); }
Wide log_sigmoid_of(Wide x) { return -std::log1p(std::exp(-x)); }

Wide stirling_of(Wide t) { return t > 1 ? t * std::log(t) - t + std::log(2 * kPi * t) / 2 : 0; }

std::vector<LossRefusal> refused_eps() {
  std::vector<LossRefusal> refused;
  for (double eps : {-1e-8, std::nan(""), double{INFINITY}})
    refused.push_back({[eps](const Var& x, const Var& t) { return poisson_nll_loss(x, t.value(), {.eps = eps}); },
                       "poisson_nll_loss: eps must be finite and at least 0"});
  return refused;
}

std::vector<LossRefusal> refused_deltas() {
  std::vector<LossRefusal> refused;
  for (double delta : {0.0, -1.0, std::nan(""), double{INFINITY}})
    refused.push_back({[delta](const Var& x, const Var& t) { return huber_loss(x, t, {.delta = delta}); },
                       "huber_loss: delta must be positive and finite"});
  return refused;
}

}  // namespace

const std::vector<LossCase>& loss_cases() {
  static const std::vector<LossCase> all{
      {.name = "mse_loss",
       .dims = loss_dims<reference::Mse>(),
       .f = [](const Var& x, const Var& t, Reduction reduction) { return mse_loss(x, t, {.reduction = reduction}); },
       .formula = [](Wide x, Wide t) { return (x - t) * (x - t); },
       .of_difference = true},
      {.name = "l1_loss",
       .dims = loss_dims<reference::L1>(),
       .f = [](const Var& x, const Var& t, Reduction reduction) { return l1_loss(x, t, {.reduction = reduction}); },
       .formula = [](Wide x, Wide t) { return std::abs(x - t); },
       .of_difference = true,
       .kinks = {0}},
      {.name = "huber_loss",
       .dims = loss_dims<reference::Huber>(1.5),
       .f = [](const Var& x, const Var& t,
               Reduction reduction) { return huber_loss(x, t, {.delta = 1.5, .reduction = reduction}); },
       .formula = [](Wide x, Wide t) { return huber_of(x - t, 1.5); },
       .of_difference = true,
       .kinks = {-1.5, 1.5},
       .refused = refused_deltas()},
      {.name = "bce_with_logits",
       .dims = loss_dims<reference::BceWithLogits>(),
       .f = [](const Var& x, const Var& t,
               Reduction reduction) { return bce_with_logits(x, t.value(), {.reduction = reduction}); },
       .formula = [](Wide x, Wide t) { return -t * log_sigmoid_of(x) - (1 - t) * log_sigmoid_of(-x); },
       .weighted = true},
      {.name = "kl_div",
       .dims = loss_dims<reference::KlDiv>(),
       .f = [](const Var& x, const Var& t,
               Reduction reduction) { return kl_div(x, t.value(), {.reduction = reduction}); },
       .formula = [](Wide x, Wide t) { return t == 0 ? 0 : t * (std::log(t) - x); },
       .batchmean = true},
      {.name = "kl_div",
       .dims = loss_dims<reference::KlDivLog>(),
       .f = [](const Var& x, const Var& t,
               Reduction reduction) { return kl_div(x, t.value(), {.log_target = true, .reduction = reduction}); },
       .formula = [](Wide x, Wide t) { return std::exp(t) * (t - x); },
       .target_low = -6,
       .target_high = 0,
       .batchmean = true},
      {.name = "poisson_nll_loss",
       .dims = loss_dims<reference::PoissonNllLog>(1e-8),
       .f = [](const Var& x, const Var& t,
               Reduction reduction) { return poisson_nll_loss(x, t.value(), {.reduction = reduction}); },
       .formula = [](Wide x, Wide t) { return std::exp(x) - t * x; },
       .refused = refused_eps()},
      {.name = "poisson_nll_loss",
       .dims = loss_dims<reference::PoissonNllLog>(1e-8, 1),
       .f = [](const Var& x, const Var& t,
               Reduction reduction) { return poisson_nll_loss(x, t.value(), {.full = true, .reduction = reduction}); },
       .formula = [](Wide x, Wide t) { return std::exp(x) - t * x + stirling_of(t); },
       .target_high = 3},
      {.name = "poisson_nll_loss",
       .dims = loss_dims<reference::PoissonNll>(1e-4),
       .f =
           [](const Var& x, const Var& t, Reduction reduction) {
             return poisson_nll_loss(x, t.value(), {.log_input = false, .eps = 1e-4, .reduction = reduction});
           },
       .formula = [](Wide x, Wide t) { return x - t * std::log(x + Wide{1e-4}); },
       .low = 0.2},
      {.name = "poisson_nll_loss",
       .dims = loss_dims<reference::PoissonNll>(1e-8, 1),
       .f =
           [](const Var& x, const Var& t, Reduction reduction) {
             return poisson_nll_loss(x, t.value(), {.log_input = false, .full = true, .reduction = reduction});
           },
       .formula = [](Wide x, Wide t) { return x - t * std::log(x + Wide{1e-8}) + stirling_of(t); },
       .low = 0.2,
       .target_high = 3},
  };
  return all;
}

}  // namespace tapestry::test
