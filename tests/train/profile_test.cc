#include "train/profile_report.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "autodiff/ops/loss.h"
#include "autodiff/ops/pointwise.h"
#include "autodiff/ops/reduce.h"
#include "autodiff/record.h"
#include "autodiff/tape.h"
#include "data/gzip.h"
#include "kernels/error.h"
#include "layers/activation.h"
#include "layers/linear.h"
#include "layers/sequential.h"
#include "optim/sgd.h"
#include "tests/catch.h"
#include "tests/support/files.h"
#include "tests/train/some_profiles.h"

using namespace tapestry;
using namespace tapestry::test;
using nlohmann::json;
using train::Pass;
using train::Profile;
using train::ProfileRow;

namespace {

// Three steps of a small network between two that do not count.
Profile small_profile() {
  train::Profiler profiler;
  Context context{{.threads = 1, .trace = profiler.sink()}};
  Sequential model = Input{6} >> Linear{{.out = 5}} >> Tanh{} >> Linear{{.out = 3}};
  model.build(context);
  SGD optimizer{model.parameters(), {.lr = 0.1}};
  const Tensor x = context.full({4, 6}, 0.5), labels = context.zeros({4}, DType::int64);
  for (int step = 0; step < 5; ++step) {
    const bool counts = step > 0 && step < 4;
    if (counts) profiler.begin_step();
    Tape tape{context};
    Gradients gradients = tape.backward(cross_entropy(model(tape.input(x), Mode::train), labels));
    profiler.section("optimizer", [&] { optimizer.step(gradients); });
    if (counts) profiler.end_step();
  }
  return profiler.profile();
}

const ProfileRow& row_of(const Profile& profile, std::string_view op, std::string_view layer, Pass pass) {
  const auto found = std::ranges::find_if(
      profile.rows, [&](const ProfileRow& row) { return row.op == op && row.layer == layer && row.pass == pass; });
  INFO(op << " " << layer);
  REQUIRE(found != profile.rows.end());
  return *found;
}

std::vector<json> lines_of(const std::string& text) {
  std::vector<json> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(json::parse(line));
  return lines;
}

}  // namespace

TEST_CASE("profile: each op of each layer, forward and backward, calls and costs") {
  const Profile profile = small_profile();
  REQUIRE(profile.steps == 3);
  REQUIRE(profile.rows.size() == 10);
  for (const char* layer : {"0", "2"})
    for (const Pass pass : {Pass::forward, Pass::backward}) REQUIRE(row_of(profile, "linear", layer, pass).calls == 3);
  REQUIRE(row_of(profile, "linear", "0", Pass::forward).cost.flops == 3 * (2 * 4 * 6 * 5 + 4 * 5));
  REQUIRE(row_of(profile, "linear", "0", Pass::backward).cost.flops == 3 * (2 * 4 * 6 * 5 + 4 * 5));  // no dx
  REQUIRE(row_of(profile, "linear", "2", Pass::backward).cost.flops == 3 * (4 * 4 * 5 * 3 + 4 * 3));
  REQUIRE(row_of(profile, "optimizer", "", Pass::section).calls == 3);
  REQUIRE(profile.rows.back().pass == Pass::other);
  const auto loss = std::ranges::find(profile.rows, "cross_entropy", &ProfileRow::op);
  REQUIRE((loss != profile.rows.end() && loss->layer.starts_with("profile_test.cc:")));

  double sum = 0;
  for (const ProfileRow& row : profile.rows) sum += row.seconds;
  REQUIRE(sum == Approx(profile.seconds));
  REQUIRE(profile.spans.size() == 27);
  for (std::size_t i = 0; i + 1 < profile.rows.size(); ++i) {
    double fastest = 1e9;
    for (const train::ProfileSpan& span : profile.spans)
      if (span.row == i) fastest = std::min(fastest, span.seconds);
    REQUIRE(profile.rows[i].fastest == fastest);
  }
  double end = 0;
  for (const train::ProfileSpan& span : profile.spans) {
    REQUIRE(span.start >= end - 1e-9);  // nothing counts twice
    end = span.start + span.seconds;
  }
}

TEST_CASE("profile: time between a section and an op belongs to neither twice") {
  train::Profiler profiler;
  Context context{{.threads = 1, .trace = profiler.sink()}};
  profiler.begin_step();
  Tape tape{context};
  const Var x = tape.variable(context.full({2}, 1));
  profiler.section("loader", [] { std::this_thread::sleep_for(std::chrono::milliseconds(30)); });
  mean(x);
  profiler.end_step();
  const Profile profile = profiler.profile();
  REQUIRE(row_of(profile, "loader", "", Pass::section).seconds >= 0.03);
  REQUIRE(std::ranges::find(profile.rows, "mean", &ProfileRow::op)->seconds < 0.025);
  REQUIRE_THROWS_AS(profiler.end_step(), ArgumentError);
}

TEST_CASE("profile: an op that does not tell its cost is told apart; what no tape records has no row") {
  train::Profiler profiler;
  Context context{{.threads = 1, .trace = profiler.sink(), .trace_untaped = true}};
  profiler.begin_step();
  Tape tape{context};
  const Var x = tape.variable(context.full({2}, 1));
  exp(context.input(context.full({2}, 1)));
  mean(record("own", x.value().clone(), {x}, {}, [](const Tensor& dy, GradSlots grads) { grads.pass(0, dy); }));
  profiler.end_step();
  const Profile profile = profiler.profile();
  REQUIRE(profile.rows.size() == 3);
  REQUIRE((!profile.rows[0].cost_known && profile.rows[1].cost_known && profile.rows[2].cost_known));
  for (const json& row : lines_of(train::profile_json(profile, some_peaks(), kRun)))
    if (row["kind"] == "op") REQUIRE(row["cost_known"] == (row["op"] != "own"));
  REQUIRE(
      train::profile_table(profile, some_peaks(), kRun).ends_with("\none operation an element is assumed of: own\n"));
}

