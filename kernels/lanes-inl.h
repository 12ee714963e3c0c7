// The one place for tails: loops over whole vectors, and the last elements with a mask. Included once for each target.

#if defined(TAPESTRY_KERNELS_LANES_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_LANES_INL_H
#undef TAPESTRY_KERNELS_LANES_INL_H
#else
#define TAPESTRY_KERNELS_LANES_INL_H
#endif

#include <cstddef>

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// How many lanes of a vector count: all of them, known to the compiler, or the first `count`.
struct AllLanes {};
struct FirstLanes {
  std::size_t count;
};

template <class D>
HWY_INLINE hn::Vec<D> load(D d, const hn::TFromD<D>* from, AllLanes) {
  return hn::LoadU(d, from);
}
template <class D>
HWY_INLINE void store(hn::Vec<D> v, D d, hn::TFromD<D>* to, AllLanes) {
  hn::StoreU(v, d, to);
}

// The partial forms touch nothing past the last element; lanes that do not count are read as zero.
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
template <class D>
HWY_INLINE hn::Vec<D> load(D d, const hn::TFromD<D>* from, FirstLanes lanes) {
  return hn::MaskedLoad(hn::FirstN(d, lanes.count), d, from);
}
template <class D>
HWY_INLINE void store(hn::Vec<D> v, D d, hn::TFromD<D>* to, FirstLanes lanes) {
  hn::BlendedStore(v, hn::FirstN(d, lanes.count), d, to);
}
#else  // whose masked loads may read, and fault, beyond the mask
template <class D>
HWY_INLINE hn::Vec<D> load(D d, const hn::TFromD<D>* from, FirstLanes lanes) {
  HWY_ALIGN hn::TFromD<D> buffer[HWY_MAX_BYTES / sizeof(hn::TFromD<D>)] = {};
  for (std::size_t i = 0; i < lanes.count; ++i) buffer[i] = from[i];
  return hn::Load(d, buffer);
}
template <class D>
HWY_INLINE void store(hn::Vec<D> v, D d, hn::TFromD<D>* to, FirstLanes lanes) {
  HWY_ALIGN hn::TFromD<D> buffer[HWY_MAX_BYTES / sizeof(hn::TFromD<D>)];
  hn::Store(v, d, buffer);
  for (std::size_t i = 0; i < lanes.count; ++i) to[i] = buffer[i];
}
#endif

// Lanes that do not count become `other`, for reductions in which zero is not neutral.
template <class D>
HWY_INLINE hn::Vec<D> only(D, hn::Vec<D> v, hn::Vec<D>, AllLanes) {
  return v;
}
template <class D>
HWY_INLINE hn::Vec<D> only(D d, hn::Vec<D> v, hn::Vec<D> other, FirstLanes lanes) {
  return hn::IfThenElse(hn::FirstN(d, lanes.count), v, other);
}

// Calls body(i, lanes) for i = 0, Lanes(d), ... over [0, size): `lanes` is AllLanes until the tail.
template <class D, class Body>
HWY_INLINE void for_lanes(D d, std::size_t size, const Body& body) {
  const std::size_t step = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + step <= size; i += step) body(i, AllLanes{});
  if (i < size) body(i, FirstLanes{size - i});
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
