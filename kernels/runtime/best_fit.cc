#include "kernels/runtime/best_fit.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <bit>
#include <new>
#include <string>

#include "kernels/error.h"
#include "kernels/runtime/poison.h"

namespace tapestry::detail {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kHugePage = std::size_t{2} << 20;  // memory is asked of the system in multiples of these
constexpr std::size_t kReserve = std::size_t{16} << 30;  // of addresses: one row of pieces, whatever a step needs

std::size_t round_up(std::size_t bytes, std::size_t step) { return (bytes + step - 1) / step * step; }
std::size_t list_of(std::size_t bytes) { return static_cast<std::size_t>(std::bit_width(bytes)) - 1; }

// Whether the process may use only so many addresses: then none are taken on stock.
bool addresses_are_limited() {
  rlimit limit;
  return getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY;
}

// Addresses without memory, from a border of huge pages on; nullptr where there are not so many.
std::byte* reserve_addresses(std::size_t bytes) {
  void* raw = mmap(nullptr, bytes + kHugePage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  auto* start = static_cast<std::byte*>(raw);
  const std::size_t front = (kHugePage - reinterpret_cast<std::uintptr_t>(start) % kHugePage) % kHugePage;
  if (front != 0) munmap(start, front);
  if (front != kHugePage) munmap(start + front + bytes, kHugePage - front);
  start += front;
  madvise(start, bytes, MADV_HUGEPAGE);
  return start;
}

bool map_memory(std::byte* start, std::size_t bytes) { return mprotect(start, bytes, PROT_READ | PROT_WRITE) == 0; }

}  // namespace

// Lies in front of its memory.
struct alignas(64) BestFit::Piece {
  Piece* below;       // the one that ends where this one begins; nullptr for the first of a region
  std::size_t bytes;  // with this header
  bool free = false;
  Piece* next_free = nullptr;
  Piece* previous_free = nullptr;

  std::byte* start() { return reinterpret_cast<std::byte*>(this); }
  std::byte* end() { return start() + bytes; }
  Piece* above() { return reinterpret_cast<Piece*>(end()); }
};

// Lies in the first page of its addresses; pieces follow up to the last page of those with memory, where `end` lies.
struct BestFit::Region {
  Region* next;
  std::size_t bytes;   // of addresses
  std::size_t mapped;  // of them, from the start on, those with memory
  Piece* end;          // an empty one, never free

  std::byte* start() { return reinterpret_cast<std::byte*>(this); }
  // How much must be mapped for a piece of so many bytes at the end.
  std::size_t needed(std::size_t piece) {
    Piece* from = end->below->free ? end->below : end;
    return round_up(static_cast<std::size_t>(from->start() - start()) + piece + kPage, kHugePage);
  }
};

BestFit::~BestFit() {
  while (region_ != nullptr) {
    Region* next = region_->next;
    unpoison(region_, region_->mapped);
    munmap(region_, region_->bytes);
    region_ = next;
  }
}

// The smallest free piece of at least `bytes`; of several, the one that was given back last.
BestFit::Piece* BestFit::find(std::size_t bytes) const {
  const std::size_t first = list_of(bytes);
  for (std::uint64_t rest = filled_ >> first << first; rest != 0; rest &= rest - 1) {
    Piece* best = nullptr;
    for (Piece* piece = lists_[static_cast<std::size_t>(std::countr_zero(rest))]; piece != nullptr;
         piece = piece->next_free)
      if (piece->bytes >= bytes && (best == nullptr || piece->bytes < best->bytes)) best = piece;
    if (best != nullptr) return best;
  }
  return nullptr;
}

void BestFit::insert(Piece* piece) noexcept {
  const std::size_t list = list_of(piece->bytes);
  piece->free = true;
  piece->previous_free = nullptr;
  piece->next_free = lists_[list];
  if (piece->next_free != nullptr) piece->next_free->previous_free = piece;
  lists_[list] = piece;
  filled_ |= std::uint64_t{1} << list;
}

void BestFit::remove(Piece* piece) noexcept {
  const std::size_t list = list_of(piece->bytes);
  piece->free = false;
  if (piece->next_free != nullptr) piece->next_free->previous_free = piece->previous_free;
  (piece->previous_free != nullptr ? piece->previous_free->next_free : lists_[list]) = piece->next_free;
  if (lists_[list] == nullptr) filled_ &= ~(std::uint64_t{1} << list);
}

BestFit::Memory BestFit::take(std::size_t bytes) {
  bytes = round_up(bytes + sizeof(Piece), kPage);
  Piece* piece = find(bytes);
  if (piece == nullptr) {
    grow(bytes);
    piece = find(bytes);
  }
  remove(piece);
  if (piece->bytes > bytes) {
    Piece* above = piece->above();
    unpoison(piece->start() + bytes, sizeof(Piece));
    Piece* rest = new (piece->start() + bytes) Piece{piece, piece->bytes - bytes};
    piece->bytes = bytes;
    above->below = rest;
    insert(rest);
  }
  const Memory memory{piece->start() + sizeof(Piece), bytes - sizeof(Piece)};
  unpoison(memory.start, memory.bytes);
  return memory;
}

void BestFit::give(std::byte* start) noexcept {
  auto* piece = reinterpret_cast<Piece*>(start - sizeof(Piece));
  poison(start, piece->bytes - sizeof(Piece));
  join(piece);
}

// Makes a piece free, in one with its neighbours.
void BestFit::join(Piece* piece) noexcept {
  if (Piece* above = piece->above(); above->free) {
    remove(above);
    piece->bytes += above->bytes;
  }
  if (Piece* below = piece->below; below != nullptr && below->free) {
    remove(below);
    below->bytes += piece->bytes;
    piece = below;
  }
  piece->above()->below = piece;
  insert(piece);
}

void BestFit::fail(std::size_t bytes) const {
  throw EnvironmentError("arena: no memory for " + std::to_string(bytes) + " bytes (" + std::to_string(mapped_) +
                         " are mapped)");
}

// Makes a free piece of at least `bytes`: at the end of the newest region, or in a new one.
void BestFit::grow(std::size_t bytes) {
  if (region_ != nullptr && region_->needed(bytes) <= region_->bytes) {
    const std::size_t mapped = region_->needed(bytes), more = mapped - region_->mapped;
    if (!map_memory(region_->start() + region_->mapped, more)) fail(bytes);
    Piece* fresh = region_->end;
    fresh->bytes = more;
    region_->end = new (fresh->end()) Piece{fresh, sizeof(Piece)};
    region_->mapped = mapped;
    mapped_ += more;
    return join(fresh);
  }
  const std::size_t mapped = round_up(bytes + 2 * kPage, kHugePage);
  std::size_t size = addresses_are_limited() ? mapped : std::max(mapped, kReserve);
  std::byte* start = reserve_addresses(size);
  if (start == nullptr && size > mapped) start = reserve_addresses(size = mapped);
  if (start == nullptr) fail(bytes);
  if (!map_memory(start, mapped)) {
    munmap(start, size);
    fail(bytes);
  }
  Piece* first = new (start + kPage) Piece{nullptr, mapped - 2 * kPage};
  region_ = new (start) Region{region_, size, mapped, new (first->end()) Piece{first, sizeof(Piece)}};
  mapped_ += mapped;
  insert(first);
}

}  // namespace tapestry::detail
