// The program of docs/profiling.md: profiles a network of its own, and ends with 1 where a row is missing.
#include <fmt/format.h>
#include <tapestry.h>

using namespace tapestry;

int main() {
  train::Profiler profiler;  // outlives the context
  Context context{{.trace = profiler.sink(), .meter = profiler.meter()}};
  Sequential model = Input{64} >> Linear{{.out = 32}} >> Relu{} >> Linear{{.out = 10}};
  model.build(context);
  SGD optimizer{model.parameters(), {.lr = 0.1}};
  const Tensor x = context.uniform({16, 64}, 0, 1, 1), labels = context.zeros({16}, DType::int64);

  for (int step = 0; step < 8; ++step) {
    if (step >= 3) profiler.begin_step();  // the first steps fill caches and the arena
    Tape tape{context};
    Gradients gradients = tape.backward(cross_entropy(model(tape.input(x), Mode::train), labels));
    profiler.section("optimizer", [&] { optimizer.step(gradients); });
    if (step >= 3) profiler.end_step();
  }
  const train::Profile profile = profiler.profile();
  const train::Peaks peaks = train::measure_peaks(context, train::find_machine());
  fmt::print("{}", train::profile_table(profile, peaks, {.model = "mine", .batch_size = 16, .precision = "highest"}));

  return profile.steps == 5 && profile.rows.size() == 10 ? 0 : 1;
}
