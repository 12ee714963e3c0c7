#include "autodiff/pointwise/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "autodiff/cost.h"
#include "autodiff/pointwise/formulas-inl.h"
#include "kernels/reduce.h"

namespace tapestry::pointwise {
namespace {

using kernels::Device;
using kernels::kGrain;

const Kernels& kernels_of(Target target) {
  switch (target) {
    case Target::scalar:
      return scalar::kKernels;
#if defined(__x86_64__) || defined(__i386__)
    case Target::avx2:
      return avx2::kKernels;
    case Target::avx3:
    case Target::amx:
      return avx512::kKernels;
#endif
    default:
      return baseline::kKernels;
  }
}

// Calls body(begin, end) with pieces that start at multiples of `period`.
template <class Body>
void for_pieces(const Device& device, std::size_t size, std::size_t period, const Body& body) {
  parallel_for(device.pool, size, std::max<std::size_t>(1, kGrain / period) * period, [&](auto begin, auto end) {
    for (std::size_t i = begin; i < end; i += period) body(i, std::min(period, end - i));
  });
}

// The weights, repeated in arena memory until rows are long enough for whole vectors.
template <class T>
struct Repeated {
  static constexpr std::size_t kLength = 512;

  Repeated(const Device& device, std::span<const T> w)
      : period(w.empty() ? 1 : (std::max(kLength, w.size()) / w.size()) * w.size()),
        block(device.arena.allocate(2 * period * sizeof(T))),
        weights(reinterpret_cast<T*>(block.data())),
        sums(weights + period) {
    for (std::size_t i = 0; i < period && !w.empty(); ++i) weights[i] = w[i % w.size()];
  }

  std::size_t period;
  Block block;
  T *weights, *sums;
};

// dw[c] = the sum over all i = c modulo dw.size() of terms[i].
template <class T>
void sum_terms(const Device& device, std::span<const T> terms, Repeated<T>& repeated, std::span<T> dw) {
  const std::size_t period = repeated.period, rows = terms.size() / period;
  kernels::sum_rows(device, rows, period, terms.first(rows * period), std::span<T>(repeated.sums, period), false);
  for (std::size_t c = 0; c < dw.size(); ++c) {
    double sum = 0;
    for (std::size_t i = c; i < period; i += dw.size()) sum += repeated.sums[i];
    for (std::size_t i = rows * period + c; i < terms.size(); i += dw.size()) sum += terms[i];
    dw[c] = static_cast<T>(sum);
  }
}

void check_option(const char* op, const Option& option, double value, const Location& where) {
  if (std::isnan(value) || (option.rule != Rule::number && std::isinf(value)) ||
      (option.rule == Rule::nonzero && value == 0))
    fail<ArgumentError>(where, op,
                        fmt::format("{} is {}; it must be {}", option.name, value,
                                    option.rule == Rule::number   ? "a number"
                                    : option.rule == Rule::finite ? "finite"
                                                                  : "finite and not 0"));
}

}  // namespace

std::size_t count() { return Formulas::size; }

const Signature& signature(Op op) {
  const Signature* found = nullptr;
  visit(op, [&]<class F>(F) { found = &F::kSignature; });
  return *found;
}

Params with_defaults(const Signature& signature, std::span<const double> options) {
  return {.a = options.size() > 0 ? options[0] : signature.a.value,
          .b = options.size() > 1 ? options[1] : signature.b.value};
}

bool saves_output(Op op, const Params& params) {
  bool saves = false;
  visit(op, [&]<class F>(F) { saves = F::saves_output(params); });
  return saves;
}

void forward(const Device& device, Op op, const Params& params, std::span<const float> x, std::span<float> y) {
  const Loops& loops = kernels_of(device.target).loops[static_cast<std::size_t>(op)];
  parallel_for(device.pool, y.size(), kGrain, [&](std::size_t begin, std::size_t end) {
    loops.forward(params, x.data() + begin, y.data() + begin, end - begin);
  });
}

void forward(const Device& device, Op op, const Params& params, std::span<const double> x, std::span<double> y) {
  const Pair<double> p{params.a, params.b};
  visit(op, [&]<class F>(F) {
    parallel_for(device.pool, y.size(), kGrain, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) y[i] = F::value(x[i], p);
    });
  });
}

