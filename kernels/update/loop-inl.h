// The loop of all update rules over floats. Included once for each target.

#if defined(TAPESTRY_KERNELS_UPDATE_LOOP_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_UPDATE_LOOP_INL_H
#undef TAPESTRY_KERNELS_UPDATE_LOOP_INL_H
#else
#define TAPESTRY_KERNELS_UPDATE_LOOP_INL_H
#endif

#include <limits>

#include "kernels/simd/lanes-inl.h"
#include "kernels/update.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

using Floats = hn::Vec<hn::ScalableTag<float>>;

HWY_INLINE Floats Same(double x) { return hn::Set(hn::ScalableTag<float>(), static_cast<float>(x)); }

// Reads, updates and writes `piece`. direction(d, state) returns the direction and leaves the new state of one vector
// of weights; Direction::kState[k] says whether there is a state[k].
template <class Direction>
HWY_INLINE void UpdateBy(const Direction& direction, const UpdateFactors& factors, const UpdatePiece<float>& piece) {
  const hn::ScalableTag<float> d;
  const auto rate = Same(factors.rate), scale = Same(factors.scale), decay = Same(factors.weight_decay);
  const auto shrink = Same(factors.shrink);
  const bool decays = factors.weight_decay != 0, shrinks = factors.shrink != 0;
  const float* HWY_RESTRICT gradient = piece.gradient.data();
  float* HWY_RESTRICT weight = piece.weight.data();
  float *HWY_RESTRICT first = piece.state[0].data(), *HWY_RESTRICT second = piece.state[1].data(),
                      *HWY_RESTRICT third = piece.state[2].data();
  for_lanes(d, piece.weight.size(), [&](std::size_t i, auto lanes) HWY_ATTR {
    Floats state[3] = {hn::Zero(d), hn::Zero(d), hn::Zero(d)};
    if constexpr (Direction::kState[0]) state[0] = load(d, first + i, lanes);
    if constexpr (Direction::kState[1]) state[1] = load(d, second + i, lanes);
    if constexpr (Direction::kState[2]) state[2] = load(d, third + i, lanes);
    const auto w = load(d, weight + i, lanes);
    auto g = hn::Mul(load(d, gradient + i, lanes), scale);
    if (decays) g = hn::MulAdd(decay, w, g);
    const auto move = direction(g, state);
    if constexpr (Direction::kState[0]) store(state[0], d, first + i, lanes);
    if constexpr (Direction::kState[1]) store(state[1], d, second + i, lanes);
    if constexpr (Direction::kState[2]) store(state[2], d, third + i, lanes);
    if (shrinks)
      store(hn::Sub(w, hn::MulAdd(shrink, w, hn::Mul(rate, move))), d, weight + i, lanes);
    else
      store(hn::NegMulAdd(rate, move, w), d, weight + i, lanes);
  });
}

// Running means: from beta old + (1 - beta) fresh the form whose rounding is small beside the result (torch.lerp).
class RunningMean {
 public:
  explicit RunningMean(double beta)
      : keeps_(hn::Gt(Same(beta), Same(0.5))), factor_(Same(beta > 0.5 ? 1 - beta : -beta)) {}
  HWY_INLINE Floats operator()(Floats old, Floats fresh) const {
    return hn::MulAdd(factor_, hn::Sub(fresh, old), hn::IfThenElse(keeps_, old, fresh));
  }

 private:
  hn::Mask<hn::ScalableTag<float>> keeps_;
  Floats factor_;
};

// x^2, the largest float where that would be an infinity.
HWY_INLINE Floats FiniteSquare(Floats x) { return hn::Min(hn::Mul(x, x), Same(std::numeric_limits<float>::max())); }

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
