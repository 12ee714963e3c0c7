#include "train/signals.h"

#include <signal.h>

#include <array>
#include <atomic>
#include <mutex>

namespace tapestry::train {
namespace {

constexpr std::array<int, 2> kSignals{SIGINT, SIGTERM};

// A signal handler can see nothing but what is global.
std::atomic<int> received_signal{0};
static_assert(std::atomic<int>::is_always_lock_free);

std::mutex mutex;  // guards what follows
int guards = 0;
std::array<struct sigaction, 2> before;

void note(int signal) {
  received_signal.store(signal);
  for (std::size_t i = 0; i < kSignals.size(); ++i)
    if (before[i].sa_handler != SIG_IGN) ::signal(kSignals[i], SIG_DFL);
}

}  // namespace

SignalGuard::SignalGuard(bool active) : active_(active) {
  if (!active_) return;
  const std::lock_guard lock(mutex);
  if (guards++ != 0) return;
  received_signal = 0;
  struct sigaction action {};
  action.sa_handler = note;
  action.sa_flags = SA_RESTART;
  for (const int signal : kSignals) sigaddset(&action.sa_mask, signal);
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], nullptr, &before[i]);
    if (before[i].sa_handler != SIG_IGN) sigaction(kSignals[i], &action, nullptr);
  }
}

SignalGuard::~SignalGuard() {
  if (!active_) return;
  const std::lock_guard lock(mutex);
  if (--guards != 0) return;
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before[i], nullptr);
}

int SignalGuard::received() const { return active_ ? received_signal.load(std::memory_order_relaxed) : 0; }

}  // namespace tapestry::train
