#include "kernels/update/sgd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/update/sgd.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/update/loop-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

template <bool kMomentum>
struct SgdDirection {
  static constexpr bool kState[3] = {kMomentum};

  explicit SgdDirection(const SgdRule& rule)
      : momentum(Same(rule.momentum)), keep(Same(rule.keep)), take(Same(rule.take)), nesterov(rule.nesterov) {}

  HWY_INLINE Floats operator()(Floats d, Floats* state) const {
    if constexpr (!kMomentum) return d;
    const auto b = state[0] = hn::MulAdd(keep, state[0], hn::Mul(take, d));
    return nesterov ? hn::MulAdd(momentum, b, d) : b;
  }

  Floats momentum, keep, take;
  bool nesterov;
};

void UpdateBySgd(const SgdRule& rule, const UpdatePiece<float>& piece) {
  if (piece.state[0].empty()) return UpdateBy(SgdDirection<false>(rule), rule.factors, piece);
  UpdateBy(SgdDirection<true>(rule), rule.factors, piece);
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {

HWY_EXPORT(UpdateBySgd);

void update(const Device& device, const SgdStep& step, const UpdatePiece<float>& piece) {
  update_parts(device, SgdRule(step), piece, TAPESTRY_CALL(device.target, UpdateBySgd));
}

void update(const Device&, const SgdStep& step, const UpdatePiece<double>& piece) {
  reference::update(SgdRule(step), piece);
}

}  // namespace tapestry::kernels
#endif
