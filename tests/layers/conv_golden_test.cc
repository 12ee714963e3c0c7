// Single convolutions against PyTorch's numbers.
#include "autodiff/tape.h"
#include "io/layout.h"
#include "layers/conv.h"
#include "tests/catch.h"
#include "tests/support/golden.h"

using namespace tapestry;

namespace {

using test::require_near;
using Arrays = std::map<std::string, Tensor>;

// Forward and backward of the layer `name` in the file, in this type.
template <class Layer>
void check(Context& context, const Arrays& arrays, const std::string& name, Layer layer, DType dtype) {
  const double tolerance = dtype == DType::float64 ? 1e-13 : 1e-5;
  const auto array = [&](const char* key) { return arrays.at(name + "/" + key); };
  const Tensor x = io::channels_last(array("x")).to(dtype), dy = io::channels_last(array("dy")).to(dtype);
  build(context, layer, x.shape().drop_front(), dtype);
  const Shape weight = layer.weight.shape();
  layer.weight.assign(io::from_file(array("weight").to(dtype), weight, FileLayout::conv));
  if (layer.options.bias) layer.bias.assign(array("bias").to(dtype));

  Tape tape{context};
  const Var input = tape.variable(x), y = layer(input);
  const Gradients gradients = tape.backward(y, dy);
  require_near(name + "/y", y.value(), io::channels_last(array("y")), tolerance);
  require_near(name + "/dx", gradients[input], io::channels_last(array("dx")), tolerance);
  require_near(name + "/dweight", io::to_file(gradients[layer.weight], FileLayout::conv), array("dweight"), tolerance);
  if (layer.options.bias) require_near(name + "/dbias", gradients[layer.bias], array("dbias"), tolerance);
}

}  // namespace

TEST_CASE("Conv: values and gradients are PyTorch's, in double and in float") {
  Context context;
  const Arrays arrays = test::golden_arrays(context, "conv");
  for (const DType dtype : {DType::float64, DType::float32}) {
    const auto run = [&](const char* name, auto layer) { check(context, arrays, name, std::move(layer), dtype); };
    run("plain1d", Conv1d{{.out = 4, .kernel = 3}});
    run("strided1d", Conv1d{{.out = 4, .kernel = 4, .stride = 3, .padding = 2, .dilation = 2, .groups = 2}});
    run("plain2d", Conv2d{{.out = 5, .kernel = {3, 2}, .padding = {1, 0}}});
    run("strided2d",
        Conv2d{
            {.out = 6, .kernel = 3, .stride = {2, 3}, .padding = 2, .dilation = {1, 2}, .groups = 2, .bias = false}});
    run("same2d", Conv2d{{.out = 3, .kernel = {4, 2}, .padding = Padding::same, .dilation = {1, 3}}});
    run("depthwise2d", Conv2d{{.out = 6, .kernel = 3, .padding = 1, .groups = 3}});
    run("plain3d", Conv3d{{.out = 3, .kernel = {2, 3, 1}, .stride = {1, 2, 1}, .padding = {1, 0, 0}}});
    run("transposed1d", ConvTranspose1d{{.out = 4, .kernel = 3, .stride = 2, .padding = 1, .output_padding = 1}});
    run("transposed2d", ConvTranspose2d{{.out = 6,
                                         .kernel = {3, 2},
                                         .stride = {2, 3},
                                         .padding = {0, 1},
                                         .output_padding = {1, 0},
                                         .dilation = {2, 1},
                                         .groups = 2}});
    run("transposed3d", ConvTranspose3d{{.out = 3, .kernel = 2, .stride = 2, .bias = false}});
  }
}
