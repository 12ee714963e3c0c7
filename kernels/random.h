// Counter-based random numbers: the n-th number of a stream is a function of (key, n), so that any thread can draw any
// part of it. Philox 4x32-10: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

#include <array>
#include <cstdint>

namespace tapestry {

class Philox {
 public:
  explicit constexpr Philox(std::uint64_t seed, std::uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  // Four independent words for each counter.
  constexpr std::array<std::uint32_t, 4> operator()(std::uint64_t counter) const {
    std::uint32_t key0 = static_cast<std::uint32_t>(seed_), key1 = static_cast<std::uint32_t>(seed_ >> 32);
    std::array<std::uint32_t, 4> x{static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32),
                                   static_cast<std::uint32_t>(stream_), static_cast<std::uint32_t>(stream_ >> 32)};
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t product0 = std::uint64_t{0xD2511F53} * x[0], product1 = std::uint64_t{0xCD9E8D57} * x[2];
      x = {static_cast<std::uint32_t>(product1 >> 32) ^ x[1] ^ key0, static_cast<std::uint32_t>(product1),
           static_cast<std::uint32_t>(product0 >> 32) ^ x[3] ^ key1, static_cast<std::uint32_t>(product0)};
      key0 += 0x9E3779B9;
      key1 += 0xBB67AE85;
    }
    return x;
  }

  constexpr std::uint64_t word64(std::uint64_t counter) const {
    const auto x = (*this)(counter);
    return std::uint64_t{x[0]} << 32 | x[1];
  }
  // In [0, 1), with 53 bits.
  constexpr double uniform(std::uint64_t counter) const { return static_cast<double>(word64(counter) >> 11) * 0x1p-53; }
  // In [0, bound), bound > 0; the bias is below bound / 2^64.
  constexpr std::uint64_t below(std::uint64_t counter, std::uint64_t bound) const { return word64(counter) % bound; }

 private:
  std::uint64_t seed_, stream_;
};

// Who draws from which streams of a context's seed, so that nobody draws another's numbers. Users take small ones.
struct SeedStreams {
  static constexpr std::uint64_t kReplicas = std::uint64_t{1} << 61;           // the seeds of replicas
  static constexpr std::uint64_t kDropout = std::uint64_t{1} << 62;            // | step << 24 | draw of the step
  static constexpr std::uint64_t kShuffles = std::uint64_t{1} << 63;           // | epoch
  static constexpr std::uint64_t kInitializers = std::uint64_t{0x9A7A} << 48;  // + number of the parameter
};

// Two standard normal numbers from one counter (Box and Muller 1958).
std::array<double, 2> normal_pair(const Philox& philox, std::uint64_t counter);

}  // namespace tapestry
