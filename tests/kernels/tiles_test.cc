#include "kernels/tiles/tiles.h"

#include <bit>
#include <cmath>
#include <limits>

#include "kernels/tiles/pack.h"
#include "tests/catch.h"
#include "tests/kernels/tile_units.h"

using namespace tapestry;
using namespace tapestry::test;
using kernels::Bf16;

namespace {

float value_of(Bf16 x) { return std::bit_cast<float>(static_cast<std::uint32_t>(x) << 16); }
Bf16 bits_of(float x) { return static_cast<Bf16>(std::bit_cast<std::uint32_t>(x) >> 16); }

// A product with operands of its own.
struct Case {
  Case(std::size_t terms, std::size_t tiles, std::size_t count, std::size_t row, std::size_t offset, bool whole)
      : a(offset + terms * 40 * row + count * 32), b(offset + count * terms * tiles * kernels::kTileSize) {
    std::vector<float> numbers(std::max(a.size(), b.size()));
    for (std::vector<Bf16>* operand : {&a, &b}) {
      fill_random(numbers, operand == &a ? 1 : 2, -8, 9);
      for (std::size_t i = 0; i < operand->size(); ++i)
        (*operand)[i] = bits_of(whole ? std::floor(numbers[i]) : numbers[i]);
    }
    for (std::size_t i = 0; i < count; ++i) steps.push_back(static_cast<std::ptrdiff_t>((count - 1 - i) * 32 + i % 2));
    product = {.a = {a.data() + offset, a.data() + offset + 20 * row},
               .row = row,
               .plane = 40 * row,
               .steps = steps.data(),
               .count = count,
               .b = b.data() + offset,
               .terms = terms,
               .tiles = tiles,
               .c = nullptr};
  }
  std::vector<Bf16> a, b;
  std::vector<std::ptrdiff_t> steps;
  kernels::TileProduct product{};

  // What `executor` makes of it: 32 rows of 16 or 32.
  std::vector<float> run(const kernels::TileExecutor& executor) const {
    alignas(64) float c[kernels::kBlockRows * kernels::kBlockColumns];
    std::fill(std::begin(c), std::end(c), 77.0f);
    kernels::TileProduct p = product;
    p.c = c;
    {
      const kernels::TileUse use(executor);
      use(p);
    }
    std::vector<float> found;
    for (std::size_t i = 0; i < std::size(c); ++i) {
      const bool counts = i % kernels::kBlockColumns < p.tiles * kernels::kTileColumns;
      if (counts) found.push_back(c[i]);
      if (!counts) REQUIRE(c[i] == 77);
    }
    return found;
  }
  // The same by plain loops in double.
  std::vector<double> expected() const {
    std::vector<double> sums;
    const std::size_t columns = product.tiles * 16;
    for (std::size_t m = 0; m < 32; ++m)
      for (std::size_t n = 0; n < columns; ++n) {
        double sum = 0;
        for (std::size_t step = 0; step < product.count; ++step)
          for (std::size_t k = 0; k < 32; ++k)
            for (std::size_t i = 0; i < product.terms; ++i)
              for (std::size_t j = 0; i + j < product.terms; ++j) {
                const Bf16* row = product.a[m / 16] + m % 16 * product.row + i * product.plane;
                const Bf16* tile =
                    product.b + ((step * product.terms + j) * product.tiles + n / 16) * kernels::kTileSize;
                sum += static_cast<double>(value_of(row[product.steps[step] + static_cast<std::ptrdiff_t>(k)])) *
                       value_of(tile[k / 2 * 32 + n % 16 * 2 + k % 2]);
              }
        sums.push_back(sum);
      }
    return sums;
  }
};

}  // namespace

TEST_CASE("tiles: every executor sums all products of terms, from unaligned rows, exactly on whole numbers") {
  for (const kernels::TileExecutor* executor : tile_executors())
    for (const std::size_t terms : {1u, 2u, 3u})
      for (const std::size_t tiles : {1u, 2u})
        for (const std::size_t count : {0u, 1u, 2u, 7u})
          for (const std::size_t row : {1u, 37u, 64u}) {
            INFO(executor->name << " terms " << terms << " tiles " << tiles << " count " << count << " row " << row);
            const Case whole(terms, tiles, count, row, row % 3, true), real(terms, tiles, count, row, 1, false);
            require_close(whole.run(*executor), whole.expected(), 0);
            require_close(real.run(*executor), real.expected(), 1e-6);
          }
}

