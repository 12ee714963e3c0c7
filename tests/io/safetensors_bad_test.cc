#include <chrono>
#include <cstring>

#include "io/safetensors.h"
#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/io/refusal.h"

using namespace tapestry;
using namespace tapestry::io;
using namespace tapestry::test;

namespace {

std::string length_bytes(std::uint64_t length) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes;
}

std::string with_header(const std::string& header, std::size_t data = 0) {
  return length_bytes(header.size()) + header + std::string(data, '\1');
}

// A header of one tensor 'x' with these fields.
std::string one(const std::string& fields) { return "{\"x\":{" + fields + "}}"; }

std::string fields(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return "\"dtype\":" + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets;
}

// The message with which a file of these bytes is refused; empty when it is taken.
std::string refusal(const Context& context, const TempDir& folder, const std::string& bytes) {
  write_file(folder / "f", bytes);
  return error_of<FileError>([&] { load_safetensors(context, folder / "f"); });
}

const std::string kGood = fields("\"F32\"", "[2]", "[0,8]");

}  // namespace

TEST_CASE("safetensors: lengths that cannot be are refused") {
  const Context context{{.threads = 1}};
  const TempDir folder;
  const auto check = [&](const std::string& bytes, const std::string& part) {
    const std::string message = refusal(context, folder, bytes);
    CHECK_THAT(message, contains(part));
    CHECK(message.starts_with(folder / "f: "));
    CHECK(message.find('\n') == message.npos);
  };
  check("", "byte 0: too short for a safetensors file");
  check(std::string(7, '\0'), "byte 7: too short for a safetensors file");
  check(std::string(8, '\0'), "byte 8: the header must begin with '{'");
  check(length_bytes(1), "a header of 1 bytes does not fit the file's 8");
  check(length_bytes(1) + "{", "byte 9: the header is not valid JSON: syntax error while parsing object key");
  check(length_bytes(std::uint64_t{1} << 63) + "{}",
        "byte 0: a header of 9223372036854775808 bytes is more than the 100000000 allowed");
  check(length_bytes(100'000'001) + "{}", "more than the 100000000 allowed");
  check(length_bytes(100'000'000) + "{}", "does not fit the file's 10");
  check(length_bytes(3) + "{}", "a header of 3 bytes does not fit");
  check(length_bytes(2) + "{}x", "the tensors end at byte 0 of the data, but 1 more bytes follow");
}

