// What every op must compute and move: a table, so that no change of the code changes a number unseen.
#include <array>
#include <vector>

#include "tapestry.h"
#include "tests/catch.h"

using namespace tapestry;

namespace {

using Numbers = std::array<double, 4>;  // operations, bytes, bytes written, operations of products

Numbers numbers(const OpCost& cost) { return {cost.flops, cost.bytes, cost.written, cost.products}; }

class OpCostTable {
 protected:
  Var in(const Shape& shape) { return tape_.variable(context_.full(shape, 0.5)); }
  Var constant(const Shape& shape) { return tape_.input(context_.full(shape, 1)); }
  Tensor tensor(const Shape& shape) { return context_.full(shape, 1); }
  Tensor labels(const Shape& shape) { return context_.zeros(shape, DType::int64); }
  Buffer buffer(const Shape& shape) {
    Buffer made;
    made.set(context_.full(shape, 1));
    return made;
  }
  // One op of this name ran since the last check, and cost this.
  void check(std::string_view op, const Var&, const Numbers& forward, const Numbers& backward) {
    std::vector<Seen> found;
    std::ranges::copy_if(seen_, std::back_inserter(found), [&](const Seen& seen) { return seen.op == op; });
    seen_.clear();
    INFO(op);
    REQUIRE(found.size() == 1);
    CHECK(found[0].costs.known == (op != "own"));
    CHECK(numbers(found[0].costs.forward) == forward);
    CHECK(numbers(found[0].costs.backward) == backward);
  }

 private:
  struct Seen {
    std::string op;
    OpCosts costs;
  };
  std::vector<Seen> seen_;
  Context context_{{.threads = 1, .trace = [this](const TraceEvent& event) {
                      if (!event.backward) seen_.push_back({event.op.name, op_costs(event)});
                    }}};
  Tape tape_{context_};

 protected:
  Var x = in({2, 4, 4, 6});
};

}  // namespace

TEST_CASE_METHOD(OpCostTable, "op costs by the table: products") {
  check("linear", linear(x, in({6, 5}), in({5})), {2080, 1548, 640, 1920}, {4000, 2436, 908, 3840});
  check("linear", linear(constant({8, 6}), in({6, 5})), {480, 472, 160, 480}, {480, 472, 120, 480});
  check("linear", linear(in({8, 6}), constant({6, 5}), in({5})), {520, 492, 160, 480}, {520, 492, 212, 480});
  check("matmul", matmul(in({2, 4, 6}), in({2, 6, 3})), {288, 432, 96, 288}, {576, 768, 336, 576});
  check("matmul", matmul(in({6, 4}), in({3, 6}), {.transpose_a = true, .transpose_b = true}), {144, 216, 48, 144},
        {288, 384, 168, 288});
  check("conv1d", conv1d(in({2, 8, 6}), in({3, 6, 4}), in({4}), {.padding = 1}), {2368, 944, 256, 2304},
        {4672, 1616, 688, 4608});
  check("conv2d", conv2d(x, in({3, 3, 6, 8}), in({8}), {.padding = 1, .activation = Activation::relu}),
        {27904, 3552, 1024, 27648}, {55552, 6048, 2528, 55296});
  check("conv2d", conv2d(x, in({3, 3, 3, 8}), {}, {.groups = 2}), {3456, 1888, 256, 3456}, {6912, 3520, 1632, 6912});
  check("conv2d", conv2d(constant({2, 4, 4, 6}), in({3, 3, 6, 8}), in({8}), {.stride = 2}), {1744, 2592, 64, 1728},
        {1744, 2592, 1760, 1728});
  check("conv3d", conv3d(in({1, 4, 4, 4, 2}), in({2, 2, 2, 2, 4}), constant({4})), {3564, 1216, 432, 3456},
        {6912, 1968, 768, 6912});
  check("conv_transpose1d", conv_transpose1d(in({2, 8, 6}), in({3, 4, 6}), in({4})), {2384, 1008, 320, 2304},
        {4688, 1680, 688, 4608});
  check("conv_transpose2d", conv_transpose2d(x, in({2, 2, 8, 6}), {}, {.stride = 2}), {12288, 5632, 4096, 12288},
        {24576, 7168, 1536, 24576});
  check("conv_transpose2d", conv_transpose2d(x, in({2, 2, 4, 6}), in({8}), {.groups = 2}), {6544, 2784, 1600, 6144},
        {12688, 3936, 1184, 12288});
  check("conv_transpose3d", conv_transpose3d(in({1, 4, 4, 4, 2}), in({2, 2, 2, 4, 2}), in({4})),
        {8692, 2784, 2000, 8192}, {16884, 3552, 784, 16384});
}

