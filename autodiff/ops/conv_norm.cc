#include "autodiff/ops/conv_norm.h"

#include <array>

#include "autodiff/ops/norm.h"
#include "autodiff/ops/norm_groups.h"
#include "autodiff/ops/norm_inputs.h"
#include "kernels/conv.h"
#include "kernels/norm_channels.h"
#include "kernels/norm_rows.h"

namespace tapestry::detail {
namespace {

using kernels::ConvDims;
using kernels::Device;
using kernels::ImageSteps;

std::int64_t image_groups(const char* op, const ImageNorm& norm, const Shape& z, const Location& where) {
  if (norm.kind == ImageNorm::Kind::group) return groups_of(op, norm.num_groups, norm.group_size, z[-1], z, where);
  return norm.kind == ImageNorm::Kind::instance ? z[-1] : 1;
}

// The norm of z. What backward needs of it is saved with it.
struct Norm {
  bool rows;                      // each position has statistics of its own
  std::size_t images;             // of the batch
  kernels::ChannelNormDims dims;  // of one image
  Tensor weight, bias;            // [O] or nothing
  Tensor stats;                   // of each set of each image, in double

  Norm(const char* op, const ImageNorm& norm, const Tensor& z, bool relu, const Location& where)
      : rows(norm.kind == ImageNorm::Kind::layer),
        images(static_cast<std::size_t>(z.shape()[0])),
        dims{.batch = 1,
             .positions = static_cast<std::size_t>(z.shape().product(1, z.shape().rank() - 1)),
             .channels = static_cast<std::size_t>(z.shape()[-1]),
             .epsilon = norm.epsilon,
             .relu = relu},
        weight(norm.weight.value()),
        bias(norm.bias.value()) {
    dims.groups = static_cast<std::size_t>(image_groups(op, norm, z.shape(), where));
    stats = z.like({z.shape()[0], static_cast<std::int64_t>(sets()), 2}, DType::float64);
  }

  std::size_t sets() const { return rows ? dims.positions : dims.groups; }
  // Calls body(dims, part), where part(values) is what values of the batch have of the images of this call: of all, or
  // of the one with this number. The dims are those of its kernel.
  template <class Body>
  void visit(bool by_image, std::size_t image, const Body& body) const {
    if (images == 0) return;
    const std::size_t some = by_image ? 1 : images;
    const auto part = [&](auto values) {
      const std::size_t size = values.size() / images * some;
      return values.empty() ? values : values.subspan(image * size, size);
    };
    kernels::ChannelNormDims channels = dims;
    channels.batch = some;
    if (!rows) return body(channels, part);
    body(
        kernels::RowNormDims{
            .rows = some * dims.positions, .n = dims.channels, .epsilon = dims.epsilon, .relu = dims.relu},
        part);
  }
};

template <class T>
struct Forward {
  const Norm& norm;
  std::span<const T> z, weight, bias, residual;
  std::span<double> stats;
  std::span<T> y;

  void operator()(const Device& device, bool by_image, std::size_t image) const {
    norm.visit(by_image, image, [&](const auto& dims, const auto& part) {
      const auto fill = [&](auto arguments) {
        arguments.x = part(z);
        arguments.weight = weight;
        arguments.bias = bias;
        arguments.residual = part(residual);
        arguments.y = part(y);
        arguments.stats = part(stats);
        return arguments;
      };
      if constexpr (std::is_same_v<decltype(dims), const kernels::RowNormDims&>)
        kernels::row_norm_forward(device, dims, fill(kernels::RowNormForward<T>()));
      else
        kernels::channel_norm_forward(device, dims, fill(kernels::ChannelNormForward<T>()));
    });
  }
};

// Writes dz and dresidual, and to sums [N, 2, O], or [2, O] of all images, what is added to the gradients of weight and
// bias.
template <class T>
struct Backward {
  const Norm& norm;
  std::span<const T> z, weight, bias;
  std::span<const double> stats;
  std::span<const T> mask, dy;
  std::span<T> dz, dresidual, sums;