TEST_CASE("profile: the table is sorted by time and ends with sums and peaks") {
  Profile profile = small_profile();
  profile.rows[2].seconds += profile.seconds;  // whichever it is, it comes first
  profile.rows[2].layer = "layer \n\xff";
  const std::string table = train::profile_table(profile, some_peaks(), kRun);
  INFO(table);
  std::istringstream stream(table);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  REQUIRE(lines.size() == 2 + 1 + 1 + profile.rows.size() + 1 + 3 + 2);
  REQUIRE(lines[0].starts_with("tiny, batch 4: 3 steps of "));
  REQUIRE(lines[0].ends_with("avx2, high (fma), 2 threads"));
  REQUIRE(lines[2].starts_with("layer "));
  REQUIRE(lines[4].starts_with("layer \\x0a\\xff  "));
  REQUIRE(lines[lines.size() - 3].find("200.0 %") != std::string::npos);
  REQUIRE(lines.back() ==
          "calls and ms are for one step, fastest is one call; peaks: 100.0 GFLOP/s (50.0 on one thread), L1 200 GB/s, "
          "memory 10 GB/s");
}

TEST_CASE("profile: JSON lines") {
  const Profile profile = small_profile();
  const std::vector<json> lines = lines_of(train::profile_json(profile, some_peaks(), kRun));
  REQUIRE(lines.size() == profile.rows.size() + 2);
  double share = 0, before = 1e9;
  for (std::size_t i = 0; i < profile.rows.size(); ++i) {
    REQUIRE(lines[i]["kind"] == "op");
    REQUIRE((lines[i]["target"] == "avx2" && lines[i]["precision"] == "high" && lines[i]["threads"] == 2));
    REQUIRE(lines[i]["seconds"].get<double>() <= before);
    before = lines[i]["seconds"];
    share += lines[i]["share"].get<double>();
  }
  REQUIRE(share == Approx(1));
  const json& total = lines[lines.size() - 2];
  REQUIRE((total["kind"] == "total" && total["steps"] == 3 && total["batch"] == 4));
  REQUIRE(lines.back()["levels"].size() == 2);
}

TEST_CASE("profile: the trace has a call an event, and comes back out of its gzip file") {
  Profile profile = small_profile();
  profile.rows[0].layer = "quote \" and \xff";
  const json trace = json::parse(train::chrome_trace(profile, kRun));
  const json& events = trace["traceEvents"];
  REQUIRE(events.size() == profile.spans.size() + 2);
  REQUIRE((events[0]["ph"] == "M" && events[0]["args"]["name"] == "tiny"));
  double end = 0;
  for (std::size_t i = 2; i < events.size(); ++i) {
    REQUIRE((events[i]["ph"] == "X" && events[i]["pid"] == 1 && events[i]["dur"].get<double>() >= 0));
    REQUIRE(events[i]["ts"].get<double>() >= end - 1e-3);
    end = events[i]["ts"].get<double>() + events[i]["dur"].get<double>();
  }

  const TempDir folder;
  train::save_chrome_trace(folder / "below/trace.json.gz", profile, kRun);
  data::FileReader reader(folder / "below/trace.json.gz");
  std::vector<std::uint8_t> bytes(1 << 20);
  bytes.resize(reader.read(bytes));
  REQUIRE(reader.compressed());
  REQUIRE(json::parse(bytes) == trace);
  REQUIRE_THROWS_AS(train::save_chrome_trace("/proc/none/trace.json.gz", profile, kRun), EnvironmentError);
}

TEST_CASE("profile: the roofline has a line for each level, a point for each row that computes") {
  const Profile profile = small_profile();
  const std::string svg = train::roofline_plot(profile, some_peaks(), kRun);
  REQUIRE(svg.find("<title>0 linear forward: ") != std::string::npos);
  REQUIRE(svg.find("<title>0 linear backward: ") != std::string::npos);
  REQUIRE(svg.find("optimizer") == std::string::npos);
  REQUIRE(svg.find(">L1 200 GB/s and 100 GFLOP/s<") != std::string::npos);
  REQUIRE(svg.find(">memory 10 GB/s<") != std::string::npos);
  REQUIRE(svg.find("nan") == std::string::npos);
  const TempDir folder;
  train::save_roofline_plot(folder / "roof.svg", profile, some_peaks(), kRun);
  REQUIRE(read_text(folder / "roof.svg") == svg);

  train::Peaks quick = some_peaks();
  quick.unit = "tiles";
  quick.unit_flops = 400e9;
  REQUIRE(train::roofline_plot(profile, quick, kRun).find(">tiles 400 GFLOP/s<") != std::string::npos);
}

TEST_CASE("profile: a folder with the table, the trace and the plot") {
  const Profile profile = small_profile();
  const TempDir folder;
  const train::ProfileFiles files = train::save_profile(folder / "below", profile, some_peaks(), kRun);
  REQUIRE(read_text(files.table) == train::profile_table(profile, some_peaks(), kRun));
  REQUIRE(read_text(files.roofline) == train::roofline_plot(profile, some_peaks(), kRun));
  REQUIRE(std::filesystem::file_size(files.trace) > 20);
  REQUIRE_THROWS_AS(train::save_profile("/proc/none", profile, some_peaks(), kRun), EnvironmentError);
}
