#include "tools/profile.h"

#include <fmt/format.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "autodiff/ops/loss.h"
#include "autodiff/tape.h"
#include "data/dataset.h"
#include "kernels/error.h"
#include "layers/models.h"
#include "optim/sgd.h"
#include "tools/command_line.h"
#include "tools/counters.h"
#include "train/history.h"
#include "train/machine.h"
#include "train/profile_report.h"

namespace tapestry::tools {
namespace {

using Json = nlohmann::ordered_json;

// Batches without end of bytes and labels that mean nothing.
class Loader {
 public:
  Loader(Context& context, const Shape& sample, std::int64_t batch) : context_(context), batch_(batch) {
    constexpr std::int64_t kBatches = 2;
    std::vector<std::uint8_t> images(static_cast<std::size_t>(kBatches * batch * sample.size()));
    std::vector<std::int64_t> labels(static_cast<std::size_t>(kBatches * batch));
    const Philox pixels(context.seed(), 1), classes(context.seed(), 2);
    for (std::size_t i = 0; i < images.size(); ++i) images[i] = static_cast<std::uint8_t>(pixels.below(i, 256));
    for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int64_t>(classes.below(i, 10));
    dataset_ = data::Dataset(std::move(images), sample.prepend(kBatches * batch), std::move(labels));
  }

  const data::Batch& next() {
    if (next_) ++*next_;
    if (!next_ || *next_ == std::default_sentinel) {
      batches_.emplace(dataset_.batches(context_, {.size = batch_, .epoch = ++epoch_}));
      next_ = batches_->begin();
    }
    return **next_;
  }

