#include "tools/op_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "kernels/error.h"
#include "layers/activation.h"
#include "layers/batch_norm.h"
#include "layers/conv.h"
#include "layers/group_norm.h"
#include "layers/instance_norm.h"
#include "layers/layer_norm.h"
#include "layers/linear.h"
#include "layers/pool.h"
#include "layers/softmax.h"

namespace tapestry::tools {
namespace {

std::int64_t or_default(std::int64_t value, std::int64_t otherwise) { return value > 0 ? value : otherwise; }

std::int64_t conv_padding(const OpOptions& o) { return o.padding >= 0 ? o.padding : (o.kernel - 1) / 2; }

template <class Conv>
AnyLayer conv(const OpOptions& o) {
  return Conv{{.out = or_default(o.out, o.shape.back()),
               .kernel = o.kernel,
               .stride = or_default(o.stride, 1),
               .padding = conv_padding(o),
               .groups = or_default(o.groups, 1)}};
}

template <class Pool>
AnyLayer pool(const OpOptions& o) {
  return Pool{{.kernel = o.kernel, .stride = o.stride, .padding = std::max<std::int64_t>(o.padding, 0)}};
}

// With the options' defaults.
template <class L>
AnyLayer plain(const OpOptions&) {
  return L{};
}

AnyLayer linear(const OpOptions& o) { return Linear{{.out = or_default(o.out, o.shape.back())}}; }

AnyLayer batch_norm(const OpOptions& o) {
  switch (o.shape.size()) {
    case 2:
    case 3:
      return BatchNorm1d{};
    case 4:
      return BatchNorm2d{};
    default:
      return BatchNorm3d{};
  }
}

AnyLayer group_norm(const OpOptions& o) { return GroupNorm{{.num_groups = o.groups}}; }

struct Entry {
  std::string_view name;
  std::size_t rank;  // of x; 0: any from 2 on
  AnyLayer (*make)(const OpOptions&);
};
constexpr Entry kOps[] = {{"linear", 0, linear},
                          {"conv1d", 3, conv<Conv1d>},
                          {"conv2d", 4, conv<Conv2d>},
                          {"conv3d", 5, conv<Conv3d>},
                          {"conv_transpose1d", 3, conv<ConvTranspose1d>},
                          {"conv_transpose2d", 4, conv<ConvTranspose2d>},
                          {"conv_transpose3d", 5, conv<ConvTranspose3d>},
                          {"max_pool1d", 3, pool<MaxPool1d>},
                          {"max_pool2d", 4, pool<MaxPool2d>},
                          {"max_pool3d", 5, pool<MaxPool3d>},
                          {"avg_pool1d", 3, pool<AvgPool1d>},
                          {"avg_pool2d", 4, pool<AvgPool2d>},
                          {"avg_pool3d", 5, pool<AvgPool3d>},
                          {"batch_norm", 0, batch_norm},
                          {"group_norm", 0, group_norm},
                          {"instance_norm", 0, plain<InstanceNorm>},
                          {"layer_norm", 0, plain<LayerNorm>},
                          {"rms_norm", 0, plain<RMSNorm>},
                          {"softmax", 0, plain<Softmax>},
                          {"relu", 0, plain<Relu>},
                          {"gelu", 0, plain<Gelu>},
                          {"silu", 0, plain<Silu>},
                          {"sigmoid", 0, plain<Sigmoid>},
                          {"tanh", 0, plain<Tanh>}};
constexpr auto kNames = [] {
  std::array<std::string_view, std::size(kOps)> names;
  std::ranges::transform(kOps, names.begin(), &Entry::name);
  return names;
}();

}  // namespace

std::span<const std::string_view> op_names() { return kNames; }

Sequential op_model(const OpOptions& options) {
  const auto entry = std::ranges::find(kOps, std::string_view(options.op), &Entry::name);
  if (entry == std::end(kOps))
    throw ArgumentError(fmt::format("unknown op '{}'; there are {}", options.op, fmt::join(kNames, ", ")));
  const std::size_t rank = options.shape.size();
  if (entry->rank == 0 ? rank < 2 || rank > 5 : rank != entry->rank)
    throw ArgumentError(fmt::format("{}: --shape [{}] must have {} axes, the batch first, the channels last",
                                    options.op, fmt::join(options.shape, ", "),
                                    entry->rank == 0 ? "from 2 to 5" : fmt::format("{}", entry->rank)));
  Sequential model(Input(Shape(options.shape).drop_front()));
  model.append(entry->make(options));
  return model;
}

}  // namespace tapestry::tools
