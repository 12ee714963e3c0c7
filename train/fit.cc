#include "train/fit.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <optional>

#include "autodiff/ops/loss.h"
#include "autodiff/tape.h"
#include "autodiff/text.h"
#include "kernels/error.h"
#include "train/history.h"
#include "train/profile.h"
#include "train/progress.h"
#include "train/signals.h"

namespace tapestry::train::detail {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Sums over the steps of an epoch.
struct Totals {
  double loss = 0;  // of all images
  std::int64_t right = 0, images = 0;

  double mean_loss() const { return images == 0 ? 0 : loss / static_cast<double>(images); }
  double accuracy() const { return images == 0 ? 0 : static_cast<double>(right) / static_cast<double>(images); }
};

class Loop {
 public:
  Loop(Context& context, const Learner& learner, const data::Dataset& train, const data::Dataset& test,
       const FitOptions& options)
      : context_(context),
        learner_(learner),
        train_(train),
        test_(test),
        options_(options),
        progress_(options.progress) {
    check_options();
    open_files();
    result_.epochs.reserve(static_cast<std::size_t>(options.epochs));
  }

  FitResult run() {
    const SignalGuard signals(options_.signals);
    signals_ = &signals;
    start_ = Clock::now();
    try {
      for (int epoch = 1; epoch <= options_.epochs && result_.signal == 0; ++epoch) {
        train_epoch(epoch);
        if (result_.signal == 0) end_epoch(epoch);
      }
    } catch (...) {  // whatever it was: what was learnt before it is kept
      progress_.clear();
      try {
        save_weights();
      } catch (const std::exception& lost) {
        context_.warn(fmt::format("fit: the weights could not be saved: {}", lost.what()));
      }
      throw;
    }
    progress_.clear();
    save_weights();
    return std::move(result_);
  }

 private:
  [[noreturn]] void refuse(const std::string& message) const { fail<ArgumentError>(options_.where, "fit", message); }

  void check_options() const {
    const FitOptions& o = options_;
    if (o.epochs < 1 || o.epochs > 1'000'000) refuse(fmt::format("epochs must be from 1 to 1000000, got {}", o.epochs));
    if (o.batch_size < 1) refuse(fmt::format("batch_size must be 1 or more, got {}", o.batch_size));
    if (o.test_batch_size < 1) refuse(fmt::format("test_batch_size must be 1 or more, got {}", o.test_batch_size));
    if (!(o.label_smoothing >= 0 && o.label_smoothing <= 1))
      refuse(fmt::format("label_smoothing must be from 0 to 1, got {}", o.label_smoothing));
    if (o.profile.skip < 0 || o.profile.steps < 0)
      refuse(
          fmt::format("profile: skip and steps must not be negative, got {} and {}", o.profile.skip, o.profile.steps));
    if (o.log_every < 0) refuse(fmt::format("log_every must not be negative, got {}", o.log_every));
    if (train_.size() == 0) refuse("there is no example to train on");
    if (test_.size() == 0) refuse("there is no example to test on");
    if (train_.sample_shape() != test_.sample_shape())
      refuse(fmt::format("training examples are {}, test examples {}", to_string(train_.sample_shape()),
                         to_string(test_.sample_shape())));
  }

  void open_files() {
    namespace fs = std::filesystem;
    if (!options_.weights.empty()) result_.weights = options_.weights;
    if (!options_.out.empty()) {
      result_.history = (fs::path(options_.out) / "history.jsonl").string();
      if (result_.weights.empty()) result_.weights = (fs::path(options_.out) / "weights.safetensors").string();
    }
    const auto place = [](const std::string& path) { return fs::weakly_canonical(fs::absolute(path)); };
    if (!result_.weights.empty() && !result_.history.empty() && place(result_.weights) == place(result_.history))
      refuse(fmt::format("weights and history cannot both be written to {}", printable(result_.weights)));
    if (!result_.weights.empty()) require_writable(result_.weights);
    if (!result_.history.empty()) history_.emplace(result_.history);
  }

  void save_weights() const {
    if (!result_.weights.empty()) learner_.save(result_.weights);
  }

  void train_epoch(int epoch) {
    data::Batches batches =
        train_.batches(context_, {.size = options_.batch_size, .epoch = epoch, .where = options_.where});
    totals_ = {};
    epoch_start_ = Clock::now();
    std::int64_t step = 0;
    for (auto batch = batches.begin(); batch != std::default_sentinel;) {
      Profiler* const profiler = profiler_of_step();
      if (profiler != nullptr) profiler->begin_step();
      train_step(epoch, *batch, profiler);
      in_section(profiler, "loader", [&] { ++batch; });
      if (profiler != nullptr) profiler->end_step();
      ++step;
      const double seconds = train_seconds_ + seconds_since(epoch_start_);
      const double rate = seconds > 0 ? static_cast<double>(images_ + totals_.images) / seconds : 0;
      const std::int64_t left = (options_.epochs - epoch) * train_.size() + train_.size() - totals_.images;
      progress_.update({epoch, options_.epochs, step, batches.size(), totals_.mean_loss(), totals_.accuracy(), rate,
                        rate > 0 ? static_cast<double>(left) / rate : 0});
      if ((result_.signal = signals_->received()) != 0) return;
    }
  }

  Profiler* profiler_of_step() const {
    const ProfiledSteps& profile = options_.profile;
    const bool wanted = result_.steps >= profile.skip && result_.steps - profile.skip < profile.steps;
    return wanted ? profile.profiler : nullptr;
  }

