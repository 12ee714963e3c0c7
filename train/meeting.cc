#include "train/meeting.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/error.h"

namespace tapestry::train::detail {
namespace {

bool same(const Call& a, const Call& b) {
  return a.first == b.first && a.stride == b.stride && a.what == b.what && a.values.size() == b.values.size() &&
         std::ranges::equal(a.members, b.members);
}

std::string text_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "something that is no std::exception";
  }
}

}  // namespace

void Meeting::open() {
  const std::lock_guard lock(mutex_);
  if (open_) throw ArgumentError("replicas: they run already");
  open_ = true;
  for (Seat& seat : seats_) seat.state = State::working;
}

void Meeting::leave(int replica) {
  const std::lock_guard lock(mutex_);
  seats_[static_cast<std::size_t>(replica)].state = State::away;
  look_for_stuck();
}

void Meeting::fail(int replica, std::exception_ptr error) {
  const std::lock_guard lock(mutex_);
  seats_[static_cast<std::size_t>(replica)].state = State::away;
  if (!error_) break_up(fmt::format("replica {} failed: {}", replica, text_of(error)), error);
}

std::exception_ptr Meeting::close() {
  const std::lock_guard lock(mutex_);
  open_ = false;
  return std::exchange(error_, nullptr);
}

// Whether all members but `replica` wait with the same call.
bool Meeting::complete(int replica, const Call& call) {
  return std::ranges::all_of(call.members, [&](int member) {
    const Seat& other = seat(call, member);
    return &other == &seats_[static_cast<std::size_t>(replica)] ||
           (other.state == State::waiting && same(other.call, call));
  });
}

// Ends it where all that have not ended wait, so that nobody is left who could come to what is waited for.
void Meeting::look_for_stuck() {
  const auto is = [](State state) { return [state](const Seat& seat) { return seat.state == state; }; };
  if (error_ || std::ranges::any_of(seats_, is(State::working)) || std::ranges::none_of(seats_, is(State::waiting)))
    return;
  const std::string reason = who_waits();
  break_up(reason, std::make_exception_ptr(PeerError("replicas: " + reason)));
}

void Meeting::break_up(std::string reason, std::exception_ptr error) {
  reason_ = std::move(reason);
  error_ = std::move(error);
  changed_.notify_all();
}

std::string Meeting::who_waits() const {
  std::string text = "they wait for each other in vain:";
  for (std::size_t i = 0; i < seats_.size(); ++i) {
    const auto& [state, call] = seats_[i];
    text += fmt::format("{} replica {} ", i == 0 ? "" : ",", i);
    text += state == State::away ? "has ended"
                                 : fmt::format("asks for the mean of {} (values {}, members {})", call.what,
                                               call.values.size(), call.members.size());
  }
  return text;
}

void Meeting::meet(int replica, const Call& call, FunctionRef<void()> last) {
  std::unique_lock lock(mutex_);
  Seat& own = seats_[static_cast<std::size_t>(replica)];
  if (own.state != State::working)
    throw ArgumentError(fmt::format("replicas: the mean of {} is asked for {}", call.what,
                                    own.state == State::away ? "where no replica runs" : "twice at a time"));
  if (error_) throw PeerError("replicas: " + reason_);
  own.call = call;
  if (complete(replica, call)) {
    last();
    for (int member : call.members) seat(call, member).state = State::working;
    return changed_.notify_all();
  }
  own.state = State::waiting;
  look_for_stuck();
  changed_.wait(lock, [&] { return own.state == State::working || error_; });
  if (own.state == State::working) return;
  own.state = State::working;
  throw PeerError("replicas: " + reason_);
}

void Meeting::mean(int replica, const Call& call) {
  meet(replica, call, [&] {
    const auto count = static_cast<double>(call.members.size());
    for (std::size_t i = 0; i < call.values.size(); ++i) {
      const double first = seat(call, call.members[0]).call.values[i];
      double sum = first;
      bool equal = true;  // equal numbers have exactly that mean
      for (int member : call.members.subspan(1)) {
        const double value = seat(call, member).call.values[i];
        sum += value;
        equal = equal && value == first;
      }
      for (int member : call.members) seat(call, member).call.values[i] = equal ? first : sum / count;
    }
  });
}

}  // namespace tapestry::train::detail
