// Memory for the large blocks of an arena: each request takes the smallest free piece that holds it, and neighbours
// that are free become one piece again, so that a step cuts what it needs from whatever lies free by then. Not
// thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace tapestry::detail {

class BestFit {
 public:
  BestFit() = default;
  ~BestFit();  // gives all memory back
  BestFit(const BestFit&) = delete;
  BestFit& operator=(const BestFit&) = delete;

  // `bytes` rounded up to whole pages, less what each piece is called by, so that all memory starts at the same place
  // of a page: a loop that writes one tensor never seems to write what it reads next from another. EnvironmentError
  // when the system has no more.
  struct Memory {
    std::byte* start;
    std::size_t bytes;
  };
  Memory take(std::size_t bytes);
  void give(std::byte* start) noexcept;

  std::size_t mapped_bytes() const { return mapped_; }

 private:
  struct Piece;
  struct Region;
  static constexpr std::size_t kLists = 48;  // by powers of two, up to all addresses that a CPU has

  Piece* find(std::size_t bytes) const;
  void insert(Piece* piece) noexcept;
  void remove(Piece* piece) noexcept;
  void join(Piece* piece) noexcept;
  void grow(std::size_t bytes);
  [[noreturn]] void fail(std::size_t bytes) const;

  std::array<Piece*, kLists> lists_{};  // of free pieces
  std::uint64_t filled_ = 0;            // a bit for each list that is not empty
  Region* region_ = nullptr;            // the newest; each knows the one before
  std::size_t mapped_ = 0;
};

}  // namespace tapestry::detail
