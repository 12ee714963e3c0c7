#include "examples/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "tools/command_line.h"

using namespace tapestry;
using tools::integer_from;
using tools::number_from;
using tools::report_error;

namespace example {
namespace {

constexpr std::int64_t kMany = 1'000'000;

void add_data(CLI::App& app, Options& o) {
  if (!o.dataset.empty()) {
    std::vector<std::string> names;
    for (const data::NamedDataset& each : data::kDatasets) names.emplace_back(each.name);
    app.add_option("--dataset", o.dataset, "What to train on")->check(CLI::IsMember(names))->capture_default_str();
    app.add_option("--data-dir", o.data_dir, "Folder with the data; the usual places unless given");
  }
  app.add_option("--train-images", o.train_images, "Train on the first so many images; 0: all")
      ->check(integer_from(0, kMany))
      ->capture_default_str();
  app.add_option("--validate", o.validate, "Hold out so many training images, and test on them alone")
      ->check(integer_from(0, 50000))
      ->capture_default_str();
}

void add_training(CLI::App& app, Options& o) {
  app.add_option("--epochs", o.epochs, "Passes over the training images")
      ->check(integer_from(1, kMany))
      ->capture_default_str();
  if (o.batch_sizes.empty())
    app.add_option("--batch-size", o.batch_size, "Images a step")->check(integer_from(1, kMany))->capture_default_str();
  else
    app.add_option("--batch-sizes", o.batch_sizes, "Images a step, one run each: 32,2")
        ->delimiter(',')
        ->allow_extra_args(false)
        ->check(integer_from(2, kMany))
        ->capture_default_str();
  app.add_option("--test-batch-size", o.test_batch_size, "Images at once in the test")
      ->check(integer_from(1, kMany))
      ->capture_default_str();
  if (o.batch_sizes.empty())
    app.add_option("--optimizer", o.optimizer, "What updates the weights")
        ->check(CLI::IsMember(optimizer_names()))
        ->capture_default_str();
  app.add_option("--lr", o.lr,
                 o.batch_sizes.empty() ? "Largest learning rate"
                                       : "Largest learning rate at 32 images a step; more images, more of it")
      ->check(number_from(0, 1e3))
      ->capture_default_str();
  app.add_option("--momentum", o.momentum, "Momentum, or the first beta of adam and adamw")
      ->check(number_from(0, 0.9999))
      ->capture_default_str();
  app.add_option("--weight-decay", o.weight_decay, "Decay of the weights")
      ->check(number_from(0, 1e3))
      ->capture_default_str();
  app.add_option("--clip-norm", o.clip_norm, "Largest norm of the gradients; 0: any")
      ->check(number_from(0, 1e9))
      ->capture_default_str();
  app.add_option("--label-smoothing", o.label_smoothing, "Share of the target that all classes divide")
      ->check(number_from(0, 1))
      ->capture_default_str();
}

void add_options(CLI::App& app, Options& o) {
  add_data(app, o);
  add_training(app, o);
  tools::add_seed(app, o.seed);
  tools::add_threads(app, o.threads);
  tools::add_precision(app, o.precision);
  if (o.batch_sizes.empty()) {
    app.add_option("--out", o.out, "Folder for history.jsonl and weights.safetensors")->capture_default_str();
    app.add_option("--save-model", o.save_model, "File for the weights, instead of the one in --out");
    app.add_option("--log-interval", o.log_interval, "Steps between two lines of the history; 0: only epochs")
        ->check(integer_from(0, kMany))
        ->capture_default_str();
    app.add_flag_callback(
        "--profile", [&o] { o.profiler = std::make_shared<train::Profiler>(); },
        "Where the time of some steps goes: profile.txt, trace.json.gz and roofline.svg in the folder --out");
  } else {
    app.add_option("--out", o.out, "Folder for the plot")->capture_default_str();
  }
  app.add_flag("--dry-run", o.dry_run, "One epoch over 10 batches, to see that all works");
  app.add_flag("--json", o.json, "The results as one JSON object");
  app.add_flag("--quiet", o.quiet, "No progress");
}

// One learning rate a step: a tenth of the way up, the rest down.
Schedule schedule_for(const Options& options, std::int64_t steps) {
  const std::int64_t up = std::min<std::int64_t>(steps / 10, 500);
  return Warmup{.steps = up, .then = CosineLr{.base = options.lr, .steps = steps - up}};
}

train::FitResult fit(Context& context, Sequential& model, const data::Split& data, const Options& options) {
  AnyOptimizer made = make_optimizer(options.optimizer, model.parameters(),
                                     {.lr = options.lr,
                                      .momentum = options.momentum,
                                      .weight_decay = options.weight_decay,
                                      .clip_norm = options.clip_norm});
  const std::int64_t steps = options.epochs * ((data.train.size() + options.batch_size - 1) / options.batch_size);
  return std::visit(
      [&](auto& optimizer) {
        return train::fit(context, model, optimizer, data.train, data.test,
                          {.epochs = options.epochs,
                           .batch_size = options.batch_size,
                           .test_batch_size = options.test_batch_size,
                           .schedule = schedule_for(options, steps),
                           .label_smoothing = options.label_smoothing,
                           .out = options.out,
                           .weights = options.save_model,
                           .log_every = options.log_interval,
                           .progress = !options.quiet,
                           .profile = {.profiler = options.profiler.get()}});
      },
      made);
}

// To `to`, where a JSON object is not what shall stand on stdout.
void report_profile(const Context& context, const Options& options, std::FILE* to) {
  const train::Profile profile = options.profiler->profile();
  const train::Peaks peaks = train::measure_peaks(context, train::find_machine());
  const train::ProfileRun run{
      .model = options.out, .batch_size = options.batch_size, .precision = options.precision, .unit = peaks.unit};
  const train::ProfileFiles files = train::save_profile(options.out, profile, peaks, run);
  fmt::print(to, "{}\nprofile {}\ntrace {}\nroofline {}\n\n", train::profile_table(profile, peaks, run), files.table,
             files.trace, files.roofline);
}

void print_table(const data::Dataset& test, const train::EpochReport& last) {
  fmt::print("{:<14}{:>8}  most often taken for\n", "class", "right");
  for (std::int64_t c = 0; c < test.num_classes(); ++c) {
    std::int64_t other = -1;
    for (std::int64_t p = 0; p < last.test.classes; ++p)
      if (p != c && (other < 0 || last.test.count(c, p) > last.test.count(c, other))) other = p;
    fmt::print("{:<14}{:>6.1f} %", test.classes()[static_cast<std::size_t>(c)], 100 * last.test.recall(c));
    if (last.test.count(c, other) > 0)
      fmt::print("  {} ({})", test.classes()[static_cast<std::size_t>(other)], last.test.count(c, other));
    fmt::print("\n");
  }
}

}  // namespace

int run(int argc, char** argv, const std::string& description, Options defaults,
        const std::function<int(const Options&)>& body) {
  CLI::App app(description);
  add_options(app, defaults);
  return tools::run(app, argc, argv, [&] { return body(defaults); });
}

Context make_context(const Options& options) {
  ContextOptions made{
      .threads = options.threads, .precision = tools::precision_of(options.precision), .seed = options.seed};
  if (options.profiler) {
    made.trace = options.profiler->sink();
    made.meter = options.profiler->meter();
  }
  return Context{std::move(made)};
}

data::Split load(const Options& options) {
  const auto named = std::ranges::find(data::kDatasets, options.dataset, &data::NamedDataset::name);
  return shorten(named->read(options.data_dir), options);
}

data::Split shorten(data::Split split, const Options& options) {
  if (options.validate >= split.train.size())
    throw ArgumentError(
        fmt::format("--validate {} leaves nothing of {} examples to train on", options.validate, split.train.size()));
  if (options.validate != 0) {
    const std::int64_t kept = split.train.size() - options.validate;
    split = {split.train.take(kept), split.train.slice(kept, split.train.size())};
  }
  if (options.train_images > split.train.size())
    throw ArgumentError(
        fmt::format("--train-images {} is more than the {} there are", options.train_images, split.train.size()));
  if (options.train_images != 0) split.train = split.train.take(options.train_images);
  if (options.dry_run) {
    const std::int64_t batch = options.batch_sizes.empty() ? options.batch_size : std::ranges::max(options.batch_sizes);
    for (data::Dataset* part : {&split.train, &split.test}) *part = part->take(std::min(part->size(), 10 * batch));
  }
  return split;
}

int train(Context& context, Sequential& model, const data::Split& data, const Options& given) {
  Options options = given;
  if (options.profiler && options.out.empty()) throw ArgumentError("--profile needs a folder, --out");
  if (options.dry_run) options.epochs = 1;
  if (!options.quiet)
    std::fputs(fmt::format("{}\n\n{} threads, {}, {} training images\n", model.summary(), context.threads(),
                           target_name(context.target()), data.train.size())
                   .c_str(),
               stderr);
  const train::FitResult result = fit(context, model, data, options);
  if (result.signal != 0)
    return report_error(fmt::format("ended by signal {} after step {}; the weights are in {}", result.signal,
                                    result.steps, result.weights),
                        128 + result.signal);

  if (options.profiler) report_profile(context, options, options.json ? stderr : stdout);
  const train::EpochReport& last = result.epochs.back();
  if (options.json) {
    fmt::print(
        "{{\"dataset\":\"{}\",\"epochs\":{},\"steps\":{},\"test_accuracy\":{:.6f},\"test_loss\":{:.6f},\"train_"
        "accuracy\":{:.6f},"
        "\"train_seconds\":{:.3f},\"images_per_second\":{:.1f},\"threads\":{},\"target\":\"{}\"}}\n",
        data.test.name(), last.epoch, result.steps, last.test.accuracy, last.test.loss, last.train_accuracy,
        last.train_seconds, static_cast<double>(last.epoch * data.train.size()) / last.train_seconds, context.threads(),
        target_name(context.target()));
    return 0;
  }
  print_table(data.test, last);
  fmt::print("\n{} accuracy {:.2f} % after {} epoch{}, {:.1f} s of training, {:.0f} images/s\n",
             options.validate != 0 ? "held-out" : "test", 100 * last.test.accuracy, last.epoch,
             last.epoch == 1 ? "" : "s", last.train_seconds,
             static_cast<double>(last.epoch * data.train.size()) / last.train_seconds);
  if (!result.history.empty()) fmt::print("history {}\n", result.history);
  if (!result.weights.empty()) fmt::print("weights {}\n", result.weights);
  return 0;
}

}  // namespace example
