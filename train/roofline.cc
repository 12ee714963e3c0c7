#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "train/plot.h"
#include "train/profile_report.h"

namespace tapestry::train {
namespace {

std::vector<PlotSeries> roofline_series(const Profile& profile, const Peaks& peaks) {
  PlotSeries forward{.name = "forward", .x = {}, .y = {}, .style = PlotStyle::marks};
  PlotSeries backward{.name = "backward", .x = {}, .y = {}, .style = PlotStyle::marks};
  double low = 0.1, high = peaks.flops / peaks.levels.back().best();
  for (const ProfileRow& row : profile.rows) {
    const RowRates rate = rates(row, peaks);
    if (!(rate.flops > 0) || !(rate.intensity > 0)) continue;
    PlotSeries& series = row.pass == Pass::backward ? backward : forward;
    series.x.push_back(rate.intensity);
    series.y.push_back(rate.flops / 1e9);
    series.hints.push_back(fmt::format("{} {} {}", row.layer, row.op, pass_name(row.pass)));
    low = std::min(low, rate.intensity);
    high = std::max(high, rate.intensity);
  }
  high *= 4;
  std::vector<PlotSeries> series;
  for (const Bandwidth& level : peaks.levels) {
    const double ridge = std::clamp(peaks.flops / level.best(), low, high);
    PlotSeries roof{.name = fmt::format("{} {:.0f} GB/s", level.level, level.best() / 1e9),
                    .x = {low, ridge},
                    .y = {},
                    .style = PlotStyle::line};
    if (series.empty()) {  // of the fastest level, whose roof is flat from the lowest intensity on: it is drawn flat
                           // for all
      roof.x.push_back(high);
      roof.name += fmt::format(" and {:.0f} GFLOP/s", peaks.flops / 1e9);
    }
    for (const double x : roof.x) roof.y.push_back(peaks.roof(x, level) / 1e9);
    series.push_back(std::move(roof));
  }
  if (peaks.unit_flops > peaks.flops) {
    const double roof = peaks.unit_flops / 1e9, ridge = peaks.unit_flops / peaks.levels.front().best();
    series.push_back({.name = fmt::format("{} {:.0f} GFLOP/s", peaks.unit, roof),
                      .x = {std::clamp(ridge, low, high), high},
                      .y = {roof, roof},
                      .style = PlotStyle::line});
  }
  series.push_back(std::move(forward));  // last, so that the points lie over the lines
  series.push_back(std::move(backward));
  return series;
}

PlotOptions roofline_options(const Peaks& peaks, const ProfileRun& run) {
  return {.title = fmt::format("{}: {}, batch {}, {} thread{}", run.model, peaks.target, run.batch_size, peaks.threads,
                               peaks.threads == 1 ? "" : "s"),
          .x_label = "operations per byte that must move",
          .y_label = "GFLOP/s",
          .log_x = true,
          .log_y = true};
}

}  // namespace

std::string roofline_plot(const Profile& profile, const Peaks& peaks, const ProfileRun& run) {
  return line_plot(roofline_series(profile, peaks), roofline_options(peaks, run));
}

void save_roofline_plot(const std::string& path, const Profile& profile, const Peaks& peaks, const ProfileRun& run) {
  save_line_plot(path, roofline_series(profile, peaks), roofline_options(peaks, run));
}

}  // namespace tapestry::train
