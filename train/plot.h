// Line plots as SVG files, which any browser shows.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "autodiff/location.h"

namespace tapestry::train {

enum class PlotStyle { line_and_marks, line, marks };

// A line through the points (x[i], y[i]), in this order, a mark at each, or only one of both.
struct PlotSeries {
  std::string name;
  std::vector<double> x, y;
  PlotStyle style = PlotStyle::line_and_marks;
  std::vector<std::string> hints = {};  // what the points are called, under the pointer; `name` where there is none
};

struct PlotOptions {
  std::string title = "", x_label = "", y_label = "";
  bool log2_x = false;                // each doubling of x takes the same room, and ticks are powers of two
  bool log_x = false, log_y = false;  // each tenfold takes the same room, and ticks are powers of ten
  bool falling_x = false;             // the largest x stands on the left
  Location where = std::source_location::current();
};

// The text of an SVG file: axes with ticks, a legend above them, and for each series a line, a colour that the
// colour-blind can tell apart, and a mark of its own at each point. A point that is not finite, is beyond 1e300, or has
// no logarithm is left out and breaks its line; differences below a millionth of the values are drawn flat. No scripts,
// no fonts, no links; the same text in any locale. ArgumentError, which names the series, where x and y differ in size.
std::string line_plot(std::span<const PlotSeries> series, const PlotOptions& options = {});

// Writes line_plot to `path`: whole, or not at all. The folder is made when it is missing. EnvironmentError, which
// names the path and the reason, when it cannot be written.
void save_line_plot(const std::string& path, std::span<const PlotSeries> series, const PlotOptions& options = {});

}  // namespace tapestry::train
