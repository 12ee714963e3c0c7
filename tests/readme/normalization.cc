// The programs of docs/normalization.md; the test of documents compares the two, line for line.
#include <fmt/format.h>
#include <tapestry.h>

#include <cmath>
#include <cstdlib>

using namespace tapestry;

namespace {

void require(bool good, const char* what) {
  if (good) return;
  fmt::print(stderr, "normalization: {}\n", what);
  std::exit(1);
}

Tensor numbers(Context& context, const Shape& shape) {
  Tensor t = context.zeros(shape);
  std::int64_t i = 0;
  for (float& value : t.span<float>()) value = static_cast<float>(std::sin(static_cast<double>(++i)));
  return t;
}

double distance(const Tensor& a, const Tensor& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.span<float>().size(); ++i)
    largest = std::max(largest, static_cast<double>(std::abs(a.span<float>()[i] - b.span<float>()[i])));
  return largest;
}

void chain(Context& context) {
  Sequential model = Input{28, 28, 1} >> Conv2d{{.out = 16, .kernel = 3}} >> GroupNorm{4} >> Relu{} >>
                     Conv2d{{.out = 32, .kernel = 3}} >> BatchNorm2d{} >> Relu{} >> GlobalAvgPool{} >>
                     Linear{{.out = 64}} >> LayerNorm{} >> Relu{} >> Linear{{.out = 10}};
  model.build(context);
  require(model.get<GroupNorm>(1).weight.shape() == Shape{16}, "the chain has other shapes");
}

void ops(Context& context) {
  const Var x = context.input(numbers(context, {2, 5, 5, 8}));
  const Var weight = context.input(numbers(context, {8})), bias = context.input(numbers(context, {8}));
  const Var y = group_norm(x, weight, bias, {.num_groups = 4, .activation = Activation::relu});
  const Var plain = group_norm(x, {.group_size = 2});
  require(distance(y.value(), relu(plain * weight + bias).value()) < 1e-5, "the ops differ");
}

void momentum(Context& context) {
  BatchNorm2d ours{{.num_features = 16}};                               // 0.99 of the old value, biased variance
  BatchNorm2d torch = pytorch::batch_norm2d({.num_features = 16});      // 0.9 of it, unbiased variance
  BatchNorm2d average{{.num_features = 16, .momentum = std::nullopt}};  // the average of all batches
  build(context, ours);
  build(context, torch);
  build(context, average);
  Tape tape{context};
  const Var x = tape.input(numbers(context, {4, 3, 3, 16}));
  for (BatchNorm2d* norm : {&ours, &torch, &average}) (*norm)(x, Mode::train);
  tape.commit();
  const auto mean = [](const BatchNorm2d& norm) { return norm.running_mean.value().span<float>()[3]; };
  require(std::abs(mean(torch) - 10 * mean(ours)) < 1e-6 && std::abs(mean(average) - 100 * mean(ours)) < 1e-5,
          "running statistics have other weights");
}

void masks(Context& context) {
  GroupNorm norm{1};
  Tensor words = numbers(context, {2, 4, 6});
  words.span<float>()[2 * 4 * 6 - 1] = NAN;
  build(context, norm, words.shape().drop_front());
  const Var x = context.input(words);
  const Tensor mask = context.tensor({2, 4, 1}, {1, 1, 1, 1, 1, 1, 0, 0});  // [N, L, 1]: the second has two words
  const Var y = group_norm(x, {.num_groups = 1, .mask = mask});             // x [N, L, C]
  const Var z = norm(x, mask);                                              // the same of a layer
  require(std::isfinite(y.value().span<float>()[30]) && distance(y.value(), z.value()) == 0,
          "NaN under the mask leaks");
}

void axes(Context& context) {
  const Var x = context.input(numbers(context, {2, 4, 5, 5}));
  const Var first = group_norm(x, {.num_groups = 2, .feature_axes = 1});
  const Var last = group_norm(transpose(x, 1, 3), {.num_groups = 2});
  require(distance(transpose(first, 1, 3).value(), last.value()) < 1e-5, "channels second differ");
}

