#include "kernels/runtime/thread_pool.h"

#include <array>
#include <atomic>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "kernels/error.h"
#include "tests/catch.h"

using namespace tapestry;

TEST_CASE("pool: every chunk runs once, at any number of threads") {
  for (int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    for (std::size_t chunks : {0u, 1u, 2u, 5u, 64u, 1000u})
      for (int repeat = 0; repeat < 50; ++repeat) {
        std::vector<int> hits(chunks, 0);
        pool.run(chunks, [&](std::size_t chunk) { ++hits[chunk]; });
        REQUIRE(std::accumulate(hits.begin(), hits.end(), std::size_t{0}) == chunks);
        REQUIRE(std::ranges::all_of(hits, [](int hit) { return hit == 1; }));
      }
  }
}

TEST_CASE("pool: an exception in a chunk reaches the caller and the pool goes on") {
  ThreadPool pool(3);
  for (int repeat = 0; repeat < 100; ++repeat) {
    REQUIRE_THROWS_AS(pool.run(20,
                               [](std::size_t chunk) {
                                 if (chunk == 11) throw std::logic_error("11");
                               }),
                      std::logic_error);
    std::atomic<int> count = 0;
    pool.run(20, [&](std::size_t) { ++count; });
    REQUIRE(count == 20);
  }
}

TEST_CASE("pool: a call from inside a chunk runs where it is") {
  ThreadPool pool(3);
  std::atomic<int> count = 0;
  pool.run(8, [&](std::size_t) { pool.run(8, [&](std::size_t) { ++count; }); });
  REQUIRE(count == 64);
}

TEST_CASE("pool: each thread begins with its own share of the chunks") {
  ThreadPool pool(2);
  for (int run = 0; run < 50; ++run) {
    std::array<std::atomic<bool>, 4> started{};
    std::array<std::thread::id, 4> ran;
    std::atomic<bool> late = false;
    pool.run(4, [&](std::size_t chunk) {  // 0 and 1 are the caller's: both threads are held at the same chunk of theirs
      ran[chunk] = std::this_thread::get_id();
      started[chunk] = true;
      const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
      while (!started[(chunk + 2) % 4] && !late) late = std::chrono::steady_clock::now() > end;
    });
    REQUIRE(!late);
    REQUIRE((ran[0] == std::this_thread::get_id() && ran[1] == ran[0] && ran[2] == ran[3] && ran[2] != ran[0]));
  }
}

TEST_CASE("pool: two callers at once") {
  ThreadPool pool(2);
  std::atomic<int> count = 0;
  const auto call = [&] {
    for (int i = 0; i < 500; ++i) pool.run(16, [&](std::size_t) { ++count; });
  };
  std::thread other(call);
  call();
  other.join();
  REQUIRE(count == 16000);
}

TEST_CASE("pool: impossible sizes are refused with the number") {
  REQUIRE_THROWS_WITH(ThreadPool(0), contains("got 0"));
  REQUIRE_THROWS_AS(ThreadPool(-3), ArgumentError);
  REQUIRE_THROWS_AS(ThreadPool(100000), ArgumentError);
}
