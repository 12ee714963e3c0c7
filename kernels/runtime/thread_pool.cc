#include "kernels/runtime/thread_pool.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <system_error>
#include <utility>

#include "kernels/error.h"

namespace tapestry {
namespace {

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Spins until done() or for about 30 microseconds; says whether done() came true.
template <class Done>
bool spin(const Done& done) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(30);
  do {
    for (int i = 0; i < 64; ++i) {
      if (done()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() < end);
  return done();
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  if (threads < 1 || threads > 1024)
    throw ArgumentError("thread pool: threads must be from 1 to 1024, got " + std::to_string(threads));
  counters_ = std::make_unique<Counter[]>(2 * static_cast<std::size_t>(threads));
  workers_.reserve(static_cast<std::size_t>(threads) - 1);
  try {
    for (int index = 1; index < threads; ++index) workers_.emplace_back([this, index] { work(index); });
  } catch (const std::system_error& error) {
    stop();
    throw EnvironmentError("thread pool: cannot start " + std::to_string(threads) + " threads: " + error.what());
  } catch (...) {
    stop();
    throw;
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  ending_ = true;
  epoch_.fetch_add(1);
  epoch_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

// A job's chunks are dealt out in as many shares as there are threads. Each begins with its own, so that it finds in
// its cache what it wrote in the job before, and goes on with those of the others. counters_[threads + share] is the
// next chunk of a share.
void ThreadPool::claim(int index) {
  const auto threads = static_cast<std::size_t>(this->threads());
  const std::size_t shares = std::min(threads, chunks_);
  const std::uint64_t start = meter_ == nullptr ? 0 : kernels::Meter::now();
  std::uint64_t ran = 0;
  for (std::size_t k = 0; k < shares; ++k) {
    const std::size_t share = (static_cast<std::size_t>(index) + k) % shares, end = (share + 1) * chunks_ / shares;
    std::atomic<std::uint64_t>& next = counters_[threads + share].chunks;
    if (next.load(std::memory_order_relaxed) >= end) continue;
    for (std::size_t chunk; (chunk = next.fetch_add(1, std::memory_order_relaxed)) < end; ++ran) {
      if (failed_.load(std::memory_order_relaxed)) continue;
      try {
        (*body_)(chunk);
      } catch (...) {
        if (!failed_.exchange(true)) failure_ = std::current_exception();
      }
    }
  }
  Counter& counter = counters_[static_cast<std::size_t>(index)];
  counter.chunks.fetch_add(ran, std::memory_order_relaxed);
  if (meter_ != nullptr && ran != 0) counter.busy = kernels::Meter::now() - start;
}

// After the workers have left a run that began at `start`.
void ThreadPool::report(std::uint64_t start) {
  std::uint64_t longest = 0;
  for (int index = 0; index < threads(); ++index) {
    const std::uint64_t busy = std::exchange(counters_[static_cast<std::size_t>(index)].busy, 0);
    meter_->busy += busy;
    longest = std::max(longest, busy);
  }
  meter_->longest += longest;
  meter_->shared += kernels::Meter::now() - start;
}

void ThreadPool::work(int index) {
  std::uint32_t seen = 0;
  for (;;) {
    if (!spin([&] { return epoch_.load(std::memory_order_acquire) != seen; })) {
      sleepers_.fetch_add(1);
      epoch_.wait(seen);
      sleepers_.fetch_sub(1);
    }
    seen = epoch_.load(std::memory_order_acquire);
    if (ending_) return;
    if ((gate_.fetch_add(1, std::memory_order_acq_rel) & kOpen) != 0) claim(index);
    gate_.fetch_sub(1, std::memory_order_acq_rel);
  }
}

void ThreadPool::run(std::size_t chunks, FunctionRef<void(std::size_t)> body) {
  if (chunks <= 1 || workers_.empty() || busy_.exchange(true, std::memory_order_acquire)) {
    for (std::size_t chunk = 0; chunk < chunks; ++chunk) body(chunk);
    return;
  }
  const std::uint64_t start = meter_ == nullptr ? 0 : kernels::Meter::now();
  body_ = &body;
  chunks_ = chunks;
  failed_ = false;
  const auto threads = static_cast<std::size_t>(this->threads());
  const std::size_t shares = std::min(threads, chunks);
  for (std::size_t share = 0; share < shares; ++share)
    counters_[threads + share].chunks.store(share * chunks / shares, std::memory_order_relaxed);
  gate_.fetch_or(kOpen, std::memory_order_acq_rel);
  epoch_.fetch_add(1);
  if (sleepers_.load() != 0) epoch_.notify_all();
  claim(0);
  gate_.fetch_and(~kOpen, std::memory_order_acq_rel);
  const auto empty = [&] { return gate_.load(std::memory_order_acquire) == 0; };
  while (!spin(empty)) std::this_thread::yield();
  if (meter_ != nullptr) report(start);
  const std::exception_ptr failure = std::exchange(failure_, nullptr);
  busy_.store(false, std::memory_order_release);
  if (failure) std::rethrow_exception(failure);
}

std::vector<std::uint64_t> ThreadPool::chunks_by_thread() const {
  std::vector<std::uint64_t> counts;
  for (int index = 0; index < threads(); ++index)
    counts.push_back(counters_[static_cast<std::size_t>(index)].chunks.load(std::memory_order_relaxed));
  return counts;
}

}  // namespace tapestry
