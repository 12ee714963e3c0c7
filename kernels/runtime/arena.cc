#include "kernels/runtime/arena.h"

#include <algorithm>
#include <array>
#include <bit>
#include <mutex>
#include <string>
#include <utility>

#include "kernels/error.h"
#include "kernels/runtime/best_fit.h"
#include "kernels/runtime/poison.h"

namespace tapestry {
namespace {

constexpr std::size_t kHeader = sizeof(detail::BlockHeader);
constexpr std::size_t kSmall = std::size_t{16} << 10;  // blocks up to here, with their headers, are recycled by size
constexpr std::size_t kSlab = std::size_t{128} << 10;  // and cut from pieces like this
constexpr std::uint32_t kClasses = 8 * 9;              // eight for each power of two from 64 bytes to kSmall
constexpr std::uint32_t kLarge = kClasses;             // the class of all other blocks

// Small sizes grow by an eighth: class = 8 * log2 + the next three bits, rounded up. The size includes the header.
std::uint32_t class_of(std::size_t bytes) {
  const std::size_t size = std::max<std::size_t>(bytes, 2 * kHeader) - 1;
  const int log2 = static_cast<int>(std::bit_width(size)) - 1;
  return static_cast<std::uint32_t>(8 * (log2 - 6)) + static_cast<std::uint32_t>((size >> (log2 - 3)) & 7) + 1;
}
std::size_t class_bytes(std::uint32_t size_class) {
  const std::size_t step = std::size_t{1} << (size_class / 8 + 6);
  return (step + step / 8 * (size_class % 8) + 63) / 64 * 64;
}

}  // namespace

namespace detail {

// Lives until the Arena and the last of its blocks are gone.
struct ArenaState {
  std::mutex mutex;
  std::array<BlockHeader*, kClasses> free{};
  std::byte* slab = nullptr;
  std::byte* slab_end = nullptr;
  BestFit large;
  Arena::Usage usage;
  bool owned = true;

  BlockHeader* take_small(std::uint32_t size_class) {
    if (BlockHeader* block = free[size_class]; block != nullptr) {
      free[size_class] = block->next_free;
      return block;
    }
    const std::size_t size = class_bytes(size_class);
    if (static_cast<std::size_t>(slab_end - slab) < size) {
      const BestFit::Memory memory = large.take(kSlab);
      slab = memory.start;
      slab_end = slab + memory.bytes;
    }
    return new (std::exchange(slab, slab + size)) BlockHeader{this, nullptr, size - kHeader, size_class, {}, {}};
  }

  BlockHeader* take_large(std::size_t size) {
    const BestFit::Memory memory = large.take(size);
    return new (memory.start) BlockHeader{this, nullptr, memory.bytes - kHeader, kLarge, {}, {}};
  }

  void give(BlockHeader* block) noexcept {
    if (block->size_class == kLarge) return large.give(reinterpret_cast<std::byte*>(block));
    block->next_free = free[block->size_class];
    free[block->size_class] = block;
  }
};

BlockHeader* allocate(ArenaState& arena, std::size_t bytes) {
  if (bytes > (std::size_t{1} << 46))
    throw EnvironmentError("arena: " + std::to_string(bytes) + " bytes is more than any machine has");
  const std::size_t size = bytes + kHeader;
  const std::lock_guard lock(arena.mutex);
  BlockHeader* block = size <= kSmall ? arena.take_small(class_of(size)) : arena.take_large(size);
  block->references.store(1, std::memory_order_relaxed);
  unpoison(block + 1, block->bytes);
  Arena::Usage& usage = arena.usage;
  ++usage.live_blocks;
  usage.live_bytes += block->bytes;
  usage.peak_bytes = std::max(usage.peak_bytes, usage.live_bytes);
  return block;
}

void release(BlockHeader* block) noexcept {
  ArenaState* arena = block->arena;
  bool last = false;
  {
    const std::lock_guard lock(arena->mutex);
    --arena->usage.live_blocks;
    arena->usage.live_bytes -= block->bytes;
    last = !arena->owned && arena->usage.live_blocks == 0;
    poison(block + 1, block->bytes);
    arena->give(block);
  }
  if (last) delete arena;
}

}  // namespace detail

Arena::Arena() : state_(new detail::ArenaState) {}

Arena::~Arena() {
  bool last = false;
  {
    const std::lock_guard lock(state_->mutex);
    state_->owned = false;
    last = state_->usage.live_blocks == 0;
  }
  if (last) delete state_;
}

Block Arena::allocate(std::size_t bytes) { return Block(detail::allocate(*state_, bytes)); }

Arena::Usage Arena::usage() const {
  const std::lock_guard lock(state_->mutex);
  Usage usage = state_->usage;
  usage.mapped_bytes = state_->large.mapped_bytes();
  return usage;
}

}  // namespace tapestry
