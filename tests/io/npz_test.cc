#include "io/npz.h"

#include <cstring>

#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/io/archives.h"
#include "tests/io/refusal.h"

using namespace tapestry;
using namespace tapestry::io;
using namespace tapestry::test;

namespace {

const std::string kFloats = npy("<f4", "(2, 3)", bytes_of<float>({1, 2, 3, 4, 5, 6}));
const std::string kInts = npy("<i4", "(3,)", bytes_of<std::int32_t>({-1, 2, 2147483647}));

std::string zipped(std::string data) { return TestZip().add({"x.npy", std::move(data)}).bytes(); }

}  // namespace

TEST_CASE("npy: arrays of all types, shapes and versions are read") {
  const Context context{{.threads = 1}};
  const TempDir folder;
  const auto load = [&](const std::string& bytes) {
    write_file(folder / "f", bytes);
    return load_npy(context, folder / "f");
  };
  const Tensor floats = load(kFloats);
  REQUIRE(floats.shape() == Shape{2, 3});
  REQUIRE(floats.span<float>()[5] == 6);
  for (int major : {1, 2, 3}) {
    const Tensor doubles = load(npy("<f8", "()", bytes_of<double>({0.1}), major));
    REQUIRE(doubles.shape() == Shape{});
    REQUIRE(doubles.item() == 0.1);
  }
  const Tensor longs = load(npy("<i8", "(1, 2)", bytes_of<std::int64_t>({-5, std::int64_t{1} << 40})));
  REQUIRE(longs.span<std::int64_t>()[1] == std::int64_t{1} << 40);
  const Tensor ints = load(kInts);
  REQUIRE(ints.dtype() == DType::int64);
  REQUIRE(ints.span<std::int64_t>()[0] == -1);
  REQUIRE(ints.span<std::int64_t>()[2] == 2147483647);
  REQUIRE(load(npy("<f4", "(0, 7)", "")).shape() == Shape{0, 7});
  REQUIRE(load(npy_with_header("{\"shape\":(1,2),'fortran_order':False , 'descr':'<f4'}\n", std::string(8, '\0')))
              .shape() == Shape{1, 2});
  REQUIRE(load(npy_with_header("{'descr': '<f4', 'fortran_order': True, 'shape': (2,), }\n", std::string(8, '\0')))
              .shape() == Shape{2});
  const std::string many(40000, '\1');
  const Tensor chunks = load(npy("<i4", "(10000,)", many));
  for (std::int64_t value : chunks.span<std::int64_t>()) REQUIRE(value == 0x01010101);
}

TEST_CASE("npz: stored and deflated members, zip64 headers and descriptors are read") {
  const Context context{{.threads = 1}};
  const TempDir folder;
  const std::string large = npy("<f8", "(50000,)", std::string(400000, '\2'));
  write_file(folder / "f", TestZip()
                               .add({"w/a.npy", kFloats})
                               .add({.name = "b.npy", .data = kInts, .pack = true})
                               .add({.name = "c.npy", .data = kFloats, .zip64 = true})
                               .add({.name = "d.npy", .data = large, .pack = true, .zip64 = true})
                               .add({.name = "e.npy", .data = large, .pack = true, .descriptor = true})
                               .bytes("a comment"));
  const std::vector<NamedTensor> arrays = load_npz(context, folder / "f");
  REQUIRE(arrays.size() == 5);
  REQUIRE(arrays[0].name == "w/a");
  REQUIRE(arrays[0].value.span<float>()[5] == 6);
  REQUIRE(arrays[1].value.span<std::int64_t>()[2] == 2147483647);
  REQUIRE(arrays[2].value.span<float>()[0] == 1);
  for (std::size_t i : {3u, 4u}) {
    REQUIRE(arrays[i].value.shape() == Shape{50000});
    REQUIRE(std::memcmp(arrays[i].value.raw(), std::string(400000, '\2').data(), 400000) == 0);
  }
  write_file(folder / "f", TestZip().bytes());
  REQUIRE(load_npz(context, folder / "f").empty());
}

