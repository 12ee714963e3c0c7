// A ready training loop beside the hand-written one: classification with cross entropy.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "io/model.h"
#include "layers/state.h"
#include "optim/adam.h"
#include "optim/schedule.h"
#include "train/evaluate.h"

namespace tapestry::train {

// What one epoch brought.
struct EpochReport {
  int epoch = 0;
  std::int64_t steps = 0;                     // done so far
  double train_loss = 0, train_accuracy = 0;  // means over the epoch, while the weights moved
  Evaluation test;
  double lr = 0;                 // of the last step
  double images_per_second = 0;  // of training
  double train_seconds = 0;      // in training, of all epochs so far
  double seconds = 0;            // since the start
};

class Profiler;

// Which steps of a run are profiled.
struct ProfiledSteps {
  Profiler* profiler = nullptr;       // whose sink is the context's trace; nothing: none are, which costs nothing
  std::int64_t skip = 3, steps = 20;  // the first ones fill caches and the arena
};

struct FitOptions {
  int epochs = 10;
  std::int64_t batch_size = 128;
  std::int64_t test_batch_size = 256;
  Schedule schedule = nullptr;  // learning rate of each step, from step 0; nothing: the optimizer's own
  double label_smoothing = 0;
  AdamWOptions optimizer = {};  // of the AdamW that is made when fit is given no optimizer
  std::string out = "";         // folder for history.jsonl and weights.safetensors; empty: neither is written
  std::string weights = "";     // path of the weights; empty: those of `out`
  std::int64_t log_every = 0;   // steps between two "batch" lines of the history; 0: none
  bool progress = true;         // on stderr
  bool signals = true;          // SIGINT and SIGTERM end the run after the step; see SignalGuard
  std::function<void(const EpochReport&)> on_epoch = nullptr;
  ProfiledSteps profile = {};
  Location where = std::source_location::current();
};

struct FitResult {
  std::vector<EpochReport> epochs;  // the whole ones
  std::int64_t steps = 0;
  int signal = 0;  // that ended the run early, so that the program should exit with 128 + signal; 0: none did
  std::string history, weights;  // paths of what was written; empty: nothing
};

namespace detail {

// What the loop needs of a model and its optimizer.
struct Learner {
  FunctionRef<Var(const Var& x, Mode mode)> forward;
  FunctionRef<void(Gradients& gradients)> step;
  FunctionRef<void(double lr)> set_lr;
  FunctionRef<double()> lr;
  FunctionRef<void(const std::string& path)> save;
};

FitResult fit(Context& context, const Learner& learner, const data::Dataset& train, const data::Dataset& test,
              const FitOptions& options);

}  // namespace detail

// Trains `model`, which gives logits [B, C], on shuffled batches of `train` with `optimizer` (step, lr, set_lr), and
// evaluates it on `test` after each epoch. The result depends on the context's seed alone, not on its threads.
// Before the first step: ArgumentError for options outside their rule, EnvironmentError for paths that cannot be
// written or that are one file. NumericError at the first loss or gradient that is not finite, with the step and the op
// where it arose; the model is as it was before that step. However the run ends, the weights are saved; a run that
// failed already warns where they cannot be.
template <Layer M, class Optimizer>
requires requires(Optimizer& optimizer, Gradients& gradients) {
  optimizer.step(gradients);
  optimizer.set_lr(optimizer.lr());
}
FitResult fit(Context& context, M& model, Optimizer& optimizer, const data::Dataset& train, const data::Dataset& test,
              const FitOptions& options = {}) {
  const auto forward = [&](const Var& x, Mode mode) { return apply(model, x, mode); };
  const auto step = [&](Gradients& gradients) { optimizer.step(gradients); };
  const auto set_lr = [&](double lr) { optimizer.set_lr(lr); };
  const auto lr = [&] { return optimizer.lr(); };
  const auto save = [&](const std::string& path) { io::save(model, path); };
  return detail::fit(context, {forward, step, set_lr, lr, save}, train, test, options);
}

// The same with AdamW{parameters(model), options.optimizer}.
template <Layer M>
FitResult fit(Context& context, M& model, const data::Dataset& train, const data::Dataset& test,
              const FitOptions& options = {}) {
  AdamW optimizer{parameters(model), options.optimizer};
  return fit(context, model, optimizer, train, test, options);
}

}  // namespace tapestry::train
