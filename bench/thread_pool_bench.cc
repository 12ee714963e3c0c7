// What it costs to hand work to the pool: a job of empty chunks, and one that ends when both of two threads have come.
#include "kernels/runtime/thread_pool.h"

#include "bench/support.h"

namespace {

using namespace tapestry;
using Clock = std::chrono::steady_clock;

// Counters from the times of single jobs, in microseconds, which start `pause` microseconds after the one before.
template <class Body>
void time_jobs(benchmark::State& state, int threads, std::size_t chunks, const Body& body) {
  ThreadPool pool(threads);
  const auto pause = std::chrono::microseconds(state.range(0));
  std::vector<double> times;
  times.reserve(1 << 20);
  for (auto _ : state) {
    for (const auto end = Clock::now() + pause; Clock::now() < end;) continue;
    const auto start = Clock::now();
    body(pool, chunks);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    state.SetIterationTime(seconds);
    if (times.size() < times.capacity()) times.push_back(seconds * 1e6);
  }
  std::ranges::sort(times);
  state.counters["median_us"] = times[times.size() / 2];
  state.counters["p90_us"] = times[times.size() * 9 / 10];
}

void empty_chunks(benchmark::State& state) {
  time_jobs(state, 2, 8, [](ThreadPool& pool, std::size_t chunks) { pool.run(chunks, [](std::size_t) {}); });
}

// Each of the two chunks waits for the other, so that both threads must have taken one.
void meeting(benchmark::State& state) {
  time_jobs(state, 2, 2, [](ThreadPool& pool, std::size_t chunks) {
    std::atomic<int> there = 0;
    pool.run(chunks, [&](std::size_t) {
      ++there;
      while (there.load(std::memory_order_acquire) < 2) continue;
    });
  });
}

// Between the ops of a step there are a few microseconds; after 100 the other thread sleeps.
void pauses(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("pause_us")->Arg(1)->Arg(10)->Arg(100)->UseManualTime()->Unit(benchmark::kMicrosecond);
}

BENCHMARK(empty_chunks)->Apply(pauses);
BENCHMARK(meeting)->Apply(pauses);

}  // namespace

BENCHMARK_MAIN();