TEST_CASE("npy: files that break a rule are refused with the rule, inside of .npz too") {
  const Context context{{.threads = 1}};
  const TempDir folder;
  const auto check = [&](const std::string& bytes, const std::string& part) {
    write_file(folder / "f", bytes);
    CHECK_THAT(error_of<FileError>([&] { load_npy(context, folder / "f"); }),
               contains(folder / "f: ") && contains(part));
    write_file(folder / "z", zipped(bytes));
    CHECK_THAT(error_of<FileError>([&] { load_npz(context, folder / "z"); }),
               contains(folder / "z: member 'x.npy': ") && contains(part));
  };
  const auto header = [](const std::string& text, std::size_t data = 8) {
    return npy_with_header(text, std::string(data, '\0'));
  };
  const auto shaped = [](const std::string& shape) { return npy("<f4", shape, std::string(8, '\0')); };
  check("", "has 0 bytes, too few");
  check("\x93NUMPY\1", "has 7 bytes, too few");
  check(std::string("\x93NUMPX\1\0\0\0", 10), "does not begin like a .npy file");
  check(std::string("\x93NUMPY\4\0\0\0", 10), "has version 4.0");
  check(std::string("\x93NUMPY\1\1\0\0", 10), "has version 1.1");
  check(std::string("\x93NUMPY\1\0\0", 9), "ends within its header");
  check(std::string("\x93NUMPY\1\0\x80\0", 10), "its header of 128 bytes does not fit its 10");
  check(std::string("\x93NUMPY\2\0\xF0\xFF\xFF\xFF", 12), "its header of 4294967280 bytes does not fit its 12");
  check(npy_with_header(std::string(70000, ' '), "", 2), "its header of 70000 bytes is longer than the 65536 allowed");
  check(header(""), "'{' expected");
  check(header("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"), "must end with one newline");
  check(header("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), } x\n"), "must end with one newline");
  check(header("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)\n"), "',' expected");
  check(header("{'descr': '<f4', 'fortran_order': False, }\n"), "'shape' is missing");
  check(header("{'descr': '<f4', 'shape': (2,), }\n"), "'fortran_order' is missing");
  check(header("{'fortran_order': False, 'shape': (2,), }\n"), "'descr' is missing");
  check(header("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n"),
        "the key 'descr' appears twice");
  check(header("{'more': 1, 'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n"), "unknown key 'more'");
  check(header("{'descr: <f4}\n"), "has no end");
  check(header("{descr: 1}\n"), "expected at character 1");
  check(header("{'shape': __import__('os').system('true')}\n"), "'(' expected");
  check(header("{'fortran_order': None}\n"), "fortran_order must be True or False");
  check(header("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2), }\n"), "is in Fortran order");
  check(header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }\n"), "records of several fields");
  check(npy("|O", "(1,)", "12345678"), "holds Python objects ('|O'), which are never loaded");
  check(npy(">f4", "(2,)", "12345678"), "is big-endian ('>f4')");
  check(npy("<c8", "(1,)", "12345678"), "has dtype '<c8'; '<f4', '<f8', '<i8' and '<i4' are read");
  check(npy("|u1", "(8,)", "12345678"), "has dtype '|u1'");
  check(shaped("(3,)"), "its shape [3] needs 12 bytes, 8 follow");
  check(shaped("(1,)"), "its shape [1] needs 4 bytes, 8 follow");
  check(shaped("(2)"), "its shape is a number, not a tuple");
  check(shaped("(-2,)"), "its shape holds something other than sizes");
  check(shaped("(2.0,)"), "',' expected");
  check(shaped("(,2)"), "something other than sizes");
  check(shaped("(1,2"), "something other than sizes");
  check(shaped("[2]"), "'(' expected");
  check(shaped("(4294967296, 4294967296)"), "has more than 2^46 elements");
  check(shaped("(18446744073709551616,)"), "has more than 2^46 elements");
  check(shaped("(0, 9223372036854775807)"), "has more than 2^46 elements");
  check(shaped("(1, 1, 1, 1, 1, 1, 2)"), "has more than 6 axes");
}

