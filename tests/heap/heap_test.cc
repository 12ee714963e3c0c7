// A steady step calls no heap: no malloc, no operator new, no mmap, on any thread, loader included.
#include "tests/heap/interpose.h"

#include "autodiff/ops/loss.h"
#include "autodiff/tape.h"
#include "data/dataset.h"
#include "layers/models.h"
#include "optim/adam.h"
#include "optim/sgd.h"
#include "tests/catch.h"

using namespace tapestry;

namespace {

data::Dataset images(std::int64_t count) {
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(count) * 784);
  std::vector<std::int64_t> labels(static_cast<std::size_t>(count));
  const Philox philox(3);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(philox.below(i, 256));
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int64_t>(i % 10);
  return data::Dataset(std::move(bytes), {count, 28, 28, 1}, std::move(labels));
}

// The heap calls of each step over one epoch, from asking for the batch to the end of the update.
template <class Optimizer>
std::vector<std::uint64_t> calls_per_step(Context& context, const Sequential& model, Optimizer& optimizer,
                                          std::int64_t batch) {
  const data::Dataset dataset = images(batch * 12);
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
      const auto steady = [](const std::vector<std::uint64_t>& calls) {
        for (std::size_t step = 2; step < calls.size(); ++step) {
          INFO("step " << step);
          REQUIRE(calls[step] == 0);
        }
      };
      SGD sgd{named.model.parameters(), {.lr = 1e-3, .momentum = 0.9}};
      steady(calls_per_step(context, named.model, sgd, named.batch));
      AdamW adamw{named.model.parameters(), {.clip_norm = 1}};
      steady(calls_per_step(context, named.model, adamw, 33));
    }
}
