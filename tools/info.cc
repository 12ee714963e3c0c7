#include "tools/info.h"

#include <fmt/format.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "autodiff/context.h"
#include "autodiff/text.h"
#include "autodiff/version.h"
#include "kernels/amx.h"
#include "kernels/matrix_unit.h"
#include "tools/build.h"
#include "train/machine.h"
#include "train/peaks.h"

namespace tapestry::tools {
namespace {

using Json = nlohmann::ordered_json;

struct Facts {
  train::Machine machine = train::find_machine();
  Context context{};
  kernels::AmxState amx = kernels::amx_state();
  std::optional<train::Peaks> peaks = std::nullopt;
};

constexpr Precision kPrecisions[] = {Precision::highest, Precision::high, Precision::medium};
constexpr const char* kPrecisionNames[] = {"highest", "high", "medium"};

const char* unit_name(const Facts& facts, Precision precision) {
  return kernels::matrix_unit(facts.context.target(), precision).name;
}

// A variable's value; nothing where it is not set.
Json variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? Json(nullptr) : Json(value);
}

std::string set_or_not(const char* name) {
  const Json value = variable(name);
  return value.is_null() ? fmt::format("{} is not set", name)
                         : fmt::format("{}={}", name, printable(value.get<std::string>()));
}

std::string amx_text(const Facts& facts) {
  std::string text = !facts.amx.tiles       ? "this CPU has no AMX"
                     : !facts.amx.bf16      ? "AMX without bf16, which does not help"
                     : !facts.amx.permitted ? "AMX, but the kernel refuses this process its registers"
                                            : "AMX, permitted";
  text += "; what multiplies:";
  for (std::size_t i = 0; i < std::size(kPrecisions); ++i)
    text += fmt::format("{} {} at {}", i == 0 ? "" : ",", unit_name(facts, kPrecisions[i]), kPrecisionNames[i]);
  return text;
}

std::string caches_text(const train::Machine& machine) {
  std::string text;
  for (const train::Cache& cache : machine.caches)
    text += fmt::format("L{} {} for {}, ", cache.level, train::size_text(cache.bytes),
                        cache.shared_by == 1 ? "each CPU" : fmt::format("{} CPUs", cache.shared_by));
  text += fmt::format("lines of {} bytes", machine.caches.front().line);
  return machine.caches_known ? text : text + " (assumed: the system does not tell)";
}

std::string threads_text(const Facts& facts) {
  const train::Machine& machine = facts.machine;
  std::string text = fmt::format("{}; {} CPU{} for this process, ", facts.context.threads(), machine.cpus,
                                 machine.cpus == 1 ? "" : "s");
  text += machine.cpu_quota ? fmt::format("a quota of {:.2f} of them, ", *machine.cpu_quota) : "no quota, ";
  return text + set_or_not("TAPESTRY_THREADS");
}

std::string huge_pages_text(const train::Machine& machine) {
  if (machine.huge_pages.empty()) return "not known";
  if (machine.huge_pages == "never") return "never: the system gives none";
  return machine.huge_pages + ": tensors lie on huge pages where there are enough";
}

std::string targets_text(const Facts& facts) {
  std::string text;
  for (const Target target : available_targets()) text += fmt::format("{} ", target_name(target));
  return text + fmt::format("(chosen: {}; {})", target_name(facts.context.target()), set_or_not("TAPESTRY_TARGET"));
}

void print_text(const Facts& facts) {
  const auto line = [](const char* what, std::string_view text) { fmt::print("{:<12}{}\n", what, text); };
  line("tapestry", kVersion);
  line("cpu", printable(facts.machine.cpu));
  line("targets", targets_text(facts));
  line("matrix unit", amx_text(facts));
  line("caches", caches_text(facts.machine));
  line("threads", threads_text(facts));
  line("huge pages", huge_pages_text(facts.machine));
  line("libraries", kLibraries);
  line("compiler", fmt::format("{}, {}", kCompiler, kFlags));
  if (!facts.peaks) return;
  line("fp32 peak", fmt::format("{:.1f} GFLOP/s on one thread, {:.1f} on {}", facts.peaks->thread_flops / 1e9,
                                facts.peaks->flops / 1e9, facts.peaks->threads));
  if (facts.peaks->unit_flops > 0)
    line("products", fmt::format("{:.1f} GFLOP/s by {} on {}", facts.peaks->unit_flops / 1e9, facts.peaks->unit,
                                 facts.peaks->threads));
  for (const train::Bandwidth& level : facts.peaks->levels)
    line(level.level.c_str(), fmt::format("{:.1f} GB/s read, {:.1f} written, {:.1f} copied", level.read / 1e9,
                                          level.write / 1e9, level.copy / 1e9));
}

void print_json(const Facts& facts) {
  Json targets = Json::array(), caches = Json::array(), units = Json::object();
  for (const Target target : available_targets()) targets.push_back(target_name(target));
  for (const train::Cache& cache : facts.machine.caches)
    caches.push_back(
        {{"level", cache.level}, {"bytes", cache.bytes}, {"line", cache.line}, {"shared_by", cache.shared_by}});
  for (std::size_t i = 0; i < std::size(kPrecisions); ++i) units[kPrecisionNames[i]] = unit_name(facts, kPrecisions[i]);
  Json json{{"version", kVersion},
            {"cpu", facts.machine.cpu},
            {"targets", targets},
            {"target", target_name(facts.context.target())},
            {"amx", {{"tiles", facts.amx.tiles}, {"bf16", facts.amx.bf16}, {"permitted", facts.amx.permitted}}},
            {"units", units},
            {"caches", caches},
            {"caches_known", facts.machine.caches_known},
            {"threads", facts.context.threads()},
            {"cpus", facts.machine.cpus},
            {"cpu_quota", facts.machine.cpu_quota ? Json(*facts.machine.cpu_quota) : Json(nullptr)},
            {"huge_pages", facts.machine.huge_pages},
            {"environment",
             {{"TAPESTRY_TARGET", variable("TAPESTRY_TARGET")}, {"TAPESTRY_THREADS", variable("TAPESTRY_THREADS")}}},
            {"libraries", kLibraries},
            {"compiler", kCompiler},
            {"flags", kFlags}};
  if (facts.peaks) json["peaks"] = Json::parse(train::to_json(*facts.peaks));
  fmt::print("{}\n", json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace

int info(const InfoOptions& options) {
  Facts facts;
  if (options.measure) facts.peaks = train::measure_peaks(facts.context, facts.machine);
  options.json ? print_json(facts) : print_text(facts);
  return 0;
}

}  // namespace tapestry::tools
