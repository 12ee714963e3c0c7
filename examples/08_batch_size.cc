// Batch norm against group norm at small batches: figure 1 of Wu and He, "Group normalization" (2018), at a size that
// takes minutes. Batch norm's statistics come from the batch, and are poor where it is small; group norm knows no
// batch.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>

#include "examples/program.h"
#include "tools/command_line.h"

using namespace tapestry;

namespace {

constexpr std::int64_t kReferenceBatch = 32;  // whose learning rate --lr is
constexpr std::size_t kMedianOf = 3;          // epochs

// Five times half the size, as in the paper's ResNet-50, which ends with 7 x 7 positions; 28 x 28 images end with one.
// There batch norm has no more values for a channel than there are images in the batch.
template <class Norm>
Sequential network(const data::Dataset& images, const Norm& norm) {
  const auto convolution = [&](std::int64_t out) {
    return Conv2d{{.out = out, .kernel = 3, .stride = 2, .padding = 1, .bias = false}} >> norm >> Relu{};
  };
  return Input{images.sample_shape()} >> convolution(16) >> convolution(32) >> convolution(64) >> convolution(64) >>
         convolution(64) >> Flatten{} >> Linear{{.out = images.num_classes()}};
}

// One norm at all batch sizes.
struct Line {
  std::string name;
  Sequential model;            // not built
  std::vector<double> errors;  // in %, one for each batch size; NaN: a loss or gradient was not finite
};

// As in the paper, the learning rate is in proportion to the batch, and falls to a tenth after 30, 60 and 90 % of the
// steps, which have whole batches. The seed decides on the first weights and on the order of the images, which are the
// same in all runs.
train::FitResult fit(Sequential model, std::int64_t batch, const data::Split& data, const example::Options& options) {
  Context context = example::make_context(options);
  model.build(context);
  const double lr = options.lr * static_cast<double>(batch) / kReferenceBatch;
  const std::int64_t images = data.train.size();
  const data::Dataset train = data.train.take(std::max(images - images % batch, std::min(images, batch)));
  const std::int64_t steps = options.epochs * ((train.size() + batch - 1) / batch);
  SGD optimizer{
      model.parameters(),
      {.lr = lr, .momentum = options.momentum, .weight_decay = options.weight_decay, .clip_norm = options.clip_norm}};
  return train::fit(context, model, optimizer, train, data.test,
                    {.epochs = options.epochs,
                     .batch_size = batch,
                     .test_batch_size = options.test_batch_size,
                     .schedule =
                         [=](std::int64_t step) {
                           const int falls =
                               (10 * step >= 3 * steps) + (10 * step >= 6 * steps) + (10 * step >= 9 * steps);
                           return lr * std::pow(0.1, falls);
                         },
                     .label_smoothing = options.label_smoothing,
                     .progress = !options.quiet});
}

// Of the test errors of the last epochs, in %.
double median_error(const train::FitResult& result) {
  std::vector<double> errors;
  for (const train::EpochReport& epoch : result.epochs) errors.push_back(100 * (1 - epoch.test.accuracy));
  if (errors.size() > kMedianOf) errors.erase(errors.begin(), errors.end() - kMedianOf);
  std::ranges::sort(errors);
  return (errors[errors.size() / 2] + errors[(errors.size() - 1) / 2]) / 2;
}

// One thing that the paper found. `chance`, a rule of thumb, is the difference that two errors on independent choices
// of as many test images exceed in 1 of 20 cases. Here they share the images, and one claim takes the range of several.
struct Claim {
  std::string text;
  double difference = 0, chance = 0;  // in % of the test images
  bool holds = false;
};

std::vector<Claim> judge(const std::vector<double>& batch_norm, const std::vector<double>& group_norm,
                         const example::Options& options, std::int64_t test_images) {
  const auto chance = [&](double a, double b) {
    return 2 * std::sqrt((a * (100 - a) + b * (100 - b)) / static_cast<double>(test_images));
  };
  const std::int64_t large = options.batch_sizes.front(), small = options.batch_sizes.back();
  const auto [low, high] = std::ranges::minmax(group_norm);
  std::vector<Claim> claims{{fmt::format("batch norm's error rises from batch {} to batch {}", large, small),
                             batch_norm.back() - batch_norm.front(), chance(batch_norm.back(), batch_norm.front())},
                            {"group norm's errors stay within chance", high - low, chance(low, high)},
                            {fmt::format("batch norm's error is above group norm's at batch {}", small),
                             batch_norm.back() - group_norm.back(), chance(batch_norm.back(), group_norm.back())}};
  for (Claim& claim : claims) claim.holds = claim.difference > claim.chance;
  claims[1].holds = !claims[1].holds;
  return claims;
}

std::string_view finding(const std::vector<Claim>& claims) {
  return std::ranges::all_of(claims, &Claim::holds) ? "shows" : "does not show";
}

void print_json(const std::vector<Line>& lines, const std::vector<Claim>& claims, const data::Split& data,
                const example::Options& options) {
  std::string runs, found;
  for (const Line& line : lines)
    for (std::size_t i = 0; i < line.errors.size(); ++i)
      runs += fmt::format("{}{{\"norm\":\"{}\",\"batch_size\":{},\"test_error\":{}}}", runs.empty() ? "" : ",",
                          line.name, options.batch_sizes[i],
                          std::isfinite(line.errors[i]) ? fmt::format("{:.4f}", line.errors[i]) : "null");
  for (const Claim& claim : claims)
    found += fmt::format("{}{{\"claim\":\"{}\",\"difference\":{:.4f},\"chance\":{:.4f},\"holds\":{}}}",
                         found.empty() ? "" : ",", claim.text, claim.difference, claim.chance, claim.holds);
  fmt::print(
      "{{\"dataset\":\"{}\",\"train_images\":{},\"test_images\":{},\"epochs\":{},\"seed\":{},\"runs\":[{}],"
      "\"claims\":[{}],\"finding\":\"{}\"}}\n",
      data.train.name(), data.train.size(), data.test.size(), options.epochs, options.seed, runs, found,
      claims.empty() ? "cannot be judged" : finding(claims));
}

void print_report(const std::vector<Line>& lines, const std::vector<Claim>& claims, const data::Split& data,
                  const example::Options& options) {
  fmt::print("test error in %, the median of the last {} epochs\n\n{:<12}", kMedianOf, "batch size");
  for (const std::int64_t batch : options.batch_sizes) fmt::print("{:>8}", batch);
  for (const Line& line : lines) {
    fmt::print("\n{:<12}", line.name);
    for (const double error : line.errors)
      fmt::print("{:>8}", std::isfinite(error) ? fmt::format("{:.2f}", error) : "-");
  }
  fmt::print(
      "\n\n{}: {} training images (--train-images takes more or fewer), {} test images, epochs: {}, seed {}.\n"
      "SGD with momentum {} and weight decay {}; the learning rate is {} x batch / {}, and a tenth of it\n"
      "after 30, 60 and 90 % of the steps. Batch norm's running statistics keep {} of their old value\n"
      "in each step, whatever the batch.\n\n",
      data.train.name(), data.train.size(), data.test.size(), options.epochs, options.seed, options.momentum,
      options.weight_decay, options.lr, kReferenceBatch, *BatchNorm2d{}.options.momentum);
  if (claims.empty()) {
    fmt::print("A loss or gradient was not finite where - stands: the paper's finding cannot be judged.\n");
    return;
  }
  fmt::print(
      "The finding shows if all of this holds in this run, of one seed. Chance is a rule of thumb: the difference\n"
      "that two errors on independent choices of as many test images exceed in 1 of 20 cases.\n");
  for (const Claim& claim : claims)
    fmt::print("  {:<54}{:>6.2f}  chance {:.2f}  {}\n", claim.text, claim.difference, claim.chance,
               claim.holds ? "holds" : "does not hold");
  fmt::print("The paper's finding {} here.\n\n", finding(claims));
}

std::string plot_path(const example::Options& options) { return options.out + "/batch_size.svg"; }

// The errors so far, as the paper's figure has them: from the largest batch to the smallest.
void draw(const std::vector<Line>& lines, const example::Options& options, const data::Split& data) {
  std::vector<train::PlotSeries> series;
  for (const Line& line : lines) {
    series.push_back({line.name, {}, line.errors});
    for (std::size_t i = 0; i < line.errors.size(); ++i)
      series.back().x.push_back(static_cast<double>(options.batch_sizes[i]));
  }
  if (options.out.empty()) return;
  train::save_line_plot(plot_path(options), series,
                        {.title = "Test error on " + data.test.name(),
                         .x_label = "batch size",
                         .y_label = "test error, %",
                         .log2_x = true,
                         .falling_x = true});
}

void note(const example::Options& options, const std::string& text) {
  if (!options.quiet) std::fputs((text + "\n").c_str(), stderr);
}

int compare(const example::Options& given) {
  example::Options options = given;
  if (options.dry_run) options.epochs = 1;
  std::ranges::sort(options.batch_sizes, std::greater{});
  options.batch_sizes.erase(std::ranges::unique(options.batch_sizes).begin(), options.batch_sizes.end());
  if (options.batch_sizes.size() < 2) throw ArgumentError("--batch-sizes: there is nothing to compare with one size");
  const data::Split data = example::load(options);

  std::vector<Line> lines{{"batch norm", network(data.train, BatchNorm2d{}), {}},
                          {"group norm", network(data.train, GroupNorm{{.num_groups = 8}}), {}}};
  draw(lines, options, data);  // a folder that cannot be written is better known now
  for (Line& line : lines)
    for (const std::int64_t batch : options.batch_sizes) {
      note(options, fmt::format("{}, batch size {}", line.name, batch));
      try {
        const train::FitResult result = fit(line.model, batch, data, options);
        if (result.signal != 0)
          return tools::report_error(fmt::format("ended by signal {}", result.signal), 128 + result.signal);
        line.errors.push_back(median_error(result));
      } catch (const NumericError& error) {
        note(options, error.what());
        line.errors.push_back(NAN);
      }
      draw(lines, options, data);
    }
  std::vector<Claim> claims;  // none where a run was stopped
  if (std::ranges::all_of(lines, [](const Line& line) {
        return std::ranges::none_of(line.errors, [](double e) { return std::isnan(e); });
      }))
    claims = judge(lines[0].errors, lines[1].errors, options, data.test.size());
  (options.json ? print_json : print_report)(lines, claims, data, options);
  if (!options.json && !options.out.empty()) fmt::print("plot {}\n", plot_path(options));
  return claims.empty() ? 5 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  return example::run(
      argc, argv,
      "Compares batch norm with group norm at several batch sizes: error, plot, and whether the finding "
      "of Wu and He (2018) shows in this run.",
      {.epochs = 8,
       .train_images = 30000,
       .batch_sizes = {32, 16, 8, 4, 2},
       .lr = 0.1 * kReferenceBatch / 256,  // the paper's, which is of 256 images
       .momentum = 0.9,
       .weight_decay = 1e-4,
       .out = "runs/batch_size"},
      compare);
}
