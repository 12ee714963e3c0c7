#include "data/gzip.h"

#include <sys/stat.h>

#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/data/support.h"

using namespace tapestry;
using namespace tapestry::data;
using namespace tapestry::test;

namespace {

Bytes read_all(const std::string& path, std::size_t step = 1000) {
  FileReader reader(path);
  Bytes all, piece(step);
  for (std::size_t got = step; got == step;) {
    got = reader.read(piece);
    all.insert(all.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(got));
  }
  REQUIRE(reader.position() == all.size());
  return all;
}

Bytes random_bytes(std::size_t size) {
  Bytes bytes(size);
  std::uint32_t state = 1;
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>((state = state * 1664525u + 1013904223u) >> 24);
  return bytes;
}

}  // namespace

TEST_CASE("gzip: plain and compressed files give the same bytes") {
  const TempDir dir;
  for (const std::size_t size : {0u, 1u, 2u, 3u, 1000u, 65535u, 65536u, 65537u, 200000u}) {
    const Bytes content = random_bytes(size);
    for (const std::size_t step : {1000u, 7u, 1u << 20}) {
      write_file(dir / "plain", content);
      REQUIRE(read_all(dir / "plain", step) == content);
      write_file(dir / "packed.gz", gzip_bytes(content, "a name"));
      REQUIRE(read_all(dir / "packed.gz", step) == content);
    }
  }
}

TEST_CASE("gzip: the content tells, not the name") {
  const TempDir dir;
  const Bytes content = random_bytes(500);
  write_file(dir / "plain.gz", content);
  REQUIRE(read_all(dir / "plain.gz") == content);
  write_file(dir / "packed", gzip_bytes(content));
  REQUIRE(FileReader(dir / "packed").compressed());
  REQUIRE(read_all(dir / "packed") == content);
}

TEST_CASE("gzip: extra field, comment and header checksum are skipped") {
  const TempDir dir;
  const Bytes plain = gzip_bytes(random_bytes(100));
  Bytes header = first(plain, 10);
  header[3] = 4 + 8 + 16;
  const Bytes fields{3, 0, 'a', 'b', 'c', 'n', 'a', 'm', 'e', 0, 'w', 'h', 'y', 0};
  write_file(dir / "a", header + fields + Bytes(plain.begin() + 10, plain.end()));
  REQUIRE(read_all(dir / "a") == random_bytes(100));
}