void backward(const Device& device, Op op, const Params& params, std::span<const float> saved,
              std::span<const float> dy, std::span<float> dx) {
  const Loops& loops = kernels_of(device.target).loops[static_cast<std::size_t>(op)];
  parallel_for(device.pool, dx.size(), kGrain, [&](std::size_t begin, std::size_t end) {
    loops.backward(params, saved.data() + begin, dy.data() + begin, dx.data() + begin, end - begin);
  });
}

void backward(const Device& device, Op op, const Params& params, std::span<const double> saved,
              std::span<const double> dy, std::span<double> dx) {
  const Pair<double> p{params.a, params.b};
  visit(op, [&]<class F>(F) {
    parallel_for(device.pool, dx.size(), kGrain, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) dx[i] = F::slope_times(dy[i], saved[i], p);
    });
  });
}

void prelu(const Device& device, std::span<const float> x, std::span<const float> w, std::span<float> y) {
  const Kernels& kernels = kernels_of(device.target);
  const Repeated<float> repeated(device, w);
  for_pieces(device, x.size(), repeated.period, [&](std::size_t i, std::size_t size) {
    kernels.prelu(x.data() + i, repeated.weights, y.data() + i, size);
  });
}

void prelu(const Device&, std::span<const double> x, std::span<const double> w, std::span<double> y) {
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = Prelu::value(x[i], w[i % w.size()]);
}

void prelu_backward(const Device& device, std::span<const float> x, std::span<const float> w, std::span<const float> dy,
                    std::span<float> dx, std::span<float> dw) {
  const Kernels& kernels = kernels_of(device.target);
  Repeated<float> repeated(device, w);
  if (!dx.empty())
    for_pieces(device, x.size(), repeated.period, [&](std::size_t i, std::size_t size) {
      kernels.prelu_dx(x.data() + i, repeated.weights, dy.data() + i, dx.data() + i, size);
    });
  if (dw.empty()) return;
  const Block block = device.arena.allocate(x.size() * sizeof(float));
  const std::span<float> terms(reinterpret_cast<float*>(block.data()), x.size());
  parallel_for(device.pool, x.size(), kGrain, [&](std::size_t begin, std::size_t end) {
    kernels.prelu_dw(x.data() + begin, dy.data() + begin, terms.data() + begin, end - begin);
  });
  sum_terms<float>(device, terms, repeated, dw);
}

void prelu_backward(const Device&, std::span<const double> x, std::span<const double> w, std::span<const double> dy,
                    std::span<double> dx, std::span<double> dw) {
  for (std::size_t i = 0; i < dx.size(); ++i) dx[i] = Prelu::slope_times(dy[i], x[i], w[i % w.size()]);
  std::fill(dw.begin(), dw.end(), 0.0);
  for (std::size_t i = 0; i < x.size() && !dw.empty(); ++i) dw[i % dw.size()] += Prelu::weight_slope_times(dy[i], x[i]);
}

void check_floating(const char* name, const Var& x, const Location& where) {
  if (!x.value()) fail<ArgumentError>(where, name, "the input holds nothing");
  if (x.dtype() != DType::float32 && x.dtype() != DType::float64)
    fail<ArgumentError>(where, name, fmt::format("the input is {}; float32 and float64 work", dtype_name(x.dtype())));
}

Var apply(Op op, std::initializer_list<double> values, const Var& x, const CallOptions& options) {
  const Signature& s = signature(op);
  const char* name = s.name;
  const Params params = with_defaults(s, {values.begin(), values.size()});
  check_option(name, s.a, params.a, options.where);
  check_option(name, s.b, params.b, options.where);
  check_floating(name, x, options.where);
  const Device& device = x.device();
  Tensor y = x.value().like();
  visit_floating(name, x.dtype(), [&]<class T>(T) { forward(device, op, params, x.value().span<T>(), y.span<T>()); });
  return record(OpInfo(name, elementwise_cost<Saved::inputs>), y, {x}, options,
                [&device, name, op, params, saved = saves_output(op, params) ? std::as_const(y) : x.value()](
                    const Tensor& dy, GradSlots grads) {
                  Tensor dx = grads.overwrite(0);
                  visit_floating(name, dy.dtype(), [&]<class T>(T) {
                    backward(device, op, params, saved.span<T>(), dy.span<T>(), dx.span<T>());
                  });
                });
}

}  // namespace tapestry::pointwise
