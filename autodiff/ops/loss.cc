#include "autodiff/ops/loss.h"

#include <fmt/format.h>

#include <cmath>

#include "autodiff/cost.h"
#include "autodiff/record.h"
#include "kernels/loss.h"

namespace tapestry {
namespace {

using kernels::CrossEntropyDims;
using kernels::Device;

constexpr OpInfo kNllLoss("nll_loss", elementwise_cost<Saved::inputs>);

// The largest, a difference, exp and a sum; backward a difference, exp and a product.
constexpr OpInfo kCrossEntropy("cross_entropy", [](const OpCall& call) { return per_element_cost(call, 4, 3); });

// What the losses of labelled samples have in common.
struct LabelOptions {
  std::int64_t ignore_index;
  const Tensor& weight;
  Reduction reduction;
  const Location& where;
};

void check_labelled(const char* op, const Var& x, const Tensor& labels, const LabelOptions& options) {
  if (!x.value() || !labels) fail<ArgumentError>(options.where, op, "an input holds nothing");
  if (options.reduction == Reduction::batchmean)
    fail<ArgumentError>(options.where, op, "batchmean is a reduction of kl_div only");
  const Shape& shape = x.shape();
  if (shape.rank() < 1 || Shape(shape.sizes().first(static_cast<std::size_t>(shape.rank() - 1))) != labels.shape())
    fail<ShapeError>(options.where, op,
                     fmt::format("scores [..., C] need labels [...]; they are {} and {}", to_string(shape),
                                 to_string(labels.shape())));
  if (labels.dtype() != DType::int64)
    fail<ArgumentError>(options.where, op,
                        fmt::format("labels must be int64; they are {}", dtype_name(labels.dtype())));
  if (!options.weight) return;
  if (options.weight.shape() != Shape{shape[-1]})
    fail<ShapeError>(
        options.where, op,
        fmt::format("weight must be [{}], one for each class; it is {}", shape[-1], to_string(options.weight.shape())));
  if (options.weight.dtype() != x.dtype())
    fail<ArgumentError>(
        options.where, op,
        fmt::format("weight is {}, the scores are {}", dtype_name(options.weight.dtype()), dtype_name(x.dtype())));
}

// The weights of the labels that count, added up; refuses labels out of range.
template <class T>
double counted_weight(const char* op, std::span<const std::int64_t> labels, std::int64_t classes,
                      const LabelOptions& options) {
  const std::span<const T> weight = options.weight.span<T>();
  for (std::size_t i = 0; i < weight.size(); ++i)
    if (!std::isfinite(weight[i]))
      fail<ArgumentError>(options.where, op, fmt::format("the weight of class {} is {}", i, weight[i]));
  double sum = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] == options.ignore_index) continue;
    if (labels[i] < 0 || labels[i] >= classes)
      fail<ArgumentError>(options.where, op,
                          fmt::format("label {} of sample {} is not in [0, {}) and is not ignore_index ({})", labels[i],
                                      i, classes, options.ignore_index));
    sum += weight.empty() ? 1.0 : static_cast<double>(weight[static_cast<std::size_t>(labels[i])]);
  }
  return sum;
}

// What the sum of the losses is divided by.
template <class T>
double label_divisor(const char* op, const Var& x, const Tensor& labels, const LabelOptions& options) {
  const double sum = counted_weight<T>(op, labels.span<std::int64_t>(), x.shape()[-1], options);
  if (options.reduction != Reduction::mean) return 1;
  if (labels.size() == 0) fail<ArgumentError>(options.where, op, "the mean of an empty batch is not defined");
  if (sum == 0)
    fail<ArgumentError>(
        options.where, op,
        fmt::format("the mean is not defined: all {} samples are ignored or have weight 0", labels.size()));
  return sum;
}

}  // namespace