TEST_CASE("tiles: the units of the CPU give what the emulation of their products gives, to the last places") {
  for (const kernels::TileExecutor* executor : tile_executors())
    for (const std::size_t terms : {1u, 2u, 3u}) {
      const Case real(terms, 2, 9, 96, 0, false);
      INFO(executor->name << " terms " << terms);
      const std::vector<float> emulated = real.run(kernels::emulated_tiles());
      require_close(real.run(*executor), widened(emulated), 1e-6);
    }
}

TEST_CASE("tiles: denormals are zero, going in and coming out; infinity and NaN go through") {
  for (const kernels::TileExecutor* executor : tile_executors()) {
    INFO(executor->name);
    Case c(1, 2, 1, 32, 0, true);
    const float denormal = std::numeric_limits<float>::min() / 4;
    std::fill(c.a.begin(), c.a.end(), bits_of(0));
    std::fill(c.b.begin(), c.b.end(), bits_of(0));
    const auto row = [&](std::size_t m) -> Bf16& { return c.a[(m < 16 ? m : 20 + m - 16) * 32]; };
    row(0) = bits_of(denormal);  // times 2^100
    row(1) = bits_of(1);         // times 2^100
    row(2) = bits_of(INFINITY);
    row(3) = bits_of(NAN);
    row(20) = bits_of(std::ldexp(1.0f, -120));  // times 2^-120
    for (std::size_t n = 0; n < 16; ++n) {
      c.b[2 * n] = bits_of(std::ldexp(1.0f, 100));
      c.b[kernels::kTileSize + 2 * n] = bits_of(std::ldexp(1.0f, -120));
    }
    const std::vector<float> found = c.run(*executor);
    for (std::size_t n = 0; n < 32; ++n) {
      REQUIRE(found[n] == 0);
      REQUIRE(found[32 + n] == std::ldexp(1.0f, n < 16 ? 100 : -120));
      REQUIRE(found[64 + n] == INFINITY);
      REQUIRE(std::isnan(found[96 + n]));
      REQUIRE(found[20 * 32 + n] == (n < 16 ? std::ldexp(1.0f, -20) : 0));
    }
  }
}

TEST_CASE("tiles: terms of a float, rounded to nearest on every target, give it back when they are summed") {
  for_each_target([](const kernels::Device& device) {
    constexpr std::size_t kRows = 3, kColumns = 231, kPadded = 256, kPlane = kRows * kPadded;
    Guarded<float> x(kRows * kColumns, 1);
    fill_random(x.span(), 3, -1, 1);
    for (std::size_t i = 0; i < x.span().size(); ++i) x[i] = std::ldexp(x[i], static_cast<int>(i % 200) - 100);
    x[0] = 1 + std::ldexp(1.0f, -8);  // ties: one term goes to even, several away from zero
    x[1] = -1 - 3 * std::ldexp(1.0f, -8);
    x[2] = std::bit_cast<float>(0x7F7F7FFFu);  // the largest that does not become infinity
    // what is left over is the longest there is: 7 bits behind a tie, or next to one
    for (std::uint32_t i = 0; i < 256; ++i)
      x[3 + i] = std::bit_cast<float>(0x3F800000u + i / 16 * 0x8000u + (i % 16 - 8u) * 0x40u + (i % 3 - 1u));
    for (const std::size_t terms : {1u, 2u, 3u}) {
      Guarded<Bf16> rows(terms * kPlane, 1, 99);
      REQUIRE(kernels::split_rows(device.target, x.span().data(), kColumns, kRows, kColumns, kPadded,
                                  {.to = rows.span().data(), .row = kPadded, .plane = kPlane, .terms = terms}));
      for (std::size_t i = 0; i < kRows; ++i)
        for (std::size_t j = 0; j < kPadded; ++j) {
          const auto term = [&](std::size_t t) { return value_of(rows[t * kPlane + i * kPadded + j]); };
          if (j >= kColumns) REQUIRE(term(terms - 1) == 0);
          if (j >= kColumns) continue;
          float rest = x[i * kColumns + j];
          for (std::size_t t = 0; t < terms; ++t) {
            REQUIRE(std::abs(rest - term(t)) <= std::ldexp(std::abs(rest), -8));
            rest -= term(t);
          }
          if (terms == 3) REQUIRE(rest == 0);
        }
      REQUIRE(value_of(rows[0]) == (terms == 1 ? 1 : 1 + std::ldexp(1.0f, -7)));
      REQUIRE(value_of(rows[1]) == -1 - std::ldexp(1.0f, -6));
      REQUIRE(rows.intact());
    }
    count_case(device.target);
  });
}

