#include "layers/models.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/error.h"
#include "layers/activation.h"
#include "layers/batch_norm.h"
#include "layers/conv.h"
#include "layers/group_norm.h"
#include "layers/layer_norm.h"
#include "layers/linear.h"
#include "layers/pool.h"
#include "layers/reshape.h"

namespace tapestry {
namespace {

Conv2d same_conv2d(std::int64_t out) { return Conv2d{{.out = out, .kernel = 3, .padding = 1, .bias = false}}; }
Conv3d same_conv3d(std::int64_t out) { return Conv3d{{.out = out, .kernel = 3, .padding = 1, .bias = false}}; }

// With PyTorch's defaults, as the models have them that these are compared with.
template <class Norm>
Norm batch_norm() {
  return Norm{{.momentum = torch_momentum(0.1), .running_variance = RunningVariance::unbiased}};
}

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

NamedModel neupy_gn() {
  return {.model = Input{28, 28, 1} >> Conv2d{{.out = 16, .kernel = 3}} >> GroupNorm{{.num_groups = 4}} >> Relu{} >>
                   Conv2d{{.out = 16, .kernel = 3}} >> GroupNorm{{.num_groups = 4}} >> Relu{} >> Flatten{} >>
                   Linear{{.out = 10}},
          .input = {28, 28, 1},
          .batch = 64};
}

NamedModel mnist_bn() {
  return {.model = Input{28, 28, 1} >> Conv2d{{.out = 32, .kernel = 5}} >> Relu{} >> Conv2d{{.out = 32, .kernel = 5}} >>
                   Relu{} >> batch_norm<BatchNorm2d>() >> MaxPool2d{2} >> Conv2d{{.out = 64, .kernel = 3}} >> Relu{} >>
                   Conv2d{{.out = 64, .kernel = 3}} >> Relu{} >> batch_norm<BatchNorm2d>() >> MaxPool2d{2} >>
                   Flatten{} >> Linear{{.out = 10}},
          .input = {28, 28, 1},
          .batch = 128};
}

template <class Norm>
NamedModel resnet9(const Norm& norm) {
  return {.model = Input{32, 32, 3} >> same_conv2d(64) >> norm >> Relu{} >> same_conv2d(128) >> norm >> Relu{} >>
                   MaxPool2d{2} >> ResNetBlock<Norm>{same_conv2d(128), same_conv2d(128), norm, norm} >>
                   same_conv2d(256) >> norm >> Relu{} >> MaxPool2d{2} >> same_conv2d(256) >> norm >> Relu{} >>
                   MaxPool2d{2} >> ResNetBlock<Norm>{same_conv2d(256), same_conv2d(256), norm, norm} >>
                   AdaptiveMaxPool2d{1} >> Flatten{} >> Linear{{.out = 10}},
          .input = {32, 32, 3},
          .batch = 64};
}
NamedModel resnet9_bn() { return resnet9(batch_norm<BatchNorm2d>()); }
NamedModel resnet9_gn() { return resnet9(GroupNorm{{.num_groups = 32}}); }

NamedModel voxel_bn3d() {
  return {.model = Input{16, 28, 28, 1} >> same_conv3d(16) >> batch_norm<BatchNorm3d>() >> Relu{} >> MaxPool3d{2} >>
                   same_conv3d(32) >> batch_norm<BatchNorm3d>() >> Relu{} >> MaxPool3d{2} >> same_conv3d(64) >>
                   batch_norm<BatchNorm3d>() >> Relu{} >> AdaptiveAvgPool3d{1} >> Flatten{} >> Linear{{.out = 10}},
          .input = {16, 28, 28, 1},
          .batch = 16};
}

struct Entry {
  std::string_view name;
  NamedModel (*make)();
};
constexpr Entry kModels[] = {{"mlp", mlp},
                             {"mlp_ln", mlp_ln},
                             {"neupy_gn", neupy_gn},
                             {"mnist_bn", mnist_bn},
                             {"resnet9_bn", resnet9_bn},
                             {"resnet9_gn", resnet9_gn},
                             {"voxel_bn3d", voxel_bn3d}};
constexpr auto kNames = [] {
  std::array<std::string_view, std::size(kModels)> names;
  std::ranges::transform(kModels, names.begin(), &Entry::name);
  return names;
}();

}  // namespace

std::span<const std::string_view> model_names() { return kNames; }

NamedModel make_model(std::string_view name) {
  for (const Entry& entry : kModels)
    if (entry.name == name) return entry.make();
  throw ArgumentError(fmt::format("unknown model '{}'; there are {}", name, fmt::join(kNames, ", ")));
}

}  // namespace tapestry
