// What Tapestry itself runs for the kernels that are compared.
#include <memory>

#include "autodiff/context.h"
#include "autodiff/map.h"
#include "autodiff/pointwise/formulas-inl.h"
#include "autodiff/pointwise/run.h"
#include "bench/libraries/variants.h"
#include "kernels/matmul.h"
#include "kernels/reduce.h"
#include "kernels/softmax.h"
#include "kernels/update/adam.h"
#include "kernels/update/sgd.h"

namespace tapestry::bench {
namespace {

using Run = std::function<void(const Arrays&, std::size_t)>;
using Floats = std::span<const float>;

Run pointwise_run(const std::shared_ptr<Context>& context, pointwise::Op op) {
  return [context, op](const Arrays& a, std::size_t size) {
    pointwise::forward(context->device(), op, {.a = 1, .b = 20}, Floats(a.x, size), {a.out, size});
  };
}

Run run_of(const std::shared_ptr<Context>& context, Kernel kernel) {
  using namespace pointwise;
  constexpr Op ops[kPointwise] = {op_of<Exp>(),     op_of<Log>(),  op_of<Sqrt>(), op_of<Tanh>(),     op_of<Erf>(),
                                  op_of<Sigmoid>(), op_of<Relu>(), op_of<Silu>(), op_of<Softplus>(), op_of<Gelu>()};
  const kernels::Device& device = context->device();
  switch (kernel) {
    case Kernel::sum:
      return [context, &device](const Arrays& a, std::size_t size) {
        double sum = 0;
        kernels::reduce(device, {.outer = 1, .size = size, .inner = 1}, kernels::Term::value, Floats(a.x, size), {},
                        {&sum, 1});
        a.out[0] = static_cast<float>(sum);
      };
    case Kernel::dot:
      return [context, &device](const Arrays& a, std::size_t size) {
        kernels::matmul(device, {.m = 1, .n = 1, .k = size}, Floats(a.x, size), Floats(a.y, size), {}, {a.out, 1});
      };
    case Kernel::axpy:
      return [context, &device](const Arrays& a, std::size_t size) {
        update(device, kernels::SgdStep{.lr = -kFactor},
               kernels::UpdatePiece<float>{Floats(a.x, size), {}, {a.out, size}});
      };
    case Kernel::softmax:
      return [context, &device](const Arrays& a, std::size_t size) {
        const std::size_t rows = size / kColumns, rest = size % kColumns;
        kernels::softmax_forward(device, {.outer = rows, .size = kColumns}, Floats(a.x, size - rest),
                                 {a.out, size - rest});
        if (rest != 0)
          kernels::softmax_forward(device, {.outer = 1, .size = rest}, Floats(a.x + size - rest, rest),
                                   {a.out + size - rest, rest});
      };
    case Kernel::adam:
      return [context, &device](const Arrays& a, std::size_t size) {
        update(device, kernels::AdamStep{.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = kEps, .step = 10},
               kernels::UpdatePiece<float>{
                   Floats(a.x, size), {std::span(a.mean, size), std::span(a.square, size)}, {a.out, size}});
      };
    default:
      return pointwise_run(context, ops[static_cast<int>(kernel)]);
  }
}

template <class F>
Run mapped(const std::shared_ptr<Context>& context, const F& f) {
  return [context, f](const Arrays& a, std::size_t size) {
    map_into(context->device(), std::span<float>(a.out, size), f, Floats(a.x, size));
  };
}

Run map_of(const std::shared_ptr<Context>& context, Kernel kernel) {
  switch (kernel) {
    case Kernel::exp:
      return mapped(context, [](auto x) { return exp(x); });
    case Kernel::log:
      return mapped(context, [](auto x) { return log(x); });
    case Kernel::sqrt:
      return mapped(context, [](auto x) { return sqrt(x); });
    case Kernel::tanh:
      return mapped(context, [](auto x) { return tanh(x); });
    case Kernel::erf:
      return mapped(context, [](auto x) { return erf(x); });
    case Kernel::sigmoid:
      return mapped(context, [](auto x) { return 1 / (1 + exp(-x)); });
    case Kernel::relu:
      return mapped(context, [](auto x) { return select(x <= 0, 0, x); });
    case Kernel::silu:
      return mapped(context, [](auto x) { return x / (1 + exp(-x)); });
    case Kernel::softplus:
      return mapped(context, [](auto x) { return max(x, 0) + log1p(exp(-abs(x))); });
    case Kernel::gelu:
      return mapped(context, [](auto x) { return 0.5f * x * erfc(-0.70710678f * x); });
    default:
      return nullptr;
  }
}

}  // namespace

std::vector<Variant> tapestry_variants() {
  std::vector<Variant> variants;
  for (const Target target : available_targets()) {
    const auto context = std::make_shared<Context>(ContextOptions{.threads = 1, .target = target});
    for (int i = 0; i < kKernels; ++i) {
      const auto kernel = static_cast<Kernel>(i);
      variants.push_back({kernel, "tapestry", std::string(target_name(target)), run_of(context, kernel)});
    }
  }
#if defined(__x86_64__) || defined(__i386__)
  constexpr const char* kBaseline = "sse2";  // what this file may use
#else
  constexpr const char* kBaseline = "neon";
#endif
  const auto context = std::make_shared<Context>(ContextOptions{.threads = 1});
  for (int i = 0; i < kPointwise; ++i) {
    const auto kernel = static_cast<Kernel>(i);
    variants.push_back({kernel, "map", kBaseline, map_of(context, kernel)});
  }
  return variants;
}

}  // namespace tapestry::bench
