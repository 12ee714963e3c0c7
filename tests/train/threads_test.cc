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

// The weights after 50 steps on a batch of an odd size; adds the chunks that each thread ran to `chunks`.
std::vector<float> trained(std::string_view name, int threads, std::vector<std::uint64_t>& chunks) {
  Context context{{.threads = threads, .seed = 7}};
  NamedModel named = make_model(name);
  named.model.build(context);
  SGD optimizer{named.model.parameters(), {.lr = 0.01, .momentum = 0.9, .weight_decay = 1e-4, .clip_norm = 5}};
  constexpr std::int64_t kBatch = 253;
  Tensor labels = context.empty({kBatch}, DType::int64);
  for (std::int64_t i = 0; i < kBatch; ++i) labels.span<std::int64_t>()[static_cast<std::size_t>(i)] = i % 10;
  for (std::uint64_t step = 0; step < 50; ++step) {
    Tape tape{context, {.step = step}};
    const Tensor x = context.normal(named.input.prepend(kBatch), 0, 1, step);
    optimizer.step(tape.backward(cross_entropy(named.model(tape.input(x), Mode::train), labels)));
  }
  std::vector<float> weights;
  for (const auto& cell : named.model.parameters()) {
    const auto values = std::as_const(cell->value).span<float>();
    weights.insert(weights.end(), values.begin(), values.end());
  }
  const std::vector<std::uint64_t> counts = context.device().pool.chunks_by_thread();
  chunks.resize(counts.size());
  for (std::size_t i = 0; i < counts.size(); ++i) chunks[i] += counts[i];
  return weights;
}

}  // namespace

TEST_CASE(
    "threads: the weights after 50 steps are the same bits at 1, 2, 3 and 7 threads, and every worker took part") {
  for (std::string_view name : model_names()) {
    std::vector<std::uint64_t> chunks;
    const std::vector<float> expected = trained(name, 1, chunks);
    for (int threads : {2, 3, 7}) {
      INFO(name << ", " << threads << " threads");
      std::vector<std::uint64_t> chunks_of_all;
      // With more threads than CPUs, one run may end before the last worker has had a turn.
      for (int run = 0; run < 10 && (run == 0 || std::ranges::count(chunks_of_all, 0u) != 0); ++run) {
        const std::vector<float> found = trained(name, threads, chunks_of_all);
        REQUIRE(std::memcmp(found.data(), expected.data(), expected.size() * sizeof(float)) == 0);
      }
      REQUIRE(chunks_of_all.size() == static_cast<std::size_t>(threads));
      REQUIRE(std::ranges::count(chunks_of_all, 0u) == 0);
    }
  }
}
