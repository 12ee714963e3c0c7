#include "kernels/update/rmsprop.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/update/rmsprop.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/update/loop-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

template <bool kMomentum, bool kCentered>
struct RmspropDirection {
  static constexpr bool kState[3] = {true, kMomentum, kCentered};

  explicit RmspropDirection(const RmspropRule& rule)
      : mean(rule.alpha), eps(Same(rule.eps)), momentum(Same(rule.momentum)) {}

  HWY_INLINE Floats operator()(Floats d, Floats* state) const {
    auto variance = state[0] = mean(state[0], FiniteSquare(d));
    if constexpr (kCentered) {
      state[2] = mean(state[2], d);
      variance = hn::ZeroIfNegative(hn::NegMulAdd(state[2], state[2], variance));
    }
    const auto q = hn::Div(d, hn::Add(hn::Sqrt(variance), eps));
    if constexpr (!kMomentum) return q;
    return state[1] = hn::MulAdd(momentum, state[1], q);
  }

  RunningMean mean;
  Floats eps, momentum;
};

void UpdateByRmsprop(const RmspropRule& rule, const UpdatePiece<float>& piece) {
  const bool momentum = !piece.state[1].empty(), centered = !piece.state[2].empty();
  if (momentum && centered) return UpdateBy(RmspropDirection<true, true>(rule), rule.factors, piece);
  if (momentum) return UpdateBy(RmspropDirection<true, false>(rule), rule.factors, piece);
  if (centered) return UpdateBy(RmspropDirection<false, true>(rule), rule.factors, piece);
  UpdateBy(RmspropDirection<false, false>(rule), rule.factors, piece);
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {

HWY_EXPORT(UpdateByRmsprop);

void update(const Device& device, const RmspropStep& step, const UpdatePiece<float>& piece) {
  update_parts(device, RmspropRule(step), piece, TAPESTRY_CALL(device.target, UpdateByRmsprop));
}

void update(const Device&, const RmspropStep& step, const UpdatePiece<double>& piece) {
  reference::update(RmspropRule(step), piece);
}

}  // namespace tapestry::kernels
#endif
