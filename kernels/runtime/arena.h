// Memory for tensors: huge-page chunks, cut into blocks that are recycled and never given back while the arena lives.
// The first touch of a fresh page costs more than a ReLU over it (0.6 to 1.7 ns a float), so no page is touched twice
// for the first time. In a steady state no call reaches the heap or the system.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace tapestry {

namespace detail {
struct ArenaState;

struct alignas(64) BlockHeader {  // lies just in front of its data
  ArenaState* arena;
  BlockHeader* next_free;
  std::size_t bytes;
  std::uint32_t size_class;
  std::atomic<std::uint32_t> references;
  std::atomic<std::uint32_t> version;  // counts the times that somebody asked to write
};

BlockHeader* allocate(ArenaState& arena, std::size_t bytes);
void release(BlockHeader* block) noexcept;
}  // namespace detail

// A counted handle to a piece of memory, aligned to 64 bytes. The block keeps its arena's memory alive.
class Block {
 public:
  Block() = default;
  explicit Block(detail::BlockHeader* header) : header_(header) {}
  Block(const Block& other) noexcept : header_(other.header_) {
    if (header_ != nullptr) header_->references.fetch_add(1, std::memory_order_relaxed);
  }
  Block(Block&& other) noexcept : header_(std::exchange(other.header_, nullptr)) {}
  Block& operator=(Block other) noexcept {
    std::swap(header_, other.header_);
    return *this;
  }
  ~Block() {
    if (header_ != nullptr && header_->references.fetch_sub(1, std::memory_order_acq_rel) == 1)
      detail::release(header_);
  }

  explicit operator bool() const { return header_ != nullptr; }
  std::byte* data() const { return reinterpret_cast<std::byte*>(header_ + 1); }
  std::size_t bytes() const { return header_ == nullptr ? 0 : header_->bytes; }
  bool same(const Block& other) const { return header_ == other.header_; }
  // Whether this handle is the only one, so that the memory may be written without anybody seeing it.
  bool unique() const { return header_ != nullptr && header_->references.load(std::memory_order_acquire) == 1; }
  std::uint32_t version() const { return header_ == nullptr ? 0 : header_->version.load(std::memory_order_relaxed); }
  void touch() { header_->version.store(version() + 1, std::memory_order_relaxed); }
  // A block of the same arena.
  Block beside(std::size_t bytes) const { return Block(detail::allocate(*header_->arena, bytes)); }

 private:
  detail::BlockHeader* header_ = nullptr;
};

class Arena {
 public:
  Arena();
  ~Arena();  // the memory goes when the last block does
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // A block of at least `bytes` bytes, with whatever it held before; thread-safe. EnvironmentError, which names the
  // size, when the system has no more memory.
  Block allocate(std::size_t bytes);

  struct Usage {
    std::size_t live_blocks = 0;
    std::size_t live_bytes = 0;
    std::size_t peak_bytes = 0;
    std::size_t mapped_bytes = 0;
  };
  Usage usage() const;

 private:
  detail::ArenaState* state_;
};

}  // namespace tapestry
