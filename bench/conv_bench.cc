// Convolutions of the benchmark models, and of other sizes that networks have: each pass, and all gradients together
// (that of the bias, which is no product, there alone), with the share of the peak of fused multiply-adds that the
// fastest call reaches. FLOPs count the taps that meet padding too, as other libraries' figures do; a kernel that skips
// them can pass 100 % on small images. `inside_percent` counts those that meet the image alone.
#include "kernels/conv.h"

#include <fmt/format.h>

#include <set>

#include "bench/support.h"

namespace {

using namespace tapestry;
using kernels::ConvDims;

struct Layer {
  const char* model;
  std::size_t batch, in_channels, out_channels, kernel, pad;
  std::vector<std::size_t> size;  // of the input: H and W are the same in 2-D
  std::size_t stride = 1, groups = 1;
};

const std::vector<Layer>& layers() {
  static const std::vector<Layer> all{{"resnet9", 64, 3, 64, 3, 1, {32}},
                                      {"resnet9", 64, 64, 128, 3, 1, {32}},
                                      {"resnet9", 64, 128, 128, 3, 1, {16}},
                                      {"resnet9", 64, 128, 256, 3, 1, {16}},
                                      {"resnet9", 64, 256, 256, 3, 1, {8}},
                                      {"resnet9", 64, 256, 256, 3, 1, {4}},
                                      {"mnist_bn", 128, 1, 32, 5, 0, {28}},
                                      {"mnist_bn", 128, 32, 32, 5, 0, {24}},
                                      {"mnist_bn", 128, 32, 64, 3, 0, {10}},
                                      {"mnist_bn", 128, 64, 64, 3, 0, {8}},
                                      {"neupy_gn", 64, 1, 16, 3, 0, {28}},
                                      {"neupy_gn", 64, 16, 16, 3, 0, {26}},
                                      {"voxel", 16, 1, 16, 3, 1, {16, 28, 28}},
                                      {"voxel", 16, 16, 32, 3, 1, {8, 14, 14}},
                                      {"voxel", 16, 32, 64, 3, 1, {4, 7, 7}},
                                      {"wide", 64, 64, 64, 3, 1, {28}},
                                      {"wide", 64, 512, 512, 3, 1, {4}},
                                      {"wide", 64, 64, 256, 1, 0, {28}},
                                      {"wide", 16, 32, 64, 3, 1, {8, 14, 14}},
                                      {"wide", 16, 64, 64, 3, 1, {8, 14, 14}},
                                      {"wide", 64, 64, 128, 3, 1, {32}, 2},
                                      {"grouped", 64, 128, 128, 3, 1, {16}, 1, 2},
                                      {"grouped", 64, 128, 128, 3, 1, {16}, 1, 4},
                                      {"grouped", 64, 128, 128, 3, 1, {16}, 1, 16},
                                      {"depthwise", 64, 64, 64, 3, 1, {28}, 1, 64},
                                      {"depthwise", 64, 128, 128, 3, 1, {14}, 1, 128},
                                      {"depthwise", 64, 256, 256, 3, 1, {8}, 1, 256}};
  return all;
}

ConvDims dims_of(const Layer& layer, std::size_t batch) {
  ConvDims dims{
      .batch = batch, .in_channels = layer.in_channels, .out_channels = layer.out_channels, .groups = layer.groups};
  for (std::size_t axis = layer.size.size() == 1 ? 1 : 0; axis < 3; ++axis) {
    dims.in[axis] = layer.size.size() == 1 ? layer.size[0] : layer.size[axis];
    dims.kernel[axis] = layer.kernel;
    dims.pad[axis] = layer.pad;
    dims.stride[axis] = layer.stride;
    dims.out[axis] = (dims.in[axis] + 2 * layer.pad - layer.kernel) / layer.stride + 1;
  }
  return dims;
}

// The share of the pairs of an output and a tap that meet the image.
double share_inside(const ConvDims& dims) {
  double share = 1;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    std::size_t inside = 0;
    for (std::size_t at = 0; at < dims.out[axis] * dims.kernel[axis]; ++at)
      inside += at / dims.kernel[axis] * dims.stride[axis] + at % dims.kernel[axis] - dims.pad[axis] < dims.in[axis];
    share *= static_cast<double>(inside) / static_cast<double>(dims.out[axis] * dims.kernel[axis]);
  }
  return share;
}