TEST_CASE("tiles: a step of A from rows that lie anywhere holds what its rows hold, turned, and zeros behind them") {
  for_each_target([](const kernels::Device& device) {
    for (const std::size_t columns : {1u, 5u, 16u, 17u, 31u, 32u})
      for (const std::size_t depth : {1u, 7u, 32u})
        for (const std::size_t terms : {1u, 2u, 3u}) {
          constexpr std::size_t kRow = 70, kFirst = 3;
          const std::size_t plane = columns * kRow;
          Guarded<float> x(depth * (columns + kFirst), columns % 4);
          fill_random(x.span(), 5);
          std::vector<const float*> rows;
          for (std::size_t k = 0; k < depth; ++k)
            rows.push_back(x.span().data() + (depth - 1 - k) * (columns + kFirst));
          Guarded<Bf16> to(terms * plane - (kRow - 32), 2, 99), split(terms * depth * columns, 1);
          REQUIRE(kernels::split_transposed(device.target, {.rows = rows.data(), .first = kFirst, .depth = depth},
                                            columns,
                                            {.to = to.span().data(), .row = kRow, .plane = plane, .terms = terms}));
          for (std::size_t k = 0; k < depth; ++k)
            kernels::split_rows(
                device.target, rows[k] + kFirst, 0, 1, columns, columns,
                {.to = split.span().data() + k * columns, .row = columns, .plane = depth * columns, .terms = terms});
          for (std::size_t t = 0; t < terms; ++t)
            for (std::size_t at = 0; at < plane - (t == terms - 1 ? kRow - 32 : 0); ++at) {
              const std::size_t n = at / kRow, k = at % kRow;
              const Bf16 expected = k >= 32 ? Bf16{99} : k >= depth ? Bf16{0} : split[(t * depth + k) * columns + n];
              REQUIRE(to[t * plane + at] == expected);
            }
          REQUIRE((to.intact() && split.intact()));
          count_case(device.target);
        }
  });
}

TEST_CASE("tiles: a step of B holds pairs of rows, from rows and from columns, with zeros where there is none") {
  for_each_target([](const kernels::Device& device) {
    for (const std::size_t columns : {1u, 5u, 16u, 17u, 31u, 32u})
      for (const std::size_t depth : {1u, 7u, 32u})
        for (const bool transposed : {false, true}) {
          const std::size_t terms = 1 + columns % 3, tiles = columns <= 16 ? 1 : 2;
          Guarded<float> b(2 + depth * columns, columns % 4);
          fill_random(b.span(), 5);
          const auto at = [&](std::size_t k, std::size_t n) {
            return 2 + (transposed ? n * depth + k : k * columns + n);
          };
          std::vector<const float*> rows;
          for (std::size_t k = 0; k < depth; ++k) rows.push_back(b.span().data() + at(k, 0) - 2);
          Guarded<Bf16> step(terms * tiles * kernels::kTileSize, 0, 99);
          REQUIRE(kernels::pack_step(
              device.target, {.rows = rows.data(), .first = 2, .stride = transposed ? depth : 1, .depth = depth},
              columns, terms, tiles, step.span().data()));
          for (std::size_t k = 0; k < 32; ++k)
            for (std::size_t n = 0; n < tiles * 16; ++n) {
              float rest = n < columns && k < depth ? b[at(k, n)] : 0;
              for (std::size_t t = 0; t < terms; ++t) {
                const float term =
                    value_of(step[(t * tiles + n / 16) * kernels::kTileSize + k / 2 * 32 + n % 16 * 2 + k % 2]);
                REQUIRE(std::abs(rest - term) <= std::ldexp(std::abs(rest), -8));
                rest -= term;
              }
            }
          REQUIRE(step.intact());
          count_case(device.target);
        }
  });
}

