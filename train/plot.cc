#include "train/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string_view>

#include "autodiff/text.h"
#include "io/file.h"
#include "kernels/error.h"
#include "train/history.h"
#include "train/plot_axis.h"

namespace tapestry::train {
namespace {

// In pixels.
constexpr double kWidth = 640, kRight = 24, kPlotHeight = 290, kBottom = 58;
constexpr double kTitleHeight = 40, kLegendHeight = 24, kTickSize = 13, kLabelSize = 14, kTitleSize = 16;
constexpr std::string_view kInk = "#222222";
// Okabe and Ito, "Color universal design", 2008: told apart by the colour-blind, those first that stand out on white.
constexpr std::array<std::string_view, 6> kColours{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"};

std::string escaped(std::string_view printable_text) {
  std::string out;
  for (const char c : printable_text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

// How wide a text is at most, about: letters of usual fonts are 0.62 of their size wide on average, and no font is at
// hand.
double width_of(std::string_view text, double size) {
  const auto letters = std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; });
  return 0.62 * size * static_cast<double>(letters);
}

// A text, smaller where it would be wider than `room`. `place` holds attributes.
std::string text_element(std::string_view text, std::string_view place, double size, double room) {
  if (text.empty()) return {};
  const std::string shown = printable(text);
  return fmt::format("<text {} font-size=\"{:.1f}\">{}</text>\n", place,
                     size * std::min(1.0, room / width_of(shown, size)), escaped(shown));
}

class Plot {
 public:
  Plot(std::span<const PlotSeries> series, const PlotOptions& options) : series_(series), options_(options) {
    for (const PlotSeries& s : series)
      if (s.x.size() != s.y.size())
        fail<ArgumentError>(
            options.where, "line_plot",
            fmt::format("series '{}' has {} values of x, but {} of y", printable(s.name), s.x.size(), s.y.size()));
    x_ = range([this](const PlotSeries& s, std::size_t i) { return x_value(s, i); }, options.log2_x  ? log2_axis
                                                                                     : options.log_x ? log10_axis
                                                                                                     : linear_axis);
    y_ = range([this](const PlotSeries& s, std::size_t i) { return y_value(s, i); },
               options.log_y ? log10_axis : linear_axis);
    x_.falling = options.falling_x;
    for (const Axis::Tick& tick : y_.ticks) left_ = std::max(left_, 46 + width_of(tick.label, kTickSize));
  }

  std::string svg() {
    const std::string legend = draw_legend();  // it decides where the plot begins
    const double height = top_ + kPlotHeight + kBottom;
    std::string out = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:g}\" height=\"{1:g}\" viewBox=\"0 0 {0:g} {1:g}\" "
        "role=\"img\" aria-label=\"{2}\" font-family=\"DejaVu Sans, Verdana, Arial, sans-serif\" fill=\"{3}\">\n"
        "<rect width=\"{0:g}\" height=\"{1:g}\" fill=\"#ffffff\"/>\n",
        kWidth, height, escaped(options_.title.empty() ? "line plot" : printable(options_.title)), kInk);
    out += text_element(options_.title, fmt::format("x=\"{:g}\" y=\"26\" font-weight=\"bold\"", left_), kTitleSize,
                        kWidth - left_ - kRight);
    out += legend + draw_axes();
    for (std::size_t s = 0; s < series_.size(); ++s) out += draw_series(s);
    return out + "</svg>\n";
  }

 private:
  double x_value(const PlotSeries& s, std::size_t i) const {
    if (!options_.log2_x && !options_.log_x) return s.x[i];
    if (!(s.x[i] > 0)) return NAN;
    return options_.log2_x ? std::log2(s.x[i]) : std::log10(s.x[i]);
  }
  double y_value(const PlotSeries& s, std::size_t i) const {
    if (!options_.log_y) return s.y[i];
    return s.y[i] > 0 ? std::log10(s.y[i]) : NAN;
  }
  bool drawable(const PlotSeries& s, std::size_t i) const {
    return std::abs(x_value(s, i)) <= 1e300 && std::abs(y_value(s, i)) <= 1e300;
  }

  template <class Value>
  Axis range(const Value& value, Axis (*axis)(double, double)) const {
    double low = INFINITY, high = -INFINITY;
    for (const PlotSeries& s : series_)
      for (std::size_t i = 0; i < s.x.size(); ++i)
        if (drawable(s, i)) low = std::min(low, value(s, i)), high = std::max(high, value(s, i));
    if (low > high) low = 0, high = 1;
    return axis(low, high);
  }

  double place_x(double value) const { return left_ + x_.share(value) * (kWidth - left_ - kRight); }
  double place_y(double value) const { return top_ + (1 - y_.share(value)) * kPlotHeight; }

