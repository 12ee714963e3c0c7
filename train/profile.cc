#include "train/profile.h"

#include <algorithm>
#include <utility>

#include "kernels/error.h"

namespace tapestry::train {
namespace {

// "2", or "main.cc:12" outside layers.
std::string place_of(const Location& where) {
  if (*where.layer != '\0') return where.layer;
  std::string line = to_string(where);
  return line.substr(0, line.size() - 2);  // without ": "
}

}  // namespace

void KernelWork::add(const kernels::Meter& meter) {
  shared += 1e-9 * static_cast<double>(meter.shared);
  busy += 1e-9 * static_cast<double>(meter.busy);
  longest += 1e-9 * static_cast<double>(meter.longest);
  packing += 1e-9 * static_cast<double>(meter.packing.load(std::memory_order_relaxed));
  products += meter.products;
  unit_products += meter.unit_products;
  for (const kernels::TileShape& tile : meter.tiles())
    if (std::ranges::find(tiles, tile) == tiles.end()) tiles.push_back(tile);
}

void KernelWork::add(const KernelWork& other) {
  shared += other.shared;
  busy += other.busy;
  longest += other.longest;
  packing += other.packing;
  products += other.products;
  unit_products += other.unit_products;
}

std::string_view pass_name(Pass pass) {
  switch (pass) {
    case Pass::forward:
      return "forward";
    case Pass::backward:
      return "backward";
    case Pass::section:
      return "section";
    case Pass::other:
      return "other";
  }
  return "unknown";
}

std::function<void(const TraceEvent&)> Profiler::sink() {
  return [this](const TraceEvent& event) {
    if (recording_) add(event);
  };
}

void Profiler::begin_step() {
  if (profile_.steps == 0) origin_ = Clock::now();
  recording_ = true;
  costs_.clear();
  meter_.reset();
  step_start_ = last_ = now();
}

void Profiler::end_step() {
  if (!recording_) throw ArgumentError("Profiler::end_step: no step was begun");
  recording_ = false;
  ++profile_.steps;
  profile_.seconds += now() - step_start_;
}

void Profiler::add(const TraceEvent& event) {
  if (event.node == TraceEvent::kNoNode) return;  // its time counts to the next
  const double end = now();
  if (!event.backward) {
    if (costs_.size() <= event.node) costs_.resize(event.node + 1);
    costs_[event.node] = op_costs(event);
  }
  const OpCosts costs = event.node < costs_.size() ? costs_[event.node] : OpCosts{};
  const Pass pass = event.backward ? Pass::backward : Pass::forward;
  const Key key{event.op.name, event.where.layer, event.where.source.file_name(), event.where.source.line(), pass};
  auto found = std::ranges::find(keys_, key, &KnownKey::key);
  if (found == keys_.end())
    found = keys_.insert(keys_.end(), {key, row_for(event.op.name, place_of(event.where), pass)});
  profile_.rows[found->row].cost_known = costs.known;
  // An event reaches back to the one before it on its tape; a section may have run since.
  add_call(found->row, std::max(end - event.seconds, last_), end, event.backward ? costs.backward : costs.forward);
}

// What kernels told of since the last row was recorded belongs to none.
double Profiler::begin_section() {
  meter_.reset();
  return now();
}

void Profiler::add_section(std::string_view name, double start) {
  if (recording_) add_call(row_for(name, "", Pass::section), std::max(start, last_), now(), {});
}

std::size_t Profiler::row_for(std::string_view op, const std::string& layer, Pass pass) {
  std::vector<ProfileRow>& rows = profile_.rows;
  auto row = std::ranges::find_if(
      rows, [&](const ProfileRow& each) { return each.pass == pass && each.op == op && each.layer == layer; });
  if (row == rows.end()) row = rows.insert(row, {.op = std::string(op), .layer = layer, .pass = pass});
  return static_cast<std::size_t>(row - rows.begin());
}

void Profiler::add_call(std::size_t number, double start, double end, const OpCost& cost) {
  ProfileRow& row = profile_.rows[number];
  const double seconds = end - start;
  row.fastest = row.calls == 0 ? seconds : std::min(row.fastest, seconds);
  ++row.calls;
  row.seconds += seconds;
  row.cost.flops += cost.flops;
  row.cost.bytes += cost.bytes;
  row.cost.written += cost.written;
  row.cost.products += cost.products;
  row.work.add(meter_);
  meter_.reset();
  profile_.spans.push_back({number, start, seconds});
  last_ = end;
}

Profile Profiler::profile() const {
  Profile profile = profile_;
  double covered = 0;
  for (const ProfileRow& row : profile.rows) covered += row.seconds;
  profile.rows.push_back({.op = "between ops",
                          .layer = "",
                          .pass = Pass::other,
                          .calls = profile.steps,
                          .seconds = std::max(0.0, profile.seconds - covered)});
  return profile;
}

}  // namespace tapestry::train