TEST_CASE("safetensors: headers that are not the format's JSON are refused") {
  const Context context{{.threads = 1}};
  const TempDir folder;
  const auto check = [&](const std::string& header, const std::string& part) {
    const std::string message = refusal(context, folder, with_header(header, 8));
    INFO("header " << header.substr(0, 100));
    CHECK_THAT(message, contains(part));
    CHECK(message.starts_with(folder / "f: "));
    CHECK(message.find('\n') == message.npos);
  };
  REQUIRE(refusal(context, folder, with_header(one(kGood), 8)).empty());
  REQUIRE(refusal(context, folder, with_header(one(kGood) + "   ", 8)).empty());
  for (const char* text : {" {}", "[]", "1", "\xEF\xBB\xBF{}", "null", "\"x\"", "\n{}"})
    check(text, "byte 8: the header must begin with '{'");
  for (const std::string& text :
       {std::string("{"), std::string("{}}"), std::string("{} x"), std::string("{,}"), std::string("{\"x\"}"),
        one(kGood + ","), std::string("{/**/}"), std::string("{\"x\":{}\0}", 9), std::string("{}\0", 3),
        std::string("{\"x\":NaN}"), std::string("{'x':{}}"), std::string("{\"\xFF\":{}}"),
        std::string("{\"\\ud800\":{}}"), std::string("{\"\xED\xA0\x80\":{}}"), std::string("{\"a\nb\":{}}"),
        std::string("{\"x\":{\"dtype\":\"F32}}"), std::string("{\"x\":{\"shape\":[01]}}")})
    check(text, "the header is not valid JSON");
  check(one("\"shape\":[" + std::string(20'000, '1') + "]"), "number overflow parsing '111");
  check("{\"x\":1}", "tensor 'x': must be an object, found the number 1");
  check("{\"x\":[]}", "tensor 'x': must be an object, found a list");
  check("{\"x\":null}", "tensor 'x': must be an object, found null");
  check("{\"x\":true}", "tensor 'x': must be an object, found true");
  check("{\"x\":\"y\"}", "tensor 'x': must be an object, found a string");
  check("{\"x\":{" + kGood + "},\"x\":{" + kGood + "}}", "tensor 'x': the name appears twice");
  check("{\"a\\u0062\":{" + kGood + "},\"ab\":{" + kGood + "}}", "tensor 'ab': the name appears twice");
  check(one(kGood + ",\"dtype\":\"F32\""), "tensor 'x': the key 'dtype' appears twice");
  check(one(kGood + ",\"shape\":[2]"), "the key 'shape' appears twice");
  check(one(kGood + ",\"data_offsets\":[0,8]"), "the key 'data_offsets' appears twice");
  check(one(kGood + ",\"more\":1"), "tensor 'x': unknown key 'more'");
  check("{\"__metadata__\":[]}", "__metadata__: must be an object of strings, found a list");
  check("{\"__metadata__\":3}", "__metadata__: must be an object of strings, found the number 3");
  check("{\"__metadata__\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
        "__metadata__: 'shape' must be a string, found a list");
  check("{\"__metadata__\":{\"a\":1}}", "__metadata__: 'a' must be a string, found the number 1");
  check("{\"__metadata__\":{\"a\":{}}}", "__metadata__: 'a' must be a string, found an object");
  check("{\"__metadata__\":{\"a\":\"1\",\"a\":\"1\"}}", "__metadata__: the key 'a' appears twice");
  check("{\"__metadata__\":{},\"__metadata__\":{}}", "__metadata__: the name appears twice");
  const std::string deep(1'000'000, '[');
  check(one("\"shape\":" + deep), "tensor 'x': shape must be a list of whole numbers, found a list");
  check("{\"x\":" + deep, "found a list");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  check(objects, "tensor 'a': unknown key 'a'");
}

TEST_CASE("safetensors: tensors whose entries cannot be are refused by name") {
  const Context context{{.threads = 1}};
  const TempDir folder;
  const auto check = [&](const std::string& text, const std::string& part) {
    INFO(text.substr(0, 100));
    const std::string message = refusal(context, folder, with_header(one(text), 8));
    CHECK_THAT(message, contains("tensor 'x': "));
    CHECK_THAT(message, contains(part));
  };
  check("\"shape\":[2],\"data_offsets\":[0,8]", "dtype is missing");
  check("\"dtype\":\"F32\",\"data_offsets\":[0,8]", "shape is missing");
  check("\"dtype\":\"F32\",\"shape\":[2]", "data_offsets is missing");
  check("", "dtype is missing");
  check(fields("\"F33\"", "[2]", "[0,8]"), "has the unknown dtype 'F33'; F32, F64 and I64 can be held");
  check(fields("\"f32\"", "[2]", "[0,8]"), "has the unknown dtype 'f32'");
  check(fields("\"F16\"", "[4]", "[0,8]"), "has dtype 'F16'; F32, F64 and I64 can be held");
  check(fields("\"F4\"", "[3]", "[0,8]"), "has dtype 'F4'");
  check(fields("4", "[2]", "[0,8]"), "dtype must be a string, found the number 4");
  check(fields("[\"F32\"]", "[2]", "[0,8]"), "dtype must be a string, found a list");
  check(fields("\"F32\"", "2", "[0,8]"), "shape must be a list of whole numbers, found the number 2");
  check(fields("\"F32\"", "{}", "[0,8]"), "shape must be a list of whole numbers, found an object");
  check(fields("\"F32\"", "[-2]", "[0,8]"), "shape must be a list of whole numbers, found the negative number -2");
  check(fields("\"F32\"", "[-0]", "[0,8]"), "shape must be a list of whole numbers, found");
  check(fields("\"F32\"", "[2.0]", "[0,8]"), "found 2.0, which is no whole number");
  check(fields("\"F32\"", "[2e0]", "[0,8]"), "found 2e0, which is no whole number");
  check(fields("\"F32\"", "[\"2\"]", "[0,8]"), "found a string");
  check(fields("\"F32\"", "[null]", "[0,8]"), "found null");
  check(fields("\"F32\"", "[1,1,1,1,1,1,2]", "[0,8]"), "has more than 6 axes");
  check(fields("\"F32\"", "[4194305,4194305,211106198978564]", "[0,8]"), "has more than 2^46 elements");
  check(fields("\"F32\"", "[0,9223372036854775808]", "[0,0]"), "has more than 2^46 elements");
  check(fields("\"F32\"", "[18446744073709551616]", "[0,8]"), "which is no whole number below 2^64");
  check(fields("\"F32\"", "[3]", "[0,8]"), "F32 [3] needs 12 bytes, data_offsets give 8");
  check(fields("\"F64\"", "[]", "[0,4]"), "F64 [] needs 8 bytes, data_offsets give 4");
  check(fields("\"F32\"", "[2]", "[8,0]"), "data_offsets run backwards, from 8 to 0");
  check(fields("\"F32\"", "[4]", "[0,16]"), "its data end at 16, the file's at 8");
  check(fields("\"F32\"", "[2]", "[1,9]"), "its data end at 9, the file's at 8");
  check(fields("\"F32\"", "[1]", "[4,8]"), "its data start at 4; bytes 0 to 4 belong to no tensor");
  check(fields("\"F32\"", "[2]", "[18446744073709551608,18446744073709551615]"), "its data end at");
  check(fields("\"F32\"", "[2]", "[0,18446744073709551616]"),
        "data_offsets must be two numbers, found 18446744073709551616");
  check(fields("\"F32\"", "[2]", "[-1,7]"), "data_offsets must be two numbers, found the negative number -1");
  check(fields("\"F32\"", "[2]", "[1.5,8]"), "found 1.5");
  check(fields("\"F32\"", "[2]", "[0,1e3]"), "found 1e3");
  check(fields("\"F32\"", "[2]", "[0]"), "data_offsets must be two numbers");
  check(fields("\"F32\"", "[2]", "[]"), "data_offsets must be two numbers");
  check(fields("\"F32\"", "[2]", "[0,8,8]"), "data_offsets must be two numbers");
  check(fields("\"F32\"", "[2]", "\"0,8\""), "data_offsets must be two numbers, found a string");
}

TEST_CASE("safetensors: data that overlap, leave a hole or go on are refused") {
  const Context context{{.threads = 1}};
  const TempDir folder;
  const auto two = [&](const std::string& a, const std::string& b, std::size_t data) {
    return refusal(
        context, folder,
        with_header("{\"a\":{" + fields("\"F32\"", "[1]", a) + "},\"b\":{" + fields("\"F32\"", "[1]", b) + "}}", data));
  };
  REQUIRE(two("[0,4]", "[4,8]", 8).empty());
  REQUIRE(two("[4,8]", "[0,4]", 8).empty());
  CHECK_THAT(two("[0,4]", "[2,6]", 8),
             contains("tensor 'b': its data, from 2 on, overlap those of another tensor, which end at 4"));
  CHECK_THAT(two("[0,4]", "[0,4]", 4), contains("tensor 'b': its data, from 0 on, overlap"));
  CHECK_THAT(two("[0,4]", "[8,12]", 12), contains("tensor 'b': its data start at 8; bytes 4 to 8 belong to no tensor"));
  CHECK_THAT(two("[0,4]", "[4,8]", 9), contains("the tensors end at byte 8 of the data, but 1 more bytes follow"));
  CHECK_THAT(two("[0,4]", "[4,8]", 7), contains("tensor 'b': its data end at 8, the file's at 7"));
  std::string many = "{";
  for (int i = 0; i < 100'000; ++i)
    many += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":{" + fields("\"F32\"", "[4]", "[0,16]") + "}";
  CHECK_THAT(refusal(context, folder, with_header(many + "}", 16)), contains("overlap"));
}

TEST_CASE("safetensors: a header of blanks takes linear time and a claim takes no memory") {
  const Context context{{.threads = 1}};
  const TempDir folder;
  const auto start = std::chrono::steady_clock::now();
  CHECK_THAT(refusal(context, folder, with_header("{" + std::string(20'000'000, ' ') + "x", 0)),
             contains("not valid JSON"));
  CHECK_THAT(
      refusal(context, folder, with_header(one(fields("\"F32\"", "[35184372088832]", "[0,140737488355328]")), 8)),
      contains("its data end at"));
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(10));
  CHECK(context.memory().mapped_bytes < (std::size_t{64} << 20));
}

TEST_CASE("safetensors: a file cut at any byte is refused; with any bit flipped it is refused or read") {
  const Context context{{.threads = 1}};
  const TempDir folder;
  save_safetensors(
      folder / "good",
      std::array{NamedTensor{"weight", context.zeros({2, 2})}, NamedTensor{"n", context.zeros({}, DType::int64)}},
      {{"format", "pt"}});
  const std::string good = read_text(folder / "good");
  const auto refused = [&] {
    return !error_of<FileError>([&] { load_safetensors(context, folder / "good"); }).empty();
  };
  int flips = 0;
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    flip_bit(folder / "good", bit);
    flips += refused() ? 1 : 0;
    flip_bit(folder / "good", bit);
  }
  REQUIRE(flips > 700);
  REQUIRE_FALSE(refused());
  for (std::size_t length = good.size(); length-- > 0;) {
    std::filesystem::resize_file(folder / "good", length);
    REQUIRE(refused());
  }
}
