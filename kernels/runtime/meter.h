// What kernels tell of their work while somebody listens: how it fell to the threads, how long they packed operands,
// and in which tiles they multiplied: register tiles, or those of a matrix unit. Where nobody does, there is one branch
// for each call.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace tapestry::kernels {

inline constexpr std::string_view kFmaUnit = "fma";

// Sums that stay in registers together. `form` is how the kernel runs over them, in a word or two.
struct TileShape {
  std::string_view form = "";
  std::size_t rows = 0, columns = 0;
  std::string_view unit = kFmaUnit;  // or the matrix unit that multiplies
  bool operator==(const TileShape&) const = default;
};

// Sums since the last reset(). Seconds are nanoseconds.
struct Meter {
  std::uint64_t shared = 0;               // of runs of the pool that several threads shared, from start to end
  std::uint64_t busy = 0;                 // of all threads in the chunks of these runs
  std::uint64_t longest = 0;              // of the thread that had most to do in each
  std::atomic<std::uint64_t> packing{0};  // of all threads, in copies of operands for tiles
  double products = 0;                    // multiply-adds by tiles
  double unit_products = 0;               // those of them that a matrix unit computed

  // So many multiply-adds in such tiles, told by the thread that calls the kernel. Each tile is kept once; what is
  // beyond the fourth is left out.
  void add(const TileShape& tile, std::size_t multiply_adds) {
    products += static_cast<double>(multiply_adds);
    if (tile.unit != kFmaUnit) unit_products += static_cast<double>(multiply_adds);
    for (const TileShape& known : tiles())
      if (known == tile) return;
    if (tile_count_ < tiles_.size()) tiles_[tile_count_++] = tile;
  }
  std::span<const TileShape> tiles() const { return {tiles_.data(), tile_count_}; }

  void reset() {
    shared = busy = longest = 0;
    packing.store(0, std::memory_order_relaxed);
    products = unit_products = 0;
    tile_count_ = 0;
  }

  static std::uint64_t now() {
    const auto time = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(time).count());
  }

 private:
  std::array<TileShape, 4> tiles_{};
  std::size_t tile_count_ = 0;
};

// Counts its own lifetime as packing.
class PackingTimer {
 public:
  explicit PackingTimer(Meter* meter) : meter_(meter), start_(meter == nullptr ? 0 : Meter::now()) {}
  ~PackingTimer() {
    if (meter_ != nullptr) meter_->packing.fetch_add(Meter::now() - start_, std::memory_order_relaxed);
  }
  PackingTimer(const PackingTimer&) = delete;
  PackingTimer& operator=(const PackingTimer&) = delete;

 private:
  Meter* meter_;
  std::uint64_t start_;
};

}  // namespace tapestry::kernels