TEST_CASE("tiles: sums of a block are stored where their rows lie, and nowhere else") {
  for_each_target([](const kernels::Device& device) {
    alignas(64) float block[kernels::kBlockRows * kernels::kBlockColumns];
    fill_random(block, 1);
    for (const std::size_t columns : {1u, 15u, 16u, 19u, 32u})
      for (int option = 0; option < 16; ++option) {
        const bool add = (option & 1) != 0, relu = (option & 2) != 0, bias = (option & 4) != 0,
                   both = (option & 8) != 0;
        constexpr std::size_t kStride = 37;
        Guarded<float> c(31 * kStride + columns, columns % 4), more(columns, 1);
        fill_random(c.span(), 2);
        fill_random(more.span(), 3);
        std::vector<float> expected(c.span().begin(), c.span().end());
        kernels::BlockRows rows(29, kStride);
        rows.at[5] = kernels::kNowhere;
        for (std::size_t m = 0; m < (both ? 29 : 16); ++m)
          for (std::size_t n = 0; n < columns && m != 5; ++n) {
            float& to = expected[m * kStride + n];
            to = block[m * 32 + n] + (add ? to : 0);
            to += bias ? more[n] : 0;
            if (relu) to = std::max(to, 0.0f);
          }
        kernels::store_block(device.target, block,
                             {.to = c.span().data(),
                              .at = {rows.at, both ? rows.at + 16 : nullptr},
                              .columns = columns,
                              .bias = bias ? more.span().data() : nullptr,
                              .add = add,
                              .relu = relu});
        REQUIRE(std::equal(expected.begin(), expected.end(), c.span().begin()));
        REQUIRE((c.intact() && more.intact()));
        count_case(device.target);
      }
  });
}

TEST_CASE("tiles: whatever bf16 cannot hold is found wherever it lies") {
  for_each_target([](const kernels::Device& device) {
    const float bad[] = {NAN,
                         -NAN,
                         INFINITY,
                         -INFINITY,
                         3.4e38f,
                         -3.4e38f,
                         std::bit_cast<float>(0x7F7F8000u),
                         std::bit_cast<float>(0xFFFFFFFFu)};
    for (const std::size_t size : {1u, 16u, 32u, 67u})
      for (std::size_t at = 0; at < size; at += 5)
        for (const float value : bad) {
          Guarded<float> x(size, 1, 1.0f);
          std::vector<Bf16> to(3 * 64 * 68);
          x[at] = value;
          const kernels::SplitTo s{.to = to.data(), .row = 68, .plane = 64 * 68, .terms = 3};
          REQUIRE(!kernels::split_rows(device.target, x.span().data(), size, 1, size, 68, s));
          if (size > 32) continue;
          const std::vector<float> ones(32, 1.0f);
          std::vector<const float*> across(32, ones.data()), along;
          across[31] = x.span().data();
          for (std::size_t k = 0; k < size; ++k) along.push_back(x.span().data() + k);
          const std::size_t tiles = size <= 16 ? 1 : 2;
          REQUIRE(!kernels::split_transposed(device.target, {.rows = across.data()}, size, s));
          REQUIRE(!kernels::split_transposed(device.target, {.rows = along.data(), .depth = size}, 1, s));
          REQUIRE(!kernels::pack_step(device.target, {.rows = across.data()}, size, 3, tiles, to.data()));
          REQUIRE(!kernels::pack_step(device.target, {.rows = along.data(), .stride = size, .depth = size}, 1, 3, 1,
                                      to.data()));
          count_case(device.target);
        }
  });
}
