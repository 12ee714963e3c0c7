#include "kernels/pointwise_loss.h"

#include <limits>

#include "kernels/runtime/sum_pieces.h"
#include "kernels/simd/or_null.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/pointwise_loss.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/simd/exp-inl.h"
#include "kernels/simd/lanes-inl.h"
#include "kernels/simd/sums-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

// The losses of kernels/reference/pointwise_loss.h on one vector. o: the options, w and p: the weights.
struct LossOptions {
  explicit LossOptions(const PointwiseLossDims& dims) : a(static_cast<float>(dims.a)), b(static_cast<float>(dims.b)) {}
  float a, b;
};
template <class Loss>
struct Lanes;

template <>
struct Lanes<reference::Mse> {
  template <class D, class V>
  static HWY_INLINE V Value(D, V x, V t, V, V, LossOptions) {
    return hn::Mul(hn::Sub(x, t), hn::Sub(x, t));
  }
  template <class D, class V>
  static HWY_INLINE V Slope(D, V x, V t, V, V, LossOptions) {
    return hn::Add(hn::Sub(x, t), hn::Sub(x, t));
  }
};

template <>
struct Lanes<reference::L1> {
  template <class D, class V>
  static HWY_INLINE V Value(D, V x, V t, V, V, LossOptions) {
    return hn::Abs(hn::Sub(x, t));
  }
  template <class D, class V>
  static HWY_INLINE V Slope(D d, V x, V t, V, V, LossOptions) {
    const V zero = hn::Zero(d), difference = hn::Sub(x, t);
    return hn::IfThenElse(hn::Gt(difference, zero), hn::Set(d, 1.0f),
                          hn::IfThenElse(hn::Lt(difference, zero), hn::Set(d, -1.0f), difference));
  }
};

template <>
struct Lanes<reference::Huber> {
  template <class D, class V>
  static HWY_INLINE V Value(D d, V x, V t, V, V, LossOptions o) {
    const V half = hn::Set(d, 0.5f), edge = hn::Set(d, o.a), difference = hn::Sub(x, t), size = hn::Abs(difference);
    return hn::IfThenElse(hn::Gt(size, edge), hn::Mul(edge, hn::NegMulAdd(half, edge, size)),
                          hn::Mul(half, hn::Mul(difference, difference)));
  }
  template <class D, class V>
  static HWY_INLINE V Slope(D d, V x, V t, V, V, LossOptions o) {
    const V edge = hn::Set(d, o.a), difference = hn::Sub(x, t);
    return hn::IfThenElse(hn::Gt(hn::Abs(difference), edge), hn::CopySign(edge, difference), difference);
  }
};

template <>
struct Lanes<reference::BceWithLogits> {
  template <class D, class V>
  static HWY_INLINE V Value(D d, V x, V t, V w, V p, LossOptions) {
    const V zero = hn::Zero(d), small = hn::Log1p(d, ExpOrNaN(d, hn::Neg(hn::Abs(x))));
    const V up = hn::Add(hn::Max(x, zero), small), down = hn::Add(hn::Max(hn::Neg(x), zero), small);
    return hn::Mul(w, hn::MulAdd(hn::Sub(hn::Set(d, 1.0f), t), up, hn::Mul(hn::Mul(p, t), down)));
  }
  // The two terms are kept apart, each with the sigmoid that has no cancellation.
  template <class D, class V>
  static HWY_INLINE V Slope(D d, V x, V t, V w, V p, LossOptions) {
    const V one = hn::Set(d, 1.0f), e = ExpOrNaN(d, hn::Neg(hn::Abs(x)));
    const V near_one = hn::Div(one, hn::Add(one, e)), near_zero = hn::Mul(e, near_one);
    const auto positive = hn::Gt(x, hn::Zero(d));
    const V up = hn::IfThenElse(positive, near_one, near_zero), down = hn::IfThenElse(positive, near_zero, near_one);
    return hn::Mul(w, hn::MulSub(hn::Sub(one, t), up, hn::Mul(hn::Mul(p, t), down)));
  }
};

