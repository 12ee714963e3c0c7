// The tapestry command: tells what the machine is, and where the time of train steps goes.
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

CLI::App& add_profile(CLI::App& app, tools::ProfileOptions& options) {
  CLI::App& profile = *app.add_subcommand("profile", "Where the time of a model's train steps goes, op by op");
  const std::vector<std::string> names(model_names().begin(), model_names().end());
  profile.add_option("MODEL", options.model, "A benchmark model, on drawn images")
      ->required()
      ->check(CLI::IsMember(names));
  profile.add_option("--batch-size", options.batch_size, "Images a step; 0: those of the model's benchmark")
      ->check(tools::integer_from(0, 65536))
      ->capture_default_str();
  profile.add_option("--steps", options.steps, "Steps to measure")
      ->check(tools::integer_from(1, 100'000))
      ->capture_default_str();
  profile.add_option("--warmup", options.warmup, "Steps before them that do not count")
      ->check(tools::integer_from(0, 100'000))
      ->capture_default_str();
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
