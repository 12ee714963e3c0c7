#include "kernels/runtime/meter.h"

#include <chrono>
#include <limits>
#include <thread>
#include <utility>
#include <vector>

#include "kernels/conv.h"
#include "kernels/matmul.h"
#include "tests/catch.h"
#include "tests/kernels/tile_units.h"
#include "tests/support/targets.h"

using namespace tapestry;
using kernels::Meter;

namespace {

void sleep_for(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

constexpr std::uint64_t kMillisecond = 1'000'000;

constexpr std::size_t kSize = 96, kCube = kSize * kSize * kSize;
constexpr kernels::ConvDims kConv{.batch = 2,
                                  .in_channels = 16,
                                  .out_channels = 24,
                                  .in = {1, 8, 8},
                                  .out = {1, 8, 8},
                                  .kernel = {1, 3, 3},
                                  .pad = {0, 1, 1}};
constexpr kernels::ConvDims kDepthwise{.batch = 2,
                                       .in_channels = 16,
                                       .out_channels = 16,
                                       .groups = 16,
                                       .in = {1, 8, 8},
                                       .out = {1, 8, 8},
                                       .kernel = {1, 3, 3},
                                       .pad = {0, 1, 1}};

// Enough for all of the kernels below.
struct Operands {
  std::vector<float> x = std::vector<float>(kSize * kSize, 0.5f), y = x, z = x;
};

std::span<const float> some(const std::vector<float>& all, std::size_t size) {
  return std::span(all).last(size);  // with the last one, whatever the size
}

struct Kernel {
  std::string_view name;
  double products;
  bool packs;  // on every target
  void (*run)(const kernels::Device&, Operands&);
};

const Kernel kKernels[]{
    {"matmul", kCube, true,
     [](const kernels::Device& device, Operands& o) {
       kernels::matmul(device, {.m = kSize, .n = kSize, .k = kSize, .transpose_b = true}, std::as_const(o.x), o.y, {},
                       o.z);
     }},
    {"forward", 2 * 64 * 9 * 16 * 24, true,
     [](const kernels::Device& device, Operands& o) {
       kernels::conv_forward(device, kConv, some(o.x, kConv.x_size()), some(o.y, kConv.weight_size()), {},
                             std::span(o.z).first(kConv.y_size()));
     }},
    {"backward data", 2 * 64 * 9 * 16 * 24, true,
     [](const kernels::Device& device, Operands& o) {
       kernels::conv_backward_data(device, kConv, some(o.y, kConv.weight_size()), some(o.x, kConv.y_size()),
                                   std::span(o.z).first(kConv.x_size()));
     }},
    {"backward weights", 2 * 64 * 9 * 16 * 24, false,
     [](const kernels::Device& device, Operands& o) {
       kernels::conv_backward_weights(device, kConv, some(o.x, kConv.x_size()), some(o.y, kConv.y_size()),
                                      std::span(o.z).first(kConv.weight_size()), {});
     }},
    {"depthwise", 2 * 64 * 9 * 16, false, [](const kernels::Device& device, Operands& o) {
       kernels::conv_forward(device, kDepthwise, some(o.x, kDepthwise.x_size()), some(o.y, kDepthwise.weight_size()),
                             {}, std::span(o.z).first(kDepthwise.y_size()));
     }}};

}  // namespace

TEST_CASE("meter: how the chunks of a run fell to the threads") {
  ThreadPool pool(2);
  Meter meter;
  pool.measure(&meter);
  pool.run(2, [](std::size_t chunk) { sleep_for(chunk == 0 ? 40 : 120); });
  REQUIRE(meter.busy >= 160 * kMillisecond);
  REQUIRE(meter.longest >= 120 * kMillisecond);
  REQUIRE(meter.longest < meter.busy);
  REQUIRE(meter.shared >= meter.longest);

  const std::uint64_t before = meter.longest;
  pool.run(2, [](std::size_t) { sleep_for(20); });  // each run waits for its longest
  REQUIRE(meter.longest >= before + 20 * kMillisecond);
  REQUIRE(meter.longest < before + 100 * kMillisecond);

  meter.reset();
  pool.run(1, [](std::size_t) { sleep_for(1); });
  REQUIRE((meter.shared == 0 && meter.busy == 0));  // nothing was shared
  pool.measure(nullptr);
  pool.run(2, [](std::size_t) { sleep_for(1); });
  REQUIRE((meter.shared == 0 && meter.busy == 0 && meter.longest == 0));
}

TEST_CASE("meter: each tile once, and packing while a timer lives") {
  Meter meter;
  for (int i = 0; i < 3; ++i) meter.add({"panels", 6, 16}, 10);
  meter.add({"panels", 6, 16, "unit"}, 7);
  REQUIRE(meter.tiles().size() == 2);
  REQUIRE((meter.products == 37 && meter.unit_products == 7));
  for (std::size_t rows = 1; rows < 9; ++rows) meter.add({"panels", rows, 1}, 1);
  REQUIRE(meter.tiles().size() == 4);
  REQUIRE(meter.products == 45);
  {
    const kernels::PackingTimer timer(&meter), nobody(nullptr);
    sleep_for(3);
  }
  REQUIRE(meter.packing >= 3 * kMillisecond);
  meter.reset();
  REQUIRE((meter.packing == 0 && meter.products == 0 && meter.unit_products == 0 && meter.tiles().empty()));
}

TEST_CASE("meter: products and convolutions tell their tiles and pack what they do not read in place") {
  test::for_each_target([](const kernels::Device& given) {
    Meter meter;
    kernels::Device device = given;
    device.meter = &meter;
    device.unit = &kernels::matrix_unit(Target::scalar, Precision::highest);
    for (const Kernel& kernel : kKernels) {
      Operands operands;
      kernel.run(device, operands);
      INFO(kernel.name);
      REQUIRE(meter.tiles().size() == 1);
      REQUIRE((!meter.tiles()[0].form.empty() && meter.tiles()[0].unit == "fma"));
      REQUIRE((meter.tiles()[0].rows >= 4 && meter.tiles()[0].columns >= 1));
      REQUIRE((meter.products == kernel.products && meter.unit_products == 0));
      if (kernel.packs) REQUIRE(meter.packing > 0);
      meter.reset();
      test::count_case(device.target);
    }
  });
}

TEST_CASE("meter: units of tiles tell what they computed, not what they left to multiply-adds") {
  test::for_each_tile_unit([](const kernels::Device& given) {
    Meter meter;
    kernels::Device device = given;
    device.meter = &meter;
    kernels::MatrixUnit choosy = *given.unit;
    choosy.least_products = 1'000'000'000;
    using Case = std::pair<const kernels::MatrixUnit*, bool>;
    for (const Kernel& kernel : kKernels) {
      if (kernel.name == "depthwise") continue;
      INFO(kernel.name);
      for (const auto& [unit, infinite] : {Case{given.unit, false}, Case{given.unit, true}, Case{&choosy, false}}) {
        device.unit = unit;
        Operands operands;
        if (infinite) operands.x.back() = std::numeric_limits<float>::infinity();
        kernel.run(device, operands);
        const bool tiles = unit == given.unit && !infinite;
        REQUIRE(meter.tiles().size() == 1);
        REQUIRE(meter.tiles()[0].unit == (tiles ? unit->name : "fma"));
        REQUIRE((meter.products == kernel.products && meter.unit_products == (tiles ? kernel.products : 0)));
        const std::size_t columns = kernel.name == "backward data" ? 16 : 32;
        if (tiles) REQUIRE((meter.tiles()[0].rows >= 8 && meter.tiles()[0].columns == columns && meter.packing > 0));
        meter.reset();
        test::count_case(device.target);
      }
    }
  });
}
