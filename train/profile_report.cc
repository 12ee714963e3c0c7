#include "train/profile_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "autodiff/text.h"
#include "io/file.h"
#include "train/gzip.h"
#include "train/history.h"

namespace tapestry::train {
namespace {

using Json = nlohmann::ordered_json;

// Names that are no UTF-8 do not stop the file.
std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::vector<const ProfileRow*> by_time(const Profile& profile) {
  std::vector<const ProfileRow*> rows;
  for (const ProfileRow& row : profile.rows) rows.push_back(&row);
  std::ranges::stable_sort(rows, [](const auto* a, const auto* b) { return a->seconds > b->seconds; });
  return rows;
}

ProfileRow sum_of(const Profile& profile, std::string name, std::initializer_list<Pass> passes) {
  ProfileRow sum{.op = std::move(name), .layer = ""};
  for (const ProfileRow& row : profile.rows) {
    if (std::ranges::find(passes, row.pass) == passes.end()) continue;
    sum.calls += row.calls;
    sum.seconds += row.seconds;
    sum.cost.flops += row.cost.flops;
    sum.cost.bytes += row.cost.bytes;
    sum.cost.written += row.cost.written;
    sum.cost.products += row.cost.products;
    sum.work.add(row.work);
  }
  return sum;
}

double share_of(double part, double whole) { return whole > 0 ? part / whole : 0; }

// The letters of a UTF-8 text.
std::size_t letters(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

std::vector<std::string> tile_texts(const ProfileRow& row) {
  std::vector<std::string> texts;
  for (const kernels::TileShape& tile : row.work.tiles)
    texts.push_back(fmt::format("{}{} {}x{}", tile.unit == kernels::kFmaUnit ? "" : fmt::format("{} ", tile.unit),
                                tile.form, tile.rows, tile.columns));
  return texts;
}

// The sizes of tiles, each once; their forms stand in the JSON alone.
std::string tile_sizes(const ProfileRow& row) {
  std::vector<std::string> sizes;
  for (const kernels::TileShape& tile : row.work.tiles) {
    std::string size = fmt::format("{}x{}", tile.rows, tile.columns);
    if (std::ranges::find(sizes, size) == sizes.end()) sizes.push_back(std::move(size));
  }
  return sizes.empty() ? "-" : fmt::format("{}", fmt::join(sizes, ", "));
}

std::string roof_of(const RowRates& rate, const Peaks& peaks) {
  if (!rate.compute_bound) return rate.level;
  return rate.unit_share == 0 ? "FMA" : rate.unit_share == 1 ? peaks.unit : "both";
}

// What computed the products: fused multiply-adds, the matrix unit, or both.
std::string unit_of(const RowRates& rate, const Peaks& peaks) {
  const std::string fma{kernels::kFmaUnit};
  return rate.unit_share == 0 ? fma : rate.unit_share == 1 ? peaks.unit : peaks.unit + " and " + fma;
}

constexpr std::size_t kRoof = 9;  // the cell with the share of the roof: a text, which stands on the left
using Cells = std::array<std::string, 13>;

Cells cells_of(const ProfileRow& row, const Profile& profile, const Peaks& peaks, bool is_sum) {
  const RowRates rate = rates(row, peaks);
  const auto steps = static_cast<double>(std::max<std::int64_t>(profile.steps, 1));
  const auto number = [](double value, const char* form) {
    return value > 0 ? fmt::format(fmt::runtime(form), value) : "-";
  };
  const bool timed = row.pass == Pass::forward || row.pass == Pass::backward;
  return {printable(row.layer.empty() ? "-" : row.layer),
          printable(row.op),
          is_sum || !timed ? "-" : std::string(pass_name(row.pass)),
          fmt::format("{:.4g}", static_cast<double>(row.calls) / steps),
          fmt::format("{:.3f}", 1e3 * row.seconds / steps),
          number(1e3 * row.fastest, "{:.3f}"),
          fmt::format("{:.1f} %", 100 * share_of(row.seconds, profile.seconds)),
          number(rate.flops / 1e9, "{:.1f}"),
          number(rate.bytes / 1e9, "{:.1f}"),
          is_sum || !(rate.roof_share > 0) ? "-"
                                           : fmt::format("{:.0f} % of {}", 100 * rate.roof_share, roof_of(rate, peaks)),
          number(100 * rate.packing_share, "{:.1f} %"),
          number(100 * rate.imbalance, "{:.1f} %"),
          is_sum ? "-" : tile_sizes(row)};
}

void append_table(std::string& text, const std::vector<Cells>& rows, std::size_t rule_before) {
  std::array<std::size_t, std::tuple_size_v<Cells>> widths{};
  for (const Cells& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], letters(row[i]));
  std::size_t all = 2 * (widths.size() - 1);
  for (const std::size_t width : widths) all += width;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    if (r == 1 || r == rule_before) text += std::string(all, '-') + "\n";
    std::string line;
    for (std::size_t i = 0; i < widths.size(); ++i) {
      const std::string room(widths[i] - letters(rows[r][i]), ' ');
      const bool left = i < 3 || i == kRoof || i + 1 == widths.size();
      line += left ? rows[r][i] + room : room + rows[r][i];
      line += "  ";
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
}

Json row_json(const ProfileRow& row, const Profile& profile, const Peaks& peaks, const ProfileRun& run) {
  const RowRates rate = rates(row, peaks);
  return {{"kind", "op"},
          {"model", run.model},
          {"op", row.op},
          {"layer", row.layer},
          {"pass", pass_name(row.pass)},
          {"calls", row.calls},
          {"seconds", row.seconds},
          {"fastest", row.fastest},
          {"share", share_of(row.seconds, profile.seconds)},
          {"flops", row.cost.flops},
          {"bytes", row.cost.bytes},
          {"bytes_written", row.cost.written},
          {"cost_known", row.cost_known},
          {"flops_per_second", rate.flops},
          {"bytes_per_second", rate.bytes},
          {"intensity", rate.intensity},
          {"roof_share", rate.roof_share},
          {"roof", rate.roof_share > 0 ? rate.compute_bound ? "flops" : rate.level : ""},
          {"packing_share", rate.packing_share},
          {"imbalance", rate.imbalance},
          {"tiles", tile_texts(row)},
          {"target", peaks.target},
          {"unit", unit_of(rate, peaks)},
          {"unit_share", rate.unit_share},
          {"precision", run.precision},
          {"threads", peaks.threads}};
}

// Where kernels did not tell, all products count as the unit's.
double unit_share_of(const ProfileRow& row, const Peaks& peaks) {
  if (row.cost.products == 0 || peaks.unit_flops == 0) return 0;
  return row.work.products == 0 ? 1 : row.work.unit_products / row.work.products;
}

}  // namespace

RowRates rates(const ProfileRow& row, const Peaks& peaks) {
  RowRates rate;
  if (!(row.seconds > 0) || row.calls == 0) return rate;
  rate.flops = row.cost.flops / row.seconds;
  rate.bytes = row.cost.bytes / row.seconds;
  const Bandwidth& level = peaks.level_for(row.cost.bytes / static_cast<double>(row.calls));
  rate.level = level.level;
  rate.unit_share = unit_share_of(row, peaks);
  const double computing = peaks.seconds(row.cost, rate.unit_share), moving = level.seconds(row.cost);
  rate.compute_bound = computing > moving;
  rate.roof_share = std::max(computing, moving) / row.seconds;
  if (row.cost.bytes > 0) rate.intensity = row.cost.flops / row.cost.bytes;
  if (row.thread_seconds() > 0) rate.packing_share = row.work.packing / row.thread_seconds();
  if (row.work.busy > 0) rate.imbalance = row.work.longest * peaks.threads / row.work.busy - 1;
  return rate;
}

std::string profile_table(const Profile& profile, const Peaks& peaks, const ProfileRun& run) {
  const double step = share_of(profile.seconds, static_cast<double>(profile.steps));
  std::string text = fmt::format("{}, batch {}: {} steps of {:.3f} ms, {:.0f} samples/s; {}, {} ({}), {} thread{}\n\n",
                                 printable(run.model), run.batch_size, profile.steps, 1e3 * step,
                                 share_of(static_cast<double>(run.batch_size), step), peaks.target, run.precision,
                                 run.unit, peaks.threads, peaks.threads == 1 ? "" : "s");
  std::vector<Cells> rows{{"layer", "op", "pass", "calls", "ms", "fastest", "share", "GFLOP/s", "GB/s", "of the roof",
                           "packing", "imbalance", "tiles"}};
  for (const ProfileRow* row : by_time(profile)) rows.push_back(cells_of(*row, profile, peaks, false));
  const std::size_t sums = rows.size();
  for (const ProfileRow& sum :
       {sum_of(profile, "forward", {Pass::forward}), sum_of(profile, "backward", {Pass::backward}),
        sum_of(profile, "all", {Pass::forward, Pass::backward, Pass::section, Pass::other})})
    rows.push_back(cells_of(sum, profile, peaks, true));
  append_table(text, rows, sums);
  text += fmt::format("\ncalls and ms are for one step, fastest is one call; peaks: {:.1f} GFLOP/s", peaks.flops / 1e9);
  if (peaks.threads > 1) text += fmt::format(" ({:.1f} on one thread)", peaks.thread_flops / 1e9);
  if (peaks.unit_flops > 0) text += fmt::format(", products {:.1f} on {}", peaks.unit_flops / 1e9, peaks.unit);
  for (const Bandwidth& level : peaks.levels) text += fmt::format(", {} {:.0f} GB/s", level.level, level.best() / 1e9);
  std::vector<std::string> assumed;
  for (const ProfileRow& row : profile.rows)
    if (!row.cost_known && std::ranges::find(assumed, printable(row.op)) == assumed.end())
      assumed.push_back(printable(row.op));
  if (!assumed.empty()) text += fmt::format("\none operation an element is assumed of: {}", fmt::join(assumed, ", "));
  return text + "\n";
}

std::string profile_json(const Profile& profile, const Peaks& peaks, const ProfileRun& run) {
  std::string lines;
  for (const ProfileRow* row : by_time(profile)) lines += dump(row_json(*row, profile, peaks, run)) + "\n";
  const ProfileRow ops = sum_of(profile, "", {Pass::forward, Pass::backward});
  const double step = share_of(profile.seconds, static_cast<double>(profile.steps));
  lines += dump(Json{{"kind", "total"},
                     {"model", run.model},
                     {"batch", run.batch_size},
                     {"steps", profile.steps},
                     {"seconds", profile.seconds},
                     {"ms_mean", 1e3 * step},
                     {"images_per_s", share_of(static_cast<double>(run.batch_size), step)},
                     {"op_seconds", ops.seconds},
                     {"flops", ops.cost.flops},
                     {"bytes", ops.cost.bytes},
                     {"flops_per_second", share_of(ops.cost.flops, ops.seconds)},
                     {"target", peaks.target},
                     {"unit", run.unit},
                     {"precision", run.precision},
                     {"threads", peaks.threads}}) +
           "\n";
  Json last{{"kind", "peaks"}};
  last.update(Json::parse(to_json(peaks)));
  return lines + dump(last) + "\n";
}

std::string chrome_trace(const Profile& profile, const ProfileRun& run) {
  Json events = Json::array();
  events.push_back({{"name", "process_name"}, {"ph", "M"}, {"pid", 1}, {"tid", 1}, {"args", {{"name", run.model}}}});
  events.push_back({{"name", "thread_name"}, {"ph", "M"}, {"pid", 1}, {"tid", 1}, {"args", {{"name", "steps"}}}});
  for (const ProfileSpan& span : profile.spans) {
    const ProfileRow& row = profile.rows[span.row];
    const auto calls = static_cast<double>(row.calls);
    events.push_back({{"name", row.layer.empty() ? row.op : row.op + " " + row.layer},
                      {"cat", pass_name(row.pass)},
                      {"ph", "X"},
                      {"ts", 1e6 * span.start},
                      {"dur", 1e6 * span.seconds},
                      {"pid", 1},
                      {"tid", 1},
                      {"args",
                       {{"op", row.op},
                        {"layer", row.layer},
                        {"flops", row.cost.flops / calls},
                        {"bytes", row.cost.bytes / calls}}}});
  }
  return dump(Json{{"traceEvents", std::move(events)}, {"displayTimeUnit", "ms"}});
}

void save_chrome_trace(const std::string& path, const Profile& profile, const ProfileRun& run) {
  require_writable(path);
  const std::vector<std::byte> packed = gzip(chrome_trace(profile, run));
  io::OutputFile file(path);
  file.write(packed);
  file.commit();
}

ProfileFiles save_profile(const std::string& folder, const Profile& profile, const Peaks& peaks,
                          const ProfileRun& run) {
  const auto in = [&](const char* name) { return (std::filesystem::path(folder) / name).string(); };
  const ProfileFiles files{in("profile.txt"), in("trace.json.gz"), in("roofline.svg")};
  require_writable(files.table);
  const std::string table = profile_table(profile, peaks, run);
  io::OutputFile file(files.table);
  file.write(std::as_bytes(std::span(table)));
  file.commit();
  save_chrome_trace(files.trace, profile, run);
  save_roofline_plot(files.roofline, profile, peaks, run);
  return files;
}

}  // namespace tapestry::train
