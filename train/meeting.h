// Where the threads of replicas wait for each other; not part of the public interface.
#pragma once

#include <condition_variable>
#include <exception>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "autodiff/context.h"

namespace tapestry::train::detail {

// Who is asked for: replicas first + stride i for each i of `members`. `what` and the size of `values` say for what.
struct Call {
  int first = 0, stride = 1;
  std::span<const int> members;
  std::string_view what;
  std::span<double> values = {};
};

// Nobody waits for what cannot come: when a replica fails, and when all that still run wait and no call of theirs is
// complete, all who wait leave with a PeerError that says why.
class Meeting {
 public:
  explicit Meeting(int replicas) : seats_(static_cast<std::size_t>(replicas)) {}

  void open();              // all replicas begin; ArgumentError when they run already
  void leave(int replica);  // it has ended well
  void fail(int replica, std::exception_ptr error);
  std::exception_ptr close();  // all have ended: the first error, if there was one

  // Returns when all members have made the same call, after the last of them has run `last`. What `last` throws is
  // thrown there.
  void meet(int replica, const Call& call, FunctionRef<void()> last);
  // The unweighted mean over the members, summed in their order.
  void mean(int replica, const Call& call);

 private:
  enum class State { away, working, waiting };
  struct Seat {
    State state = State::away;
    Call call;
  };

  Seat& seat(const Call& call, int member) {
    return seats_[static_cast<std::size_t>(call.first + call.stride * member)];
  }
  bool complete(int replica, const Call& call);
  void look_for_stuck();
  void break_up(std::string reason, std::exception_ptr error);
  std::string who_waits() const;

  std::mutex mutex_;  // guards all that follows, and the values of who waits
  std::condition_variable changed_;
  std::vector<Seat> seats_;
  bool open_ = false;
  std::exception_ptr error_;  // the first one; what `reason_` says to the others
  std::string reason_;
};

}  // namespace tapestry::train::detail
