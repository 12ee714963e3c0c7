#include "layers/summary.h"

#include "kernels/error.h"
#include "layers/layer_norm.h"
#include "layers/linear.h"
#include "layers/reshape.h"
#include "layers/residual.h"
#include "layers/sequential.h"
#include "tests/catch.h"

using namespace tapestry;

TEST_CASE("summary: one aligned line a layer, and totals") {
  Context context;
  Sequential model = Input{28, 28, 1} >> Flatten{} >> Linear{{.out = 128}} >>
                     Residual{LayerNorm{} >> Linear{{.out = 128, .bias = false}}} >> Linear{{.out = 10}};
  model.build(context);
  const std::string expected =
      "layer     type       output  parameters     FLOPs  activations\n"
      "--------------------------------------------------------------\n"
      "0         Flatten    [784]            0         0          0 B\n"
      "1         Linear     [128]      100,480  200.70 k        512 B\n"
      "2         Residual   [128]            0       128        512 B\n"
      "2.body.0  LayerNorm  [128]          256    1.02 k        512 B\n"
      "2.body.1  Linear     [128]       16,384   32.64 k        512 B\n"
      "3         Linear     [10]         1,290    2.56 k         40 B\n"
      "--------------------------------------------------------------\n"
      "total                [10]       118,410  237.06 k     2.04 KiB";
  CHECK(model.summary() == expected);
  CHECK(model.layer_summary().parameters() == parameter_count(model));
}

TEST_CASE("summary: large numbers are scaled, unknown shapes are question marks") {
  Summary summary;
  summary.layers = {{"body", "Net", std::nullopt, 1234567, {2.5e9, 3.0 * 1024 * 1024}}, {"", "x", Shape{}, 0, {}}};
  const std::string table = to_string(summary);
  for (const char* part : {"1,234,567", "2.50 G", "3.00 MiB", "body", "?"}) CHECK_THAT(table, contains(part));
  CHECK(summary.cost().flops == 2.5e9);
  CHECK(to_string(Summary{}).find("total") != std::string::npos);
}
