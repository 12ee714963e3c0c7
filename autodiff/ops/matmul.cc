#include "autodiff/ops/matmul.h"

#include <fmt/format.h>

#include "autodiff/cost.h"
#include "autodiff/record.h"
#include "kernels/matmul.h"
#include "kernels/reduce.h"

namespace tapestry {
namespace {

using kernels::Device;
using kernels::MatmulDims;

OpCosts linear_cost(const OpCall& call) {
  return product_cost(call, 2 * elements(call.output) * static_cast<double>(call.inputs[0].shape[-1]));
}

OpCosts matmul_cost(const OpCall& call) {
  const bool transposed = call.options<MatmulOptions>()->transpose_a;
  return product_cost(call,
                      2 * elements(call.output) * static_cast<double>(call.inputs[0].shape[transposed ? -2 : -1]));
}

constexpr OpInfo kLinear("linear", linear_cost), kMatmul("matmul", matmul_cost);

void multiply(const Device& device, const MatmulDims& dims, const Tensor& a, const Tensor& b, const Tensor& bias,
              Tensor& c) {
  visit_floating(kMatmul.name, c.dtype(), [&]<class T>(T) {
    kernels::matmul(device, dims, a.span<T>(), b.span<T>(), bias.span<T>(), c.span<T>());
  });
}

MatmulDims matmul_dims(const Var& a, const Var& b, const MatmulOptions& options) {
  const Shape &sa = a.shape(), &sb = b.shape();
  const auto refuse = [&](const char* rule) {
    fail<ShapeError>(
        options.where, kMatmul.name,
        fmt::format("{}; a is {}{}, b is {}{}", rule, to_string(sa), options.transpose_a ? " transposed" : "",
                    to_string(sb), options.transpose_b ? " transposed" : ""));
  };
  if (sa.rank() < 2 || sb.rank() < 2) refuse("both sides need two axes or more");
  if (a.dtype() != b.dtype())
    fail<ArgumentError>(options.where, kMatmul.name,
                        fmt::format("a is {}, b is {}", dtype_name(a.dtype()), dtype_name(b.dtype())));
  const std::int64_t m = sa[options.transpose_a ? -1 : -2], k = sa[options.transpose_a ? -2 : -1],
                     n = sb[options.transpose_b ? -2 : -1];
  if (sb[options.transpose_b ? -1 : -2] != k) refuse("the inner sizes must be equal");
  const bool shared = sb.rank() == 2;
  if (!shared && (sa.rank() != sb.rank() || !std::equal(sa.begin(), sa.end() - 2, sb.begin())))
    refuse("the leading axes must be equal");
  MatmulDims dims{.m = static_cast<std::size_t>(m),
                  .n = static_cast<std::size_t>(n),
                  .k = static_cast<std::size_t>(k),
                  .transpose_a = options.transpose_a,
                  .transpose_b = options.transpose_b};
  dims.batch = static_cast<std::size_t>(sa.product(0, sa.rank() - 2));
  if (shared && !options.transpose_a) {
    dims.m *= dims.batch;
    dims.batch = 1;
  }
  dims.stride_a = dims.m * dims.k;
  dims.stride_b = shared ? 0 : dims.k * dims.n;
  dims.stride_c = dims.m * dims.n;
  return dims;
}

// da = dy op(b)', in a's storage: [M,K], or [K,M] = op(b) dy' when a is transposed.
void matmul_backward_a(const Device& device, const MatmulDims& dims, const Tensor& b, const Tensor& dy, GradSlot da) {
  if (!da) return;
  MatmulDims d{.m = dims.m,
               .n = dims.k,
               .k = dims.n,
               .transpose_b = !dims.transpose_b,
               .accumulate = da.accumulate,
               .batch = dims.batch,
               .stride_a = dims.stride_c,
               .stride_b = dims.stride_b,
               .stride_c = dims.stride_a};
  if (!dims.transpose_a) return multiply(device, d, dy, b, {}, da.tensor);
  d = {.m = dims.k,
       .n = dims.m,
       .k = dims.n,
       .transpose_a = dims.transpose_b,
       .transpose_b = true,
       .accumulate = da.accumulate,
       .batch = dims.batch,
       .stride_a = dims.stride_b,
       .stride_b = dims.stride_c,
       .stride_c = dims.stride_a};
  multiply(device, d, b, dy, {}, da.tensor);
}

// db = op(a)' dy, in b's storage: [K,N], or [N,K] = dy' op(a) when b is transposed. A `b` that all matrices share
// collects from each in turn.
void matmul_backward_b(const Device& device, const MatmulDims& dims, const Tensor& a, const Tensor& dy, GradSlot db) {
  if (!db) return;
  const bool shared = dims.stride_b == 0 && dims.batch != 1;
  if (dims.batch == 0 && !db.accumulate) db.tensor.fill(0);
  const std::size_t rounds = shared ? dims.batch : 1;
  for (std::size_t round = 0; round < rounds; ++round) {
    MatmulDims d{.m = dims.k,
                 .n = dims.n,
                 .k = dims.m,
                 .transpose_a = !dims.transpose_a,
                 .accumulate = db.accumulate || round != 0,
                 .batch = shared ? 1 : dims.batch,
                 .stride_a = dims.stride_a,
                 .stride_b = dims.stride_c,
                 .stride_c = dims.stride_b};
    const auto part = [&](const Tensor& t, std::size_t stride) {
      return shared ? t.view(static_cast<std::int64_t>(round * stride), Shape{static_cast<std::int64_t>(stride)}) : t;
    };
    const Tensor x = part(a, dims.stride_a), g = part(dy, dims.stride_c);
    if (!dims.transpose_b) {
      multiply(device, d, x, g, {}, db.tensor);
      continue;
    }
    d = {.m = dims.n,
         .n = dims.k,
         .k = dims.m,
         .transpose_a = true,
         .transpose_b = dims.transpose_a,
         .accumulate = d.accumulate,
         .batch = d.batch,
         .stride_a = dims.stride_c,
         .stride_b = dims.stride_a,
         .stride_c = dims.stride_b};
    multiply(device, d, g, x, {}, db.tensor);
  }
}

}  // namespace

Var matmul(const Var& a, const Var& b, MatmulOptions options) {
  const MatmulDims dims = matmul_dims(a, b, options);
  const Shape shape =
      a.shape().with(-2, a.shape()[options.transpose_a ? -1 : -2]).with(-1, static_cast<std::int64_t>(dims.n));
  Tensor y = a.value().like(shape);
  const Device& device = a.device();
  multiply(device, dims, a.value(), b.value(), {}, y);
  return record(kMatmul, y, {a, b}, options,
                [&device, dims, a = a.value(), b = b.value()](const Tensor& dy, GradSlots grads) {
                  matmul_backward_a(device, dims, b, dy, grads.slot(0));
                  matmul_backward_b(device, dims, a, dy, grads.slot(1));
                });
}

Var linear(const Var& x, const Var& weight, const Var& bias, Location where) {
  const Shape &sx = x.shape(), &sw = weight.shape();
  if (sw.rank() != 2 || sx.rank() < 1 || sx[-1] != sw[0])
    fail<ShapeError>(where, kLinear.name,
                     fmt::format("x [..., I] times weight [I, O] needs equal I; x is {}, weight is {}", to_string(sx),
                                 to_string(sw)));
  if (bias.value() && bias.shape() != Shape{sw[1]})
    fail<ShapeError>(where, kLinear.name, fmt::format("bias must be [{}]; it is {}", sw[1], to_string(bias.shape())));
  if (x.dtype() != weight.dtype() || (bias.value() && bias.dtype() != x.dtype()))
    fail<ArgumentError>(
        where, kLinear.name,
        fmt::format("x is {}, weight is {}: types must be equal", dtype_name(x.dtype()), dtype_name(weight.dtype())));
  const std::size_t in = static_cast<std::size_t>(sw[0]), out = static_cast<std::size_t>(sw[1]);
  const MatmulDims dims{.m = static_cast<std::size_t>(sx.product(0, sx.rank() - 1)), .n = out, .k = in};
  Tensor y = x.value().like(sx.with(-1, sw[1]));
  const Device& device = x.device();
  multiply(device, dims, x.value(), weight.value(), bias.value(), y);
  return record(kLinear, y, {x, weight, optional(bias)}, where,
                [&device, dims, x = x.value(), weight = weight.value()](const Tensor& dy, GradSlots grads) {
                  matmul_backward_a(device, dims, weight, dy, grads.slot(0));
                  matmul_backward_b(device, dims, x, dy, grads.slot(1));
                  if (GradSlot db = grads.slot(2))
                    visit_floating(kLinear.name, dy.dtype(), [&]<class T>(T) {
                      kernels::sum_rows(device, dims.m, dims.n, dy.span<T>(), db.tensor.span<T>(), db.accumulate);
                    });
                });
}

}  // namespace tapestry
