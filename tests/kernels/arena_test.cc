#include "kernels/runtime/arena.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "kernels/error.h"
#include "kernels/random.h"
#include "tests/catch.h"

using namespace tapestry;

TEST_CASE("arena: blocks are aligned to 64 bytes, hold what was asked for and do not overlap") {
  Arena arena;
  std::vector<Block> blocks;
  for (std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{63}, std::size_t{64}, std::size_t{65},
                            std::size_t{1000}, std::size_t{4096}, std::size_t{1} << 20, (std::size_t{40} << 20) + 7}) {
    blocks.push_back(arena.allocate(bytes));
    REQUIRE(blocks.back().bytes() >= bytes);
    REQUIRE(reinterpret_cast<std::uintptr_t>(blocks.back().data()) % 64 == 0);
  }
  for (const Block& a : blocks)
    for (const Block& b : blocks)
      if (!a.same(b)) REQUIRE((a.data() + a.bytes() <= b.data() || b.data() + b.bytes() <= a.data()));
}

TEST_CASE("arena: a released block is handed out again") {
  Arena arena;
  const std::byte* first = arena.allocate(5000).data();
  const std::size_t mapped = arena.usage().mapped_bytes;
  for (int i = 0; i < 1000; ++i) REQUIRE(arena.allocate(5000).data() == first);
  REQUIRE(arena.usage().mapped_bytes == mapped);
  REQUIRE(arena.usage().live_blocks == 0);
}

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

struct Filled {
  Block block;
  std::size_t bytes;
  int value;
  bool intact() const {
    for (const std::byte* at : {block.data(), block.data() + bytes / 2, block.data() + bytes - 1})
      if (*at != std::byte(value)) return false;
    return true;
  }
};

Filled filled(Arena& arena, std::size_t bytes, int value) {
  Filled result{arena.allocate(bytes), bytes, value};
  std::memset(result.block.data(), value, bytes);
  return result;
}

}  // namespace

TEST_CASE("arena: neighbours that are free become one piece again, in any order") {
  for (const std::vector<std::size_t>& order :
       {std::vector<std::size_t>{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 3, 0, 2}, {0, 2, 3, 1}}) {
    Arena arena;
    const Block below = arena.allocate(kMiB);
    std::vector<Block> blocks;
    for (int i = 0; i < 4; ++i) blocks.push_back(arena.allocate(kMiB));
    const Block above = arena.allocate(kMiB);
    const std::byte* first = blocks[0].data();
    const std::size_t mapped = arena.usage().mapped_bytes;
    for (std::size_t i : order) blocks[i] = {};
    REQUIRE(arena.allocate(4 * kMiB).data() == first);
    REQUIRE(arena.usage().mapped_bytes == mapped);
  }
}

TEST_CASE("arena: the smallest free piece that is large enough is taken") {
  Arena arena;
  std::vector<Block> blocks, fences;
  for (std::size_t size : {9u, 5u, 3u, 6u}) {
    blocks.push_back(arena.allocate(size * kMiB));
    fences.push_back(arena.allocate(kMiB));
  }
  std::vector<std::byte*> places;
  for (Block& block : blocks) places.push_back(block.data()), block = {};
  REQUIRE(arena.allocate(5 * kMiB).data() == places[1]);
  REQUIRE(arena.allocate(3 * kMiB - 100).data() == places[2]);
  REQUIRE(arena.allocate(5 * kMiB + 5000).data() == places[3]);
  REQUIRE(arena.allocate(7 * kMiB).data() == places[0]);
}

TEST_CASE("arena: data of large blocks start at one place of a page") {
  Arena arena;
  std::vector<Block> blocks;
  for (std::size_t bytes : {20000u, 16321u, 65536u, 1000000u, 30000000u, 40000u}) {
    blocks.push_back(arena.allocate(bytes));
    REQUIRE(reinterpret_cast<std::uintptr_t>(blocks.back().data()) % 4096 == 128);
  }
}