// Highway's logarithm is one of positive finite numbers; this one has the limits at 0 and infinity, and NaN below 0.
template <class D, class V>
HWY_INLINE V LogOrNaN(D d, V x) {
  using Limits = std::numeric_limits<float>;
  const V infinity = hn::Set(d, Limits::infinity()), zero = hn::Zero(d);
  const V beside = hn::IfThenElse(hn::Eq(x, infinity), infinity,
                                  hn::IfThenElse(hn::Eq(x, zero), hn::Neg(infinity), hn::Set(d, Limits::quiet_NaN())));
  return hn::IfThenElse(hn::And(hn::Gt(x, zero), hn::Lt(x, infinity)), hn::Log(d, x), beside);
}

template <>
struct Lanes<reference::KlDiv> {
  template <class D, class V>
  static HWY_INLINE V Value(D d, V x, V t, V, V, LossOptions) {
    const V zero = hn::Zero(d);
    return hn::IfThenElse(hn::Eq(t, zero), hn::IfThenElse(hn::Eq(x, x), zero, x),
                          hn::Mul(t, hn::Sub(LogOrNaN(d, t), x)));
  }
  template <class D, class V>
  static HWY_INLINE V Slope(D, V, V t, V, V, LossOptions) {
    return hn::Neg(t);
  }
};

template <>
struct Lanes<reference::KlDivLog> {
  template <class D, class V>
  static HWY_INLINE V Value(D d, V x, V t, V, V, LossOptions) {
    return hn::Mul(ExpOrNaN(d, t), hn::Sub(t, x));
  }
  template <class D, class V>
  static HWY_INLINE V Slope(D d, V, V t, V, V, LossOptions) {
    return hn::Neg(ExpOrNaN(d, t));
  }
};

// log(t!) where t > 1 and o.b asks for it, else 0.
template <class D, class V>
HWY_INLINE V PoissonConstant(D d, V t, LossOptions o) {
  if (o.b == 0) return hn::Zero(d);
  const V half = hn::Set(d, 0.5f), one = hn::Set(d, 1.0f), logarithm = hn::Log(d, hn::Max(t, one));
  const V half_log_two_pi = hn::Set(d, 0.918938533f);  // log(2 pi) / 2
  return hn::IfThenElseZero(hn::Gt(t, one),
                            hn::MulAdd(t, hn::Sub(logarithm, one), hn::MulAdd(half, logarithm, half_log_two_pi)));
}

template <>
struct Lanes<reference::PoissonNllLog> {
  template <class D, class V>
  static HWY_INLINE V Value(D d, V x, V t, V, V, LossOptions o) {
    return hn::Add(hn::NegMulAdd(t, x, Exp(d, x)), PoissonConstant(d, t, o));
  }
  template <class D, class V>
  static HWY_INLINE V Slope(D d, V x, V t, V, V, LossOptions) {
    return hn::Sub(Exp(d, x), t);
  }
  // Highway's polynomial ends at 104, where exp is infinite in float already.
  template <class D, class V>
  static HWY_INLINE V Exp(D d, V x) {
    const V top = hn::Set(d, 104.0f);
    return ExpOrNaN(d, hn::IfThenElse(hn::Gt(x, top), top, x));
  }
};

template <>
struct Lanes<reference::PoissonNll> {
  template <class D, class V>
  static HWY_INLINE V Value(D d, V x, V t, V, V, LossOptions o) {
    return hn::Add(hn::NegMulAdd(t, LogOrNaN(d, hn::Add(x, hn::Set(d, o.a))), x), PoissonConstant(d, t, o));
  }
  template <class D, class V>
  static HWY_INLINE V Slope(D d, V x, V t, V, V, LossOptions o) {
    const V eps = hn::Set(d, o.a);
    return hn::Div(hn::Add(hn::Sub(x, t), eps), hn::Add(x, eps));
  }
};