std::string name_of(const Layer& layer) {
  return fmt::format("{}/{}->{}@{}k{}{}{}", layer.model, layer.in_channels, layer.out_channels,
                     fmt::join(layer.size, "x"), layer.kernel,
                     layer.stride == 1 ? "" : fmt::format("s{}", layer.stride),
                     layer.groups == 1 ? "" : fmt::format("g{}", layer.groups));
}

enum Operand { kX, kWeight, kBias, kDy, kY, kDx, kDweight, kDbias };

bench::Tensors operands(const Context& context, const ConvDims& dims) {
  const auto random = [&](std::size_t size, std::uint64_t stream) {
    return context.uniform({static_cast<std::int64_t>(size)}, -1, 1, stream);
  };
  bench::Tensors all{random(dims.x_size(), 1), random(dims.weight_size(), 2), random(dims.out_channels, 3),
                     random(dims.y_size(), 4)};
  for (const int like : {kDy, kX, kWeight, kBias})
    all.push_back(context.zeros(all[static_cast<std::size_t>(like)].shape()));
  return all;
}

enum class Pass { forward, backward_data, backward_weights, backward };
constexpr const char* kPasses[] = {"forward", "backward_data", "backward_weights", "backward"};

template <class T>
void run(const Context& context, const ConvDims& dims, Pass pass, bench::Tensors& t) {
  const auto in = [&](Operand operand) { return std::as_const(t[operand]).span<T>(); };
  const auto out = [&](Operand operand) { return t[operand].span<T>(); };
  if (pass == Pass::forward) kernels::conv_forward(context.device(), dims, in(kX), in(kWeight), in(kBias), out(kY));
  if (pass == Pass::backward_data || pass == Pass::backward)
    kernels::conv_backward_data(context.device(), dims, in(kWeight), in(kDy), out(kDx));
  if (pass == Pass::backward_weights || pass == Pass::backward)
    kernels::conv_backward_weights(context.device(), dims, in(kX), in(kDy), out(kDweight),
                                   pass == Pass::backward ? out(kDbias) : std::span<T>());
}

// Whether a pass over two samples gives what the plain loops give; found out once for each case.
bool proven(const Context& context, const Layer& layer, Pass pass) {
  static std::set<std::string> done;
  const std::string name = name_of(layer) + kPasses[static_cast<std::size_t>(pass)];
  if (done.contains(name)) return true;
  const ConvDims dims = dims_of(layer, 2);
  bench::Tensors floats = operands(context, dims), doubles;
  for (const Tensor& tensor : floats) doubles.push_back(tensor.to(DType::float64));
  run<float>(context, dims, pass, floats);
  run<double>(context, dims, pass, doubles);
  if (!std::ranges::equal(floats, doubles, bench::agree)) return false;
  done.insert(name);
  return true;
}

void conv(benchmark::State& state, const Layer& layer, Pass pass) {
  const Context context = bench::make_context();
  if (!proven(context, layer, pass)) return state.SkipWithError("the result is not that of the reference");
  const ConvDims dims = dims_of(layer, layer.batch);
  bench::Tensors tensors = operands(context, dims);
  const double passes = pass == Pass::backward ? 2 : 1;
  const double flops = 2.0 * passes * static_cast<double>(dims.y_size() * dims.taps() * dims.in_channels / dims.groups);
  const double bytes = 4.0 * passes * static_cast<double>(dims.x_size() + dims.y_size() + dims.weight_size());
  bench::measure_share(state, context, flops, bytes, [&] { run<float>(context, dims, pass, tensors); });
  state.counters["inside_percent"] = share_inside(dims) * state.counters["peak_percent"];
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  for (const Pass pass : {Pass::forward, Pass::backward_data, Pass::backward_weights, Pass::backward})
    for (const Layer& layer : layers())
      benchmark::RegisterBenchmark(
          fmt::format("{}/{}", kPasses[static_cast<std::size_t>(pass)], name_of(layer)).c_str(), conv, layer, pass)
          ->Unit(benchmark::kMicrosecond);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
