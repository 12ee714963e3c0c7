// The tapestry command: tells what the machine is, and where the time of train steps and ops goes.
#include <fmt/format.h>

#include "layers/models.h"
#include "tools/command_line.h"
#include "tools/info.h"
#include "tools/profile.h"

using namespace tapestry;

namespace {

CLI::App& add_info(CLI::App& app, tools::InfoOptions& options) {
  CLI::App& info = *app.add_subcommand("info", "CPU, targets, matrix units, caches, threads, versions");
  info.add_flag("--measure", options.measure, "Measure what the machine can do at most, too");
  info.add_flag("--json", options.json, "As one JSON object");
  return info;
}

void add_op(CLI::App& profile, tools::OpOptions& op) {
  constexpr std::int64_t kMost = 1'000'000;
  const std::vector<std::string> names(tools::op_names().begin(), tools::op_names().end());
  profile.add_option("--op", op.op, "Instead of a model, one op forward and backward")->check(CLI::IsMember(names));
  profile.add_option("--shape", op.shape, "Of what the op gets, the channels last: 16,32,32,64")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(tools::integer_from(1, kMost));
  profile.add_option("--out", op.out, "Its outputs or channels; 0: as many as go in")
      ->check(tools::integer_from(0, kMost))
      ->capture_default_str();
  profile.add_option("--kernel", op.kernel, "Of convolutions and pools, along each axis")
      ->check(tools::integer_from(1, 1000))
      ->capture_default_str();
  profile.add_option("--stride", op.stride, "0: 1 for convolutions, the kernel for pools")
      ->check(tools::integer_from(0, 1000))
      ->capture_default_str();
  profile.add_option("--padding", op.padding, "-1: half of the kernel for convolutions, none for pools")
      ->check(tools::integer_from(-1, 1000))
      ->capture_default_str();
  profile.add_option("--groups", op.groups, "0: 1 for convolutions, 32 for group_norm")
      ->check(tools::integer_from(0, kMost))
      ->capture_default_str();
}

CLI::App& add_profile(CLI::App& app, tools::ProfileOptions& options) {
  CLI::App& profile = *app.add_subcommand("profile", "Where the time of a model's train steps goes, op by op");
  const std::vector<std::string> names(model_names().begin(), model_names().end());
  profile.add_option("MODEL", options.model, "A benchmark model, on drawn images")->check(CLI::IsMember(names));
  profile.add_option("--batch-size", options.batch_size, "Images a step; 0: those of the model's benchmark")
      ->check(tools::integer_from(0, 65536))
      ->capture_default_str();
  profile.add_option("--steps", options.steps, "Steps to measure")
      ->check(tools::integer_from(1, 100'000))
      ->capture_default_str();
  profile.add_option("--warmup", options.warmup, "Steps before them that do not count")
      ->check(tools::integer_from(0, 100'000))
      ->capture_default_str();
  add_op(profile, options.op);
  tools::add_seed(profile, options.seed);
  tools::add_threads(profile, options.threads);
  tools::add_precision(profile, options.precision);
  profile.add_option("--trace", options.trace, "File for a Chrome trace, such as trace.json.gz");
  profile.add_option("--roofline", options.roofline, "File for a roofline plot, such as roofline.svg");
  profile.add_option("--peaks", options.peaks, "File for the machine's peaks: read where it exists, else written");
  profile.add_flag("--counters", options.counters, "Count cycles, instructions and cache misses, too");
  profile.add_flag("--json", options.json, "One JSON object a line");
  return profile;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Trains small neural networks on the CPU: tools beside the library", "tapestry");
  app.require_subcommand(1);
  tools::InfoOptions info_options;
  tools::ProfileOptions profile_options;
  const CLI::App& info = add_info(app, info_options);
  add_profile(app, profile_options);
  return tools::run(app, argc, argv,
                    [&] { return info.parsed() ? tools::info(info_options) : tools::profile(profile_options); });
}
