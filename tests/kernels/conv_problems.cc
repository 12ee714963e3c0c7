#include "tests/kernels/conv_problems.h"

#include <fmt/format.h>

namespace tapestry::test {
namespace {

void fill(std::vector<float>& out, Numbers numbers, std::uint64_t seed) {
  if (numbers == Numbers::whole) return fill_whole(out, seed);
  fill_random(out, seed);
}

Guarded<float> guarded(const std::vector<float>& values, std::size_t misalignment) {
  Guarded<float> copy(values.size(), misalignment);
  std::ranges::copy(values, copy.span().begin());
  return copy;
}

bool unchanged(const Guarded<float>& found, const std::vector<float>& values) {
  return found.intact() && std::ranges::equal(found.span(), values);
}

}  // namespace

ConvDims conv_dims(std::size_t batch, std::size_t in_channels, std::size_t out_channels, std::size_t groups,
                   const ConvDims::Axes& in, const ConvDims::Axes& kernel, const ConvDims::Axes& stride,
                   const ConvDims::Axes& pad, const ConvDims::Axes& dilation, std::size_t more) {
  ConvDims dims{.batch = batch,
                .in_channels = in_channels,
                .out_channels = out_channels,
                .groups = groups,
                .in = in,
                .kernel = kernel,
                .stride = stride,
                .dilation = dilation,
                .pad = pad};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const std::size_t padded = in[axis] + 2 * pad[axis] + more, reach = dilation[axis] * (kernel[axis] - 1) + 1;
    dims.out[axis] = padded < reach ? 0 : (padded - reach) / stride[axis] + 1;
  }
  return dims;
}

ConvDims image(std::size_t batch, std::size_t in_channels, std::size_t out_channels, std::size_t size,
               std::size_t kernel, std::size_t pad, std::size_t stride, std::size_t dilation, std::size_t groups) {
  return conv_dims(batch, in_channels, out_channels, groups, {1, size, size}, {1, kernel, kernel}, {1, stride, stride},
                   {0, pad, pad}, {1, dilation, dilation});
}

ConvDims line(std::size_t batch, std::size_t in_channels, std::size_t out_channels, std::size_t size,
              std::size_t kernel, std::size_t pad, std::size_t stride, std::size_t dilation, std::size_t groups) {
  return conv_dims(batch, in_channels, out_channels, groups, {1, 1, size}, {1, 1, kernel}, {1, 1, stride}, {0, 0, pad},
                   {1, 1, dilation});
}

std::string to_string(const ConvDims& d) {
  const auto axes = [](const ConvDims::Axes& a) { return fmt::format("{}x{}x{}", a[0], a[1], a[2]); };
  return fmt::format("batch {} channels {} -> {} groups {} in {} out {} kernel {} stride {} pad {} dilation {}{}",
                     d.batch, d.in_channels, d.out_channels, d.groups, axes(d.in), axes(d.out), axes(d.kernel),
                     axes(d.stride), axes(d.pad), axes(d.dilation), d.relu ? " relu" : "");
}

std::size_t products(const ConvDims& d) { return d.y_size() * d.taps() * (d.in_channels / d.groups); }

ConvProblem::ConvProblem(const ConvDims& d, bool biased, Numbers numbers, std::uint64_t seed)
    : dims(d),
      with_bias(biased),
      x(d.x_size()),
      weight(d.weight_size()),
      bias(biased ? d.out_channels : 0),
      dy(d.y_size()),
      dweight(d.weight_size()),
      dbias(d.out_channels),
      y(d.y_size()),
      dx(d.x_size()) {
  for (std::vector<float>* operand : {&x, &weight, &bias, &dy, &dweight, &dbias}) fill(*operand, numbers, ++seed);
  dweight_after = widened(dweight);
  dbias_after = widened(dbias);
  const std::vector<double> wide_x = widened(x), wide_weight = widened(weight), wide_bias = widened(bias),
                            wide_dy = widened(dy);
  using In = std::span<const double>;
  kernels::reference::conv_forward<double>(d, In(wide_x), wide_weight, wide_bias, y);
  kernels::reference::conv_backward_data<double>(d, In(wide_weight), wide_dy, dx);
  kernels::reference::conv_backward_weights<double>(d, In(wide_x), wide_dy, dweight_after, dbias_after);
}

void check_passes(const kernels::Device& device, const ConvProblem& p, std::size_t misalignment, double tolerance) {
  const Guarded<float> x = guarded(p.x, misalignment), weight = guarded(p.weight, misalignment),
                       bias = guarded(p.bias, misalignment), dy = guarded(p.dy, misalignment);
  Guarded<float> y(p.y.size(), misalignment, NAN), dx(p.dx.size(), misalignment, NAN);
  INFO(to_string(p.dims) << " misalignment " << misalignment);
  {
    INFO("forward");
    kernels::conv_forward(device, p.dims, x.span(), weight.span(), bias.span(), y.span());
    require_close(y.span(), p.y, tolerance);
  }
  {
    INFO("backward data");
    kernels::conv_backward_data(device, p.dims, weight.span(), dy.span(), dx.span());
    require_close(dx.span(), p.dx, tolerance);
  }
  for (int wanted = 1; wanted <= 3; ++wanted) {
    INFO("backward weights " << wanted);
    Guarded<float> dweight = guarded(p.dweight, misalignment), dbias = guarded(p.dbias, misalignment);
    kernels::conv_backward_weights(device, p.dims, x.span(), dy.span(),
                                   (wanted & 1) != 0 ? dweight.span() : std::span<float>(),
                                   (wanted & 2) != 0 ? dbias.span() : std::span<float>());
    require_close(dweight.span(), (wanted & 1) != 0 ? p.dweight_after : widened(p.dweight), tolerance);
    require_close(dbias.span(), (wanted & 2) != 0 ? p.dbias_after : widened(p.dbias), tolerance);
    REQUIRE((dweight.intact() && dbias.intact()));
  }
  REQUIRE((y.intact() && dx.intact()));
  REQUIRE((unchanged(x, p.x) && unchanged(weight, p.weight) && unchanged(bias, p.bias) && unchanged(dy, p.dy)));
}

std::vector<float> run_passes(const kernels::Device& device, const ConvProblem& p) {
  const std::size_t sizes[] = {p.y.size(), p.dx.size(), p.dweight.size(), p.dbias.size()};
  std::vector<float> all(sizes[0] + sizes[1] + sizes[2] + sizes[3]);
  const std::span<float> y = std::span(all).first(sizes[0]), dx = std::span(all).subspan(sizes[0], sizes[1]),
                         dweight = std::span(all).subspan(sizes[0] + sizes[1], sizes[2]),
                         dbias = std::span(all).last(sizes[3]);
  std::ranges::copy(p.dweight, dweight.begin());
  std::ranges::copy(p.dbias, dbias.begin());
  using In = std::span<const float>;
  kernels::conv_forward(device, p.dims, In(p.x), p.weight, p.bias, y);
  kernels::conv_backward_data(device, p.dims, In(p.weight), p.dy, dx);
  kernels::conv_backward_weights(device, p.dims, In(p.x), p.dy, dweight, dbias);
  return all;
}

void poison(const kernels::Device& device) {
  std::vector<Block> blocks;
  for (std::size_t bytes = 256; bytes <= std::size_t{4} << 20; bytes *= 2)
    for (int copy = 0; copy < 3; ++copy) {
      blocks.push_back(device.arena.allocate(bytes));
      std::fill_n(reinterpret_cast<float*>(blocks.back().data()), bytes / sizeof(float), NAN);
    }
}

}  // namespace tapestry::test
