// Times whole train steps of the benchmark models: forward, cross-entropy, backward, SGD with momentum, on random data
// in memory. Prints one JSON object a line, with the fields of bench/peer/torch_train.py. With --memory it tells
// instead by how much the process grew in the first steps, and what its arena held.
//
// With --check FILE.npz it proves instead that it computes the same as the program that wrote the file: from its
// weights and batch, the losses of 20 steps must agree to 1e-4. In some networks rounding grows from step to step:
// where the file has the losses of the other program's second layout too, ours may differ twice as much as the two.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "autodiff/ops/loss.h"
#include "autodiff/tape.h"
#include "autodiff/version.h"
#include "io/layout.h"
#include "io/model.h"
#include "io/npz.h"
#include "kernels/error.h"
#include "layers/models.h"
#include "optim/sgd.h"

namespace {

using namespace tapestry;

double step(Context& context, const Sequential& model, SGD& optimizer, const Tensor& x, const Tensor& y) {
  Tape tape{context};
  const Var loss = cross_entropy(model(tape.input(x), Mode::train), y);
  optimizer.step(tape.backward(loss));
  return loss.item();
}

double median(std::vector<double> times) {
  std::ranges::sort(times);
  const std::size_t middle = times.size() / 2;
  return times.size() % 2 == 1 ? times[middle] : (times[middle - 1] + times[middle]) / 2;
}

// A model with its optimizer and one batch of random data.
struct Run {
  Run(Context& context, const std::string& name) : context(context), named(make_model(name)) {
    named.model.build(context);
    optimizer.emplace(named.model.parameters(), SGDOptions{.lr = 1e-3, .momentum = 0.9});
    x = context.normal(named.input.prepend(named.batch), 0, 1, 1);
    y = context.empty({named.batch}, DType::int64);
    const std::span<std::int64_t> labels = y.span<std::int64_t>();
    for (std::size_t i = 0; i < labels.size(); ++i)
      labels[i] = static_cast<std::int64_t>(Philox(context.seed(), 2).below(i, 10));
  }
  void step() { ::step(context, named.model, *optimizer, x, y); }

  Context& context;
  NamedModel named;
  std::optional<SGD> optimizer;
  Tensor x, y;
};

// A line of /proc/self/status, such as VmHWM, in MiB.
double status_mib(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(key + ":")) return std::stod(line.substr(key.size() + 1)) / 1024;
  throw EnvironmentError("/proc/self/status has no " + key);
}