Var cross_entropy(const Var& logits, const Tensor& labels, const CrossEntropyOptions& options) {
  constexpr const char* op = kCrossEntropy.name;
  const LabelOptions rules{options.ignore_index, options.weight, options.reduction, options.where};
  check_labelled(op, logits, labels, rules);
  if (!(options.label_smoothing >= 0 && options.label_smoothing <= 1))
    fail<ArgumentError>(options.where, op,
                        fmt::format("label_smoothing must be in [0, 1]; it is {}", options.label_smoothing));
  const CrossEntropyDims dims{.rows = static_cast<std::size_t>(labels.size()),
                              .classes = static_cast<std::size_t>(logits.shape()[-1]),
                              .ignore_index = options.ignore_index,
                              .label_smoothing = options.label_smoothing};
  const Device& device = logits.device();
  const bool each = options.reduction == Reduction::none;
  Tensor y = logits.value().like(each ? labels.shape() : Shape{});
  Tensor stats = logits.value().like({labels.size(), 2});
  double divisor = 1;
  visit_floating(op, logits.dtype(), [&]<class T>(T) {
    divisor = label_divisor<T>(op, logits, labels, rules);
    const double sum = kernels::cross_entropy_forward(device, dims,
                                                      {.x = logits.value().span<T>(),
                                                       .labels = labels.span<std::int64_t>(),
                                                       .weight = options.weight.span<T>(),
                                                       .stats = stats.span<T>(),
                                                       .losses = each ? y.span<T>() : std::span<T>{}});
    if (!each) y.span<T>()[0] = static_cast<T>(sum / divisor);
  });
  return record(kCrossEntropy, y, {logits}, options,
                [&device, dims, divisor, reduction = options.reduction, x = logits.value(), labels = labels.clone(),
                 weight = options.weight, stats](const Tensor& dy, GradSlots grads) {
                  Tensor dx = grads.overwrite(0);
                  visit_floating(op, x.dtype(), [&]<class T>(T) {
                    const detail::LossGradient<T> g(dy, reduction, divisor);
                    kernels::cross_entropy_backward(device, dims,
                                                    {.x = x.span<T>(),
                                                     .labels = labels.span<std::int64_t>(),
                                                     .weight = weight.span<T>(),
                                                     .stats = stats.span<T>(),
                                                     .dy = g.each,
                                                     .scale = g.scale,
                                                     .dx = dx.span<T>()});
                  });
                });
}

Var nll_loss(const Var& x, const Tensor& labels, const NllLossOptions& options) {
  constexpr const char* op = kNllLoss.name;
  const LabelOptions rules{options.ignore_index, options.weight, options.reduction, options.where};
  check_labelled(op, x, labels, rules);
  const CrossEntropyDims dims{.rows = static_cast<std::size_t>(labels.size()),
                              .classes = static_cast<std::size_t>(x.shape()[-1]),
                              .ignore_index = options.ignore_index};
  const bool each = options.reduction == Reduction::none;
  Tensor y = x.value().like(each ? labels.shape() : Shape{});
  double divisor = 1;
  visit_floating(op, x.dtype(), [&]<class T>(T) {
    divisor = label_divisor<T>(op, x, labels, rules);
    const double sum = kernels::nll_loss_forward<T>(dims, x.value().span<T>(), labels.span<std::int64_t>(),
                                                    options.weight.span<T>(), each ? y.span<T>() : std::span<T>{});
    if (!each) y.span<T>()[0] = static_cast<T>(sum / divisor);
  });
  return record(kNllLoss, y, {x}, options,
                [dims, divisor, reduction = options.reduction, labels = labels.clone(), weight = options.weight](
                    const Tensor& dy, GradSlots grads) {
                  Tensor dx = grads.overwrite(0);
                  visit_floating(op, dy.dtype(), [&]<class T>(T) {
                    const detail::LossGradient<T> g(dy, reduction, divisor);
                    kernels::nll_loss_backward<T>(dims, {.labels = labels.span<std::int64_t>(),
                                                         .weight = weight.span<T>(),
                                                         .dy = g.each,
                                                         .scale = g.scale,
                                                         .dx = dx.span<T>()});
                  });
                });
}

}  // namespace tapestry
