#include "io/model.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "autodiff/tape.h"
#include "io/layout.h"
#include "kernels/error.h"
#include "layers/activation.h"
#include "layers/batch_norm.h"
#include "layers/dialects/neupy.h"
#include "layers/dropout.h"
#include "layers/layer_norm.h"
#include "layers/linear.h"
#include "layers/reshape.h"
#include "layers/sequential.h"
#include "optim/adam.h"
#include "tests/catch.h"
#include "tests/io/refusal.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

std::vector<float> numbers(const auto& model) {
  std::vector<float> all;
  for (const StateEntry& entry : state(model)) {
    const Tensor floats = entry.value().to(DType::float32);
    const std::span<const float> values = floats.span<float>();
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

struct Shared {
  Parameter weight;
  void visit(Visitor& v) {
    v("a", weight);
    v("b", weight);
  }
};

}  // namespace

TEST_CASE("io: a model comes back with the same numbers, in PyTorch's names and layouts") {
  Context context{{.threads = 1, .seed = 1}}, other{{.threads = 1, .seed = 2}};
  const TempDir folder;
  Sequential model = Input{3} >> Linear{{.out = 5}} >> Linear{{.out = 2}};
  model.build(context);
  io::save(model, folder / "m", {{"note", "x"}});
  const io::Safetensors file = io::load_safetensors(context, folder / "m");
  REQUIRE(file.metadata == std::map<std::string, std::string>{{"format", "pt"}, {"note", "x"}});
  REQUIRE(file.tensors.size() == 4);
  const std::vector<StateEntry> entries = state(model);
  const Tensor* weight = file.find(entries[0].name);
  REQUIRE(weight != nullptr);
  REQUIRE(weight->shape() == Shape{5, 3});
  const std::span<const float> memory = entries[0].value().span<float>(), saved = weight->span<float>();
  for (std::size_t in = 0; in < 3; ++in)
    for (std::size_t out = 0; out < 5; ++out) REQUIRE(saved[out * 3 + in] == memory[in * 5 + out]);

  Sequential second = Input{3} >> Linear{{.out = 5}} >> Linear{{.out = 2}};
  second.build(other);
  REQUIRE(numbers(second) != numbers(model));
  io::load(other, second, folder / "m");
  REQUIRE(numbers(second) == numbers(model));
}

TEST_CASE("io: neupy's BatchNorm comes back with both of its buffers, and gives the same numbers") {
  Context context{{.threads = 1, .seed = 1}}, other{{.threads = 1, .seed = 2}};
  const TempDir folder;
  const auto made = [](Context& on) {
    Sequential model = Input{3} >> Linear{{.out = 4}} >> neupy::batch_norm0d() >> Linear{{.out = 1}};
    model.build(on);
    return model;
  };
  const Sequential model = made(context);
  const Tensor x = context.normal({8, 3}, 1, 2, 1);
  Tape tape{context};
  model(tape.input(x), Mode::train);
  tape.commit();
  io::save(model, folder / "m");
  const io::Safetensors file = io::load_safetensors(context, folder / "m");
  for (const char* name : {"1.running_mean", "1.running_inv_std"}) REQUIRE(file.find(name) != nullptr);
  REQUIRE(file.find("1.running_var") == nullptr);

  Sequential second = made(other);
  io::load(other, second, folder / "m");
  REQUIRE(numbers(second) == numbers(model));
  REQUIRE(second.get<BatchNorm0d>(1).running_var.value().span<float>()[0] != 1);
  const Tensor y = model(context.input(x), Mode::eval).value(), again = second(other.input(x), Mode::eval).value();
  REQUIRE(std::ranges::equal(y.span<float>(), again.span<float>()));

  Sequential variances = Input{3} >> Linear{{.out = 4}} >> BatchNorm0d{} >> Linear{{.out = 1}};
  variances.build(other);
  REQUIRE_THROWS_WITH(io::load(other, variances, folder / "m"), contains("1.running_var"));
}

TEST_CASE("io: all that does not fit is listed, and the model stays as it was") {
  Context context{{.threads = 1}};
  const TempDir folder;
  Sequential model = Input{3} >> Linear{{.out = 5}} >> Linear{{.out = 2}};
  model.build(context);
  const std::vector<StateEntry> entries = state(model);
  const auto& name = [&](std::size_t i) { return entries[i].name; };
  const std::vector<float> before = numbers(model);
  io::save_safetensors(
      folder / "m",
      std::array{NamedTensor{name(0), context.zeros({3, 5})}, NamedTensor{name(1), context.zeros({5}, DType::float64)},
                 NamedTensor{name(3), context.zeros({2})}, NamedTensor{"stranger", context.zeros({})}});
  const std::string message = error_of<FileError>([&] { io::load(context, model, folder / "m"); });
  for (const std::string& part :
       {folder / "m: does not fit the model: ", "'" + name(0) + "' is float32 [3, 5], the model needs float32 [5, 3]",
        "'" + name(1) + "' is float64 [5], the model needs float32 [5]", "'" + name(2) + "' is missing",
        std::string("'stranger' is not in the model")})
    CHECK_THAT(message, contains(part));
  REQUIRE(numbers(model) == before);

  io::save_safetensors(
      folder / "p", std::array{NamedTensor{name(3), context.full({2}, 7)}, NamedTensor{"stranger", context.zeros({})}});
  REQUIRE_THROWS_AS(io::load(context, model, folder / "p"), FileError);
  io::load(context, model, folder / "p", {.partial = true});
  REQUIRE(entries[3].value().span<float>()[1] == 7);
  io::save_safetensors(folder / "p", std::array{NamedTensor{name(3), context.full({3}, 7)}});
  REQUIRE_THROWS_WITH(io::load(context, model, folder / "p", {.partial = true}),
                      contains("the model needs float32 [2]"));
}

TEST_CASE("io: a model that is not built is refused") {
  Context context{{.threads = 1}};
  const TempDir folder;
  Linear layer{{.out = 2}};
  REQUIRE_THROWS_AS(io::save(layer, folder / "m"), ArgumentError);
  REQUIRE_THROWS_WITH(io::save(layer, folder / "m"),
                      contains("io::save: 'weight' has no value yet: build the model first"));
  REQUIRE_THROWS_WITH(io::load(context, layer, folder / "m"), contains("io::load: 'weight' has no value yet"));
  REQUIRE(entries(folder) == 0);
}

TEST_CASE("io: a shared tensor is written once, and its other names may be in the file") {
  Context context{{.threads = 1}};
  const TempDir folder;
  Shared model;
  model.weight.set(context.full({2}, 3));
  io::save(model, folder / "m");
  const io::Safetensors file = io::load_safetensors(context, folder / "m");
  REQUIRE(file.tensors.size() == 1);
  REQUIRE(file.tensors[0].name == "a");
  model.weight.set(context.zeros({2}));
  io::load(context, model, folder / "m");
  REQUIRE(numbers(model) == std::vector<float>{3, 3, 3, 3});
  io::save_safetensors(folder / "m",
                       std::array{NamedTensor{"a", context.full({2}, 5)}, NamedTensor{"b", context.zeros({2})}});
  io::load(context, model, folder / "m");
  REQUIRE(numbers(model) == std::vector<float>{5, 5, 5, 5});
}

TEST_CASE("io: layouts are undone by loading") {
  Context context{{.threads = 1}};
  for (const Shape& shape : {Shape{}, Shape{7}, Shape{3, 5}, Shape{1, 4}, Shape{0, 3}, Shape{2, 3, 5},
                             Shape{3, 2, 4, 5}, Shape{2, 3, 2, 4, 5}})
    for (FileLayout layout : {FileLayout::as_is, FileLayout::linear, FileLayout::conv})
      for (DType dtype : {DType::float32, DType::float64}) {
        const Tensor tensor = context.uniform(shape, -1, 1, 1, dtype);
        const Tensor file = io::to_file(tensor, layout);
        REQUIRE(file.shape() == io::file_shape(shape, layout));
        const Tensor back = io::from_file(file, shape, layout);
        REQUIRE(back.shape() == shape);
        REQUIRE(std::memcmp(back.raw(), tensor.raw(), tensor.bytes()) == 0);
      }
}

TEST_CASE("io: what a Flatten put behind each other is in PyTorch's order in files: channels first") {
  Context context{{.threads = 1}};
  const Shape flattened{2, 3, 5};  // H, W, C
  const auto place = [](std::int64_t h, std::int64_t w, std::int64_t c) { return (h * 3 + w) * 5 + c; };
  const auto file_place = [](std::int64_t h, std::int64_t w, std::int64_t c) { return (c * 2 + h) * 3 + w; };
  for (DType dtype : {DType::float32, DType::float64})
    for (const Shape& shape : {Shape{30}, Shape{30, 4}, Shape{30, 1}, Shape{30, 2, 7}})
      for (FileLayout layout : {FileLayout::as_is, FileLayout::linear}) {
        const Tensor tensor = context.uniform(shape, -1, 1, 1, dtype);
        const Tensor file = io::to_file(tensor, layout, flattened);
        REQUIRE(file.shape() == io::file_shape(shape, layout));
        const Tensor back = io::from_file(file, shape, layout, flattened);
        REQUIRE(back.shape() == shape);
        REQUIRE(std::memcmp(back.raw(), tensor.raw(), tensor.bytes()) == 0);
        if (dtype != DType::float32 || shape.rank() > 2) continue;
        const std::int64_t outputs = shape.rank() == 2 ? shape[1] : 1;
        const bool swapped = layout == FileLayout::linear && shape.rank() == 2;
        for (std::int64_t h = 0; h < 2; ++h)
          for (std::int64_t w = 0; w < 3; ++w)
            for (std::int64_t c = 0; c < 5; ++c)
              for (std::int64_t o = 0; o < outputs; ++o)
                REQUIRE(file.span<float>()[static_cast<std::size_t>(swapped ? o * 30 + file_place(h, w, c)
                                                                            : file_place(h, w, c) * outputs + o)] ==
                        tensor.span<float>()[static_cast<std::size_t>(place(h, w, c) * outputs + o)]);
      }
  const Tensor image = context.uniform({7}, -1, 1, 1);
  REQUIRE(io::to_file(image, FileLayout::as_is, {7}).raw() == image.raw());
  REQUIRE(io::to_file(image, FileLayout::as_is, {2, 3}).raw() == image.raw());  // not what axis 0 was
}

TEST_CASE("io: the flattened shape flows through what keeps it, to each parameter along it") {
  Context context{{.threads = 1}};
  struct Own {
    Relu relu = Relu{};
    void visit(Visitor& v) { v("relu", relu); }
    Var operator()(const Var& x) const { return relu(x); }
  };
  Sequential model = Input{2, 3, 5} >> Flatten{} >> Relu{} >> Dropout{} >> Flatten{} >> Own{} >>
                     [](const Var& x) { return relu(x); } >> LayerNorm{} >> PRelu{{.per_channel = true}} >> PRelu{} >>
                     Linear{{.out = 30}} >> LayerNorm{} >> Linear{{.out = 2}};
  model.build(context);
  std::map<std::string, Shape> found;
  for (const StateEntry& entry : model.state()) found[entry.name] = entry.state.cell()->flattened;
  const Shape shape{2, 3, 5}, none;
  REQUIRE(found == std::map<std::string, Shape>{{"6.weight", shape},
                                                {"6.bias", shape},
                                                {"7.weight", shape},
                                                {"8.weight", none},
                                                {"9.weight", shape},
                                                {"9.bias", none},
                                                {"10.weight", none},
                                                {"10.bias", none},
                                                {"11.weight", none},
                                                {"11.bias", none}});
}

TEST_CASE("io: channels come last") {
  Context context{{.threads = 1}};
  const Tensor x = context.tensor({1, 2, 1, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor y = io::channels_last(x);
  REQUIRE(y.shape() == Shape{1, 1, 3, 2});
  REQUIRE(std::ranges::equal(std::as_const(y).span<float>(), std::array<float, 6>{1, 4, 2, 5, 3, 6}));
  REQUIRE(io::channels_last(context.zeros({4, 2})).shape() == Shape{4, 2});
  REQUIRE(io::channels_last(context.zeros({2, 3, 4, 5, 6})).shape() == Shape{2, 4, 5, 6, 3});
}

TEST_CASE("io: an optimizer's state goes through a file") {
  Context context{{.threads = 1}};
  const TempDir folder;
  Sequential model = Input{3} >> Linear{{.out = 5}};
  model.build(context);
  const Adam first{parameters(model)};
  Adam second{parameters(model)};
  io::save_safetensors(folder / "optimizer", first.state());
  second.load_state(io::load_safetensors(context, folder / "optimizer").tensors);
  REQUIRE(second.steps() == 0);
}
