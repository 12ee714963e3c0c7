#include "data/idx.h"

#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/data/support.h"

using namespace tapestry;
using namespace tapestry::data;
using namespace tapestry::test;

namespace {

struct BadFile {
  const char* what;
  Bytes bytes;
  const char* expected;  // part of the message
  IdxOptions options = {};
};

std::vector<BadFile> bad_files() {
  const Bytes good = idx_bytes({3, 4, 5}, 60);
  const auto with = [&](std::size_t at, std::uint8_t value) {
    Bytes bytes = good;
    bytes[at] = value;
    return bytes;
  };
  const char* const magic = "expected an idx file (magic 00 00 type rank), found ";
  const std::uint32_t most = 0xFFFFFFFF;
  return {
      {"empty", {}, "found an empty file"},
      {"one byte", {0}, "found only 1 bytes"},
      {"two bytes", {0, 0}, "found only 2 bytes"},
      {"three bytes", {0, 0, 8}, "found only 3 bytes"},
      {"little-endian magic of images", {3, 8, 0, 0, 1, 0, 0, 0}, "its numbers are little-endian"},
      {"little-endian magic of labels",
       {1, 8, 0, 0, 1, 0, 0, 0, 7},
       "found 01 08 00 00: its numbers are little-endian"},
      {"text", {'h', 'e', 'l', 'l', 'o', '\n'}, "found 68 65 6c 6c"},
      {"png", {0x89, 'P', 'N', 'G'}, magic},
      {"npy", {0x93, 'N', 'U', 'M', 'P', 'Y'}, magic},
      {"zip", {'P', 'K', 3, 4, 0, 0}, magic},
      {"first byte set", with(0, 1), magic},
      {"second byte set", with(1, 1), magic},
      {"type 00", with(2, 0x00), "found type 00"},
      {"type 07", with(2, 0x07), "expected an idx element type (08, 09, 0b, 0c, 0d, 0e), found type 07"},
      {"type 0a", with(2, 0x0A), "found type 0a"},
      {"type 0f", with(2, 0x0F), "found type 0f"},
      {"type ff", with(2, 0xFF), "found type ff"},
      {"rank 0", with(3, 0), "expected 1 to 6 axes in the idx header, found 0"},
      {"rank 7", with(3, 7), "found 7"},
      {"rank 255", with(3, 255), "found 255"},
      {"rank 4 for 3", with(3, 4), "bytes of elements for [3, 4, 5, 66051]"},
      {"rank 2 for 3", with(3, 2), "expected 12 bytes of elements for [3, 4], found 64"},
      {"rank 1 for 3", with(3, 1), "expected 3 bytes of elements for [3], found 68"},
      {"no sizes", first(good, 4), "expected an idx header of 16 bytes, found only 4 bytes"},
      {"half a size", first(good, 6), "found only 6 bytes"},
      {"one size", first(good, 8), "found only 8 bytes"},
      {"two sizes", first(good, 12), "found only 12 bytes"},
      {"sizes but the last byte", first(good, 15), "found only 15 bytes"},
      {"no elements", first(good, 16), "expected 60 bytes of elements for [3, 4, 5], found only 0"},
      {"one element", first(good, 17), "found only 1"},
      {"last element missing", first(good, 75), "found only 59"},
      {"last image missing", first(good, 56), "found only 40"},
      {"one byte too many", good + Bytes{0}, "expected 60 bytes of elements for [3, 4, 5], found 61"},
      {"one image too many", good + Bytes(20), "found 80"},
      {"twice", good + good, "found 136"},
      {"count 2^32 - 1",
       idx_bytes({most}, 10),
       "expected 4294967295 bytes of elements for [4294967295], found only 10",
       {.max_bytes = std::uint64_t{1} << 40}},
      {"count 2^31", idx_bytes({1u << 31}, 10), "found only 10"},
      {"65536 x 65536", idx_bytes({1, 65536, 65536}, 10), "found only 10", {.max_bytes = std::uint64_t{1} << 40}},
      {"65536 x 65536 by the limit", idx_bytes({2, 65536, 65536}, 10),
       "expected at most 4294967296 bytes of elements, found 8589934592"},
      {"2^64 elements", idx_bytes({65536, 65536, 65536, 65536}, 10),
       "expected fewer than 2^46 elements, found sizes 65536 x 65536 x 65536"},
      {"2^96 elements", idx_bytes({most, most, most}, 10), "expected fewer than 2^46 elements"},
      {"2^192 elements", idx_bytes({most, most, most, most, most, most}, 10), "expected fewer than 2^46 elements"},
      {"2^64 behind a zero", idx_bytes({0, most, most}, 0), "expected fewer than 2^46 elements"},
      {"product that wraps to 4", idx_bytes({4194305, 4194305, 1024}, 4), "expected fewer than 2^46 elements"},
      {"size with its sign bit", idx_bytes({0x80000000, 2}, 4), "found only 4"},
      {"above max_bytes", good, "expected at most 59 bytes of elements, found 60 for [3, 4, 5]", {.max_bytes = 59}},
      {"no images, but bytes", idx_bytes({0, 28, 28}, 1), "expected 0 bytes of elements for [0, 28, 28], found 1"},
      {"int16 with too few bytes", idx_bytes({6}, 11, 0x0B), "expected 12 bytes of elements for [6], found only 11"},
      {"int16 with too many bytes", idx_bytes({6}, 13, 0x0B), "found 13"},
      {"int32 with uint8's bytes", idx_bytes({6}, 6, 0x0C), "expected 24 bytes"},
      {"float32 with one byte too few", idx_bytes({6}, 23, 0x0D), "found only 23"},
      {"float64 with float32's bytes", idx_bytes({6}, 24, 0x0E), "expected 48 bytes"},
      {"labels where images are wanted",
       idx_bytes({60}, 60),
       "expected 3 axes in the idx header, found 1",
       {.rank = 3}},
      {"images where labels are wanted", good, "expected 1 axis in the idx header, found 3", {.rank = 1}},
      {"floats where bytes are wanted",
       idx_bytes({2}, 8, 0x0D),
       "expected idx elements of type 08, found type 0d",
       {.type = IdxType::uint8}},
      {"signed bytes where bytes are wanted", idx_bytes({2}, 2, 0x09), "found type 09", {.type = IdxType::uint8}},
  };
}

}  // namespace