TEST_CASE("npz: archives that break a rule are refused with the rule") {
  const Context context{{.threads = 1}};
  const TempDir folder;
  const auto check = [&](const std::string& bytes, const std::string& part) {
    write_file(folder / "f", bytes);
    CHECK_THAT(error_of<FileError>([&] { load_npz(context, folder / "f"); }),
               contains(folder / "f: ") && contains(part));
  };
  const auto member = [&](TestMember changed, const std::string& part) {
    if (changed.name.empty()) changed.name = "x.npy";
    if (changed.data.empty()) changed.data = kFloats;
    check(TestZip().add(changed).bytes(), part);
  };
  const std::string good = TestZip().add({"x.npy", kFloats}).bytes();
  check("", "byte 0: too short for a zip file");
  check(std::string(22, 'x'), "byte 22: no end of a zip file");
  check(kFloats, "no end of a zip file");
  check(good + "x", "no end of a zip file");
  check("x" + good, "the directory must lie at");
  check(good.substr(0, good.size() - 1), "no end of a zip file");
  member({.name = "../../x.npy"}, "member '../../x.npy': a name must not lead out of the file");
  member({.name = "/x.npy"}, "a name must not lead out of the file");
  member({.name = "a\\..\\x.npy"}, "a name must not lead out of the file");
  member({.name = std::string("x\0.npy", 6)}, "a name must not be empty or hold a NUL byte");
  member({.name = "x.txt"}, "member 'x.txt': is no .npy file");
  member({.name = "folder/"}, "is no .npy file");
  member({.flags = 1}, "member 'x.npy': is encrypted");
  member({.method = 12}, "is packed by method 12; 0 (stored) and 8 (deflate) are read");
  member({.crc = 1}, "the file says 00000001; it is damaged");
  member({.pack = true, .crc = 1}, "the file says 00000001; it is damaged");
  member({.size = 1}, "is stored, with 152 bytes for 1");
  member({.pack = true, .size = 100}, "");
  member({.pack = true, .size = 153}, "follow the header");
  member({.pack = true, .size = 1 << 30}, "packed bytes cannot hold 1073741824");
  member({.packed = 1 << 30}, "are more than the file has");
  member({.size = 200, .packed = 200}, "its data go beyond the directory");
  member({.offset = 7}, "byte 7: its header is not there");
  member({.offset = 1 << 20}, "its header lies outside the file");
  member({.local_name = "y.npy"}, "byte 0: its header differs from the directory");
  const auto sum = crc32(0, reinterpret_cast<const Bytef*>(kFloats.data()), static_cast<uInt>(kFloats.size()));
  member({.data = kFloats + "x", .pack = true, .crc = static_cast<std::int64_t>(sum), .size = 152},
         "unpacks to more than the 152 bytes that its header says");
  member({.pack = true, .more_packed = "x"}, "its packed data go on after their end");
  member({.data = std::string(100, '\xFF'), .method = 8}, "its packed data are damaged: invalid block type");
  check(TestZip().add({"x.npy", kFloats}).add({"x.npy", kFloats}).bytes(), "member 'x.npy': the name appears twice");
  check(TestZip()
            .add({"x.npy", kFloats})
            .add({.name = "y.npy", .data = kFloats, .offset = 0, .local_name = "x.npy"})
            .bytes(),
        "differs from the directory");
  const std::string inner = TestZip().add({"y.npy", kFloats}).bytes().substr(0, 35 + kFloats.size());
  check(TestZip().add({"x.npy", inner}).add({.name = "y.npy", .data = kFloats, .offset = 35}).bytes(),
        "member 'y.npy': byte 35: overlaps member 'x.npy'");
  std::string count = good;
  count[good.size() - 12] = 2;
  count[good.size() - 14] = 2;
  check(count, "no directory entry where the 2th of 2 must be");
  count[good.size() - 14] = 1;
  check(count, "a zip file in several parts");
  count[good.size() - 12] = count[good.size() - 14] = 0;
  check(count, "the directory goes on after its 0 entries");
}

TEST_CASE("npz: unpacked sizes are capped by the option and by what deflate can do") {
  const Context context{{.threads = 1}};
  const TempDir folder;
  const std::string zeros = npy("<f4", "(1000000,)", std::string(4000000, '\0'));
  write_file(folder / "f", TestZip()
                               .add({.name = "a.npy", .data = zeros, .pack = true})
                               .add({.name = "b.npy", .data = zeros, .pack = true})
                               .bytes());
  REQUIRE(std::filesystem::file_size(folder / "f") < 10000);
  REQUIRE(load_npz(context, folder / "f").size() == 2);
  REQUIRE_THROWS_WITH(load_npz(context, folder / "f", {.max_bytes = 5000000}),
                      contains("member 'b.npy': the arrays have more than the 5000000 bytes that max_bytes allows"));
}

TEST_CASE("npy and npz: a file cut at any byte is refused; with any bit flipped it is refused or read") {
  const Context context{{.threads = 1}};
  const TempDir folder;
  const auto load = [&](bool zip) {
    return error_of<FileError>([&] {
      if (zip)
        load_npz(context, folder / "f");
      else
        load_npy(context, folder / "f");
    });
  };
  const std::string archive =
      TestZip().add({"x.npy", kFloats}).add({.name = "y.npy", .data = kInts, .pack = true, .zip64 = true}).bytes();
  for (bool zip : {false, true}) {
    const std::string& good = zip ? archive : kFloats;
    write_file(folder / "f", good);
    REQUIRE(load(zip).empty());
    for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
      flip_bit(folder / "f", bit);
      load(zip);
      flip_bit(folder / "f", bit);
    }
    REQUIRE(load(zip).empty());
    for (std::size_t length = good.size(); length-- > 0;) {
      std::filesystem::resize_file(folder / "f", length);
      REQUIRE_FALSE(load(zip).empty());
    }
  }
}