  void operator()(const Device& device, bool by_image, std::size_t image) const {
    const std::size_t channels = norm.dims.channels;
    const std::span<T> own = sums.subspan(image * 2 * channels, 2 * channels);
    std::ranges::fill(own, T{0});
    norm.visit(by_image, image, [&](const auto& dims, const auto& part) {
      const auto fill = [&](auto arguments) {
        arguments.x = part(z);
        arguments.weight = weight;
        arguments.bias = bias;
        arguments.stats = part(stats);
        arguments.y = part(mask);
        arguments.dy = part(dy);
        arguments.dx = part(dz);
        arguments.dweight = own.first(channels);
        arguments.dbias = own.last(channels);
        arguments.dresidual = part(dresidual);
        return arguments;
      };
      if constexpr (std::is_same_v<decltype(dims), const kernels::RowNormDims&>)
        kernels::row_norm_backward(device, dims, fill(kernels::RowNormBackward<T>()));
      else
        kernels::channel_norm_backward(device, dims, fill(kernels::ChannelNormBackward<T>()));
    });
  }
};

// Adds the sums of all calls, in order.
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
  image_groups(op, norm, y, where);
  if (norm.kind == ImageNorm::Kind::instance && y[0] > 0 && y.size() == y[0] * y[-1])
    fail<ShapeError>(where, op,
                     fmt::format("instance norm needs more than one position in a sample; y is {}", to_string(y)));
  check_beside(op, "the norm's weight", norm.weight, x, {y[-1]}, where);
  check_beside(op, "the norm's bias", norm.bias, x, {y[-1]}, where);
  check_beside(op, "residual", norm.residual, x, y, where);
  for (const Var* input : {&norm.weight, &norm.bias, &norm.residual})
    if (input->value() && input->dtype() != x.dtype())
      fail<ArgumentError>(
          where, op,
          fmt::format("x is {}, what the norm takes is {}", dtype_name(x.dtype()), dtype_name(input->dtype())));
}

Var norm_apart(const Var& z, const ImageNorm& norm, Activation activation, const Location& where) {
  if (norm.kind == ImageNorm::Kind::layer)
    return layer_norm(z, norm.weight, norm.bias,
                      {.epsilon = norm.epsilon, .activation = activation, .residual = norm.residual, .where = where});
  return group_norm(z, norm.weight, norm.bias,
                    {.num_groups = image_groups("group_norm", norm, z.shape(), where),
                     .epsilon = norm.epsilon,
                     .activation = activation,
                     .residual = norm.residual,
                     .where = where});
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
    const bool by_image = kernels::conv_forward_by_image_pays(device, dims);
    const auto step = [&](std::size_t image) { normalize(device, true, image); };
    const ImageSteps::Step after = step;
    kernels::conv_forward(device, dims, x.value().span<T>(), weight.value().span<T>(), bias.value().span<T>(),
                          z.span<T>(), {.after = by_image ? &after : nullptr});
    if (!by_image) normalize(device, false, 0);
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
        const std::int64_t channels = z.shape()[-1];
        visit_floating(name, dy.dtype(), [&]<class T>(T) {
          Tensor dz = z.like(), dx = grads.overwrite(0);
          const bool by_image = dx.size() > 0 && kernels::conv_backward_data_by_image_pays(device, dims);
          Tensor sums = z.like({by_image ? z.shape()[0] : 1, 2, channels});
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
          const auto step = [&](std::size_t image) { differentiate(device, true, image); };
          const ImageSteps::Step before = step;
          if (!by_image) differentiate(device, false, 0);
          if (dx)
            kernels::conv_backward_data(device, dims, weight.span<T>(), gradient, dx.span<T>(),
                                        {.before = by_image ? &before : nullptr});
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
