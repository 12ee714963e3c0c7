// A steady step calls no heap: no malloc, no operator new, no mmap, on any thread, loader included.
#include "tests/heap/interpose.h"

#include "autodiff/cost.h"
#include "autodiff/custom.h"
#include "autodiff/map.h"
#include "autodiff/ops/loss.h"
#include "autodiff/tape.h"
#include "data/dataset.h"
#include "layers/activation.h"
#include "layers/batch_norm.h"
#include "layers/dialects/brainpy.h"
#include "layers/dialects/brainstate.h"
#include "layers/dialects/neupy.h"
#include "layers/dropout.h"
#include "layers/group_norm.h"
#include "layers/instance_norm.h"
#include "layers/layer_norm.h"
#include "layers/linear.h"
#include "layers/models.h"
#include "layers/pool.h"
#include "layers/reshape.h"
#include "layers/residual.h"
#include "layers/resize.h"
#include "optim/adam.h"
#include "optim/sgd.h"
#include "tests/catch.h"

using namespace tapestry;

namespace {

data::Dataset images(std::int64_t count, const Shape& sample) {
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(count * sample.size()));
  std::vector<std::int64_t> labels(static_cast<std::size_t>(count));
  const Philox philox(3);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(philox.below(i, 256));
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int64_t>(i % 10);
  return data::Dataset(std::move(bytes), sample.prepend(count), std::move(labels));
}

// The heap calls of each step over one epoch, from asking for the batch to the end of the update.
template <class Optimizer>
std::vector<std::uint64_t> calls_per_step(Context& context, const Sequential& model, Optimizer& optimizer,
                                          const Shape& sample, std::int64_t batch, std::int64_t steps = 12) {
  const data::Dataset dataset = images(batch * steps, sample);
  std::vector<std::uint64_t> calls;
  calls.reserve(64);
  std::uint64_t before = test::heap_calls();
  for (const auto& [x, labels] : dataset.batches(context, {.size = batch})) {
    Tape tape{context};
    optimizer.step(tape.backward(cross_entropy(model(tape.input(x), Mode::train), labels)));
    const std::uint64_t now = test::heap_calls();
    calls.push_back(now - before);
    before = test::heap_calls();
  }
  return calls;
}

void require_steady(const std::vector<std::uint64_t>& calls) {
  for (std::size_t step = 2; step < calls.size(); ++step) {
    INFO("step " << step);
    REQUIRE(calls[step] == 0);
  }
}

}  // namespace

TEST_CASE("heap: the counter counts") {
  if (!test::counts_heap_calls()) return;
  const std::uint64_t before = test::heap_calls();
  for (std::size_t i = 1; i <= 3; ++i) {
    int* volatile memory = new int[i];  // volatile: or the compiler leaves both calls out
    delete[] memory;
  }
  Arena arena;
  REQUIRE(arena.allocate(1).bytes() > 0);  // maps a chunk
  REQUIRE(test::heap_calls() >= before + 4);
}

TEST_CASE("heap: no call in a steady step of any benchmark model, loader included, on any thread") {
  if (!test::counts_heap_calls()) {
    WARN("not counted: the sanitizer has a heap of its own");
    return;
  }
  for (int threads : {1, 2, 3})
    for (std::string_view name : model_names()) {
      Context context{{.threads = threads}};
      NamedModel named = make_model(name);
      named.model.build(context);
      INFO(name << ", " << threads << " threads");
      const bool large = named.model.layer_summary().cost().flops > 2e6;
      SGD sgd{named.model.parameters(), {.lr = 1e-3, .momentum = 0.9}};
      AdamW adamw{named.model.parameters(), {.clip_norm = 1}};
      require_steady(calls_per_step(context, named.model, sgd, named.input, large ? 5 : named.batch, large ? 5 : 12));
      require_steady(calls_per_step(context, named.model, adamw, named.input, large ? 3 : 33, large ? 5 : 12));
      const Arena::Usage usage = context.memory();
      REQUIRE(usage.mapped_bytes < usage.peak_bytes + usage.peak_bytes / 8 + (std::size_t{4} << 20));
    }
}

