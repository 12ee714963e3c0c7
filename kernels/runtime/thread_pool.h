// A small pool whose results do not depend on its size: work is cut into chunks by the shape alone, and whichever
// thread is free claims the next chunk, of its own share first. Workers spin briefly, then sleep; the caller works too.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <thread>
#include <vector>

#include "kernels/runtime/function_ref.h"
#include "kernels/runtime/meter.h"

namespace tapestry {

class ThreadPool {
 public:
  // `threads` counts the caller; 1 starts no worker. ArgumentError below 1 or above 1024, EnvironmentError when the
  // system refuses a thread.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(0) ... body(chunks - 1), each once, in any order, on any thread; returns when all have ended.
  // The first exception is thrown again here, after the other chunks were claimed or skipped. A call from inside a
  // chunk, or while another thread uses the pool, runs its chunks on the calling thread.
  void run(std::size_t chunks, FunctionRef<void(std::size_t)> body);

  // Chunks that each thread has run since the pool was made; entry 0 is for callers. Work that was not shared is left
  // out.
  std::vector<std::uint64_t> chunks_by_thread() const;

  // From now on, runs add to `meter` how their chunks fell to the threads, until it is nullptr again. No run may be
  // under way.
  void measure(kernels::Meter* meter) { meter_ = meter; }

 private:
  struct alignas(64) Counter {
    std::atomic<std::uint64_t> chunks{0};
    std::uint64_t busy = 0;  // nanoseconds in this run, where they are measured
  };

  void work(int index);
  void claim(int index);
  void report(std::uint64_t start);
  void stop();

  static constexpr std::uint32_t kOpen = 1u << 31;

  std::vector<std::thread> workers_;
  std::unique_ptr<Counter[]> counters_;  // chunks run, by thread; then the next chunk of each share
  kernels::Meter* meter_ = nullptr;

  std::atomic<bool> busy_{false};
  alignas(64) std::atomic<std::uint32_t> epoch_{0};  // rises with every job; workers wait for it to change
  std::atomic<std::uint32_t> gate_{0};               // kOpen while a job takes workers, plus the workers inside
  std::atomic<int> sleepers_{0};
  std::atomic<bool> ending_{false};
  alignas(64) std::size_t chunks_ = 0;
  const FunctionRef<void(std::size_t)>* body_ = nullptr;
  std::atomic<bool> failed_{false};
  std::exception_ptr failure_;
};

// Calls body(begin, end) over [0, size) in pieces of `grain`; one piece is run at once on the calling thread.
template <class Body>
void parallel_for(ThreadPool& pool, std::size_t size, std::size_t grain, const Body& body) {
  if (size == 0) return;
  if (size <= grain) return body(std::size_t{0}, size);
  pool.run((size + grain - 1) / grain, [&](std::size_t chunk) {
    const std::size_t begin = chunk * grain;
    body(begin, begin + grain < size ? begin + grain : size);
  });
}

}  // namespace tapestry
