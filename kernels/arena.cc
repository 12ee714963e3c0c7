#include "kernels/arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <mutex>
#include <string>

#include "kernels/error.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) static_cast<void>(size)
#define ASAN_UNPOISON_MEMORY_REGION(address, size) static_cast<void>(size)
#endif

namespace tapestry {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kChunkBytes = std::size_t{32} << 20;
constexpr std::size_t kHeader = sizeof(detail::BlockHeader);
constexpr std::uint32_t kClasses = 8 * 44;

// Sizes grow by an eighth: class = 8 * log2 + the next three bits, rounded up. The size includes the header.
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

struct Chunk {
  Chunk* next;
  std::size_t bytes;
};

// Lives until the Arena and the last of its blocks are gone.
struct ArenaState {
  std::mutex mutex;
  std::array<BlockHeader*, kClasses> free{};
  std::byte* bump = nullptr;
  std::byte* bump_end = nullptr;
  Chunk* chunks = nullptr;
  Arena::Usage usage;
  bool owned = true;

  ~ArenaState() {
    for (Chunk* chunk = chunks; chunk != nullptr;) {
      Chunk* next = chunk->next;
      ASAN_UNPOISON_MEMORY_REGION(chunk, chunk->bytes);
      munmap(chunk, chunk->bytes);
      chunk = next;
    }
  }

  // Maps a chunk that is aligned to huge pages and holds at least `bytes`.
  void grow(std::size_t bytes) {
    const std::size_t size = (std::max(kChunkBytes, bytes + kHeader) + kHugePage - 1) / kHugePage * kHugePage;
    void* raw = mmap(nullptr, size + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED)
      throw EnvironmentError("arena: no memory for " + std::to_string(bytes) + " bytes (" +
                             std::to_string(usage.mapped_bytes) + " are mapped)");
    auto* start = static_cast<std::byte*>(raw);
    const std::size_t front = (kHugePage - reinterpret_cast<std::uintptr_t>(start) % kHugePage) % kHugePage;
    if (front != 0) munmap(start, front);
    if (front != kHugePage) munmap(start + front + size, kHugePage - front);
    start += front;
    madvise(start, size, MADV_HUGEPAGE);
    chunks = new (start) Chunk{chunks, size};
    bump = start + kHeader;
    bump_end = start + size;
    usage.mapped_bytes += size;
  }
};

BlockHeader* allocate(ArenaState& arena, std::size_t bytes) {
  if (bytes > (std::size_t{1} << 46))
    throw EnvironmentError("arena: " + std::to_string(bytes) + " bytes is more than any machine has");
  const std::uint32_t size_class = class_of(bytes + kHeader);
  const std::size_t size = class_bytes(size_class);
  const std::lock_guard lock(arena.mutex);
  BlockHeader* block = arena.free[size_class];
  if (block != nullptr) {
    arena.free[size_class] = block->next_free;
  } else {
    if (static_cast<std::size_t>(arena.bump_end - arena.bump) < size) arena.grow(size);
    block = new (arena.bump) BlockHeader{&arena, nullptr, size - kHeader, size_class, {}, {}};
    arena.bump += size;
  }
  block->references.store(1, std::memory_order_relaxed);
  ASAN_UNPOISON_MEMORY_REGION(block + 1, block->bytes);
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
    block->next_free = arena->free[block->size_class];
    arena->free[block->size_class] = block;
    --arena->usage.live_blocks;
    arena->usage.live_bytes -= block->bytes;
    last = !arena->owned && arena->usage.live_blocks == 0;
    ASAN_POISON_MEMORY_REGION(block + 1, block->bytes);
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
  return state_->usage;
}

}  // namespace tapestry
