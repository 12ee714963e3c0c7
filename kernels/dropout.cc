#include "kernels/dropout.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/dropout.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/simd/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

using reference::kDropoutBlock;

// The 64 words of block `block`, word w of counter 16 block + l at 16 w + l.
#if HWY_TARGET == HWY_SCALAR
void BlockWords(const DropoutDims& dims, std::uint64_t block, std::uint32_t* HWY_RESTRICT words) {
  const Philox philox(dims.seed, dims.stream);
  for (std::size_t lane = 0; lane < 16; ++lane) {
    const auto four = philox(block * 16 + lane);
    for (std::size_t word = 0; word < 4; ++word) words[16 * word + lane] = four[word];
  }
}
#else
// High and low words of the products of all lanes with one number.
template <class D, class V>
HWY_INLINE void Multiply(D d, V x, V factor, V& high, V& low) {
  const hn::Repartition<std::uint64_t, D> d64;
  const auto even = hn::MulEven(x, factor);
  const auto odd = hn::MulEven(hn::BitCast(d, hn::ShiftRight<32>(hn::BitCast(d64, x))), factor);
  const auto lower = hn::Set(d64, 0xFFFFFFFFu);
  high = hn::BitCast(d, hn::Or(hn::ShiftRight<32>(even), hn::AndNot(lower, odd)));
  low = hn::BitCast(d, hn::Or(hn::And(even, lower), hn::ShiftLeft<32>(odd)));
}

// Philox 4x32-10 of kernels/random.h on as many counters as there are lanes.
void BlockWords(const DropoutDims& dims, std::uint64_t block, std::uint32_t* HWY_RESTRICT words) {
  const hn::CappedTag<std::uint32_t, 16> d;
  const auto factor0 = hn::Set(d, 0xD2511F53u), factor2 = hn::Set(d, 0xCD9E8D57u);
  for (std::size_t lane = 0; lane < 16; lane += hn::Lanes(d)) {
    const std::uint64_t counter = block * 16 + lane;  // 16 counters never cross a multiple of 2^32
    auto x0 = hn::Iota(d, static_cast<std::uint32_t>(counter));
    auto x1 = hn::Set(d, static_cast<std::uint32_t>(counter >> 32));
    auto x2 = hn::Set(d, static_cast<std::uint32_t>(dims.stream));
    auto x3 = hn::Set(d, static_cast<std::uint32_t>(dims.stream >> 32));
    std::uint32_t key0 = static_cast<std::uint32_t>(dims.seed), key1 = static_cast<std::uint32_t>(dims.seed >> 32);
    for (int round = 0; round < 10; ++round, key0 += 0x9E3779B9u, key1 += 0xBB67AE85u) {
      auto high0 = x0, low0 = x0, high2 = x2, low2 = x2;
      Multiply(d, x0, factor0, high0, low0);
      Multiply(d, x2, factor2, high2, low2);
      x0 = hn::Xor(hn::Xor(high2, x1), hn::Set(d, key0));
      x1 = low2;
      x2 = hn::Xor(hn::Xor(high0, x3), hn::Set(d, key1));
      x3 = low0;
    }
    hn::StoreU(x0, d, words + lane);
    hn::StoreU(x1, d, words + 16 + lane);
    hn::StoreU(x2, d, words + 32 + lane);
    hn::StoreU(x3, d, words + 48 + lane);
  }
}
#endif

// x and y start at element 64 `block`; all thresholds but 2^32 fit 32 bits.
void Dropout(const DropoutDims& dims, std::uint64_t block, const float* HWY_RESTRICT x, float* HWY_RESTRICT y,
             std::size_t size) {
  const hn::CappedTag<float, 16> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const auto scale = hn::Set(d, static_cast<float>(1 / (1 - dims.p)));
  const auto threshold = hn::Set(du, static_cast<std::uint32_t>(reference::dropout_threshold(dims.p)));
  HWY_ALIGN std::uint32_t words[kDropoutBlock];
  for (std::size_t begin = 0; begin < size; begin += kDropoutBlock, ++block) {
    BlockWords(dims, block, words);
    for_lanes(d, std::min(kDropoutBlock, size - begin), [&](std::size_t i, auto lanes) HWY_ATTR {
      const auto dropped = hn::RebindMask(d, hn::Lt(hn::LoadU(du, words + i), threshold));
      store(hn::IfThenZeroElse(dropped, hn::Mul(load(d, x + begin + i, lanes), scale)), d, y + begin + i, lanes);
    });
  }
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {

HWY_EXPORT(Dropout);

void dropout(const Device& device, const DropoutDims& dims, std::span<const float> x, std::span<float> y) {
  if (reference::dropout_threshold(dims.p) >> 32 != 0) return std::fill(y.begin(), y.end(), 0.0f);
  static_assert(kGrain % reference::kDropoutBlock == 0);
  parallel_for(device.pool, y.size(), kGrain, [&](std::size_t begin, std::size_t end) {
    TAPESTRY_CALL(device.target, Dropout)
    (dims, begin / reference::kDropoutBlock, x.data() + begin, y.data() + begin, end - begin);
  });
}

}  // namespace tapestry::kernels
#endif
