#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "autodiff/ops/matmul.h"
#include "autodiff/ops/reduce.h"
#include "autodiff/tape.h"
#include "tests/catch.h"
#include "tests/train/some_profiles.h"

using namespace tapestry;
using namespace tapestry::test;
using nlohmann::json;
using train::Profile;
using train::ProfileRow;

namespace {

json first_line(const std::string& text) { return json::parse(text.substr(0, text.find('\n'))); }

}  // namespace

TEST_CASE("profile: rates against the roof of arithmetic and that of the level that holds a call") {
  const train::Peaks peaks = some_peaks();
  const ProfileRow dense{.op = "a", .layer = "", .calls = 2, .seconds = 2, .cost = {.flops = 100e9, .bytes = 1e9}};
  train::RowRates rate = train::rates(dense, peaks);
  REQUIRE((rate.flops == 50e9 && rate.bytes == 0.5e9 && rate.intensity == 100));
  REQUIRE((rate.compute_bound && rate.roof_share == 0.5 && rate.level == "memory"));

  const ProfileRow thin{.op = "a", .layer = "", .calls = 1, .seconds = 1, .cost = {.flops = 1e9, .bytes = 5e9}};
  rate = train::rates(thin, peaks);
  REQUIRE((!rate.compute_bound && rate.roof_share == 0.5 && rate.level == "memory"));

  const ProfileRow small{.op = "a", .layer = "", .calls = 1000, .seconds = 1e-5, .cost = {.flops = 0, .bytes = 1e6}};
  rate = train::rates(small, peaks);
  REQUIRE((rate.level == "L1" && rate.roof_share == Approx(0.5) && rate.intensity == 0));

  // Reading alone, and writing alone, are slower in memory than both at a time.
  train::Peaks apart = peaks;
  apart.levels[1] = {"memory", apart.levels[1].capacity, 5e9, 2e9, 10e9};
  ProfileRow row{.op = "a", .layer = "", .calls = 1, .seconds = 4, .cost = {.flops = 0, .bytes = 10e9, .written = 0}};
  REQUIRE(train::rates(row, apart).roof_share == 0.5);
  row.cost.written = 4e9;
  REQUIRE(train::rates(row, apart).roof_share == 0.5);
  row.cost.written = 6e9;
  REQUIRE(train::rates(row, apart).roof_share == 0.75);

  // A matrix unit takes the products, multiply-adds what is left.
  train::Peaks quick = peaks;
  quick.unit = "tiles";
  quick.unit_flops = 400e9;
  row = {.op = "a", .layer = "", .calls = 1, .seconds = 2, .cost = {.flops = 60e9, .bytes = 1e9, .products = 40e9}};
  rate = train::rates(row, quick);
  REQUIRE((rate.compute_bound && rate.unit_share == 1 && rate.roof_share == Approx((0.1 + 0.2) / 2)));
  row.cost.products = 0;
  REQUIRE((train::rates(row, quick).unit_share == 0 && train::rates(row, quick).roof_share == Approx(0.3)));

  const ProfileRow nothing{.op = "a", .layer = ""};
  REQUIRE(train::rates(nothing, peaks).roof_share == 0);
}

TEST_CASE("profile: products that the matrix unit leaves to multiply-adds are held against these") {
  train::Peaks peaks = some_peaks();
  peaks.unit = "tiles";
  peaks.unit_flops = 400e9;
  Profile profile{.steps = 1, .seconds = 4, .rows = {{.op = "a", .layer = "", .calls = 1, .seconds = 2}}, .spans = {}};
  ProfileRow& row = profile.rows[0];
  row.cost = {.flops = 60e9, .bytes = 1e9, .products = 40e9};
  const auto require = [&](double unit_share, double seconds, const std::string& unit, const std::string& roof) {
    const train::RowRates rate = train::rates(row, peaks);
    REQUIRE((rate.unit_share == unit_share && rate.compute_bound && rate.roof_share == Approx(seconds / 2)));
    REQUIRE(train::profile_table(profile, peaks, kRun).find(" % of " + roof + " ") != std::string::npos);
    const json line = first_line(train::profile_json(profile, peaks, kRun));
    REQUIRE((line["unit"] == unit && line["unit_share"] == unit_share && line["roof"] == "flops"));
  };
  require(1, 0.2 + 0.1, "tiles", "tiles");  // nobody told
  row.work.products = 20e9;
  require(0, 0.6, "fma", "FMA");
  row.work.unit_products = 5e9;
  require(0.25, 0.5 + 0.025, "tiles and fma", "both");
  row.work.unit_products = 20e9;
  require(1, 0.3, "tiles", "tiles");
}

TEST_CASE("profile: what kernels tell goes to the op or section in which they ran") {
  train::Profiler profiler;
  Context context{{.threads = 2, .trace = profiler.sink(), .meter = profiler.meter()}};
  const Tensor x = context.full({256, 256}, 0.5);
  const auto share = [&](int milliseconds) {
    context.device().pool.run(2, [&](std::size_t chunk) {
      std::this_thread::sleep_for(std::chrono::milliseconds(chunk == 0 ? milliseconds : 0));
    });
  };
  for (int step = 0; step < 2; ++step) {
    share(50);  // before the step: nobody's
    profiler.begin_step();
    Tape tape{context};
    const Var y = matmul(tape.variable(x), tape.input(x));
    mean(y);
    share(50);  // before the section, and after the last op
    profiler.section("optimizer", [&] { share(20); });
    profiler.end_step();
  }
  const Profile profile = profiler.profile();
  const auto found = [&](const char* op) { return *std::ranges::find(profile.rows, op, &ProfileRow::op); };
  REQUIRE(found("matmul").work.tiles.size() == 1);
  REQUIRE(found("matmul").work.busy > 0);
  REQUIRE(found("mean").work.tiles.empty());
  const train::KernelWork& work = found("optimizer").work;
  REQUIRE((work.longest >= 0.04 && work.longest < 0.09 && work.busy >= work.longest && work.tiles.empty()));
}

TEST_CASE("profile: packing over the time of all threads, and the busiest thread over the mean") {
  ProfileRow row{.op = "a", .layer = "", .calls = 1, .seconds = 10};
  REQUIRE((train::rates(row, some_peaks()).packing_share == 0 && train::rates(row, some_peaks()).imbalance == 0));
  row.work.packing = 1;
  REQUIRE(train::rates(row, some_peaks()).packing_share == Approx(0.1));  // alone
  row.work.shared = 6;
  row.work.busy = 8;
  row.work.longest = 5;
  const train::RowRates rate = train::rates(row, some_peaks());
  REQUIRE(rate.packing_share == Approx(1.0 / 12));  // 4 s alone, 8 s of two threads
  REQUIRE(rate.imbalance == Approx(0.25));

  Profile profile{.steps = 1, .seconds = 10, .rows = {row}, .spans = {}};
  profile.rows[0].work.tiles = {{"panels", 6, 16}, {"rows", 6, 16}, {"flipped", 16, 6}, {"blocks", 32, 32, "tiles"}};
  const std::string table = train::profile_table(profile, some_peaks(), kRun);
  REQUIRE(table.find("8.3 %     25.0 %  6x16, 16x6, 32x32\n") != std::string::npos);
  const json line = first_line(train::profile_json(profile, some_peaks(), kRun));
  REQUIRE((line["packing_share"] == rate.packing_share && line["imbalance"] == rate.imbalance));
  REQUIRE(line["tiles"] == json({"panels 6x16", "rows 6x16", "flipped 16x6", "tiles blocks 32x32"}));
}