void replicas(Context& context) {
  const Tensor batch = numbers(context, {8, 3});
  std::array<Tensor, 4> found;
  const auto collect = [&](int index, const Tensor& y) { found[static_cast<std::size_t>(index)] = y; };
  BatchNorm0d norm{{.replicas = {.names = {"batch"}}}};
  build(context, norm, Shape{3});
  train::Replicas replicas{context, {.count = 4}};  // the axis is "batch" unless told otherwise
  replicas.run([&](train::Replica& replica) {
    Tape tape{replica.context()};
    const Var y = norm(tape.input(replica.shard(batch)), Mode::train);
    collect(replica.index(), y.value());
  });
  const Var whole = batch_norm(context.input(batch));
  for (std::size_t i = 0; i < 24; ++i)
    require(std::abs(found[i / 6].span<float>()[i % 6] - whole.value().span<float>()[i]) < 1e-5, "replicas differ");
}

void dialects(Context& context) {
  GroupNorm a = brainpy::nn::group_norm({.num_groups = 2});                          // per position
  GroupNorm b = brainstate::group_norm({.in_size = {28, 28, 32}, .num_groups = 4});  // epsilon 1e-6
  GroupNorm c = neupy::group_norm({.n_groups = 4, .beta = 0.5});                     // images alone
  BatchNorm3d d = brainpy::layers::batch_norm3d({.num_features = 32, .momentum = 0.9});
  BatchNorm2d e = brainstate::batch_norm2d({.in_size = {28, 28, 32}, .use_fast_variance = false});
  BatchNorm2d f = neupy::batch_norm2d({.alpha = 0.1});
  BatchNorm2d g = pytorch::batch_norm2d({.num_features = 32, .eps = 1e-5, .momentum = 0.1});
  LayerNorm h = brainpy::layers::layer_norm({.normalized_shape = {10, 32}});
  LayerNorm i = brainstate::layer_norm({.in_size = {10, 32}, .reduction_axes = {1, 2}, .feature_axes = {0, 1}});
  GroupNorm j = brainpy::layers::group_norm({.num_groups = 4, .num_channels = 32});
  InstanceNorm k = brainpy::layers::instance_norm({.num_channels = 32});
  RMSNorm l = brainstate::rms_norm({.in_size = {10, 32}});
  build(context, a, Shape{7, 32});
  build(context, b, Shape{28, 28, 32});
  build(context, c, Shape{28, 28, 32});
  build(context, d, Shape{8, 28, 28, 32});
  build(context, e, Shape{28, 28, 32});
  build(context, f, Shape{28, 28, 32});
  build(context, g, Shape{28, 28, 32});
  build(context, h, Shape{10, 32});
  build(context, i, Shape{10, 32});
  build(context, j, Shape{28, 28, 32});
  build(context, k, Shape{28, 28, 32});
  build(context, l, Shape{10, 32});
  require(j.weight.shape() == Shape{32} && k.has_weight() && l.options.epsilon == 1e-6, "these words, too");
  require(a.weight.shape() == (Shape{7, 16}) && b.options.epsilon == 1e-6 && i.weight.shape() == (Shape{10, 32}),
          "the words of other toolkits mean something else");
}

void responses(Context& context) {
  const Var x = context.input(numbers(context, {1, 2, 2, 8}));
  const Var y = LocalResponseNorm{{.size = 5}}(x);  // as torch.nn.LocalResponseNorm(5)
  const Var z = neupy::local_response_norm()(x);    // windows of 11 channels, alpha times their sum
  require(distance(x.value(), y.value()) < 1e-3 && distance(z.value(), (x * 0.5946).value()) < 1e-3, "responses");
}

void weights(Context& context) {
  Sequential model = Input{28, 28, 1} >> WeightNorm{Conv2d{{.out = 16, .kernel = 3}}} >> Relu{} >>
                     WeightStandardization{Conv2d{{.out = 32, .kernel = 3}}} >> GroupNorm{4} >> Relu{} >> Flatten{} >>
                     SpectralNorm{Linear{{.out = 10}}};
  model.build(context);
  require(model.parameters().size() == 9, "the model has other parameters");
}

}  // namespace

int main() {
  Context context{{.threads = 1}};
  chain(context);
  ops(context);
  momentum(context);
  masks(context);
  axes(context);
  replicas(context);
  responses(context);
  weights(context);
  dialects(context);
}