TEST_CASE("idx: shapes, types and elements") {
  const TempDir dir;
  for (const bool compressed : {false, true}) {
    const auto write = [&](const Bytes& bytes) { write_file(dir / "a", compressed ? gzip_bytes(bytes) : bytes); };
    write(idx_bytes({3, 4, 5}, 60));
    IdxArray array = read_idx(dir / "a", {.type = IdxType::uint8, .rank = 3});
    REQUIRE(array.shape == Shape{3, 4, 5});
    REQUIRE(array.bytes.size() == 60);
    for (std::size_t i = 0; i < 60; ++i) REQUIRE(array.bytes[i] == i);

    write(idx_bytes({7}, 56, 0x0E));
    array = read_idx(dir / "a");
    REQUIRE(array.type == IdxType::float64);
    REQUIRE(array.bytes.size() == 56);

    write(idx_bytes({0, 28, 28}, 0));
    REQUIRE(read_idx(dir / "a").shape == Shape{0, 28, 28});
    write(idx_bytes({1, 2, 1, 3, 1, 2}, 12));
    REQUIRE(read_idx(dir / "a").shape == Shape{1, 2, 1, 3, 1, 2});

    Bytes large = idx_bytes({3000, 1000}, 3'000'000);  // more than one piece
    write(large);
    REQUIRE(read_idx(dir / "a").bytes == Bytes(large.begin() + 12, large.end()));
  }
}

TEST_CASE("idx: bad files are told apart") {
  const TempDir dir;
  const auto files = bad_files();
  REQUIRE(files.size() >= 55);
  for (const BadFile& bad : files) {
    INFO(bad.what);
    write_file(dir / "bad", bad.bytes);
    REQUIRE_THROWS_AS(read_idx(dir / "bad", bad.options), FileError);
    REQUIRE_THROWS_WITH(read_idx(dir / "bad", bad.options),
                        contains(bad.expected) && contains((dir / "bad") + ": expected "));
  }
}

TEST_CASE("idx: the same bad files, compressed") {
  const TempDir dir;
  for (const BadFile& bad : bad_files()) {
    INFO(bad.what);
    write_file(dir / "bad", gzip_bytes(bad.bytes));
    REQUIRE_THROWS_AS(read_idx(dir / "bad", bad.options), FileError);
  }
  write_file(dir / "bad", gzip_bytes(idx_bytes({3}, 4)));
  REQUIRE_THROWS_WITH(read_idx(dir / "bad"), contains("expected 3 bytes of elements for [3], found more"));
  write_file(dir / "bad", gzip_bytes(idx_bytes({3}, 2)));
  REQUIRE_THROWS_WITH(read_idx(dir / "bad"), contains("expected 3 bytes of elements for [3], found only 2"));
  write_file(dir / "bad", gzip_bytes(idx_bytes({0xFFFFFFFF}, 2)));
  REQUIRE_THROWS_WITH(read_idx(dir / "bad"), contains("found a compressed file too small for more than"));
  write_file(dir / "bad", gzip_bytes(gzip_bytes(idx_bytes({3}, 3))));
  REQUIRE_THROWS_WITH(read_idx(dir / "bad"), contains("it was compressed twice"));
}

TEST_CASE("idx: every truncation is an error") {
  const TempDir dir;
  const Bytes plain = idx_bytes({3, 4, 5}, 60);
  for (const Bytes& whole : {plain, gzip_bytes(plain), gzip_bytes(plain, "train-images")})
    for (std::size_t length = 0; length < whole.size(); ++length) {
      INFO(length << " bytes of " << whole.size());
      write_file(dir / "cut", first(whole, length));
      REQUIRE_THROWS_AS(read_idx(dir / "cut"), FileError);
    }
}

TEST_CASE("idx: a flipped bit is an error or another array, never a crash") {
  const TempDir dir;
  const Bytes plain = idx_bytes({3, 4, 5}, 60);
  std::size_t errors = 0;
  const auto flip_all = [&](const Bytes& whole) {
    for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
      Bytes bytes = whole;
      bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] ^ (1 << bit % 8));
      write_file(dir / "flipped", bytes);
      try {
        const IdxArray array = read_idx(dir / "flipped");
        REQUIRE(array.bytes.size() == 60);
      } catch (const FileError&) {
        ++errors;
      }
    }
  };
  flip_all(plain);
  REQUIRE(errors >= 100);  // nearly all bits of the header
  errors = 0;
  const Bytes compressed = gzip_bytes(plain);
  flip_all(compressed);
  REQUIRE(errors >= 8 * (compressed.size() - 10));  // all bits behind the header of 10 bytes, by the checksum
}
