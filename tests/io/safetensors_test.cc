#include "io/safetensors.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/io/refusal.h"

using namespace tapestry;
using namespace tapestry::io;
using namespace tapestry::test;

namespace {

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

std::vector<NamedTensor> samples(const Context& context) {
  std::vector<NamedTensor> all{
      {"0.weight", context.uniform({3, 5}, -1, 1, 1)},
      {"count", context.tensor({}, std::span<const std::int64_t>(std::array{std::int64_t{-7}}))},
      {"wide", context.uniform({2, 1, 2}, -1, 1, 2, DType::float64)},
      {"empty", context.zeros({0, 4})},
      {"odd \"name\"\n\xC3\xA9", context.tensor({4}, {-0.0f, INFINITY, NAN, 1e-45f})}};
  all.back().value.span<float>()[2] = std::bit_cast<float>(0xFFC12345u);
  return all;
}

}  // namespace

TEST_CASE("safetensors: what was saved comes back with the same bits") {
  const Context context{{.threads = 1}};
  const TempDir folder;
  const std::vector<NamedTensor> saved = samples(context);
  save_safetensors(folder / "a", saved, {{"format", "pt"}, {"note", "a \"quoted\"\n line"}});
  const Safetensors loaded = load_safetensors(context, folder / "a");
  REQUIRE(loaded.tensors.size() == saved.size());
  for (const NamedTensor& entry : saved) {
    REQUIRE(loaded.find(entry.name) != nullptr);
    REQUIRE(same_bits(*loaded.find(entry.name), entry.value));
  }
  REQUIRE(loaded.find("nothing") == nullptr);
  REQUIRE(loaded.metadata == std::map<std::string, std::string>{{"format", "pt"}, {"note", "a \"quoted\"\n line"}});
  REQUIRE(entries(folder) == 1);
}

TEST_CASE("safetensors: the bytes are those of the format, aligned, the wide types first") {
  const Context context{{.threads = 1}};
  const TempDir folder;
  save_safetensors(
      folder / "a",
      std::array{NamedTensor{"b", context.tensor({1}, {1})}, NamedTensor{"a", context.full({1}, 2, DType::float64)}},
      {{"k", "v"}});
  const std::string text =
      R"({"__metadata__":{"k":"v"},"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})";
  const std::string bytes = read_text(folder / "a");
  const std::size_t length = (text.size() + 7) / 8 * 8;
  REQUIRE(static_cast<std::size_t>(static_cast<unsigned char>(bytes[0])) == length);
  REQUIRE(bytes.substr(1, 7) == std::string(7, '\0'));
  REQUIRE(bytes.substr(8, length) == text + std::string(length - text.size(), ' '));
  REQUIRE(bytes.substr(8 + length) == std::string("\0\0\0\0\0\0\0\x40\0\0\x80\x3f", 12));
}

TEST_CASE("safetensors: random sets of tensors come back") {
  const Context context{{.threads = 1}};
  const TempDir folder;
  const Philox philox(5);
  std::uint64_t draw = 0;
  for (int round = 0; round < 200; ++round) {
    std::vector<NamedTensor> saved(philox.below(draw++, 6));
    for (NamedTensor& entry : saved) {
      entry.name = std::to_string(draw);
      std::vector<std::int64_t> sizes(philox.below(draw++, 7));
      for (std::int64_t& size : sizes) size = static_cast<std::int64_t>(philox.below(draw++, 4));
      entry.value = context.empty(Shape(sizes),
                                  std::array{DType::float32, DType::float64, DType::int64}[philox.below(draw++, 3)]);
      for (std::size_t i = 0; i < entry.value.bytes(); ++i)
        entry.value.raw()[i] = static_cast<std::byte>(philox.below(draw++, 256));
    }
    save_safetensors(folder / "a", saved);
    const Safetensors loaded = load_safetensors(context, folder / "a");
    REQUIRE(loaded.tensors.size() == saved.size());
    for (const NamedTensor& entry : saved) REQUIRE(same_bits(*loaded.find(entry.name), entry.value));
  }
}

TEST_CASE("safetensors: tensors that cannot be saved are refused, and no file appears") {
  const Context context{{.threads = 1}};
  const TempDir folder;
  const Tensor one = context.zeros({1});
  const auto save = [&](std::vector<NamedTensor> tensors) { save_safetensors(folder / "a", tensors); };
  REQUIRE_THROWS_AS(save({{"__metadata__", one}}), ArgumentError);
  REQUIRE_THROWS_WITH(save({{"__metadata__", one}}), contains("no tensor can be called '__metadata__'"));
  REQUIRE_THROWS_WITH(save({{"x", one}, {"x", one}}), contains("the name 'x' appears twice"));
  REQUIRE_THROWS_WITH(save({{"x", Tensor()}}), contains("tensor 'x' holds nothing"));
  REQUIRE_THROWS_WITH(save({{"\xFF", one}}), contains("'\\xff' is not UTF-8"));
  REQUIRE_THROWS_WITH(save_safetensors(folder / "a", {}, {{"k", "\xC0\x80"}}), contains("is not UTF-8"));
  REQUIRE(entries(folder) == 0);
  save({});
  REQUIRE(load_safetensors(context, folder / "a").tensors.empty());
}