// Elements, or 1 for each where there are none.
template <class D, class L>
HWY_INLINE hn::Vec<D> LoadOrOne(D d, const float* from, std::size_t i, L lanes) {
  return from == nullptr ? hn::Set(d, 1.0f) : load(d, from + i, lanes);
}

double SumLosses(const PointwiseLossDims& dims, const float* HWY_RESTRICT x, const float* HWY_RESTRICT t,
                 const float* HWY_RESTRICT w, const float* HWY_RESTRICT p, float* HWY_RESTRICT losses,
                 std::size_t begin, std::size_t end) {
  const hn::ScalableTag<float> d;
  double sum = 0;
  visit_type(reference::PointwiseLosses{}, dims.kind, [&]<class Loss>(Loss) HWY_ATTR {
    const LossOptions o(dims);
    sum = SumTerms(d, end - begin, [&](std::size_t j, auto lanes) HWY_ATTR {
      const std::size_t i = begin + j;
      const auto v = Lanes<Loss>::Value(d, load(d, x + i, lanes), load(d, t + i, lanes), LoadOrOne(d, w, i, lanes),
                                        LoadOrOne(d, p, i, lanes), o);
      if (losses != nullptr) store(v, d, losses + i, lanes);
      return v;
    });
  });
  return sum;
}

void StoreSlopes(const PointwiseLossDims& dims, const float* HWY_RESTRICT x, const float* HWY_RESTRICT t,
                 const float* HWY_RESTRICT w, const float* HWY_RESTRICT p, const float* HWY_RESTRICT dy, float factor,
                 float* HWY_RESTRICT dx, float* HWY_RESTRICT dtarget, std::size_t begin, std::size_t end) {
  const hn::ScalableTag<float> d;
  visit_type(reference::PointwiseLosses{}, dims.kind, [&]<class Loss>(Loss) HWY_ATTR {
    const LossOptions o(dims);
    const auto scale = hn::Set(d, factor);
    for_lanes(d, end - begin, [&](std::size_t j, auto lanes) HWY_ATTR {
      const std::size_t i = begin + j;
      const auto slope = Lanes<Loss>::Slope(d, load(d, x + i, lanes), load(d, t + i, lanes), LoadOrOne(d, w, i, lanes),
                                            LoadOrOne(d, p, i, lanes), o);
      const auto g = hn::Mul(hn::Mul(scale, LoadOrOne(d, dy, i, lanes)), slope);
      if (dx != nullptr) store(g, d, dx + i, lanes);
      if (dtarget != nullptr) store(hn::Neg(g), d, dtarget + i, lanes);
    });
  });
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {
namespace {

HWY_EXPORT(SumLosses);
HWY_EXPORT(StoreSlopes);

}  // namespace

double pointwise_loss_forward(const Device& device, const PointwiseLossDims& dims,
                              const PointwiseLossForward<float>& a) {
  return sum_pieces(device, a.x.size(), kGrain, [&](std::size_t begin, std::size_t end) {
    return TAPESTRY_CALL(device.target, SumLosses)(dims, a.x.data(), a.target.data(), or_null(a.weight),
                                                   or_null(a.pos_weight), or_null(a.losses), begin, end);
  });
}

void pointwise_loss_backward(const Device& device, const PointwiseLossDims& dims,
                             const PointwiseLossBackward<float>& a) {
  parallel_for(device.pool, a.x.size(), kGrain, [&](std::size_t begin, std::size_t end) {
    TAPESTRY_CALL(device.target, StoreSlopes)
    (dims, a.x.data(), a.target.data(), or_null(a.weight), or_null(a.pos_weight), or_null(a.dy),
     static_cast<float>(a.scale), or_null(a.dx), or_null(a.dtarget), begin, end);
  });
}

}  // namespace tapestry::kernels
#endif