TEST_CASE("arena: any order of requests leaves every block its numbers, and in the end everything is free") {
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    Arena arena;
    const Philox philox(seed);
    std::vector<Filled> blocks;
    for (std::uint64_t i = 0; i < 4000; ++i) {
      if (philox.below(4 * i, 100) < (blocks.size() < 40 ? 55 : 45)) {
        const std::size_t bytes = 1 + (std::size_t{1} << philox.below(4 * i + 1, 22)) + philox.below(4 * i + 2, 5000);
        blocks.push_back(filled(arena, bytes, static_cast<int>(i % 251)));
      } else if (!blocks.empty()) {
        std::swap(blocks[philox.below(4 * i + 1, blocks.size())], blocks.back());
        REQUIRE(blocks.back().intact());
        blocks.pop_back();
      }
    }
    for (const Filled& block : blocks) REQUIRE(block.intact());
    blocks.clear();
    const Arena::Usage usage = arena.usage();
    REQUIRE((usage.live_blocks == 0 && usage.live_bytes == 0));
    REQUIRE(usage.peak_bytes <= usage.mapped_bytes);
    // Slabs of small blocks stay where they are; all else is one piece, so that half of it is there at once.
    REQUIRE(arena.allocate(usage.mapped_bytes / 2).bytes() > 0);
    REQUIRE(arena.usage().mapped_bytes <= usage.mapped_bytes + usage.mapped_bytes / 2);
  }
}

TEST_CASE("arena: steps that ask for the same need no more memory from the second on") {
  Arena arena;
  const Philox philox(7);
  Arena::Usage second;
  for (int step = 0; step < 20; ++step) {
    std::vector<Block> saved;
    for (std::uint64_t i = 0; i < 60; ++i) {
      const Block scratch = arena.allocate(1 + philox.below(2 * i, 3000000));
      saved.push_back(arena.allocate(1 + philox.below(2 * i + 1, 3000000)));
    }
    for (std::uint64_t i = 60; i-- > 0; saved.pop_back()) {
      const Block gradient = arena.allocate(1 + philox.below(2 * i, 3000000));
    }
    if (step == 1) second = arena.usage();
    if (step > 1) REQUIRE(arena.usage().mapped_bytes == second.mapped_bytes);
  }
  REQUIRE(second.mapped_bytes < second.peak_bytes + second.peak_bytes / 5);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_CASE("arena: where addresses are limited it takes no more than it needs, and says when they end") {
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit{std::size_t{1} << 30, std::size_t{1} << 30};
    if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(2);
    Arena arena;
    Block kept = arena.allocate(100 * kMiB);
    const std::size_t others = 700 * kMiB;  // must be left to them
    void* rest = mmap(nullptr, others, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (rest == MAP_FAILED || munmap(rest, others) != 0) _exit(5);
    std::memset(kept.data(), 1, 100 * kMiB);
    try {
      arena.allocate(std::size_t{2} << 30);
    } catch (const EnvironmentError&) {
      kept = {};
      kept = arena.allocate(100 * kMiB);
      _exit(arena.usage().live_blocks == 1 && arena.usage().mapped_bytes < 110 * kMiB ? 0 : 3);
    }
    _exit(4);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  REQUIRE(WEXITSTATUS(status) == 0);
}
#endif

TEST_CASE("arena: a block outlives its arena") {
  Block block;
  {
    Arena arena;
    block = arena.allocate(100);
    block.data()[99] = std::byte{7};
  }
  const Block other = block.beside(10);
  REQUIRE(block.data()[99] == std::byte{7});
  REQUIRE(other.bytes() >= 10);
}

TEST_CASE("arena: an impossible size is an EnvironmentError that names it") {
  Arena arena;
  REQUIRE_THROWS_AS(arena.allocate(std::size_t{1} << 60), EnvironmentError);
  REQUIRE_THROWS_WITH(arena.allocate(std::size_t{1} << 60), contains("1152921504606846976 bytes"));
}
