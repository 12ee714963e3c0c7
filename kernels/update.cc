#include "kernels/update.h"

#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/update.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/simd/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

void Sgd(const SgdStep& step, const float* HWY_RESTRICT gradient, float* HWY_RESTRICT momentum,
         float* HWY_RESTRICT weight, std::size_t size) {
  const hn::ScalableTag<float> d;
  const auto lr = hn::Set(d, static_cast<float>(step.lr)), decay = hn::Set(d, static_cast<float>(step.weight_decay));
  const auto scale = hn::Set(d, static_cast<float>(step.scale)), rate = hn::Set(d, static_cast<float>(step.momentum));
  const auto keep = step.first ? hn::Zero(d) : rate;
  const auto take = hn::Set(d, static_cast<float>(step.first ? 1 : 1 - step.dampening));
  const bool decays = step.weight_decay != 0;
  for_lanes(d, size, [&](std::size_t i, auto lanes) HWY_ATTR {
    const auto w = load(d, weight + i, lanes);
    auto g = hn::Mul(load(d, gradient + i, lanes), scale);
    if (decays) g = hn::MulAdd(decay, w, g);
    if (momentum != nullptr) {
      const auto b = hn::MulAdd(keep, load(d, momentum + i, lanes), hn::Mul(take, g));
      store(b, d, momentum + i, lanes);
      g = step.nesterov ? hn::MulAdd(rate, b, g) : b;
    }
    store(hn::NegMulAdd(lr, g, w), d, weight + i, lanes);
  });
}

// Running means: from beta old + (1 - beta) fresh the form whose rounding is small beside the result (torch.lerp).
template <class D>
struct Blend {
  Blend(D d, double beta) : keeps(beta > 0.5), factor(hn::Set(d, static_cast<float>(keeps ? 1 - beta : -beta))) {}
  HWY_INLINE hn::Vec<D> operator()(hn::Vec<D> old, hn::Vec<D> fresh) const {
    return hn::MulAdd(factor, hn::Sub(fresh, old), keeps ? old : fresh);
  }
  bool keeps;
  hn::Vec<D> factor;
};

void Adam(const AdamStep& step, const AdamFactors& factors, const float* HWY_RESTRICT gradient,
          float* HWY_RESTRICT mean, float* HWY_RESTRICT square, float* HWY_RESTRICT largest, float* HWY_RESTRICT weight,
          std::size_t size) {
  const hn::ScalableTag<float> d;
  const auto rate = hn::Set(d, static_cast<float>(factors.rate)), root = hn::Set(d, static_cast<float>(factors.root));
  const auto inside = hn::Set(d, static_cast<float>(factors.inside));
  const auto outside = hn::Set(d, static_cast<float>(factors.outside));
  const auto eps = hn::Set(d, static_cast<float>(step.eps)), scale = hn::Set(d, static_cast<float>(step.scale));
  const Blend first(d, step.beta1), second(d, step.beta2);
  const auto top = hn::Set(d, std::numeric_limits<float>::max());
  const bool decays = factors.inside != 0;
  for_lanes(d, size, [&](std::size_t i, auto lanes) HWY_ATTR {
    const auto w = load(d, weight + i, lanes);
    auto g = hn::Mul(load(d, gradient + i, lanes), scale);
    if (decays) g = hn::MulAdd(inside, w, g);
    const auto m = first(load(d, mean + i, lanes), g);
    auto v = second(load(d, square + i, lanes), hn::Min(hn::Mul(g, g), top));
    store(m, d, mean + i, lanes);
    store(v, d, square + i, lanes);
    if (largest != nullptr) {
      v = hn::Max(load(d, largest + i, lanes), v);
      store(v, d, largest + i, lanes);
    }
    const auto move = hn::Div(hn::Mul(rate, m), hn::MulAdd(hn::Sqrt(v), root, eps));
    store(hn::Sub(w, hn::MulAdd(outside, w, move)), d, weight + i, lanes);
  });
}

// In double, where the square of no float overflows and no sum of floats loses them.
double SquareSum(const float* HWY_RESTRICT x, std::size_t size) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> narrow;
  const std::size_t step = hn::Lanes(d);
  auto sum0 = hn::Zero(d), sum1 = hn::Zero(d), sum2 = hn::Zero(d), sum3 = hn::Zero(d);
  std::size_t i = 0;
  for (; i + 4 * step <= size; i += 4 * step) {
    const auto a = hn::PromoteTo(d, hn::LoadU(narrow, x + i)), b = hn::PromoteTo(d, hn::LoadU(narrow, x + i + step));
    const auto e = hn::PromoteTo(d, hn::LoadU(narrow, x + i + 2 * step));
    const auto f = hn::PromoteTo(d, hn::LoadU(narrow, x + i + 3 * step));
    sum0 = hn::MulAdd(a, a, sum0);
    sum1 = hn::MulAdd(b, b, sum1);
    sum2 = hn::MulAdd(e, e, sum2);
    sum3 = hn::MulAdd(f, f, sum3);
  }
  for_lanes(narrow, size - i, [&](std::size_t j, auto lanes) HWY_ATTR {
    const auto v = hn::PromoteTo(d, load(narrow, x + i + j, lanes));
    sum0 = hn::MulAdd(v, v, sum0);
  });
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3))));
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {

HWY_EXPORT(Sgd);
HWY_EXPORT(Adam);
HWY_EXPORT(SquareSum);

void sgd(const Device& device, const SgdStep& step, std::span<const float> gradient, std::span<float> momentum,
         std::span<float> weight) {
  parallel_for(device.pool, weight.size(), kGrain, [&](std::size_t begin, std::size_t end) {
    TAPESTRY_CALL(device.target, Sgd)
    (step, gradient.data() + begin, momentum.empty() ? nullptr : momentum.data() + begin, weight.data() + begin,
     end - begin);
  });
}

void adam(const Device& device, const AdamStep& step, std::span<const float> gradient, std::span<float> mean,
          std::span<float> square, std::span<float> largest, std::span<float> weight) {
  const AdamFactors factors(step);
  parallel_for(device.pool, weight.size(), kGrain, [&](std::size_t begin, std::size_t end) {
    TAPESTRY_CALL(device.target, Adam)
    (step, factors, gradient.data() + begin, mean.data() + begin, square.data() + begin,
     largest.empty() ? nullptr : largest.data() + begin, weight.data() + begin, end - begin);
  });
}

double l2_norm(const Device& device, std::span<const float> x) {
  if (x.size() <= kGrain) return std::sqrt(TAPESTRY_CALL(device.target, SquareSum)(x.data(), x.size()));
  const std::size_t chunks = (x.size() + kGrain - 1) / kGrain;
  const Block block = device.arena.allocate(chunks * sizeof(double));
  auto* partial = reinterpret_cast<double*>(block.data());
  parallel_for(device.pool, x.size(), kGrain, [&](std::size_t begin, std::size_t end) {
    partial[begin / kGrain] = TAPESTRY_CALL(device.target, SquareSum)(x.data() + begin, end - begin);
  });
  double sum = 0;
  for (std::size_t i = 0; i < chunks; ++i) sum += partial[i];
  return std::sqrt(sum);
}

}  // namespace tapestry::kernels
#endif
