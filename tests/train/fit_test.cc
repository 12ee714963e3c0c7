#include "train/fit.h"

#include <signal.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <stdexcept>

#include "autodiff/record.h"
#include "kernels/error.h"
#include "layers/linear.h"
#include "layers/sequential.h"
#include "optim/sgd.h"
#include "tests/catch.h"
#include "tests/support/files.h"
#include "train/profile.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

// Points in the plane; the label is the sign of a turned coordinate, with a gap.
data::Dataset points(std::int64_t n, std::uint64_t seed) {
  Context context{{.threads = 1, .seed = seed}};
  Tensor x = context.uniform({n, 2}, -1, 1, 1);
  std::vector<std::int64_t> labels;
  const auto values = x.span<float>();
  for (std::size_t i = 0; i < values.size(); i += 2) {
    labels.push_back(values[i] + 2 * values[i + 1] > 0 ? 1 : 0);
    values[i + 1] += labels.back() == 1 ? 0.1f : -0.1f;
  }
  return data::Dataset(x, context.tensor(Shape{n}, std::span<const std::int64_t>(labels)));
}

Sequential model_for(Context& context) {
  Sequential model = Input{2} >> Linear{{.out = 8}} >> Linear{{.out = 2}};
  model.build(context);
  return model;
}

std::vector<float> numbers(const Sequential& model) {
  std::vector<float> all;
  for (const StateRef& parameter : model.parameters()) {
    const auto values = parameter.value().span<float>();
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

// Linear layers whose output is NaN from the n-th training call on.
struct Spoiled {
  Sequential model;
  int calls_left;
  void visit(Visitor& v) { v("model", model); }
  Var operator()(const Var& x, Mode mode) {
    if (mode == Mode::eval || calls_left-- > 0) return model(x, mode);
    Tensor bad = x.value().clone();
    bad.fill(std::numeric_limits<double>::quiet_NaN());
    return model(x.constant(bad), mode);
  }
};

// Raises `signal` in the n-th training call.
struct Interrupted {
  Sequential model;
  int calls_left, signal;
  Mode in = Mode::train;
  void visit(Visitor& v) { v("model", model); }
  Var operator()(const Var& x, Mode mode) {
    if (mode == in && calls_left-- == 0) raise(signal);
    return model(x, mode);
  }
};

train::FitOptions quiet(train::FitOptions options = {}) {
  options.progress = false;
  return options;
}

}  // namespace

TEST_CASE("fit: learns, and tells how") {
  const TempDir dir;
  Context context{{.threads = 2, .seed = 1}};
  const data::Dataset train = points(1000, 1), test = points(200, 2);
  Sequential model = model_for(context);
  SGD optimizer{model.parameters(), {.lr = 0.5, .momentum = 0.9}};
  int calls = 0;
  const train::FitResult result =
      train::fit(context, model, optimizer, train, test,
                 quiet({.epochs = 4,
                        .batch_size = 64,
                        .schedule = [](std::int64_t step) { return step < 32 ? 0.5 : 0.25; },
                        .out = dir / "out",
                        .log_every = 10,
                        .on_epoch = [&](const train::EpochReport& report) { REQUIRE(report.epoch == ++calls); }}));
  REQUIRE(result.epochs.size() == 4);
  REQUIRE(calls == 4);
  REQUIRE(result.steps == 64);
  REQUIRE(result.signal == 0);
  REQUIRE(result.epochs[0].train_loss > result.epochs[3].train_loss);
  REQUIRE(result.epochs[3].test.accuracy > 0.97);
  REQUIRE(result.epochs[3].test.accuracy == accuracy(context, model, test));
  REQUIRE(result.epochs[1].lr == 0.5);
  REQUIRE(result.epochs[2].lr == 0.25);
  Sequential loaded = model_for(context);
  io::load(context, loaded, result.weights);
  REQUIRE(numbers(loaded) == numbers(model));
  REQUIRE(result.weights == dir / "out/weights.safetensors");
  REQUIRE(result.history == dir / "out/history.jsonl");
  const std::string history = read_text(result.history);
  REQUIRE(std::ranges::count(history, '\n') == 4 * 2 + 6);
  REQUIRE_THAT(history, contains("{\"step\":10,\"epoch\":1,\"split\":\"batch\"") &&
                            contains("{\"step\":64,\"epoch\":4,\"split\":\"test\""));
}

TEST_CASE("fit: makes its own AdamW") {
  Context context{{.threads = 1}};
  Sequential model = model_for(context);
  const auto result = train::fit(context, model, points(1000, 1), points(200, 2),
                                 quiet({.epochs = 3, .batch_size = 50, .optimizer = {.lr = 0.03}}));
  REQUIRE(result.epochs.back().test.accuracy > 0.95);
  REQUIRE(result.epochs.back().lr == 0.03);
  REQUIRE(result.history.empty());
  REQUIRE(result.weights.empty());
}

TEST_CASE("fit: the same bits at any number of threads") {
  std::vector<std::vector<float>> ends;
  for (const int threads : {1, 2, 7}) {
    Context context{{.threads = threads, .seed = 3}};
    Sequential model = model_for(context);
    train::fit(context, model, points(500, 1), points(100, 2),
               quiet({.epochs = 2, .batch_size = 33, .label_smoothing = 0.1}));
    ends.push_back(numbers(model));
  }
  REQUIRE(ends[0] == ends[1]);
  REQUIRE(ends[0] == ends[2]);
}

TEST_CASE("fit: stops at the first NaN, and the model is as before the step") {
  Context context{{.threads = 1}};
  const data::Dataset train = points(500, 1), test = points(100, 2);
  Spoiled spoiled{model_for(context), 3};
  Interrupted three{model_for(context), 2, SIGINT};
  const auto options = quiet({.epochs = 1, .batch_size = 50});
  REQUIRE_THROWS_AS(train::fit(context, spoiled, train, test, options), NumericError);
  REQUIRE(train::fit(context, three, train, test, options).steps == 3);
  REQUIRE(numbers(spoiled.model) == numbers(three.model));
  Spoiled named{model_for(context), 3};
  const TempDir dir;
  auto saving = options;
  saving.weights = dir / "w";
  REQUIRE_THROWS_WITH(train::fit(context, named, train, test, saving),
                      contains("step 4 (epoch 1): ") && contains("0 (fit_test.cc:") && contains("linear"));
  Spoiled loaded{model_for(context), 0};
  io::load(context, loaded, saving.weights);
  REQUIRE(numbers(loaded.model) == numbers(named.model));
}

TEST_CASE("fit: an infinite gradient stops it too") {
  Context context{{.threads = 1}};
  const Sequential model = model_for(context);
  int calls = 0;
  const auto steep = [&](const Var& x) {
    const Var y = model(x, Mode::train);
    const float slope = ++calls < 2 ? 1 : std::numeric_limits<float>::infinity();
    return record("steep", y.value(), {y}, {},
                  [slope](const Tensor& dy, GradSlots grads) { grads.overwrite(0).fill(slope * dy.span<float>()[0]); });
  };
  SGD optimizer{model.parameters(), {.lr = 1e-3}};
  REQUIRE_THROWS_WITH(train::fit(context, steep, optimizer, points(200, 1), points(100, 2), quiet({.batch_size = 50})),
                      contains("step 2 (epoch 1): ") && contains("gradient"));
  for (const float value : numbers(model)) REQUIRE(std::isfinite(value));
}

TEST_CASE("fit: a signal ends it after the step") {
  const data::Dataset train = points(500, 1), test = points(100, 2);
  for (const int signal : {SIGINT, SIGTERM}) {
    const TempDir dir;
    Context context{{.threads = 2}};
    Interrupted model{model_for(context), 13, signal};
    const auto result =
        train::fit(context, model, train, test, quiet({.epochs = 5, .batch_size = 50, .out = dir / "out"}));
    REQUIRE(result.signal == signal);
    REQUIRE(result.steps == 14);
    REQUIRE(result.epochs.size() == 1);
    Interrupted loaded{model_for(context), -1, 0};
    io::load(context, loaded, result.weights);
    REQUIRE(numbers(loaded.model) == numbers(model.model));
    Interrupted later{model_for(context), 1, signal, Mode::eval};
    const auto evaluated =
        train::fit(context, later, train, test, quiet({.epochs = 5, .batch_size = 50, .test_batch_size = 10}));
    REQUIRE(evaluated.signal == signal);
    REQUIRE(evaluated.steps == 10);
    REQUIRE(evaluated.epochs.empty());
  }
}

TEST_CASE("fit: paths that cannot be written are told before the first step") {
  const TempDir dir;
  write_file(dir / "file", "x");
  Context context{{.threads = 1}};
  Interrupted model{model_for(context), 0, SIGKILL};  // a step would end the test
  const data::Dataset set = points(100, 1);
  for (const std::string& out : {dir / "file", dir / "file/below", std::string("/proc/tapestry")})
    REQUIRE_THROWS_AS(train::fit(context, model, set, set, quiet({.out = out})), EnvironmentError);
  REQUIRE_THROWS_WITH(train::fit(context, model, set, set, quiet({.out = dir / "file"})),
                      contains("cannot be written: Not a directory"));
  REQUIRE_THROWS_WITH(train::fit(context, model, set, set, quiet({.weights = dir.path().string()})),
                      contains("it is a folder"));
}

TEST_CASE("fit: what was learnt is saved, whatever ends the run") {
  std::string warning;
  Context context{{.threads = 1, .warn = [&](std::string_view message) { warning = message; }}};
  const data::Dataset train = points(500, 1), test = points(100, 2);
  const TempDir dir;
  Sequential model = model_for(context);
  auto options = quiet({.epochs = 3, .batch_size = 50, .weights = dir / "w"});
  options.on_epoch = [](const train::EpochReport& report) {
    if (report.epoch == 2) throw std::runtime_error("enough");
  };
  REQUIRE_THROWS_WITH(train::fit(context, model, train, test, options), "enough");
  Sequential loaded = model_for(context);
  io::load(context, loaded, options.weights);
  REQUIRE(numbers(loaded) == numbers(model));
  options.on_epoch = [&](const train::EpochReport&) {
    std::filesystem::remove_all(dir.path());
    throw std::runtime_error("nowhere to save");
  };
  REQUIRE(warning.empty());
  REQUIRE_THROWS_WITH(train::fit(context, model, train, test, options), "nowhere to save");
  REQUIRE_THAT(warning, contains("fit: the weights could not be saved: ") && contains(options.weights));
}

TEST_CASE("fit: refusals") {
  Context context{{.threads = 1}};
  Sequential model = model_for(context);
  const data::Dataset set = points(100, 1);
  const auto attempt = [&](train::FitOptions options) {
    return train::fit(context, model, set, set, quiet(std::move(options)));
  };
  REQUIRE_THROWS_WITH(attempt({.epochs = 0}),
                      contains("fit_test.cc:") && contains("fit: epochs must be from 1 to 1000000, got 0"));
  REQUIRE_THROWS_WITH(attempt({.batch_size = 0}), contains("batch_size must be 1 or more, got 0"));
  REQUIRE_THROWS_WITH(attempt({.test_batch_size = -1}), contains("test_batch_size must be 1 or more, got -1"));
  REQUIRE_THROWS_WITH(attempt({.label_smoothing = std::nan("")}),
                      contains("label_smoothing must be from 0 to 1, got nan"));
  REQUIRE_THROWS_WITH(attempt({.label_smoothing = 1.5}), contains("got 1.5"));
  REQUIRE_THROWS_WITH(attempt({.out = "not-there", .weights = "./not-there/../not-there/history.jsonl"}),
                      contains("weights and history cannot both be written to"));
  REQUIRE_THROWS_WITH(attempt({.log_every = -1}), contains("log_every must not be negative"));
  REQUIRE_THROWS_AS(attempt({.optimizer = {.lr = std::nan("")}}), ArgumentError);
  REQUIRE_THROWS_AS(attempt({.schedule = [](std::int64_t) { return -1.0; }}), ArgumentError);
  REQUIRE_THROWS_WITH(train::fit(context, model, set.take(0), set, quiet()),
                      contains("there is no example to train on"));
  REQUIRE_THROWS_WITH(train::fit(context, model, set, set.take(0), quiet()),
                      contains("there is no example to test on"));
  const data::Dataset other(context.zeros({2, 3}), context.zeros({2}, DType::int64));
  REQUIRE_THROWS_WITH(train::fit(context, model, set, other, quiet()),
                      contains("training examples are [2], test examples [3]"));
  REQUIRE_THROWS_AS(train::fit(context, model, other, other, quiet()), ShapeError);
}

TEST_CASE("fit: some steps are profiled, with loader and optimizer, and nothing changes") {
  const data::Dataset train = points(200, 1), test = points(50, 2);
  const auto run = [&](train::Profiler* profiler, std::int64_t skip) {
    ContextOptions options{.threads = 1, .seed = 3};
    if (profiler != nullptr) options.trace = profiler->sink();
    Context context{std::move(options)};
    Sequential model = model_for(context);
    SGD optimizer{model.parameters(), {.lr = 0.1}};
    train::fit(context, model, optimizer, train, test,
               quiet({.epochs = 2, .batch_size = 40, .profile = {.profiler = profiler, .skip = skip, .steps = 6}}));
    return numbers(model);
  };
  train::Profiler profiler, late;
  REQUIRE(run(&profiler, 3) == run(nullptr, 3));
  const train::Profile profile = profiler.profile();
  REQUIRE(profile.steps == 6);  // over the end of an epoch
  for (const char* op : {"loader", "optimizer", "cross_entropy"}) {
    INFO(op);
    const auto row = std::ranges::find(profile.rows, op, &train::ProfileRow::op);
    REQUIRE((row != profile.rows.end() && row->calls == 6));
  }
  run(&late, 8);
  REQUIRE(late.profile().steps == 2);  // there were no more
  REQUIRE_THROWS_WITH(run(&late, -1), contains("skip and steps must not be negative, got -1 and 6"));
}
