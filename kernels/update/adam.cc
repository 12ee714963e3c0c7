#include "kernels/update/adam.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/update/adam.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/update/loop-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

template <bool kAmsgrad>
struct AdamDirection {
  static constexpr bool kState[3] = {true, true, kAmsgrad};

  explicit AdamDirection(const AdamRule& rule)
      : first(rule.beta1), second(rule.beta2), root(Same(rule.root)), eps(Same(rule.eps)) {}

  HWY_INLINE Floats operator()(Floats d, Floats* state) const {
    const auto m = state[0] = first(state[0], d);
    auto v = state[1] = second(state[1], FiniteSquare(d));
    if constexpr (kAmsgrad) v = state[2] = hn::Max(state[2], v);
    return hn::Div(m, hn::MulAdd(hn::Sqrt(v), root, eps));
  }

  RunningMean first, second;
  Floats root, eps;
};

void UpdateByAdam(const AdamRule& rule, const UpdatePiece<float>& piece) {
  if (piece.state[2].empty()) return UpdateBy(AdamDirection<false>(rule), rule.factors, piece);
  UpdateBy(AdamDirection<true>(rule), rule.factors, piece);
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {

HWY_EXPORT(UpdateByAdam);

void update(const Device& device, const AdamStep& step, const UpdatePiece<float>& piece) {
  update_parts(device, AdamRule(step), piece, TAPESTRY_CALL(device.target, UpdateByAdam));
}

void update(const Device&, const AdamStep& step, const UpdatePiece<double>& piece) {
  reference::update(AdamRule(step), piece);
}

}  // namespace tapestry::kernels
#endif