TEST_CASE_METHOD(OpCostTable, "op costs by the table: norms") {
  check("batch_norm", batch_norm(x, in({6}), in({6})), {1536, 1584, 768, 0}, {2112, 2400, 816, 0});
  check("batch_norm", batch_norm(x, {.activation = Activation::relu, .residual = in({2, 4, 4, 6})}),
        {1344, 2304, 768, 0}, {1920, 3840, 1536, 0});
  check("group_norm", group_norm(x, in({6}), in({6}), {.num_groups = 2}), {1536, 1584, 768, 0}, {2112, 2400, 816, 0});
  check("group_norm", group_norm(x, in({6}), in({6}), {.num_groups = 2, .reduction_axes = {1, -1}}),
        {1536, 1728, 768, 0}, {2112, 2688, 960, 0});
  check("instance_norm", instance_norm(x, {}, in({6}), {}), {1344, 1560, 768, 0}, {1920, 2352, 792, 0});
  check("instance_norm", instance_norm(x, in({6}), in({6}), {.pool = Sizes<2>(2)}), {1536, 1008, 192, 0},
        {2112, 1824, 816, 0});
  check("layer_norm", layer_norm(x, in({6}), in({6})), {1536, 1584, 768, 0}, {2112, 2400, 816, 0});
  check("layer_norm", layer_norm(x, in({6}), {}, {.reduction_axes = {1}, .feature_axes = -1}), {1344, 1632, 768, 0},
        {1920, 2496, 864, 0});
  check("layer_norm", layer_norm(constant({2, 4, 4, 6}), in({6}), in({6}), {.residual = in({2, 4, 4, 6})}),
        {1728, 2352, 768, 0}, {2304, 3168, 816, 0});
  check("rms_norm", rms_norm(x, in({6})), {1344, 1560, 768, 0}, {1920, 2352, 792, 0});
  check("local_response_norm", local_response_norm(x, {.size = 3}), {1152, 1536, 768, 0}, {1728, 2304, 768, 0});
  check("moments", moments(x).mean, {192, 784, 16, 0}, {192, 1552, 768, 0});
  check("normalize_with", normalize_with(x, in({1}), in({1})), {1536, 1552, 768, 0}, {2112, 2336, 784, 0});
  check("weight_norm", weight_norm(in({6, 5}), in({5})), {210, 260, 120, 0}, {300, 400, 140, 0});
  check("weight_standardization", weight_standardization(in({6, 5}), in({5})), {30, 260, 120, 0}, {35, 400, 140, 0});
  check("spectral_norm", spectral_norm(in({6, 5}), buffer({5}), buffer({6})), {180, 240, 120, 0}, {270, 360, 120, 0});
}

TEST_CASE_METHOD(OpCostTable, "op costs by the table: softmax and losses") {
  check("softmax", softmax(x), {768, 1536, 768, 0}, {576, 2304, 768, 0});
  check("log_softmax", log_softmax(x), {768, 1536, 768, 0}, {576, 2304, 768, 0});
  check("cross_entropy", cross_entropy(in({8, 6}), labels({8})), {192, 196, 4, 0}, {144, 388, 192, 0});
  check("nll_loss", nll_loss(in({8, 6}), labels({8})), {48, 196, 4, 0}, {48, 388, 192, 0});
  check("nll_loss", nll_loss(in({8, 6}), labels({8}), {.reduction = Reduction::none}), {48, 224, 32, 0},
        {48, 416, 192, 0});
  check("mse_loss", mse_loss(x, in({2, 4, 4, 6})), {192, 1540, 4, 0}, {384, 3076, 1536, 0});
  check("l1_loss", l1_loss(x, constant({2, 4, 4, 6})), {192, 1540, 4, 0}, {192, 2308, 768, 0});
  check("huber_loss", huber_loss(x, in({2, 4, 4, 6})), {192, 1540, 4, 0}, {384, 3076, 1536, 0});
  check("bce_with_logits", bce_with_logits(x, tensor({2, 4, 4, 6})), {192, 1540, 4, 0}, {192, 2308, 768, 0});
  check("kl_div", kl_div(x, tensor({2, 4, 4, 6})), {192, 1540, 4, 0}, {192, 2308, 768, 0});
}

