// How far a training run is, for a person to read on stderr.
#pragma once

#include <chrono>
#include <cstdint>

namespace tapestry::train {

struct ProgressState {
  int epoch = 1, epochs = 1;
  std::int64_t step = 0, steps = 1;  // of the epoch
  double loss = 0, accuracy = 0;     // means of the epoch so far
  double images_per_second = 0;
  double seconds_left = 0;  // of the whole run
};

// On a terminal, a line with a bar that is drawn anew in its place, ten times a second at most; elsewhere, a line every
// ten seconds. Colour on a terminal unless NO_COLOR is set or TERM is dumb. Calls no heap.
class Progress {
 public:
  // Writes to this file descriptor; inactive: nowhere.
  explicit Progress(bool active, int file = 2);

  void update(const ProgressState& state);  // cheap when it is not time to draw
  void line(const char* text);              // a line that stays, in place of the bar
  void clear();                             // takes the bar away

 private:
  void draw(const ProgressState& state);

  bool active_, terminal_ = false, colour_ = false, drawn_ = false;
  int file_;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace tapestry::train