nlohmann::ordered_json measure_memory(Context& context, const std::string& name, int steps) {
  Run run(context, name);
  const double before = status_mib("VmRSS");
  for (int i = 0; i < steps; ++i) run.step();
  const Arena::Usage usage = context.memory();
  const auto mib = [](std::size_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
  return {{"peer", fmt::format("tapestry-{}", kVersion)},
          {"model", name},
          {"batch", run.named.batch},
          {"threads", context.threads()},
          {"steps", steps},
          {"growth_mib", status_mib("VmHWM") - before},
          {"arena_alive_mib", mib(usage.peak_bytes)},
          {"arena_mapped_mib", mib(usage.mapped_bytes)}};
}

nlohmann::ordered_json measure(Context& context, const std::string& name, double seconds, const char* precision) {
  Run run(context, name);
  for (int i = 0; i < 3; ++i) run.step();
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  std::vector<double> times;
  while (times.size() < 5 || Clock::now() < end) {
    const auto start = Clock::now();
    run.step();
    times.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  const double middle = median(times);
  std::ranges::sort(times);
  return {{"peer", fmt::format("tapestry-{}", kVersion)},
          {"model", name},
          {"mode", "eager"},
          {"batch", run.named.batch},
          {"threads", context.threads()},
          {"precision", precision},
          {"target", target_name(context.target())},
          {"ms_median", middle * 1e3},
          {"ms_min", times.front() * 1e3},
          {"ms_p90", times[times.size() * 9 / 10] * 1e3},
          {"images_per_s", static_cast<double>(run.named.batch) / middle}};
}

// NaN where one is NaN.
double largest_difference(std::span<const double> a, std::span<const double> b) {
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (const double difference = std::abs(a[i] - b[i]); !(difference <= worst)) worst = difference;
  return worst;
}

// Whether the losses agree; prints one JSON object.
bool check(Context& context, const std::string& name, const std::string& path) {
  const std::vector<NamedTensor> arrays = io::load_npz(context, path);
  NamedModel named = make_model(name);
  named.model.build(context);
  std::vector<NamedTensor> weights;
  Tensor x, y, losses, other;
  for (const NamedTensor& array : arrays) {
    if (array.name.starts_with("param/")) weights.push_back({array.name.substr(6), array.value});
    if (array.name == "x") x = array.value;
    if (array.name == "y") y = array.value;
    if (array.name == "losses") losses = array.value.to(DType::float64);
    if (array.name == "losses_nhwc") other = array.value.to(DType::float64);
  }
  if (!x || !y || losses.size() != 20 || (other && other.size() != 20))
    throw FileError(path + ": needs the arrays x, y and 20 losses");
  io::load_tensors(named.model, weights, path);
  x = io::channels_last(x);
  SGD optimizer{named.model.parameters(), {.lr = 1e-3, .momentum = 0.9}};
  std::vector<double> found;
  for (std::int64_t i = 0; i < losses.size(); ++i) found.push_back(step(context, named.model, optimizer, x, y));
  const std::span<const double> expected = std::as_const(losses).span<double>();
  const double difference = largest_difference(found, expected);
  bool passed = difference <= 1e-4;
  nlohmann::ordered_json row{{"model", name},
                             {"check", path},
                             {"parameters", parameter_count(named.model)},
                             {"steps", found.size()},
                             {"largest_difference", difference}};
  if (other) {
    const double spread = largest_difference(expected, std::as_const(other).span<double>());
    row["spread_of_peer"] = spread;
    passed = passed || difference <= 2 * spread;
  }
  row["passed"] = passed;
  fmt::print("{}\n", row.dump());
  return passed;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Times train steps of the benchmark models"};
  std::vector<std::string> models;
  std::string check_file, precision = "highest";
  int threads = 1, steps = 5;
  double seconds = 2;
  bool memory = false;
  const std::vector<std::string> names(model_names().begin(), model_names().end());
  app.add_option("--models", models, "which models, separated by commas")->delimiter(',')->check(CLI::IsMember(names));
  app.add_option("--threads", threads, "threads")->check(CLI::Range(1, 1024))->capture_default_str();
  app.add_option("--precision", precision, "precision of products")
      ->check(CLI::IsMember({"highest", "high", "medium"}))
      ->capture_default_str();
  app.add_option("--seconds", seconds, "time for each model")->check(CLI::Range(0.0, 3600.0))->capture_default_str();
  app.add_flag("--memory", memory, "growth of the process instead of times (one model)");
  app.add_option("--steps", steps, "steps that --memory does")->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_option("--check", check_file, "compare losses with this file (one model)")->check(CLI::ExistingFile);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (models.empty()) models = names;
  try {
    Context context{{.threads = threads,
                     .precision = precision == "highest" ? Precision::highest
                                  : precision == "high"  ? Precision::high
                                                         : Precision::medium}};
    if (!check_file.empty()) return models.size() == 1 && check(context, models[0], check_file) ? 0 : 1;
    if (memory) return fmt::print("{}\n", measure_memory(context, models[0], steps).dump()), 0;
    for (const std::string& name : models) {
      fmt::print("{}\n", measure(context, name, seconds, precision.c_str()).dump());
      std::fflush(stdout);
    }
  } catch (const Error& error) {
    std::fputs(fmt::format("train_step: error: {}\n", error.what()).c_str(), stderr);
    return 1;
  }
}