  // Entries from left to right, in as many rows as they need.
  std::string draw_legend() {
    constexpr double kSample = 34, kGap = 22;
    std::string out;
    double x = left_, y = options_.title.empty() ? 24 : kTitleHeight + 12;
    for (std::size_t s = 0; s < series_.size(); ++s) {
      const double width =
          std::min(kSample + width_of(printable(series_[s].name), kLabelSize), kWidth - left_ - kRight);
      if (x > left_ && x + width > kWidth - kRight) x = left_, y += kLegendHeight;
      if (series_[s].style != PlotStyle::marks)
        out += fmt::format("<path d=\"M{:.1f} {:.1f}h26\" stroke=\"{}\" stroke-width=\"2.5\"/>\n", x, y - 5, colour(s));
      if (series_[s].style != PlotStyle::line) out += mark(s, x + 13, y - 5, "");
      out += text_element(series_[s].name, fmt::format("x=\"{:.1f}\" y=\"{:.1f}\"", x + kSample, y), kLabelSize,
                          width - kSample);
      x += width + kGap;
    }
    top_ = y + (series_.empty() ? 0 : 18);
    return out;
  }

  std::string draw_axes() const {
    const double bottom = top_ + kPlotHeight, right = kWidth - kRight;
    std::string out;
    for (const Axis::Tick& tick : y_.ticks) {
      const double y = place_y(tick.at);
      out += fmt::format("<path d=\"M{:g} {:.1f}H{:g}\" stroke=\"#dddddd\"/>\n", left_, y, right);
      out += text_element(tick.label, fmt::format("x=\"{:g}\" y=\"{:.1f}\" text-anchor=\"end\"", left_ - 8, y + 4.5),
                          kTickSize, left_ - 34);
    }
    const double between = (right - left_) / static_cast<double>(std::max<std::size_t>(x_.ticks.size(), 1));
    for (const Axis::Tick& tick : x_.ticks) {
      const double x = place_x(tick.at);
      out += fmt::format("<path d=\"M{:.1f} {:.1f}v5\" stroke=\"{}\"/>\n", x, bottom, kInk);
      out += text_element(tick.label, fmt::format("x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\"", x, bottom + 21),
                          kTickSize, between - 6);
    }
    out += fmt::format("<path d=\"M{0:g} {1:.1f}V{2:.1f}H{3:g}\" fill=\"none\" stroke=\"{4}\"/>\n", left_, top_, bottom,
                       right, kInk);
    out +=
        text_element(options_.x_label,
                     fmt::format("x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\"", (left_ + right) / 2, bottom + 46),
                     kLabelSize, right - left_);
    return out + text_element(options_.y_label,
                              fmt::format("transform=\"translate(20 {:.1f}) rotate(-90)\" text-anchor=\"middle\"",
                                          top_ + kPlotHeight / 2),
                              kLabelSize, kPlotHeight);
  }

  std::string draw_series(std::size_t s) const {
    const PlotSeries& line = series_[s];
    std::string path, marks;
    bool joined = false;
    for (std::size_t i = 0; i < line.x.size(); ++i) {
      if (!drawable(line, i)) {
        joined = false;
        continue;
      }
      const double x = place_x(x_value(line, i)), y = place_y(y_value(line, i));
      path += fmt::format("{}{:.1f} {:.1f}", joined ? 'L' : 'M', x, y);
      marks += mark(
          s, x, y,
          fmt::format("{}: {:.6g}, {:.6g}", i < line.hints.size() ? line.hints[i] : line.name, line.x[i], line.y[i]));
      joined = true;
    }
    if (path.empty()) return {};
    if (line.style == PlotStyle::marks) return marks;
    if (line.style == PlotStyle::line) marks.clear();
    return fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2.5\" stroke-linejoin=\"round\"/>\n",
                       path, colour(s)) +
           marks;
  }

  static std::string_view colour(std::size_t s) { return kColours[s % kColours.size()]; }

  // A disc, a square, a triangle or a diamond; a browser shows `hint` under the pointer.
  static std::string mark(std::size_t s, double x, double y, std::string_view hint) {
    constexpr std::array<std::string_view, 4> kMarks{"m-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z", "m-4.5 -4.5h9v9h-9z",
                                                     "m0 -6.5l5.5 9.5h-11z", "m0 -6.5l6.5 6.5l-6.5 6.5l-6.5 -6.5z"};
    const std::string start =
        fmt::format("<path d=\"M{:.1f} {:.1f}{}\" fill=\"{}\"", x, y, kMarks[s % kMarks.size()], colour(s));
    return hint.empty() ? start + "/>\n"
                        : fmt::format("{}><title>{}</title></path>\n", start, escaped(printable(hint)));
  }

  std::span<const PlotSeries> series_;
  const PlotOptions& options_;
  Axis x_, y_;
  double left_ = 72, top_ = 0;  // where the plot begins
};

}  // namespace

std::string line_plot(std::span<const PlotSeries> series, const PlotOptions& options) {
  return Plot(series, options).svg();
}

void save_line_plot(const std::string& path, std::span<const PlotSeries> series, const PlotOptions& options) {
  const std::string text = line_plot(series, options);
  require_writable(path);
  io::OutputFile file(path);
  file.write(std::as_bytes(std::span(text)));
  file.commit();
}

}  // namespace tapestry::train
