#include "layers/dropout.h"

#include <algorithm>

#include "autodiff/tape.h"
#include "kernels/error.h"
#include "layers/sequential.h"
#include "tests/catch.h"

using namespace tapestry;

TEST_CASE("Dropout: drops and scales in training, and is the identity in evaluation") {
  Context context;
  Sequential model = Input{1000} >> Dropout{} >> Dropout{{.p = 0.2}};
  model.build(context);
  const Tensor x = context.full({1, 1000}, 1);
  const Var kept = model(context.input(x), Mode::eval);
  CHECK(std::ranges::all_of(kept.value().span<float>(), [](float y) { return y == 1; }));

  Tape tape{context};
  const Var y = model(tape.variable(x), Mode::train);
  const auto zeros = std::ranges::count(y.value().span<float>(), 0.0f);
  CHECK(zeros > 540);  // 600 expected, the deviation is 15
  CHECK(zeros < 660);
  for (const float value : y.value().span<float>()) CHECK((value == 0 || value == Approx(2.5)));
}

TEST_CASE("Dropout: a probability that is none names the layer") {
  Context context;
  Sequential model = Input{3} >> Dropout{{.p = 1.5}};
  REQUIRE_THROWS_WITH(model.build(context),
                      contains("0 (dropout_test.cc:") && contains("p must be in [0, 1]; it is 1.5"));
}
