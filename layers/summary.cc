#include "layers/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace tapestry {
namespace {

using Row = std::array<std::string, 6>;

// 1234567 -> "1,234,567".
std::string grouped(std::int64_t number) {
  std::string digits = fmt::format("{}", number);
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

// 1234567 -> "1.23 M".
std::string scaled(double number, double base, const std::array<std::string_view, 5>& units) {
  std::size_t unit = 0;
  for (; number >= base && unit + 1 < units.size(); number /= base) ++unit;
  return unit == 0 ? fmt::format("{:.0f}{}", number, units[0]) : fmt::format("{:.2f}{}", number, units[unit]);
}

std::string flops(double number) { return scaled(number, 1000, {"", " k", " M", " G", " T"}); }
std::string bytes(double number) { return scaled(number, 1024, {" B", " KiB", " MiB", " GiB", " TiB"}); }

}  // namespace

std::int64_t Summary::parameters() const {
  std::int64_t sum = 0;
  for (const LayerSummary& layer : layers) sum += layer.parameters;
  return sum;
}

Cost Summary::cost() const {
  Cost sum;
  for (const LayerSummary& layer : layers) {
    sum.flops += layer.cost.flops;
    sum.bytes += layer.cost.bytes;
  }
  return sum;
}

std::string to_string(const Summary& summary) {
  std::vector<Row> rows{{"layer", "type", "output", "parameters", "FLOPs", "activations"}};
  for (const LayerSummary& layer : summary.layers)
    rows.push_back({layer.path, layer.type, layer.output ? to_string(*layer.output) : "?", grouped(layer.parameters),
                    flops(layer.cost.flops), bytes(layer.cost.bytes)});
  rows.push_back({"total", "", summary.output ? to_string(*summary.output) : "?", grouped(summary.parameters()),
                  flops(summary.cost().flops), bytes(summary.cost().bytes)});
  std::array<std::size_t, 6> widths{};
  for (const Row& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());

  std::string table;
  const auto add = [&](const Row& row) {
    for (std::size_t i = 0; i < row.size(); ++i)
      table += i < 3 ? fmt::format("{:<{}}  ", row[i], widths[i])
                     : fmt::format("{:>{}}{}", row[i], widths[i], i + 1 < row.size() ? "  " : "\n");
  };
  std::size_t width = 2 * (widths.size() - 1);
  for (const std::size_t column : widths) width += column;
  const std::string rule = std::string(width, '-') + "\n";
  add(rows.front());
  table += rule;
  for (std::size_t i = 1; i + 1 < rows.size(); ++i) add(rows[i]);
  table += rule;
  add(rows.back());
  table.pop_back();
  return table;
}

}  // namespace tapestry