  template <class Work>
  static void in_section(Profiler* profiler, const char* name, const Work& work) {
    if (profiler == nullptr) return work();
    profiler->section(name, work);
  }

  // One step; on a number that is not finite, the search for the op where it arose.
  void train_step(int epoch, const data::Batch& batch, Profiler* profiler) {
    if (options_.schedule) learner_.set_lr(options_.schedule(result_.steps));
    try {
      update(batch, profiler);
    } catch (const NumericError& error) {
      fail_step(epoch, batch, error);
    }
    ++result_.steps;
    if (history_ && options_.log_every != 0 && result_.steps % options_.log_every == 0)
      history_->write({result_.steps, epoch, "batch", last_loss_, last_accuracy_, learner_.lr(),
                       static_cast<double>(totals_.images) / seconds_since(epoch_start_), seconds_since(start_)});
  }

  Var loss_of(Tape& tape, const data::Batch& batch, Tensor& logits) {
    const Var y = learner_.forward(tape.input(batch.images), Mode::train);
    if (y.shape().rank() != 2 || y.shape()[0] != batch.images.shape()[0])
      fail<ShapeError>(
          options_.where, "fit",
          fmt::format("the model must give [{}, classes], it gave {}", batch.images.shape()[0], to_string(y.shape())));
    logits = y.value();
    return cross_entropy(y, batch.labels, {.label_smoothing = options_.label_smoothing, .where = options_.where});
  }

  void update(const data::Batch& batch, Profiler* profiler) {
    const std::int64_t images = batch.images.shape()[0];
    Tensor logits;
    {
      Tape tape{context_, {.step = static_cast<std::uint64_t>(result_.steps)}};
      const Var loss = loss_of(tape, batch, logits);
      last_loss_ = loss.item();
      Gradients gradients = tape.backward(loss);
      in_section(profiler, "optimizer", [&] { learner_.step(gradients); });
    }
    std::int64_t right = 0;
    const auto labels = batch.labels.span<std::int64_t>();
    tapestry::detail::for_each_prediction(
        logits, [&](std::size_t row, std::int64_t prediction) { right += prediction == labels[row] ? 1 : 0; });
    last_accuracy_ = static_cast<double>(right) / static_cast<double>(images);
    totals_.loss += last_loss_ * static_cast<double>(images);
    totals_.right += right;
    totals_.images += images;
  }

  [[noreturn]] void fail_step(int epoch, const data::Batch& batch, const NumericError& error) {
    const std::string step = fmt::format("step {} (epoch {}): ", result_.steps + 1, epoch);
    try {
      Tape tape{context_, {.step = static_cast<std::uint64_t>(result_.steps), .check_finite = true}};
      Tensor logits;
      tape.backward(loss_of(tape, batch, logits));
    } catch (const NumericError& first) {
      throw NumericError(step + first.what());
    }
    throw NumericError(step + error.what());
  }

  void end_epoch(int epoch) {
    const double epoch_seconds = seconds_since(epoch_start_);
    train_seconds_ += epoch_seconds;
    images_ += totals_.images;
    EpochReport report{epoch,
                       result_.steps,
                       totals_.mean_loss(),
                       totals_.accuracy(),
                       {},
                       learner_.lr(),
                       static_cast<double>(totals_.images) / epoch_seconds,
                       train_seconds_,
                       0};
    report.test = tapestry::detail::evaluate(
        context_, [&](const Var& x) { return learner_.forward(x, Mode::eval); }, test_,
        {.batch_size = options_.test_batch_size, .where = options_.where}, [&] { return signals_->received() != 0; });
    if ((result_.signal = signals_->received()) != 0) return;
    report.seconds = seconds_since(start_);
    if (history_) {
      history_->write({report.steps, epoch, "train", report.train_loss, report.train_accuracy, report.lr,
                       report.images_per_second, report.seconds});
      history_->write({report.steps, epoch, "test", report.test.loss, report.test.accuracy, report.lr,
                       report.images_per_second, report.seconds});
    }
    progress_.line(fmt::format("epoch {}/{}  loss {:.4f}  acc {:.2f} %  test loss {:.4f}  test acc {:.2f} %  lr {:.3g} "
                               " {:.0f} img/s  {:.1f} s",
                               epoch, options_.epochs, report.train_loss, 100 * report.train_accuracy, report.test.loss,
                               100 * report.test.accuracy, report.lr, report.images_per_second, report.seconds)
                       .c_str());
    result_.epochs.push_back(std::move(report));
    if (options_.on_epoch) options_.on_epoch(result_.epochs.back());
  }

  Context& context_;
  const Learner& learner_;
  const data::Dataset &train_, &test_;
  const FitOptions& options_;
  Progress progress_;
  std::optional<History> history_;
  const SignalGuard* signals_ = nullptr;
  FitResult result_;
  Totals totals_;  // of the epoch under way
  Clock::time_point start_, epoch_start_;
  double train_seconds_ = 0;  // of the epochs before
  std::int64_t images_ = 0;   // likewise
  double last_loss_ = 0, last_accuracy_ = 0;
};

}  // namespace

FitResult fit(Context& context, const Learner& learner, const data::Dataset& train, const data::Dataset& test,
              const FitOptions& options) {
  return Loop(context, learner, train, test, options).run();
}

}  // namespace tapestry::train::detail
