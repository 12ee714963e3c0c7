// Training gives the same bits at any thread count.
#include <algorithm>
#include <cstring>

#include "autodiff/ops/loss.h"
#include "autodiff/tape.h"
#include "layers/models.h"
#include "optim/sgd.h"
#include "tests/catch.h"

using namespace tapestry;

namespace {

// How long a model is trained, on batches of an odd size: long enough to take part, short enough for the suite.
struct Length {
  std::int64_t batch;
  std::uint64_t steps;
};
Length length_of(std::string_view name) {
  if (name.starts_with("mlp")) return {.batch = 253, .steps = 50};
  if (name.starts_with("resnet")) return {.batch = 3, .steps = 2};
  return {.batch = 13, .steps = 4};
}

// The state after some steps; adds the chunks that each thread ran to `chunks`.
std::vector<float> trained(std::string_view name, int threads, std::vector<std::uint64_t>& chunks) {
  Context context{{.threads = threads, .seed = 7}};
  NamedModel named = make_model(name);
  named.model.build(context);
  SGD optimizer{named.model.parameters(), {.lr = 0.01, .momentum = 0.9, .weight_decay = 1e-4, .clip_norm = 5}};
  const auto [batch, steps] = length_of(name);
  Tensor labels = context.empty({batch}, DType::int64);
  for (std::int64_t i = 0; i < batch; ++i) labels.span<std::int64_t>()[static_cast<std::size_t>(i)] = i % 10;
  for (std::uint64_t step = 0; step < steps; ++step) {
    Tape tape{context, {.step = step}};
    const Tensor x = context.normal(named.input.prepend(batch), 0, 1, step);
    optimizer.step(tape.backward(cross_entropy(named.model(tape.input(x), Mode::train), labels)));
  }
  std::vector<float> weights;
  for (const StateEntry& entry : named.model.state()) {
    if (entry.value().dtype() != DType::float32) continue;  // the number of batches that a norm has seen
    const auto values = entry.value().span<float>();
    weights.insert(weights.end(), values.begin(), values.end());
  }
  const std::vector<std::uint64_t> counts = context.device().pool.chunks_by_thread();
  chunks.resize(counts.size());
  for (std::size_t i = 0; i < counts.size(); ++i) chunks[i] += counts[i];
  return weights;
}

}  // namespace

TEST_CASE("threads: the weights of all models after some steps are the same bits at 1, 2, 3 and 7 threads") {
  for (std::string_view name : model_names()) {
    std::vector<std::uint64_t> chunks;
    const std::vector<float> expected = trained(name, 1, chunks);
    for (int threads : {2, 3, 7}) {
      INFO(name << ", " << threads << " threads");
      const std::vector<float> found = trained(name, threads, chunks);
      REQUIRE(found.size() == expected.size());
      REQUIRE(std::memcmp(found.data(), expected.data(), expected.size() * sizeof(float)) == 0);
    }
  }
}

TEST_CASE("threads: every worker takes part") {
  for (int threads : {2, 3, 7}) {
    INFO(threads << " threads");
    std::vector<std::uint64_t> chunks;
    // With more threads than CPUs, one run may end before the last worker has had a turn.
    for (int run = 0; run < 10 && (run == 0 || std::ranges::count(chunks, 0u) != 0); ++run)
      trained("mlp_ln", threads, chunks);
    REQUIRE(chunks.size() == static_cast<std::size_t>(threads));
    REQUIRE(std::ranges::count(chunks, 0u) == 0);
  }
}
