// Where the time of train steps goes, op by op and layer by layer.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "autodiff/context.h"
#include "autodiff/cost.h"

namespace tapestry::train {

enum class Pass { forward, backward, section, other };

std::string_view pass_name(Pass pass);

// What kernels told of some calls, where the context's meter is the profiler's.
struct KernelWork {
  double shared = 0;                       // seconds in runs of the pool that several threads shared
  double busy = 0;                         // of these, of all threads together
  double longest = 0;                      // of the thread that had most to do in each run
  double packing = 0;                      // seconds of all threads, in copies of operands for tiles
  double products = 0, unit_products = 0;  // multiply-adds by tiles, and those of them that a matrix unit computed
  std::vector<kernels::TileShape> tiles = {};

  void add(const kernels::Meter& meter);
  void add(const KernelWork& other);
};

// All calls of one op in one layer, forward or backward.
struct ProfileRow {
  std::string op;          // or the name of a section
  std::string layer = "";  // its path, "2" or "7.body.0"; outside layers the line that called it, "main.cc:12"
  Pass pass = Pass::forward;
  std::int64_t calls = 0;
  double seconds = 0;
  double fastest = 0;      // seconds of the shortest call; 0: not known
  OpCost cost = {};        // of all calls together
  bool cost_known = true;  // otherwise one operation an element is assumed
  KernelWork work = {};

  // Seconds that all threads together spent at work on this; outside shared runs there is one.
  double thread_seconds() const { return std::max(0.0, seconds - work.shared) + work.busy; }
};

struct ProfileSpan {
  std::size_t row;        // in Profile::rows
  double start, seconds;  // since the first recorded step began
};

struct Profile {
  std::int64_t steps = 0;
  double seconds = 0;              // of the steps, from begin to end
  std::vector<ProfileRow> rows;    // in the order in which they first ran; the last is what no other row covers
  std::vector<ProfileSpan> spans;  // each call
};

// Records steps:
//   train::Profiler profiler;                           // of one context, which it outlives
//   Context context{{.trace = profiler.sink(), .meter = profiler.meter()}};
//   ...
//   profiler.begin_step();
//   Tape tape{context};
//   Gradients gradients = tape.backward(...);     // ops come from the trace
//   profiler.section("optimizer", [&] { optimizer.step(gradients); });
//   profiler.end_step();
// Outside begin_step() and end_step() nothing is recorded. It is used from one thread.
class Profiler {
 public:
  Profiler() = default;
  Profiler(const Profiler&) = delete;
  Profiler& operator=(const Profiler&) = delete;

  std::function<void(const TraceEvent&)> sink();
  kernels::Meter* meter() { return &meter_; }

  void begin_step();
  void end_step();  // ArgumentError where no step was begun
  // Runs work() and records its time as a row of its own. No op runs in it.
  template <class Work>
  void section(std::string_view name, const Work& work) {
    const double start = begin_section();
    work();
    add_section(name, start);
  }

  // What was recorded so far.
  Profile profile() const;

 private:
  using Clock = std::chrono::steady_clock;
  // What an event says of its row, by address: equal keys are of one row, which is found without comparing texts.
  struct Key {
    const char *op, *layer, *file;
    std::uint32_t line;
    Pass pass;
    bool operator==(const Key&) const = default;
  };
  struct KnownKey {
    Key key;
    std::size_t row;
  };

  double now() const { return std::chrono::duration<double>(Clock::now() - origin_).count(); }
  void add(const TraceEvent& event);
  double begin_section();
  void add_section(std::string_view name, double start);
  std::size_t row_for(std::string_view op, const std::string& layer, Pass pass);
  void add_call(std::size_t row, double start, double end, const OpCost& cost);

  Clock::time_point origin_ = Clock::now();
  bool recording_ = false;
  kernels::Meter meter_;              // of what ran since the last call that was added
  double step_start_ = 0, last_ = 0;  // last_: until when time is covered
  Profile profile_;
  std::vector<KnownKey> keys_;
  std::vector<OpCosts> costs_;  // of the ops of this step, by node
};

}  // namespace tapestry::train
