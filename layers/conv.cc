#include "layers/conv.h"

#include <fmt/format.h>

#include <numeric>

#include "kernels/error.h"

namespace tapestry::detail {
namespace {

constexpr const char* kConv[] = {"", "Conv1d", "Conv2d", "Conv3d"};
constexpr const char* kConvTranspose[] = {"", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"};

// The number of channels that flow in. ArgumentError unless both sides form equal groups.
template <class Options>
std::int64_t channels(const char* layer, const Options& options, const Builder& b, const Flow& in) {
  if (options.out < 1)
    fail<ArgumentError>(options.where, layer, fmt::format("out is {}, it must be positive", options.out));
  if (options.groups < 1)
    fail<ArgumentError>(options.where, layer, fmt::format("groups is {}, it must be positive", options.groups));
  const std::int64_t found = b.size("in", options.in, in, -1, options.where);
  if (found % options.groups != 0 || options.out % options.groups != 0)
    fail<ArgumentError>(
        options.where, layer,
        fmt::format("{} channels in and {} out cannot both form {} equal groups", found, options.out, options.groups));
  return found;
}

template <int Axes>
Shape weight_shape(const Sizes<Axes>& kernel, std::int64_t inner, std::int64_t outer) {
  std::array<std::int64_t, std::size_t{Axes} + 2> sizes{};
  std::copy(kernel.values.begin(), kernel.values.end(), sizes.begin());
  sizes.end()[-2] = inner;
  sizes.end()[-1] = outer;
  return Shape(std::span<const std::int64_t>(sizes));
}

template <int Axes, class Layer>
void declare(Builder& b, Layer& layer, std::int64_t inner, std::int64_t outer) {
  const Shape shape = weight_shape(layer.options.kernel, inner, outer);
  b.parameter(layer.weight, shape, layer.options.weight_init, {.layout = FileLayout::conv});
  if (layer.options.bias)
    b.parameter(layer.bias, {layer.options.out}, layer.options.bias_init, {.fans = fans_of(shape)});
}

// What flows out of a window that `set` computes the output sizes of. A guessed input that does not fit says nothing.
template <class Set>
Flow slide(const char* layer, Window window, const Flow& in, std::int64_t out, const Location& where, const Set& set) {
  if (!in.shape) return {};
  try {
    const Shape x = in.shape->prepend(1);
    window.in = spatial_sizes(layer, window.rank, x, where);
    set(window);
    return Flow(output_shape(layer, x, window, out, where).drop_front(), in.guessed);
  } catch (const ShapeError&) {
    if (!in.guessed) throw;
    return {};
  }
}

template <int Axes>
double taps(const Sizes<Axes>& kernel) {
  return std::accumulate(kernel.values.begin(), kernel.values.end(), 1.0, std::multiplies<>());
}

}  // namespace

template <int Axes>
void Conv<Axes>::visit(Visitor& v) {
  v("weight", weight);
  if (options.bias) v("bias", bias);
}

template <int Axes>
Flow Conv<Axes>::build(Builder& b, const Flow& in) {
  const char* name = kConv[Axes];
  const std::int64_t inputs = channels(name, options, b, in);
  const Window::Axes padding = spatial(options.padding.sizes, 0);
  Window window{.rank = Axes,
                .kernel = spatial(options.kernel, 1),
                .stride = spatial(options.stride, 1),
                .dilation = spatial(options.dilation, 1),
                .before = padding,
                .after = padding};
  check_window(name, window, options.where);
  if (options.padding.same) pad_same(name, window, options.where);
  declare<Axes>(b, *this, inputs / options.groups, options.out);
  return slide(name, window, in, options.out, options.where,
               [&](Window& w) { set_output_sizes(name, w, options.where); });
}

template <int Axes>
Cost Conv<Axes>::cost(const Shape& in, const Shape& out) const {
  const auto outputs = static_cast<double>(out.size());
  const double products = taps(options.kernel) * static_cast<double>(in[-1] / options.groups);
  return {outputs * (2 * products - 1 + (options.bias ? 1 : 0)), outputs * sizeof(float)};
}

template <int Axes>
Var Conv<Axes>::weight_on(const Var& x) const {
  require_built(weight, kConv[Axes], options.where);
  return weight.on(x);
}

template <int Axes>
Var Conv<Axes>::with_weight(const Var& x, const Var& weight, const Tail& tail) const {
  if (options.bias) require_built(bias, kConv[Axes], options.where);
  return hand_tail(part(), tail, [&](const Tail& taken) {
    const auto call = [&](auto op) {
      return op(x, weight, options.bias ? bias.on(x) : Var{},
                {.stride = options.stride,
                 .padding = options.padding,
                 .dilation = options.dilation,
                 .groups = options.groups,
                 .activation = either(options.activation, taken.activation),
                 .where = options.where});
    };
    if constexpr (Axes == 1) return call(conv1d);
    if constexpr (Axes == 2) return call(conv2d);
    if constexpr (Axes == 3) return call(conv3d);
  });
}

template <int Axes>
void ConvTranspose<Axes>::visit(Visitor& v) {
  v("weight", weight);
  if (options.bias) v("bias", bias);
}

template <int Axes>
Flow ConvTranspose<Axes>::build(Builder& b, const Flow& in) {
  const char* name = kConvTranspose[Axes];
  const std::int64_t inputs = channels(name, options, b, in);
  const Window window{.rank = Axes,
                      .kernel = spatial(options.kernel, 1),
                      .stride = spatial(options.stride, 1),
                      .dilation = spatial(options.dilation, 1),
                      .before = spatial(options.padding, 0)};
  check_window(name, window, options.where);
  declare<Axes>(b, *this, options.out / options.groups, inputs);
  return slide(name, window, in, options.out, options.where,
               [&](Window& w) { set_transposed_sizes(name, w, spatial(options.output_padding, 0), options.where); });
}

template <int Axes>
Cost ConvTranspose<Axes>::cost(const Shape& in, const Shape& out) const {
  const double products = taps(options.kernel) * static_cast<double>(options.out / options.groups);
  const auto outputs = static_cast<double>(out.size());
  return {2 * products * static_cast<double>(in.size()) + (options.bias ? outputs : 0), outputs * sizeof(float)};
}

template <int Axes>
Var ConvTranspose<Axes>::weight_on(const Var& x) const {
  require_built(weight, kConvTranspose[Axes], options.where);
  return weight.on(x);
}

template <int Axes>
Var ConvTranspose<Axes>::with_weight(const Var& x, const Var& weight) const {
  if (options.bias) require_built(bias, kConvTranspose[Axes], options.where);
  const auto call = [&](auto op) {
    return op(x, weight, options.bias ? bias.on(x) : Var{},
              {.stride = options.stride,
               .padding = options.padding,
               .output_padding = options.output_padding,
               .dilation = options.dilation,
               .groups = options.groups,
               .activation = options.activation,
               .where = options.where});
  };
  if constexpr (Axes == 1) return call(conv_transpose1d);
  if constexpr (Axes == 2) return call(conv_transpose2d);
  if constexpr (Axes == 3) return call(conv_transpose3d);
}

template class Conv<1>;
template class Conv<2>;
template class Conv<3>;
template class ConvTranspose<1>;
template class ConvTranspose<2>;
template class ConvTranspose<3>;

}  // namespace tapestry::detail
