// Pooling, interpolation and padding against PyTorch's numbers.
#include <set>

#include "autodiff/tape.h"
#include "io/layout.h"
#include "layers/pool.h"
#include "layers/resize.h"
#include "tests/catch.h"
#include "tests/support/golden.h"

using namespace tapestry;

namespace {

using test::require_near;
using Arrays = std::map<std::string, Tensor>;

// Forward and backward of the layer `name` in the file, in this type, and the shape that it is built with.
template <class Layer>
void check(Context& context, const Arrays& arrays, const std::string& name, Layer layer, DType dtype) {
  const double tolerance = dtype == DType::float64 ? 1e-12 : 1e-5;
  const auto array = [&](const char* key) { return io::channels_last(arrays.at(name + "/" + key)); };
  const Tensor x = array("x").to(dtype), dy = array("dy").to(dtype);
  const Summary summary = build(context, layer, x.shape().drop_front(), dtype);
  Tape tape{context};
  const Var input = tape.variable(x), y = layer(input);
  CHECK(summary.output == y.shape().drop_front());
  const Gradients gradients = tape.backward(y, dy);
  require_near(name + "/y", y.value(), array("y"), tolerance);
  require_near(name + "/dx", gradients[input], array("dx"), tolerance);
}

}  // namespace

TEST_CASE("pooling, Upsample and Pad: values and gradients are PyTorch's, in double and in float") {
  Context context;
  const Arrays arrays = test::golden_arrays(context, "pool");
  std::set<std::string> left;
  for (const auto& [name, array] : arrays) left.insert(name.substr(0, name.find('/')));
  const auto run = [&](const char* name, const auto& layer) {
    left.erase(name);
    check(context, arrays, name, layer, DType::float64);
    check(context, arrays, name, layer, DType::float32);
  };
  run("max1d", MaxPool1d{2});
  run("max2d", MaxPool2d{2});
  run("max2d_overlap", MaxPool2d{{.kernel = 3, .stride = 2, .padding = 1}});
  run("max2d_ceil", MaxPool2d{{.kernel = {2, 3}, .padding = {0, 1}, .ceil_mode = true}});
  run("max2d_gaps_ceil", MaxPool2d{{.kernel = 2, .stride = 5, .ceil_mode = true}});
  run("max2d_dilated", MaxPool2d{{.kernel = {3, 2}, .stride = 2, .padding = 1, .dilation = {2, 3}}});
  run("max2d_larger_ceil", MaxPool2d{{.kernel = 3, .ceil_mode = true}});
  run("max2d_nan", MaxPool2d{{.kernel = 3, .stride = 2, .padding = 1}});
  run("max3d", MaxPool3d{{.kernel = {2, 3, 2}, .stride = {2, 1, 2}, .padding = {1, 1, 0}}});
  run("max3d_nan", MaxPool3d{2});
  run("avg1d", AvgPool1d{{.kernel = 3, .stride = 2, .padding = 1}});
  run("avg2d", AvgPool2d{2});
  run("avg2d_ceil", AvgPool2d{{.kernel = 3, .stride = 2, .padding = 1, .ceil_mode = true}});
  run("avg2d_inside",
      AvgPool2d{{.kernel = 3, .stride = 2, .padding = 1, .ceil_mode = true, .count_include_pad = false}});
  run("avg2d_divisor", AvgPool2d{{.kernel = {2, 3}, .divisor_override = 5}});
  run("avg3d", AvgPool3d{{.kernel = 3, .stride = 2, .padding = {1, 0, 1}, .ceil_mode = true}});
  run("adaptive_max1d", AdaptiveMaxPool1d{4});
  run("adaptive_max2d", AdaptiveMaxPool2d{{.output_size = {3, 7}}});
  run("adaptive_max2d_nan", AdaptiveMaxPool2d{{.output_size = {3, 0}}});
  run("adaptive_max3d", AdaptiveMaxPool3d(1));
  run("adaptive_avg1d", AdaptiveAvgPool1d(7));
  run("adaptive_avg2d", AdaptiveAvgPool2d{{.output_size = {3, 7}}});
  run("adaptive_avg3d", AdaptiveAvgPool3d{{.output_size = {2, 1, 3}}});

  const auto linear = Interpolation::linear;
  run("nearest1d", Upsample{3});
  run("nearest2d", Upsample{{.size = {11, 3}}});
  run("nearest2d_factor", Upsample{{.scale_factor = {1.7, 0.6}}});
  run("nearest3d", Upsample{{.scale_factor = {1, 2, 1.5}}});
  run("linear1d", Upsample{{.scale_factor = 2, .mode = linear}});
  run("bilinear2d", Upsample{{.size = {9, 4}, .mode = linear}});
  run("bilinear2d_factor", Upsample{{.scale_factor = {1.7, 0.6}, .mode = linear}});
  run("bilinear2d_corners", Upsample{{.size = {9, 4}, .mode = linear, .align_corners = true}});
  run("trilinear3d", Upsample{{.scale_factor = 1.5, .mode = linear}});
  run("trilinear3d_corners", Upsample{{.size = {1, 6, 3}, .mode = linear, .align_corners = true}});

  run("reflect2d", Pad{{.before = {3, 1}, .after = {0, 2}, .mode = PadMode::reflect}});
  run("replicate3d", Pad{{.before = {0, 3, 1}, .after = {1, 0, 2}, .mode = PadMode::replicate}});
  run("circular2d", Pad{{.before = {3, 1}, .after = {0, 2}, .mode = PadMode::circular}});
  run("constant1d", Pad{{.before = 1, .after = 2, .value = 0.5}});
  CHECK(left.empty());
}
