#include "autodiff/ops/conv_norm.h"

#include <array>

#include "autodiff/ops/norm_groups.h"
#include "autodiff/ops/norm_inputs.h"
#include "kernels/conv.h"
#include "kernels/norm.h"
#include "kernels/norm_channels.h"

namespace tapestry::detail {
namespace {

using kernels::ConvDims;
using kernels::Device;
using kernels::ImageSteps;

// The norm of z, each image by itself. What backward needs of it is saved with it.
struct Norm {
  bool rows;                      // each position has statistics of its own
  kernels::ChannelNormDims dims;  // of one image
  Tensor weight, bias;            // [O] or nothing
  Tensor stats;                   // of each set of each image, in double

  Norm(const char* op, const ImageNorm& norm, const Tensor& z, bool relu, const Location& where)
      : rows(norm.kind == ImageNorm::Kind::layer),
        dims{.batch = 1,
             .positions = static_cast<std::size_t>(z.shape().product(1, z.shape().rank() - 1)),
             .channels = static_cast<std::size_t>(z.shape()[-1]),
             .epsilon = norm.epsilon,
             .relu = relu},
        weight(norm.weight.value()),
        bias(norm.bias.value()) {
    if (!rows)
      dims.groups =
          static_cast<std::size_t>(groups_of(op, norm.num_groups, norm.group_size, z.shape()[-1], z.shape(), where));
    stats = z.like({z.shape()[0], static_cast<std::int64_t>(sets()), 2}, DType::float64);
  }

  std::size_t sets() const { return rows ? dims.positions : dims.groups; }
  kernels::NormDims row_dims() const {
    return {.rows = dims.positions, .n = dims.channels, .epsilon = dims.epsilon, .relu = dims.relu};
  }
};

// What an image has of values with `size` numbers for each; nothing of nothing.
template <class T>
std::span<T> part(std::span<T> values, std::size_t size, std::size_t image) {
  return values.empty() ? values : values.subspan(image * size, size);
}

template <class T>
struct Forward {
  const Norm& norm;
  std::span<const T> z, weight, bias, residual;
  std::span<double> stats;
  std::span<T> y;

  void operator()(const Device& device, std::size_t image) const {
    const std::size_t size = norm.dims.sample();
    const auto run = [&](const auto& kernel, const auto& dims) {
      kernel(device, dims, part(z, size, image), weight, bias, part(residual, size, image), part(y, size, image),
             part(stats, norm.sets() * 2, image));
    };
    if (norm.rows) return run([](auto&&... a) { kernels::layer_norm_forward(a...); }, norm.row_dims());
    run([](auto&&... a) { kernels::channel_norm_forward(a...); }, norm.dims);
  }
};

// Writes dz and dresidual of an image, and to sums [N, 2, O] what it adds to the gradients of weight and bias.
template <class T>
struct Backward {
  const Norm& norm;
  std::span<const T> z, weight, bias;
  std::span<const double> stats;
  std::span<const T> mask, dy;
  std::span<T> dz, dresidual, sums;

  void operator()(const Device& device, std::size_t image) const {
    const std::size_t size = norm.dims.sample(), channels = norm.dims.channels;
    const std::span<T> own = part(sums, 2 * channels, image);
    std::ranges::fill(own, T{0});
    const auto run = [&](const auto& kernel, const auto& dims) {
      kernel(device, dims, part(z, size, image), weight, bias, part(stats, norm.sets() * 2, image),
             part(mask, size, image), part(dy, size, image), part(dz, size, image), own.first(channels),
             own.last(channels), part(dresidual, size, image));
    };
    if (norm.rows) return run([](auto&&... a) { kernels::layer_norm_backward(a...); }, norm.row_dims());
    run([](auto&&... a) { kernels::channel_norm_backward(a...); }, norm.dims);
  }
};

// Adds the sums of all images, in order.
template <class T>
void add_sums(const Tensor& sums, std::size_t half, Tensor to) {
  const std::span<const T> from = sums.span<T>();
  const std::span<T> out = to.span<T>();
  for (std::size_t c = 0; c < out.size(); ++c) {
    double sum = 0;
    for (std::size_t at = half * out.size() + c; at < from.size(); at += 2 * out.size())
      sum += static_cast<double>(from[at]);
    out[c] = static_cast<T>(static_cast<double>(out[c]) + sum);
  }
}

// x, the weight, and what there is of the others.
class Inputs {
 public:
  Inputs(const Var& x, const Var& weight) : all_{x, weight, x, x, x, x} {}
  int add(const Var& input) {
    if (!input.value()) return -1;
    all_[static_cast<std::size_t>(count_)] = input;
    return count_++;
  }
  std::span<const InputRef> span() const { return std::span(all_).first(static_cast<std::size_t>(count_)); }

