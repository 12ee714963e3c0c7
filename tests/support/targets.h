// Runs a kernel test on every target of the machine, and counts the cases, so that a target that did not run is seen.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "autodiff/context.h"

namespace tapestry::test {

// The targets to test: all that this machine has, or the one that TAPESTRY_TARGET names.
std::vector<Target> tested_targets();

// Calls body(device) on each of tested_targets(), with two threads.
void for_each_target(const std::function<void(const kernels::Device&)>& body);
void count_case(Target target);  // call once for each case (a size, an alignment, an option)
// Prints the cases of each target; false when cases were counted but some tested target has none.
bool report_cases();

// 0, 1, one below, at and above each vector width, primes, and sizes that need several vectors and several chunks.
std::span<const std::size_t> awkward_sizes();
// Offsets, in elements, from a 64-byte boundary.
inline constexpr std::size_t kMisalignments[] = {0, 1, 3};

// `size` elements that start `misalignment` elements after a 64-byte boundary, between guard zones that must not
// change.
template <class T>
class Guarded {
 public:
  explicit Guarded(std::size_t size, std::size_t misalignment = 0, T value = T{})
      : storage_(size + misalignment + 3 * kGuard, static_cast<T>(kMark)), size_(size) {
    const std::size_t past = reinterpret_cast<std::uintptr_t>(storage_.data()) % 64 / sizeof(T);
    start_ = kGuard + (64 / sizeof(T) - past) % (64 / sizeof(T)) + misalignment;
    std::ranges::fill(span(), value);
  }
  std::span<T> span() { return {storage_.data() + start_, size_}; }
  std::span<const T> span() const { return {storage_.data() + start_, size_}; }
  T& operator[](std::size_t i) { return storage_[start_ + i]; }
  bool intact() const {
    for (std::size_t i = 0; i < storage_.size(); ++i)
      if ((i < start_ || i >= start_ + size_) && storage_[i] != static_cast<T>(kMark)) return false;
    return true;
  }

 private:
  static constexpr std::size_t kGuard = 128 / sizeof(T);
  static constexpr int kMark = 77;
  std::vector<T> storage_;
  std::size_t size_, start_ = 0;
};

// Uniform numbers in [low, high), the same for the same seed.
void fill_random(std::span<float> out, std::uint64_t seed, double low = -1, double high = 1);
void fill_random(std::span<double> out, std::uint64_t seed, double low = -1, double high = 1);
void fill_whole(std::span<float> out,
                std::uint64_t seed);  // whole numbers from -8 to 8: small sums of products are exact

std::vector<double> widened(std::span<const float> x);  // the same numbers in double

// Every element within `tolerance` times max(|expected|) of the whole (or of `scale`); a failure names the worst index
// and both values. NaN must meet NaN, infinity the same infinity.
void require_close(std::span<const float> found, std::span<const double> expected, double tolerance, double scale = 0);

}  // namespace tapestry::test
