// The axes of plots and their ticks. Inside of plots; not part of the public interface.
#pragma once

#include <string>
#include <vector>

namespace tapestry::train {

// What one axis shows, from `low` to `high` (of the logarithms on a logarithmic one).
struct Axis {
  struct Tick {
    double at;
    std::string label;
  };
  double low = 0, high = 1;
  bool falling = false;
  std::vector<Tick> ticks = {};

  double share(double value) const {  // of the way along the axis
    const double share = (value - low) / (high - low);
    return falling ? 1 - share : share;
  }
};

// Ticks at multiples of 1, 2 or 5 times a power of ten; the axis ends at ticks.
Axis linear_axis(double low, double high);
// Ticks at powers of two; `low` and `high` are logarithms to base 2.
Axis log2_axis(double low, double high);
// Ticks at powers of ten, and at 2 and 5 times them where there are few; `low` and `high` are logarithms to base 10.
Axis log10_axis(double low, double high);

}  // namespace tapestry::train