TEST_CASE_METHOD(OpCostTable, "op costs by the table: elementwise ops") {
  check("add", x + in({6}), {192, 1560, 768, 0}, {198, 2352, 792, 0});
  check("add", x + 1, {192, 1540, 768, 0}, {192, 2308, 768, 0});
  check("subtract", constant({2, 4, 4, 6}) - in({4, 6}), {192, 1632, 768, 0}, {24, 1728, 96, 0});
  check("multiply", x * in({2, 4, 4, 1}), {192, 1664, 768, 0}, {224, 2560, 896, 0});
  check("multiply", -x, {192, 1540, 768, 0}, {192, 2308, 768, 0});
  check("divide", x / x, {192, 2304, 768, 0}, {384, 3840, 1536, 0});
  check("minimum", minimum(x, in({6})), {192, 1560, 768, 0}, {198, 2352, 792, 0});
  check("maximum", maximum(x, 0), {192, 1540, 768, 0}, {192, 2308, 768, 0});
  check("pow", pow(x, 2), {192, 1540, 768, 0}, {192, 2308, 768, 0});
  check("where", where(tensor({2, 4, 4, 6}), x, in({6})), {192, 1560, 768, 0}, {198, 2352, 792, 0});
  check("relu", relu(x), {192, 1536, 768, 0}, {192, 2304, 768, 0});
  check("leaky_relu", leaky_relu(x), {192, 1536, 768, 0}, {192, 2304, 768, 0});
  check("prelu", prelu(x, in({6})), {192, 1560, 768, 0}, {198, 2352, 792, 0});
  check("elu", elu(x), {192, 1536, 768, 0}, {192, 2304, 768, 0});
  check("selu", selu(x), {192, 1536, 768, 0}, {192, 2304, 768, 0});
  check("gelu", gelu(x), {192, 1536, 768, 0}, {192, 2304, 768, 0});
  check("silu", silu(x), {192, 1536, 768, 0}, {192, 2304, 768, 0});
  check("mish", mish(x), {192, 1536, 768, 0}, {192, 2304, 768, 0});
  check("softplus", softplus(x), {192, 1536, 768, 0}, {192, 2304, 768, 0});
  check("sigmoid", sigmoid(x), {192, 1536, 768, 0}, {192, 2304, 768, 0});
  check("tanh", tanh(x), {192, 1536, 768, 0}, {192, 2304, 768, 0});
  check("hardswish", hardswish(x), {192, 1536, 768, 0}, {192, 2304, 768, 0});
  check("hardsigmoid", hardsigmoid(x), {192, 1536, 768, 0}, {192, 2304, 768, 0});
  check("exp", exp(x), {192, 1536, 768, 0}, {192, 2304, 768, 0});
  check("expm1", expm1(x), {192, 1536, 768, 0}, {192, 2304, 768, 0});
  check("log", log(x), {192, 1536, 768, 0}, {192, 2304, 768, 0});
  check("log1p", log1p(x), {192, 1536, 768, 0}, {192, 2304, 768, 0});
  check("sqrt", sqrt(x), {192, 1536, 768, 0}, {192, 2304, 768, 0});
  check("rsqrt", rsqrt(x), {192, 1536, 768, 0}, {192, 2304, 768, 0});
  check("abs", abs(x), {192, 1536, 768, 0}, {192, 2304, 768, 0});
  check("square", square(x), {192, 1536, 768, 0}, {192, 2304, 768, 0});
  check("reciprocal", reciprocal(x), {192, 1536, 768, 0}, {192, 2304, 768, 0});
  check("sin", sin(x), {192, 1536, 768, 0}, {192, 2304, 768, 0});
  check("cos", cos(x), {192, 1536, 768, 0}, {192, 2304, 768, 0});
  check("erf", erf(x), {192, 1536, 768, 0}, {192, 2304, 768, 0});
  check("clamp", clamp(x, {.min = 0}), {192, 1536, 768, 0}, {192, 2304, 768, 0});
  check("softsign", map("softsign", x, [](auto v) { return v / (1 + abs(v)); }), {192, 1536, 768, 0},
        {192, 2304, 768, 0});
  check("own",
        custom(
            "own", [](const Tensor& v) { return v.clone(); },
            [](const CustomCall<1>&, const Tensor& dy, GradSlots g) { g.pass(0, dy); }, x),
        {192, 1536, 768, 0}, {192, 2304, 768, 0});
}

