#include "kernels/peak.h"

#include <algorithm>

#include "kernels/matrix_unit.h"
#include "kernels/tiles/tiles.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/peak.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/simd/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

constexpr std::size_t kChains = 12;  // more than latency times ports, and no more than 16 registers hold

void IterateAffine(std::size_t rounds, float a, float b, float* HWY_RESTRICT y, std::size_t size) {
  const hn::ScalableTag<float> d;
  const auto factor = hn::Set(d, a), term = hn::Set(d, b);
  std::size_t i = 0;
  for (const std::size_t block = kChains * hn::Lanes(d); i + block <= size; i += block) {
    hn::Vec<decltype(d)> chains[kChains];
#pragma GCC unroll 12
    for (std::size_t k = 0; k < kChains; ++k) chains[k] = hn::LoadU(d, y + i + k * hn::Lanes(d));
    for (std::size_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
      for (std::size_t k = 0; k < kChains; ++k) chains[k] = hn::MulAdd(factor, chains[k], term);
    }
#pragma GCC unroll 12
    for (std::size_t k = 0; k < kChains; ++k) hn::StoreU(chains[k], d, y + i + k * hn::Lanes(d));
  }
  for_lanes(d, size - i, [&](std::size_t j, auto lanes) {
    auto v = load(d, y + i + j, lanes);
    for (std::size_t round = 0; round < rounds; ++round) v = hn::MulAdd(factor, v, term);
    store(v, d, y + i + j, lanes);
  });
}

// Eight sums at once, more than the latency of an addition times the loads of a cycle.
float ReadRounds(std::size_t rounds, const float* x, std::size_t size) {
  constexpr std::size_t kSums = 8;
  const hn::ScalableTag<float> d;
  hn::Vec<decltype(d)> sums[kSums];
#pragma GCC unroll 8
  for (auto& sum : sums) sum = hn::Zero(d);
  for (std::size_t round = 0; round < rounds; ++round) {
    std::size_t i = 0;
    for (const std::size_t block = kSums * hn::Lanes(d); i + block <= size; i += block) {
#pragma GCC unroll 8
      for (std::size_t k = 0; k < kSums; ++k) sums[k] = hn::Add(sums[k], hn::LoadU(d, x + i + k * hn::Lanes(d)));
    }
    for_lanes(d, size - i, [&](std::size_t j, auto lanes) { sums[0] = hn::Add(sums[0], load(d, x + i + j, lanes)); });
  }
  for (std::size_t k = 1; k < kSums; ++k) sums[0] = hn::Add(sums[0], sums[k]);
  return hn::GetLane(hn::SumOfLanes(d, sums[0]));
}

void WriteRounds(std::size_t rounds, float a, float* y, std::size_t size) {
  const hn::ScalableTag<float> d;
  for (std::size_t round = 0; round < rounds; ++round)
    for_blocks(d, size, [&](std::size_t i, auto vectors, auto lanes) HWY_ATTR {
      for (std::size_t k = 0; k < vectors; ++k) store(hn::Set(d, a), d, y + i + k * hn::Lanes(d), lanes);
    });
}

void CopyRounds(std::size_t rounds, const float* x, float a, float* y, std::size_t size) {
  const hn::ScalableTag<float> d;
  const auto term = hn::Set(d, a);
  for (std::size_t round = 0; round < rounds; ++round)
    for_blocks(d, size, [&](std::size_t i, auto vectors, auto lanes) HWY_ATTR {
      for (std::size_t k = 0; k < vectors; ++k) {
        const std::size_t at = i + k * hn::Lanes(d);
        store(hn::Add(load(d, x + at, lanes), term), d, y + at, lanes);
      }
    });
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {
namespace {
HWY_EXPORT(IterateAffine);
HWY_EXPORT(ReadRounds);
HWY_EXPORT(WriteRounds);
HWY_EXPORT(CopyRounds);
}  // namespace

const char* unit_name(const Device& device) { return device.unit->name; }

double tile_rounds(const Device& device, std::size_t rounds) {
  if (device.unit->executor == nullptr) return 0;
  constexpr std::size_t kSteps = 2, kRow = kSteps * kTileDepth, kPlane = kBlockRows * kRow;
  constexpr std::ptrdiff_t kStarts[kSteps] = {0, kTileDepth};
  constexpr Bf16 kOne = 0x3F80;
  const std::size_t terms = device.unit->terms, size_a = terms * kPlane, size_b = kSteps * terms * 2 * kTileSize;
  const auto threads = static_cast<std::size_t>(device.pool.threads());
  device.pool.run(threads, [&](std::size_t) {
    const Block operands = device.arena.allocate((size_a + size_b) * sizeof(Bf16));
    const Block sums = device.arena.allocate(kBlockRows * kBlockColumns * sizeof(float));
    Bf16* a = reinterpret_cast<Bf16*>(operands.data());
    std::fill_n(a, size_a + size_b, kOne);
    const TileProduct product{.a = {a, a + kTileRows * kRow},
                              .row = kRow,
                              .plane = kPlane,
                              .steps = kStarts,
                              .count = kSteps,
                              .b = a + size_a,
                              .terms = terms,
                              .tiles = 2,
                              .c = reinterpret_cast<float*>(sums.data())};
    const TileUse use(*device.unit->executor);
    for (std::size_t round = 0; round < rounds; ++round) use(product);
  });
  return 2.0 * static_cast<double>(threads * rounds * kBlockRows * kBlockColumns * kRow);
}

void iterate_affine(const Device& device, std::size_t rounds, float a, float b, std::span<float> y) {
  constexpr std::size_t kPiece = 192;  // twelve chains of 16 floats
  parallel_for(device.pool, y.size(), kPiece, [&](std::size_t begin, std::size_t end) {
    TAPESTRY_CALL(device.target, IterateAffine)(rounds, a, b, y.data() + begin, end - begin);
  });
}

void read_rounds(const Device& device, std::size_t rounds, std::size_t piece, std::span<const float> x,
                 std::span<float> sums) {
  parallel_for(device.pool, x.size(), piece, [&](std::size_t begin, std::size_t end) {
    sums[begin / piece] = TAPESTRY_CALL(device.target, ReadRounds)(rounds, x.data() + begin, end - begin);
  });
}

void write_rounds(const Device& device, std::size_t rounds, std::size_t piece, float a, std::span<float> y) {
  parallel_for(device.pool, y.size(), piece, [&](std::size_t begin, std::size_t end) {
    TAPESTRY_CALL(device.target, WriteRounds)(rounds, a, y.data() + begin, end - begin);
  });
}

void copy_rounds(const Device& device, std::size_t rounds, std::size_t piece, std::span<const float> x, float a,
                 std::span<float> y) {
  parallel_for(device.pool, y.size(), piece, [&](std::size_t begin, std::size_t end) {
    TAPESTRY_CALL(device.target, CopyRounds)(rounds, x.data() + begin, a, y.data() + begin, end - begin);
  });
}

}  // namespace tapestry::kernels
#endif
