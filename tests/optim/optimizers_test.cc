// What holds for every optimizer, whatever its formula.
#include "optim/optimizers.h"

#include "tests/optim/formulas.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

// With everything that its options have in common.
template <class O>
O make(const Pulled& model, const OptimizerOptions& options = {.lr = 0.1, .weight_decay = 0.01}) {
  return O(model.list(), detail::options_of<typename O::Options>(options));
}

}  // namespace

TEST_CASE("optimizers: by name") {
  Pulled model;
  REQUIRE(optimizer_names().size() == std::variant_size_v<AnyOptimizer>);
  REQUIRE(optimizer_names()[2] == "adamw");
  AnyOptimizer made = make_optimizer("adamw", model.list(), {.lr = 0.25});
  REQUIRE(std::get<AdamW>(made).lr() == 0.25);
  made = make_optimizer("sgd", model.list());
  REQUIRE(std::get<SGD>(made).state()[0].name == "momentum_buffer/layer.0");
  std::visit([&](auto& optimizer) { optimizer.step(model.gradients()); }, made);
  REQUIRE_THROWS_WITH(make_optimizer("SGD", model.list()),
                      contains("optimizers_test.cc:") && contains("optimizer: 'SGD' is none of sgd, adam, adamw"));
  REQUIRE_THROWS_WITH(make_optimizer("adam", model.list(), {.momentum = 1}),
                      contains("optimizers_test.cc:") && contains("Adam: betas must be in [0, 1), got 1"));
}

TEST_CASE("optimizers: what all options have in common is checked by each") {
  Pulled model;
  detail::for_each_optimizer([&]<class O>() {
    const std::string name = std::string(O::Method::kName) + ": ";
    for (const double bad : {kNan, kInf, -1.0}) {
      REQUIRE_THROWS_WITH(make<O>(model, {.lr = bad}), contains(name + "lr must be finite and not negative, got"));
      REQUIRE_THROWS_WITH(make<O>(model, {.weight_decay = bad}), contains(name + "weight_decay must be"));
      REQUIRE_THROWS_WITH(make<O>(model, {.clip_norm = bad}), contains(name + "clip_norm must be"));
    }
    REQUIRE_THROWS_AS(make<O>(model, {.lr = 1e39}), ArgumentError);
    O optimizer = make<O>(model, {.lr = 0.5});
    REQUIRE_THROWS_AS(optimizer.set_lr(kNan), ArgumentError);
    REQUIRE(optimizer.lr() == 0.5);
    optimizer.set_lr(0);
    REQUIRE(optimizer.lr() == 0);
  });
}

TEST_CASE("optimizers: the state goes over to another, which then takes the same steps") {
  detail::for_each_optimizer([]<class O>() {
    INFO(O::Method::kName);
    Pulled a, b;
    O first = make<O>(a);
    for (int step = 0; step < 7; ++step) first.step(a.gradients());
    for (std::size_t i = 0; i < a.parameters.size(); ++i) b.parameters[i].assign(a.parameters[i].value());
    O second = make<O>(b);
    second.load_state(first.state());
    REQUIRE(second.steps() == 7);
    for (int step = 0; step < 3; ++step) {
      first.step(a.gradients());
      second.step(b.gradients());
    }
    REQUIRE(a.weights() == b.weights());
  });
}

TEST_CASE("optimizers: a state that does not fit is refused with all that is wrong, and nothing changes") {
  detail::for_each_optimizer([]<class O>() {
    Pulled model;
    O optimizer = make<O>(model);
    optimizer.step(model.gradients());
    std::vector<NamedTensor> state = optimizer.state();
    const std::size_t kinds = state.size() / model.parameters.size();  // the steps are the last one
    const std::string first = state[0].name.substr(0, state[0].name.find('/'));
    state[0].name = "other";
    state[kinds].value = model.context.zeros({3, 3});
    state[3 * kinds - 1].value = model.context.zeros({});
    state[3 * kinds].value = model.context.full({33}, std::nan(""));
    for (const std::string& part :
         {"'" + first + "/layer.0' is missing", "'" + first + "/layer.1' is float32 [3, 3], not float32 [4, 5]",
          std::string("'step/layer.2' is float32 [], not int64 []"), std::string("'other' is unknown"),
          "'" + first + "/layer.3' holds a number that is not finite"})
      REQUIRE_THROWS_WITH(optimizer.load_state(state), contains(part));
    REQUIRE_THROWS_AS(optimizer.load_state(state), ArgumentError);
    REQUIRE(optimizer.steps() == 1);
  });
}

TEST_CASE("optimizers: nothing moves where gradient, state and weight are zero") {
  for_each_target([](const kernels::Device& device) {
    detail::for_each_optimizer([&]<class O>() {
      const auto options = detail::options_of<typename O::Options>({.lr = 1, .weight_decay = 0.1});
      const detail::StateNames names = O::Method::state_names(options);
      Guarded<float> g(33), w(33);
      std::vector<Guarded<float>> state(3, Guarded<float>(33));
      kernels::UpdatePiece<float> piece{g.span(), {}, w.span()};
      for (std::size_t k = 0; k < 3; ++k)
        if (names[k] != nullptr) piece.state[k] = state[k].span();
      update(device, O::Method::step(options, 5, 1), piece);
      for (std::size_t i = 0; i < 33; ++i) REQUIRE((w[i] == 0 && state[0][i] == 0 && state[1][i] == 0));
      count_case(device.target);
    });
  });
}
