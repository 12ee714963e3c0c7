#include "io/npz.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>

#include "autodiff/text.h"
#include "io/file.h"
#include "io/npy_header.h"
#include "io/zip.h"

namespace tapestry::io {
namespace {

constexpr std::uint64_t kLongestHeader = 64 * 1024;  // what version 1.0 can hold; NumPy writes 128 bytes or few more

// Where the bytes of one array come from.
struct Source {
  std::uint64_t size;
  std::function<void(std::span<std::byte>)> read;
  std::function<void(const std::string&)> refuse;  // throws
};

void read_int32(const Source& source, std::span<std::int64_t> out) {
  std::array<std::int32_t, 4096> buffer;
  while (!out.empty()) {
    const std::size_t count = std::min(out.size(), buffer.size());
    source.read(std::as_writable_bytes(std::span(buffer).first(count)));
    std::copy_n(buffer.begin(), count, out.begin());
    out = out.subspan(count);
  }
}

std::uint64_t read_length(const Source& source, std::uint64_t& used) {
  std::array<unsigned char, 8> start{};
  if (source.size < start.size()) source.refuse(fmt::format("has {} bytes, too few for a .npy file", source.size));
  source.read(std::as_writable_bytes(std::span(start)));
  if (!std::ranges::equal(std::span(start).first(6), std::string_view("\x93NUMPY"),
                          [](unsigned char a, char b) { return a == static_cast<unsigned char>(b); }))
    source.refuse("does not begin like a .npy file");
  const unsigned major = start[6], minor = start[7];
  if (major < 1 || major > 3 || minor != 0)
    source.refuse(fmt::format("has version {}.{} of the .npy format; 1.0, 2.0 and 3.0 are read", major, minor));
  std::array<unsigned char, 4> bytes{};
  const std::size_t width = major == 1 ? 2 : 4;
  used = start.size() + width;
  if (source.size < used) source.refuse("ends within its header");
  source.read(std::as_writable_bytes(std::span(bytes).first(width)));
  std::uint64_t length = 0;
  for (std::size_t i = width; i-- > 0;) length = length << 8 | bytes[i];
  return length;
}

Tensor read_npy(const Context& context, const Source& source) {
  std::uint64_t used = 0;
  const std::uint64_t length = read_length(source, used);
  if (length > source.size - used)
    source.refuse(fmt::format("its header of {} bytes does not fit its {}", length, source.size));
  if (length > kLongestHeader)
    source.refuse(fmt::format("its header of {} bytes is longer than the {} allowed", length, kLongestHeader));
  std::string text(static_cast<std::size_t>(length), '\0');
  source.read(std::as_writable_bytes(std::span(text)));
  const NpyHeader header = parse_npy_header(text, source.refuse);
  const std::uint64_t needed = static_cast<std::uint64_t>(header.shape.size()) * npy_item_bytes(header.type);
  const std::uint64_t left = source.size - used - length;
  if (left != needed)
    source.refuse(
        fmt::format("its shape {} needs {} bytes, {} follow the header", to_string(header.shape), needed, left));
  if (header.type == NpyType::int32) {
    Tensor tensor = context.empty(header.shape, DType::int64);
    read_int32(source, tensor.span<std::int64_t>());
    return tensor;
  }
  Tensor tensor = context.empty(header.shape, header.type == NpyType::float32   ? DType::float32
                                              : header.type == NpyType::float64 ? DType::float64
                                                                                : DType::int64);
  source.read({tensor.raw(), tensor.bytes()});
  return tensor;
}

}  // namespace

Tensor load_npy(const Context& context, const std::string& path) {
  const InputFile file(path);
  std::uint64_t offset = 0;
  const auto read = [&](std::span<std::byte> out) {
    file.read(offset, out);
    offset += out.size();
  };
  const auto refuse = [&](const std::string& message) { fail_file(path, message); };
  return read_npy(context, {file.size(), read, refuse});
}

std::vector<NamedTensor> load_npz(const Context& context, const std::string& path, NpzOptions options) {
  constexpr std::string_view kSuffix = ".npy";
  const InputFile file(path);
  const std::vector<ZipMember> members = zip_members(file);
  std::uint64_t total = 0;
  for (const ZipMember& member : members) {
    if (!member.name.ends_with(kSuffix))
      fail_file(path, fmt::format("member '{}': is no .npy file", printable(member.name)));
    if (member.size > options.max_bytes - total)
      fail_file(path, fmt::format("member '{}': the arrays have more than the {} bytes that max_bytes allows",
                                  printable(member.name), options.max_bytes));
    total += member.size;
  }
  std::vector<NamedTensor> arrays;
  for (const ZipMember& member : members) {
    ZipStream stream(file, member);
    const auto read = [&](std::span<std::byte> out) { stream.read(out); };
    const auto refuse = [&](const std::string& message) {
      fail_file(path, fmt::format("member '{}': {}", printable(member.name), message));
    };
    Tensor tensor = read_npy(context, {member.size, read, refuse});
    stream.finish();
    arrays.push_back({member.name.substr(0, member.name.size() - kSuffix.size()), std::move(tensor)});
  }
  return arrays;
}

}  // namespace tapestry::io