 private:
  std::array<InputRef, 6> all_;
  int count_ = 2;
};

constexpr const char* kNames[] = {"conv1d_norm", "conv2d_norm", "conv3d_norm"};

}  // namespace

void check_image_norm(const char* op, const ImageNorm& norm, const Var& x, const Shape& y, const Location& where) {
  check_epsilon(op, norm.epsilon, where);
  if (norm.kind == ImageNorm::Kind::group) groups_of(op, norm.num_groups, norm.group_size, y[-1], y, where);
  check_beside(op, "the norm's weight", norm.weight, x, {y[-1]}, where);
  check_beside(op, "the norm's bias", norm.bias, x, {y[-1]}, where);
  check_beside(op, "residual", norm.residual, x, y, where);
  for (const Var* input : {&norm.weight, &norm.bias, &norm.residual})
    if (input->value() && input->dtype() != x.dtype())
      fail<ArgumentError>(
          where, op,
          fmt::format("x is {}, what the norm takes is {}", dtype_name(x.dtype()), dtype_name(input->dtype())));
}

Var conv_norm(const char* op, const ConvDims& dims, const Var& x, const Var& weight, const Var& bias,
              const ImageNorm& norm, Activation activation, Tensor y, const Location& where) {
  const bool relu = activation == Activation::relu;
  const Device& device = x.device();
  Tensor z = y.like();
  const Norm normed(op, norm, z, relu, where);
  visit_floating(op, y.dtype(), [&]<class T>(T) {
    const Forward<T> normalize{.norm = normed,
                               .z = std::as_const(z).template span<T>(),
                               .weight = normed.weight.template span<T>(),
                               .bias = normed.bias.template span<T>(),
                               .residual = norm.residual.value().template span<T>(),
                               .stats = Tensor(normed.stats).span<double>(),
                               .y = y.span<T>()};
    const auto step = [&](std::size_t image) { normalize(device, image); };
    const ImageSteps::Step after = step;
    kernels::conv_forward(device, dims, x.value().span<T>(), weight.value().span<T>(), bias.value().span<T>(),
                          z.span<T>(), {.after = &after});
  });

  Inputs inputs(x, weight);
  const int at_bias = inputs.add(bias);
  const NormPlaces at{
      .weight = inputs.add(norm.weight), .bias = inputs.add(norm.bias), .residual = inputs.add(norm.residual)};
  const char* name = kNames[x.shape().rank() - 3];
  const Var result = record(
      name, y, inputs.span(), where,
      [name, &device, dims, normed, at, at_bias, x = x.value(), weight = weight.value(), z = std::as_const(z),
       mask = relu && at.residual >= 0 ? y : Tensor()](const Tensor& dy, GradSlots grads) {
        const std::int64_t images = z.shape()[0], channels = z.shape()[-1];
        visit_floating(name, dy.dtype(), [&]<class T>(T) {
          Tensor dz = z.like(), sums = z.like({images, 2, channels}), dx = grads.overwrite(0);
          Tensor dresidual = at.residual < 0 ? Tensor{} : grads.overwrite(at.residual);
          const Backward<T> differentiate{.norm = normed,
                                          .z = z.span<T>(),
                                          .weight = normed.weight.template span<T>(),
                                          .bias = normed.bias.template span<T>(),
                                          .stats = normed.stats.template span<double>(),
                                          .mask = mask.span<T>(),
                                          .dy = dy.span<T>(),
                                          .dz = dz.span<T>(),
                                          .dresidual = dresidual.span<T>(),
                                          .sums = sums.span<T>()};
          const std::span<const T> gradient = differentiate.dz;
          const auto step = [&](std::size_t image) { differentiate(device, image); };
          const ImageSteps::Step before = step;
          if (dx.size() > 0)
            kernels::conv_backward_data(device, dims, weight.span<T>(), gradient, dx.span<T>(), {.before = &before});
          else
            device.pool.run(dims.batch, before);
          Tensor dweight = grads.add(1), dbias = at_bias < 0 ? Tensor{} : grads.add(at_bias);
          if (dweight || dbias)
            kernels::conv_backward_weights(device, dims, x.span<T>(), gradient, dweight.span<T>(), dbias.span<T>());
          if (at.weight >= 0) add_sums<T>(sums, 0, grads.add(at.weight));
          if (at.bias >= 0) add_sums<T>(sums, 1, grads.add(at.bias));
        });
      });
  return relu ? result : activate(result, activation, where);
}

}  // namespace tapestry::detail
