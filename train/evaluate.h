// How well a model does on a data set.
#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "data/dataset.h"
#include "layers/layer.h"

namespace tapestry {

struct Evaluation {
  double loss = 0;      // mean cross entropy
  double accuracy = 0;  // share of examples whose largest logit is their label's; NaN is no largest
  std::int64_t classes = 0;
  std::vector<std::int64_t> confusion;  // [label][prediction], counts

  std::int64_t count(std::int64_t label, std::int64_t prediction) const;
  double recall(
      std::int64_t label) const;  // share of the examples with this label that were told right; NaN: no example
};

struct EvaluateOptions {
  std::int64_t batch_size = 256;
  Location where = std::source_location::current();
};

namespace detail {

using EvalForward = FunctionRef<Var(const Var& x)>;

// `stop` is asked before each batch; what was seen until then is returned.
Evaluation evaluate(Context& context, EvalForward forward, const data::Dataset& dataset, const EvaluateOptions& options,
                    FunctionRef<bool()> stop);

// Where the largest of each row of [B, C] lies; -1 for a row with a NaN. Calls body(row, prediction).
void for_each_prediction(const Tensor& logits, FunctionRef<void(std::size_t row, std::int64_t prediction)> body);

}  // namespace detail

// Mean loss and accuracy of logits = model(images) [B, C] over all examples, in evaluation: nothing is recorded,
// nothing changes. ShapeError when the logits are not [B, C], ArgumentError for an empty data set.
template <class M>
requires Layer<std::remove_reference_t<M>> Evaluation evaluate(Context& context, M&& model,
                                                               const data::Dataset& dataset,
                                                               const EvaluateOptions& options = {}) {
  return detail::evaluate(
      context, [&](const Var& x) { return apply(model, x, Mode::eval); }, dataset, options, [] { return false; });
}

template <class M>
requires Layer<std::remove_reference_t<M>>
double accuracy(Context& context, M&& model, const data::Dataset& dataset, const EvaluateOptions& options = {}) {
  return evaluate(context, model, dataset, options).accuracy;
}

}  // namespace tapestry
