#include "train/peaks.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <mutex>
#include <nlohmann/json.hpp>
#include <vector>

#include "io/file.h"
#include "kernels/error.h"
#include "kernels/peak.h"
#include "train/history.h"

namespace tapestry::train {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

template <class Work>
double seconds_of(const Work& work) {
  const auto start = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The shortest of several calls: on a busy machine, the one that was disturbed least.
template <class Work>
double shortest(int calls, const Work& work) {
  double seconds = std::numeric_limits<double>::infinity();
  for (int call = 0; call < calls; ++call) seconds = std::min(seconds, seconds_of(work));
  return seconds;
}

// Bytes/s of pass(rounds), which moves `bytes` a round; as many rounds as take about five milliseconds.
template <class Pass>
double rate(double bytes, const Pass& pass) {
  std::size_t rounds = 1;
  while (rounds < std::size_t{1} << 20 && seconds_of([&] { pass(rounds); }) < 2.5e-3) rounds *= 2;
  return bytes * static_cast<double>(rounds) / shortest(7, [&] { pass(rounds); });
}

// Where each thread goes round over `piece` floats of its own.
Bandwidth measure_level(const Context& context, std::string level, double capacity, std::size_t piece) {
  const kernels::Device& device = context.device();
  const auto threads = static_cast<std::size_t>(context.threads());
  const auto all = static_cast<std::int64_t>(piece * threads);
  Tensor x = context.zeros({all}), y = context.zeros({all}), sums = context.zeros({context.threads()});
  const std::span<const float> in = std::as_const(x).span<float>();
  const auto bytes = static_cast<double>(x.bytes());
  Bandwidth found{.level = std::move(level), .capacity = capacity};
  found.read =
      rate(bytes, [&](std::size_t rounds) { kernels::read_rounds(device, rounds, piece, in, sums.span<float>()); });
  found.write =
      rate(bytes, [&](std::size_t rounds) { kernels::write_rounds(device, rounds, piece, 1, y.span<float>()); });
  const std::size_t half = piece / 2;  // two halves in the same room
  found.copy = rate(bytes, [&](std::size_t rounds) {
    kernels::copy_rounds(device, rounds, half, in.first(half * threads), 1, y.span<float>().first(half * threads));
  });
  return found;
}

// FLOP/s of products whose operands stay in L1, each counted once however many terms it has.
double unit_peak(const Context& context) {
  constexpr std::size_t kRounds = 1000;
  double flops = 0;
  const double seconds = shortest(40, [&] { flops = kernels::tile_rounds(context.device(), kRounds); });
  return flops / seconds;
}

Peaks measure(const Context& given, const Machine& machine) {
  const Context context{{.threads = given.threads(),
                         .precision = given.options().precision,
                         .target = given.target()}};  // its memory goes when this returns
  Peaks peaks{.cpu = machine.cpu, .target = std::string(target_name(context.target())), .threads = context.threads()};
  peaks.flops = fma_peak(context);
  peaks.precision = precision_name(context.options().precision);
  peaks.unit = kernels::unit_name(context.device());
  peaks.unit_flops = unit_peak(context);
  const Context alone{{.threads = 1, .target = context.target()}};
  peaks.thread_flops = context.threads() == 1 ? peaks.flops : fma_peak(alone);
  std::size_t below = 0;                                 // bytes of the level before, for one thread
  constexpr std::size_t kMost = std::size_t{256} << 20;  // bytes that are passed over; more would take seconds
  for (const Cache& cache : machine.caches) {
    const int sharers = std::clamp(cache.shared_by, 1, context.threads());
    const std::size_t share = cache.bytes / static_cast<std::size_t>(sharers);
    if (share <= 2 * below || share > kMost) continue;  // half of it would lie in the level before
    peaks.levels.push_back(measure_level(context, fmt::format("L{}", cache.level),
                                         static_cast<double>(share) * context.threads(), share / 2 / sizeof(float)));
    below = share;
  }
  const auto threads = static_cast<std::size_t>(context.threads());
  const std::size_t large = std::clamp<std::size_t>(4 * below, (std::size_t{64} << 20) / threads, kMost / threads);
  peaks.levels.push_back(
      measure_level(context, "memory", std::numeric_limits<double>::infinity(), large / sizeof(float)));
  return peaks;
}

}  // namespace

const Bandwidth& Peaks::level_for(double bytes) const {
  const auto found = std::ranges::find_if(levels, [&](const Bandwidth& level) { return bytes <= level.capacity; });
  return found == levels.end() ? levels.back() : *found;
}

double Peaks::roof(double intensity, const Bandwidth& level) const { return std::min(flops, intensity * level.best()); }

std::string_view precision_name(Precision precision) {
  return precision == Precision::highest ? "highest" : precision == Precision::high ? "high" : "medium";
}

double fma_peak(const Context& context) {
  constexpr std::size_t kRounds = 10000;                  // short calls: among many, one meets idle CPUs
  Tensor y = context.full({192 * context.threads()}, 1);  // see iterate_affine
  const double seconds =
      shortest(40, [&] { kernels::iterate_affine(context.device(), kRounds, 0.5f, 0.5f, y.span<float>()); });
  return 2.0 * kRounds * static_cast<double>(y.size()) / seconds;
}

Peaks measure_peaks(const Context& context, const Machine& machine) {
  static std::mutex mutex;
  static std::vector<Peaks> known;
  const std::lock_guard lock(mutex);
  const auto found = std::ranges::find_if(known, [&](const Peaks& peaks) {
    return peaks.cpu == machine.cpu && peaks.threads == context.threads() &&
           peaks.target == target_name(context.target()) &&
           peaks.precision == precision_name(context.options().precision);
  });
  return found != known.end() ? *found : known.emplace_back(measure(context, machine));
}

std::string to_json(const Peaks& peaks) {
  Json levels = Json::array();
  for (const Bandwidth& level : peaks.levels)
    levels.push_back({{"level", level.level},
                      {"capacity", std::isfinite(level.capacity) ? Json(level.capacity) : Json(nullptr)},
                      {"read", level.read},
                      {"write", level.write},
                      {"copy", level.copy}});
  return Json{{"cpu", peaks.cpu},
              {"target", peaks.target},
              {"threads", peaks.threads},
              {"precision", peaks.precision},
              {"thread_flops", peaks.thread_flops},
              {"flops", peaks.flops},
              {"unit", peaks.unit},
              {"unit_flops", peaks.unit_flops},
              {"levels", levels}}
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

Peaks load_peaks(const std::string& path) {
  const io::InputFile file(path);
  if (file.size() > 1 << 20) io::fail_file(path, "is no file of peaks: it has more than 1 MiB");
  std::string text(file.size(), ' ');
  file.read(0, std::as_writable_bytes(std::span(text)));
  try {
    const Json json = Json::parse(text);
    Peaks peaks{.cpu = json.at("cpu"),
                .target = json.at("target"),
                .threads = json.at("threads"),
                .precision = json.at("precision"),
                .thread_flops = json.at("thread_flops"),
                .flops = json.at("flops"),
                .unit = json.at("unit"),
                .unit_flops = json.at("unit_flops")};
    bool sound = peaks.threads >= 1 && peaks.thread_flops > 0 && peaks.flops > 0 && peaks.unit_flops >= 0 &&
                 !json.at("levels").empty();
    for (const Json& level : json.at("levels")) {
      const Json& capacity = level.at("capacity");
      peaks.levels.push_back({level.at("level"),
                              capacity.is_null() ? std::numeric_limits<double>::infinity() : capacity.get<double>(),
                              level.at("read"), level.at("write"), level.at("copy")});
      const Bandwidth& last = peaks.levels.back();
      sound = sound && last.capacity > 0 && last.read > 0 && last.write > 0 && last.copy > 0;
    }
    if (!sound) io::fail_file(path, "is no file of peaks: a number in it is not above 0, or there are no levels");
    return peaks;
  } catch (const Json::exception& error) {
    io::fail_file(path, fmt::format("is no file of peaks: {}", error.what()));
  }
}

void save_peaks(const std::string& path, const Peaks& peaks) {
  require_writable(path);
  const std::string text = to_json(peaks) + "\n";
  io::OutputFile file(path);
  file.write(std::as_bytes(std::span(text)));
  file.commit();
}

}  // namespace tapestry::train
