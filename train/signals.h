// Ctrl-C as a request: the loop ends its step, saves and returns.
#pragma once

namespace tapestry::train {

// While one lives, SIGINT and SIGTERM are noted instead of ending the program; the next one ends it at once, as usual.
// What was set before comes back with the last of them. A signal that the program ignores stays ignored.
class SignalGuard {
 public:
  explicit SignalGuard(bool active = true);  // inactive: does nothing
  ~SignalGuard();
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;

  int received() const;  // the signal's number, 0 when none came since the first guard

 private:
  bool active_;
};

}  // namespace tapestry::train
