// A test that must not hang: past its deadline the program is aborted, so that a hang is a failure.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

namespace tapestry::test {

class Deadline {
 public:
  explicit Deadline(std::chrono::seconds limit = std::chrono::seconds(30))
      : watch_([this, limit] {
          std::unique_lock lock(mutex_);
          if (changed_.wait_until(lock, std::chrono::system_clock::now() + limit, [this] { return over_; })) return;
          std::fputs("the test hangs\n", stderr);
          std::abort();
        }) {}
  ~Deadline() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    watch_.join();
  }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread watch_;  // the last one: it looks at all of them
};

}  // namespace tapestry::test
