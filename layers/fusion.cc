#include "layers/fusion.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "autodiff/ops/cast.h"
#include "autodiff/ops/elementwise.h"
#include "kernels/error.h"

namespace tapestry {
namespace {

using Stage = Part::Stage;
using Step = Part::Step;

// What one op computes: at a stage this step may follow, which brings the pass to another stage.
struct Row {
  Stage stage;
  Step step;
  Stage then;
};
constexpr Row kTable[] = {
    {Stage::convolution, Step::activation, Stage::whole},
    {Stage::norm, Step::sum, Stage::norm_and_sum},
    {Stage::norm, Step::activation, Stage::whole},
    {Stage::norm_and_sum, Step::activation, Stage::whole},
    {Stage::channel_norm, Step::sum, Stage::norm_and_sum},
    {Stage::channel_norm, Step::activation, Stage::norm_and_activation},
    {Stage::channel_norm, Step::pool, Stage::whole},
    {Stage::norm_and_activation, Step::pool, Stage::whole},
};

}  // namespace

Var finish(const Var& y, const Tail& tail) {
  const Var sum = tail.residual.value() ? Add(tail.residual, tail.where)(y) : y;
  return max_pool(activate(sum, tail.activation), tail.pool);
}

bool Part::advance(Step step) {
  const auto row = std::ranges::find_if(kTable, [&](const Row& r) { return r.stage == stage && r.step == step; });
  if (row == std::end(kTable)) return false;
  stage = row->then;
  return true;
}

Part Part::first(Stage stage, Activation own) {
  Part part{.stage = stage};
  if (own != Activation::none && !part.advance(Step::activation)) part.stage = Stage::whole;
  return part;
}

void Part::take(Tail& from, Tail& to) {
  if (from.residual.value()) {
    if (!advance(Step::sum)) return;
    to.residual = std::exchange(from.residual, {});
    to.where = from.where;
  }
  if (from.activation != Activation::none) {
    if (!advance(Step::activation)) return;
    to.activation = std::exchange(from.activation, Activation::none);
  }
  if (from.pool.axes != 0 && advance(Step::pool)) to.pool = std::exchange(from.pool, {});
}

bool Part::take(const Part& next, Tail& to) {
  Part longer{.stage = stage};
  Tail rest = next.tail, all = to;
  longer.take(rest, all);
  if (next.tail.empty() || !rest.empty()) return false;
  stage = longer.stage;
  to = all;
  return true;
}

Var Add::operator()(const Var& y) const {
  if (shortcut.shape() != y.shape())
    fail<ShapeError>(where, "Add",
                     fmt::format("the shortcut is {}, it is added to {}; both must be equal",
                                 to_string(shortcut.shape()), to_string(y.shape())));
  return Operand(cast(shortcut, y.dtype(), where), where.source) + Operand(y, where.source);
}

}  // namespace tapestry