TEST_CASE("gzip: damage is told apart") {
  const TempDir dir;
  const Bytes good = gzip_bytes(random_bytes(3000));
  const Bytes named = gzip_bytes(random_bytes(3000), "name");
  const std::size_t size = good.size();
  const auto with = [](Bytes bytes, std::size_t at, int change) {
    bytes[at] = static_cast<std::uint8_t>(bytes[at] ^ change);
    return bytes;
  };
  Bytes extra_flag = first(good, 10), endless_name = first(good, 10) + Bytes(300, 'x');
  extra_flag[3] = 4;
  endless_name[3] = 8;
  struct Case {
    const char* what;
    Bytes bytes;
    std::string expected;
  };
  const std::vector<Case> cases{
      {"method 0", with(good, 2, 8), "expected compression method 8 (deflate) in the gzip header, found method 0"},
      {"method 9", with(good, 2, 1), "found method 9"},
      {"reserved flag 0x20", with(good, 3, 0x20), "expected gzip flags of RFC 1952, found 0x20"},
      {"reserved flag 0x80", with(good, 3, 0x80), "found 0x80"},
      {"magic only", first(good, 2), "expected a whole gzip header, found the end of the file at byte 2"},
      {"header but its last byte", first(good, 9), "found the end of the file at byte 9"},
      {"extra field announced, not there", extra_flag,
       "expected a whole gzip header, found the end of the file at byte 10"},
      {"extra field cut", extra_flag + Bytes{200, 0, 1, 2}, "found the end of the file at byte 14"},
      {"name without an end", endless_name, "found the end of the file at byte 310"},
      {"header checksum wrong", with(named, 12, 1), "expected gzip header checksum "},
      {"header only", first(good, 10), "expected compressed data to their end, found the end of the file at byte 10"},
      {"cut in half", first(good, size / 2),
       "expected compressed data to their end, found the end of the file at byte " + std::to_string(size / 2)},
      {"last byte of the data missing", first(good, size - 9), "expected compressed data to their end"},
      {"trailer missing", first(good, size - 8),
       "expected a gzip trailer of 8 bytes, found 0 bytes, then the end of the file"},
      {"trailer cut in the checksum", first(good, size - 6), "found 2 bytes, then the end of the file"},
      {"trailer cut in the length", first(good, size - 1), "found 7 bytes, then the end of the file"},
      {"checksum wrong", with(good, size - 8, 1), "of the gzip trailer, found "},
      {"checksum wrong in its last byte", with(good, size - 5, 0x80), "expected data with the checksum "},
      {"length wrong", with(good, size - 4, 1), "by the gzip trailer, found 3000"},
      {"length wrong in its last byte", with(good, size - 1, 0x80),
       "expected 2147486648 bytes (modulo 2^32) by the gzip trailer, found 3000"},
      {"one byte appended", good + Bytes{0},
       "expected the end of the file after its gzip data, at byte " + std::to_string(size) + ", found 1 more bytes"},
      {"zeros appended", good + Bytes(512), "found 512 more bytes"},
      {"text appended", good + Bytes{'h', 'i', '\n'}, "found 3 more bytes"},
      {"second member", good + good, "found a second gzip member"},
      {"an empty second member", good + gzip_bytes({}), "found a second gzip member"},
      {"invalid block type", first(good, 10) + Bytes(20, 0xFF),
       "expected valid compressed data, found invalid block type at byte "},
      {"stored block with wrong lengths", first(good, 10) + Bytes{1, 5, 0, 0, 0, 1, 2, 3, 4, 5},
       "found invalid stored block lengths at byte "},
      {"reference before the start", first(good, 10) + Bytes{0x03, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0},
       "expected valid compressed data"},
  };
  for (const Case& bad : cases) {
    INFO(bad.what);
    write_file(dir / "bad.gz", bad.bytes);
    REQUIRE_THROWS_AS(read_all(dir / "bad.gz"), FileError);
    REQUIRE_THROWS_WITH(read_all(dir / "bad.gz"), contains(bad.expected) && contains("bad.gz: expected "));
  }
}

TEST_CASE("gzip: a bomb is inflated only as far as asked for") {
  const TempDir dir;
  write_file(dir / "bomb.gz", gzip_bytes(Bytes(std::size_t{64} << 20)));
  FileReader reader(dir / "bomb.gz");
  REQUIRE(reader.most_bytes() >= std::size_t{64} << 20);
  Bytes small(16);
  REQUIRE(reader.read(small) == 16);
  REQUIRE(reader.position() == 16);
}

TEST_CASE("gzip: what is no regular file") {
  const TempDir dir;
  REQUIRE_THROWS_WITH(FileReader(dir / "none"),
                      contains("none: expected a readable file, found No such file or directory"));
  REQUIRE_THROWS_WITH(FileReader(dir.path().string()), contains("expected a regular file, found a directory"));
  REQUIRE_THROWS_WITH(FileReader("/dev/zero"), contains("/dev/zero: expected a regular file, found a device"));
  REQUIRE(mkfifo((dir / "pipe").c_str(), 0600) == 0);
  REQUIRE_THROWS_WITH(FileReader(dir / "pipe"), contains("expected a regular file, found a pipe"));
  write_file(dir / "file", "x");
  REQUIRE_THROWS_WITH(FileReader(dir / "file/below"), contains("found Not a directory"));
  REQUIRE_THROWS_WITH(FileReader(""), contains(": expected a readable file, found No such file"));
  REQUIRE_THROWS_WITH(FileReader(std::string("a\0b", 3)), contains("expected a path, found a NUL character in it"));
  REQUIRE_THROWS_WITH(FileReader(dir / "two\nlines\xFF"), contains("two\\x0alines\\xff: expected"));
  REQUIRE_THROWS_WITH(FileReader(std::string(5000, 'x')), contains("File name too long"));
  REQUIRE_THROWS_AS(FileReader(dir / "none"), FileError);
}