TEST_CASE_METHOD(OpCostTable, "op costs by the table: reductions and pools") {
  check("sum", sum(x), {192, 772, 4, 0}, {192, 772, 768, 0});
  check("sum", sum(x, {.axes = {1, 2}}), {192, 816, 48, 0}, {192, 816, 768, 0});
  check("mean", mean(x, {.axes = -1}), {192, 896, 128, 0}, {192, 896, 768, 0});
  check("logsumexp", logsumexp(x, {.axes = -1}), {192, 896, 128, 0}, {192, 1664, 768, 0});
  check("var", var(x, {.axes = -1}), {192, 896, 128, 0}, {192, 1664, 768, 0});
  check("max", max(x, {.axes = -1}), {192, 896, 128, 0}, {192, 1664, 768, 0});
  check("min", min(x, {.axes = -1}), {192, 896, 128, 0}, {192, 1664, 768, 0});
  check("max_pool1d", max_pool1d(in({2, 8, 6}), {.kernel = 2}), {96, 576, 192, 0}, {96, 576, 384, 0});
  check("max_pool2d", max_pool2d(x, {.kernel = 2}), {192, 960, 192, 0}, {192, 960, 768, 0});
  check("max_pool3d", max_pool3d(in({1, 4, 4, 4, 2}), {.kernel = 2}), {128, 576, 64, 0}, {128, 576, 512, 0});
  check("avg_pool1d", avg_pool1d(in({2, 8, 6}), {.kernel = 2}), {96, 576, 192, 0}, {96, 576, 384, 0});
  check("avg_pool2d", avg_pool2d(x, {.kernel = 2}), {192, 960, 192, 0}, {192, 960, 768, 0});
  check("avg_pool3d", avg_pool3d(in({1, 4, 4, 4, 2}), {.kernel = 2}), {128, 576, 64, 0}, {128, 576, 512, 0});
  check("adaptive_max_pool1d", adaptive_max_pool1d(in({2, 8, 6}), {.output_size = 2}), {96, 480, 96, 0},
        {96, 480, 384, 0});
  check("adaptive_max_pool2d", adaptive_max_pool2d(x, {.output_size = 2}), {192, 960, 192, 0}, {192, 960, 768, 0});
  check("adaptive_max_pool3d", adaptive_max_pool3d(in({1, 4, 4, 4, 2}), {.output_size = 2}), {128, 576, 64, 0},
        {128, 576, 512, 0});
  check("adaptive_avg_pool1d", adaptive_avg_pool1d(in({2, 8, 6}), {.output_size = 2}), {96, 480, 96, 0},
        {96, 480, 384, 0});
  check("adaptive_avg_pool2d", adaptive_avg_pool2d(x, {.output_size = 2}), {192, 960, 192, 0}, {192, 960, 768, 0});
  check("adaptive_avg_pool3d", adaptive_avg_pool3d(in({1, 4, 4, 4, 2}), {.output_size = 2}), {128, 576, 64, 0},
        {128, 576, 512, 0});
  check("global_max_pool", global_max_pool(x), {192, 816, 48, 0}, {192, 816, 768, 0});
  check("global_avg_pool", global_avg_pool(x), {192, 816, 48, 0}, {192, 816, 768, 0});
}

TEST_CASE_METHOD(OpCostTable, "op costs by the table: what moves elements") {
  check("dropout", dropout(x), {192, 1536, 768, 0}, {192, 1536, 768, 0});
  check("reshape", reshape(x, {2, 96}), {0, 0, 0, 0}, {0, 0, 0, 0});
  check("permute", permute(x, {0, 3, 1, 2}), {0, 1536, 768, 0}, {0, 1536, 768, 0});
  check("broadcast_to", broadcast_to(in({6}), {8, 6}), {0, 216, 192, 0}, {0, 216, 24, 0});
  check("slice", slice(x, {.axis = 1, .begin = 1}), {0, 1344, 576, 0}, {0, 1344, 768, 0});
  check("pad", pad(x, {.before = {0, 1, 1, 0}, .after = {0, 1, 1, 0}}), {0, 2496, 1728, 0}, {0, 2496, 768, 0});
  check("pad", pad(x, {.before = {0, 1, 1, 0}, .after = {0, 1, 1, 0}, .mode = PadMode::reflect}), {0, 2496, 1728, 0},
        {0, 2496, 768, 0});
  check("concat", concat({x, constant({3, 4, 4, 6})}), {0, 3840, 1920, 0}, {0, 2688, 768, 0});
  check("stack", stack({x, x, constant({2, 4, 4, 6})}), {0, 4608, 2304, 0}, {0, 3840, 1536, 0});
  check("cast", cast(x, DType::float64), {0, 2304, 1536, 0}, {0, 3072, 768, 0});
  check("gather", gather(in({8, 6}), labels({8, 6})), {0, 384, 192, 0}, {0, 576, 192, 0});
  check("gather_rows", gather_rows(in({8, 6}), labels({4})), {48, 288, 96, 0}, {48, 480, 192, 0});
  check("interpolate", interpolate(x, {.scale_factor = 2}), {768, 3840, 3072, 0}, {192, 3840, 768, 0});
}
