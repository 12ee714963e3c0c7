// The one place for tails: loops over whole vectors, and the last elements with a mask. Included once for each target.

#if defined(TAPESTRY_KERNELS_LANES_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_LANES_INL_H
#undef TAPESTRY_KERNELS_LANES_INL_H
#else
#define TAPESTRY_KERNELS_LANES_INL_H
#endif

#include <cstddef>
#include <cstring>
#include <type_traits>

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

// The partial forms touch nothing past the last element; lanes that do not count are read as zero. Masked loads do so
// on AVX3, and on AVX2 for elements of 4 bytes or more; elsewhere they may read, and fault, beyond the mask.
template <class D>
constexpr bool kMaskedTails = HWY_TARGET == HWY_AVX3 ||
                              (HWY_TARGET == HWY_AVX2 && sizeof(hn::TFromD<D>) >= sizeof(float));

// Copies `count` elements, fewer than 2 kPart. In parts of fixed sizes, for a loop becomes a call, and the compiler
// keeps sums in memory that are alive across a call.
template <std::size_t kPart, class T>
HWY_INLINE void CopySome(const T* from, T* to, std::size_t count) {
  if constexpr (kPart != 0) {
    const std::size_t part = count & kPart;
    if (part != 0) std::memcpy(to, from, kPart * sizeof(T));
    CopySome<kPart / 2>(from + part, to + part, count);
  }
}

template <class D>
HWY_INLINE hn::Vec<D> load(D d, const hn::TFromD<D>* from, FirstLanes lanes) {
  if constexpr (kMaskedTails<D>) {
    return hn::MaskedLoad(hn::FirstN(d, lanes.count), d, from);
  } else {
    constexpr std::size_t kMost = HWY_MAX_BYTES / sizeof(hn::TFromD<D>);
    HWY_ALIGN hn::TFromD<D> buffer[kMost] = {};
    CopySome<kMost / 2>(from, buffer, lanes.count);
    return hn::Load(d, buffer);
  }
}
template <class D>
HWY_INLINE void store(hn::Vec<D> v, D d, hn::TFromD<D>* to, FirstLanes lanes) {
  if constexpr (kMaskedTails<D>) {
    hn::BlendedStore(v, hn::FirstN(d, lanes.count), d, to);
  } else {
    constexpr std::size_t kMost = HWY_MAX_BYTES / sizeof(hn::TFromD<D>);
    HWY_ALIGN hn::TFromD<D> buffer[kMost] = {};
    hn::Store(v, d, buffer);
    CopySome<kMost / 2>(buffer, to, lanes.count);
  }
}

// Lanes that do not count become `other`, for reductions in which zero is not neutral.
template <class D>
HWY_INLINE hn::Vec<D> only(D, hn::Vec<D> v, hn::Vec<D>, AllLanes) {
  return v;
}
template <class D>
HWY_INLINE hn::Vec<D> only(D d, hn::Vec<D> v, hn::Vec<D> other, FirstLanes lanes) {
  return hn::IfThenElse(hn::FirstN(d, lanes.count), v, other);
}

// Calls body(i, lanes) for i = 0, Lanes(d), ... over [0, size): `lanes` is AllLanes until the tail, of which a vector
// of one lane leaves none.
template <class D, class Body>
HWY_INLINE void for_lanes(D d, std::size_t size, const Body& body) {
  const std::size_t step = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + step <= size; i += step) body(i, AllLanes{});
  if constexpr (HWY_TARGET != HWY_SCALAR)
    if (i < size) body(i, FirstLanes{size - i});
}

// Calls body(i, vectors, lanes) over [0, size) in blocks of 4, 2 and 1 whole vectors, then the tail; `vectors` is a
// std::integral_constant.
template <class D, class Body>
HWY_INLINE void for_blocks(D d, std::size_t size, const Body& body) {
  const std::size_t step = hn::Lanes(d);
  constexpr std::integral_constant<std::size_t, 4> kFour;
  constexpr std::integral_constant<std::size_t, 2> kTwo;
  constexpr std::integral_constant<std::size_t, 1> kOne;
  std::size_t i = 0;
  for (; i + 4 * step <= size; i += 4 * step) body(i, kFour, AllLanes{});
  if (i + 2 * step <= size) {
    body(i, kTwo, AllLanes{});
    i += 2 * step;
  }
  for_lanes(d, size - i, [&](std::size_t k, auto lanes) HWY_ATTR { body(i + k, kOne, lanes); });
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