 private:
  Context& context_;
  std::int64_t batch_;
  data::Dataset dataset_;
  int epoch_ = 0;
  std::optional<data::Batches> batches_;
  std::optional<data::Batches::Iterator> next_;
};

// What is run again and again.
struct Work {
  std::string name;
  std::int64_t batch;
  std::function<void()> step;
};

// Train steps of a benchmark model.
Work train_steps(Context& context, train::Profiler& profiler, const ProfileOptions& options) {
  NamedModel named = make_model(options.model);
  named.model.build(context);
  const std::int64_t batch = options.batch_size == 0 ? named.batch : options.batch_size;
  const auto loader = std::make_shared<Loader>(context, named.input, batch);
  const auto optimizer = std::make_shared<SGD>(named.model.parameters(), SGDOptions{.lr = 1e-3, .momentum = 0.9});
  return {options.model, batch, [&context, &profiler, loader, optimizer, model = std::move(named.model)] {
            const data::Batch* images = nullptr;
            profiler.section("loader", [&] { images = &loader->next(); });
            Tape tape{context};
            const Var loss = cross_entropy(model(tape.input(images->images), Mode::train), images->labels);
            Gradients gradients = tape.backward(loss);
            profiler.section("optimizer", [&] { optimizer->step(gradients); });
          }};
}

// One op forward and backward, with the gradients of all that goes in.
Work op_steps(Context& context, const OpOptions& options) {
  Sequential model = op_model(options);
  model.build(context);
  const Tensor x = context.normal(Shape(options.shape), 0, 1, 1);
  const Tensor y = model(context.input(x), Mode::train).value();
  const Tensor dy = context.normal(y.shape(), 0, 1, 2);
  return {fmt::format("{} {}", options.op, to_string(x.shape())), options.shape.front(),
          [&context, x, dy, model = std::move(model)] {
            Tape tape{context};
            tape.backward(model(tape.variable(x), Mode::train), dy);
          }};
}

// From the file where there is one, else measured, and written where a file is named.
train::Peaks find_peaks(const Context& context, const std::string& path) {
  const train::Machine machine = train::find_machine();
  if (path.empty() || !std::filesystem::exists(path)) {
    if (!path.empty()) train::require_writable(path);
    const train::Peaks peaks = train::measure_peaks(context, machine);
    if (!path.empty()) train::save_peaks(path, peaks);
    return peaks;
  }
  train::Peaks peaks = train::load_peaks(path);
  const std::string_view precision = train::precision_name(context.options().precision);
  if (peaks.cpu != machine.cpu || peaks.target != target_name(context.target()) || peaks.threads != context.threads() ||
      peaks.precision != precision)
    throw ArgumentError(
        fmt::format("{}: these peaks are of {} threads of {} at {} on '{}', this run has {} threads of {} at {} on "
                    "'{}'; remove the file to measure again",
                    path, peaks.threads, peaks.target, peaks.precision, peaks.cpu, context.threads(),
                    target_name(context.target()), precision, machine.cpu));
  return peaks;
}

void print_counters(const Counters& counters, const ProfileOptions& options) {
  if (!options.counters) return;
  const Counters::Counts counts = counters.counts();
  if (options.json) {
    const Json none = nullptr;
    const bool there = counters.refusal().empty();
    fmt::print("{}\n", Json{{"kind", "counters"},
                            {"cycles", there ? Json(counts.cycles) : none},
                            {"instructions", there ? Json(counts.instructions) : none},
                            {"cache_misses", there ? Json(counts.cache_misses) : none},
                            {"refusal", counters.refusal()}}
                           .dump());
  } else if (!counters.refusal().empty()) {
    fmt::print("{}\n", counters.refusal());
  } else {
    fmt::print("a step: {:.4g} cycles, {:.4g} instructions ({:.2f} a cycle), {:.4g} misses of the last cache\n",
               counts.cycles / options.steps, counts.instructions / options.steps,
               counts.cycles > 0 ? counts.instructions / counts.cycles : 0, counts.cache_misses / options.steps);
  }
}

// How the pool's work fell to the threads, as shares of its chunks.
std::vector<double> shares(const std::vector<std::uint64_t>& before, const std::vector<std::uint64_t>& after) {
  double all = 0;
  std::vector<double> parts;
  for (std::size_t i = 0; i < after.size(); ++i) all += parts.emplace_back(static_cast<double>(after[i] - before[i]));
  for (double& part : parts) part = all > 0 ? part / all : 0;
  return parts;
}

void print_shares(const std::vector<double>& parts, bool json) {
  if (json) {
    fmt::print("{}\n", Json{{"kind", "threads"}, {"chunk_shares", parts}}.dump());
  } else if (parts.size() > 1) {
    fmt::print("chunks of shared work by thread:");
    for (const double part : parts) fmt::print(" {:.1f} %", 100 * part);
    fmt::print("\n");
  }
}

}  // namespace

int profile(const ProfileOptions& options) {
  if (options.model.empty() == options.op.op.empty())
    throw ArgumentError("profile: needs a model or --op, one of both; --help lists the options");
  for (const std::string& path : {options.trace, options.roofline})
    if (!path.empty()) train::require_writable(path);
  Counters counters(options.counters);
  train::Profiler profiler;
  Context context{{.threads = options.threads,
                   .precision = precision_of(options.precision),
                   .seed = options.seed,
                   .trace = profiler.sink(),
                   .meter = profiler.meter()}};
  const Work work = options.model.empty() ? op_steps(context, options.op) : train_steps(context, profiler, options);
  const train::Peaks peaks = find_peaks(context, options.peaks);
  for (int i = 0; i < options.warmup; ++i) work.step();

  const std::vector<std::uint64_t> before = context.device().pool.chunks_by_thread();
  counters.start();
  for (int i = 0; i < options.steps; ++i) {
    profiler.begin_step();
    work.step();
    profiler.end_step();
  }
  counters.stop();
  const std::vector<double> parts = shares(before, context.device().pool.chunks_by_thread());

  const train::Profile profile = profiler.profile();
  const train::ProfileRun run{
      .model = work.name, .batch_size = work.batch, .precision = options.precision, .unit = peaks.unit};
  const auto print = options.json ? train::profile_json : train::profile_table;
  fmt::print("{}", print(profile, peaks, run));
  print_shares(parts, options.json);
  print_counters(counters, options);
  if (!options.trace.empty()) train::save_chrome_trace(options.trace, profile, run);
  if (!options.roofline.empty()) train::save_roofline_plot(options.roofline, profile, peaks, run);
  return 0;
}

}  // namespace tapestry::tools