TEST_CASE("heap: no call in a steady step with dropout, residuals, ops of one's own and somebody who listens") {
  if (!test::counts_heap_calls()) return;
  const auto softsign = [](const Var& x) { return map("softsign", x, [](auto v) { return v / (1 + abs(v)); }); };
  const auto twice = [](const Var& x) {
    const auto forward = [](const Tensor& v) {
      Tensor y = v.like();
      for (std::size_t i = 0; i < y.span<float>().size(); ++i) y.span<float>()[i] = 2 * v.span<float>()[i];
      return y;
    };
    return custom(
        "twice", forward,
        [](const CustomCall<1>&, const Tensor& dy, GradSlots grads) {
          Tensor dx = grads.overwrite(0);
          for (std::size_t i = 0; i < dx.span<float>().size(); ++i) dx.span<float>()[i] = 2 * dy.span<float>()[i];
        },
        x);
  };
  for (int threads : {1, 2, 3}) {
    double flops = 0;
    Context context{{.threads = threads, .trace = [&](const TraceEvent& event) {
                       if (!event.backward) flops += op_costs(event).forward.flops;
                     }}};
    Sequential model = Input{6, 5, 2} >> Flatten{} >> Linear{{.out = 32}} >> Dropout{} >>
                       Residual{Linear{{.out = 32}} >> Gelu{} >> Linear{{.out = 32}} >> LayerNorm{}} >> Relu{} >>
                       Residual{Linear{{.out = 24}} >> softsign, Linear{{.out = 24}}} >> twice >> Linear{{.out = 10}};
    model.build(context);
    INFO(threads << " threads");
    SGD sgd{model.parameters(), {.lr = 1e-3, .momentum = 0.9}};
    require_steady(calls_per_step(context, model, sgd, {6, 5, 2}, 33));
    REQUIRE(flops > 0);
  }
}

TEST_CASE("heap: no call in a steady step with pooling, interpolation and padding") {
  if (!test::counts_heap_calls()) return;
  Context context{{.threads = 2}};
  Sequential model = Input{20, 24, 3} >> Linear{{.out = 7}} >> Pad{{.before = 1, .mode = PadMode::reflect}} >>
                     MaxPool2d{{.kernel = 3, .stride = 2, .padding = 1}} >> Upsample{2} >> AvgPool2d{2} >>
                     Upsample{{.scale_factor = 1.5, .mode = Interpolation::linear}} >> AdaptiveMaxPool2d(5) >>
                     AdaptiveAvgPool2d(2) >> Flatten{} >> Linear{{.out = 10}};
  model.build(context);
  SGD optimizer{model.parameters(), {.lr = 0.01}};
  require_steady(calls_per_step(context, model, optimizer, {20, 24, 3}, 32));
}

TEST_CASE("heap: no call in a steady step of norm layers that reduce and weigh other axes") {
  if (!test::counts_heap_calls()) return;
  Context context{{.threads = 2}};
  Sequential model = Input{6, 4} >> Linear{{.out = 8}} >> brainpy::nn::group_norm({.num_groups = 2, .axis = 1}) >>
                     neupy::batch_norm1d({.axes = {0, 2}}) >> RMSNorm{} >>
                     InstanceNorm{{.weight = true, .feature_axes = 1}} >>
                     brainstate::layer_norm({.in_size = {8}, .reduction_axes = {1, 2}}) >>
                     brainstate::batch_norm1d({.in_size = {6, 8}}) >> Flatten{} >> Linear{{.out = 10}};
  model.build(context);
  SGD optimizer{model.parameters(), {.lr = 0.01}};
  require_steady(calls_per_step(context, model, optimizer, {6, 4}, 16));
}

TEST_CASE("heap: no call in a steady step with norms over other axes, with masks and without a mean") {
  if (!test::counts_heap_calls()) return;
  Context context{{.threads = 2}};
  const Tensor mask = context.tensor({6, 1}, {1, 1, 0, 1, 0, 1});
  Sequential model = Input{6, 4} >> Linear{{.out = 8}} >>
                     [mask](const Var& x) { return group_norm(x, {.num_groups = 2, .mask = mask}); } >>
                     [](const Var& x) { return batch_norm(x, {.feature_axes = 1, .activation = Activation::relu}); } >>
                     [](const Var& x) { return rms_norm(x, {.axes = 2}); } >> Flatten{} >> Linear{{.out = 10}};
  model.build(context);
  SGD optimizer{model.parameters(), {.lr = 0.01}};
  require_steady(calls_per_step(context, model, optimizer, {6, 4}, 16));
}
