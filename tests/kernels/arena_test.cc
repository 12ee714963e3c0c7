#include "kernels/arena.h"

#include <vector>

#include "kernels/error.h"
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
