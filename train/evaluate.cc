#include "train/evaluate.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "autodiff/ops/loss.h"
#include "kernels/error.h"

namespace tapestry {
namespace {

std::size_t cell(const Evaluation& evaluation, std::int64_t label, std::int64_t prediction) {
  return static_cast<std::size_t>(label * evaluation.classes + prediction);
}

}  // namespace

std::int64_t Evaluation::count(std::int64_t label, std::int64_t prediction) const {
  if (label < 0 || label >= classes || prediction < 0 || prediction >= classes)
    throw ArgumentError(
        fmt::format("confusion: label {} or prediction {} is outside [0, {})", label, prediction, classes));
  return confusion[cell(*this, label, prediction)];
}

double Evaluation::recall(std::int64_t label) const {
  const std::int64_t right = count(label, label);
  std::int64_t total = 0;
  for (std::int64_t prediction = 0; prediction < classes; ++prediction) total += count(label, prediction);
  return total == 0 ? std::numeric_limits<double>::quiet_NaN()
                    : static_cast<double>(right) / static_cast<double>(total);
}

namespace detail {

void for_each_prediction(const Tensor& logits, FunctionRef<void(std::size_t, std::int64_t)> body) {
  visit_floating("accuracy", logits.dtype(), [&]<class T>(T) {
    const auto classes = static_cast<std::size_t>(logits.shape()[-1]);
    const std::span<const T> all = logits.span<T>();
    for (std::size_t row = 0; classes != 0 && row < all.size() / classes; ++row) {
      const auto x = all.subspan(row * classes, classes);
      std::size_t best = 0;
      bool nan = false;
      for (std::size_t c = 0; c < classes; ++c) {
        nan |= std::isnan(x[c]);
        if (x[c] > x[best]) best = c;
      }
      body(row, nan ? -1 : static_cast<std::int64_t>(best));
    }
  });
}

Evaluation evaluate(Context& context, EvalForward forward, const data::Dataset& dataset, const EvaluateOptions& options,
                    FunctionRef<bool()> stop) {
  if (dataset.size() == 0) fail<ArgumentError>(options.where, "evaluate", "there is no example");
  Evaluation result;
  double loss = 0;
  std::int64_t seen = 0, right = 0;
  for (const auto& [images, labels] :
       dataset.batches(context, {.size = options.batch_size, .shuffle = false, .where = options.where})) {
    if (stop()) break;
    const Var logits = forward(context.input(images));
    if (logits.shape().rank() != 2 || logits.shape()[0] != images.shape()[0])
      fail<ShapeError>(
          options.where, "evaluate",
          fmt::format("the model must give [{}, classes], it gave {}", images.shape()[0], to_string(logits.shape())));
    loss += cross_entropy(logits, labels, {.reduction = Reduction::sum, .where = options.where}).item();
    if (seen == 0) {
      result.classes = logits.shape()[1];
      result.confusion.assign(static_cast<std::size_t>(result.classes * result.classes), 0);
    }
    const auto truth = labels.span<std::int64_t>();
    for_each_prediction(logits.value(), [&](std::size_t row, std::int64_t prediction) {
      right += prediction == truth[row] ? 1 : 0;
      if (prediction >= 0) ++result.confusion[cell(result, truth[row], prediction)];
    });
    seen += images.shape()[0];
  }
  result.loss = loss / static_cast<double>(seen);
  result.accuracy = static_cast<double>(right) / static_cast<double>(seen);
  return result;
}

}  // namespace detail
}  // namespace tapestry
