#include "data/idx.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

#include "data/gzip.h"

namespace tapestry::data {
namespace {

constexpr std::size_t kFirstBytes = std::size_t{1} << 20;  // the memory that a header gets before elements are read

std::size_t element_bytes(unsigned type) {
  switch (type) {
    case 0x08:
    case 0x09:
      return 1;
    case 0x0B:
      return 2;
    case 0x0C:
    case 0x0D:
      return 4;
    case 0x0E:
      return 8;
    default:
      return 0;
  }
}

std::string hex(std::span<const std::uint8_t> bytes) { return fmt::format("{:02x}", fmt::join(bytes, " ")); }

void read_magic(FileReader& file, std::array<std::uint8_t, 4>& magic) {
  constexpr std::string_view kWanted = "an idx file (magic 00 00 type rank)";
  const std::size_t got = file.read(magic);
  if (got == 0) file.fail(kWanted, "an empty file");
  if (got < magic.size()) file.fail(kWanted, fmt::format("only {} bytes", got));
  if (magic[0] == 0 && magic[1] == 0 && element_bytes(magic[2]) != 0) return;
  std::string found = hex(magic);
  if (magic[0] == 0x1F && magic[1] == 0x8B) found += ": it was compressed twice";
  if (magic[2] == 0 && magic[3] == 0 && element_bytes(magic[1]) != 0) found += ": its numbers are little-endian";
  if (magic[0] == 0 && magic[1] == 0)
    file.fail("an idx element type (08, 09, 0b, 0c, 0d, 0e)", fmt::format("type {:02x}", magic[2]));
  file.fail(kWanted, found);
}

Shape read_shape(FileReader& file, int rank) {
  std::array<std::int64_t, Shape::kMaxRank> sizes{};
  std::int64_t total = 1;
  for (int axis = 0; axis < rank; ++axis) {
    std::array<std::uint8_t, 4> bytes{};
    if (file.read(bytes) < bytes.size())
      file.fail(fmt::format("an idx header of {} bytes", 4 + 4 * rank), fmt::format("only {} bytes", file.position()));
    std::uint32_t size = 0;
    for (const std::uint8_t byte : bytes) size = size << 8 | byte;
    sizes[static_cast<std::size_t>(axis)] = size;
    if (size != 0 && total > Shape::kMaxSize / size)
      file.fail("fewer than 2^46 elements",
                fmt::format("sizes {}", fmt::join(std::span(sizes).first(static_cast<std::size_t>(axis) + 1), " x ")));
    total *= std::max<std::int64_t>(size, 1);
  }
  return Shape(std::span(sizes).first(static_cast<std::size_t>(rank)));
}

// Reads exactly `size` bytes, in growing pieces, and makes sure that the file ends there.
std::vector<std::uint8_t> read_elements(FileReader& file, std::uint64_t size, const Shape& shape) {
  const auto wanted = [&] { return fmt::format("{} bytes of elements for {}", size, to_string(shape)); };
  const std::uint64_t most = file.most_bytes() - std::min(file.most_bytes(), file.position());
  if (size > most)
    file.fail(wanted(), file.compressed() ? fmt::format("a compressed file too small for more than {}", most)
                                          : fmt::format("only {}", most));
  std::vector<std::uint8_t> bytes;
  std::size_t filled = 0;
  while (filled < size) {
    bytes.resize(static_cast<std::size_t>(std::min<std::uint64_t>(size, std::max(kFirstBytes, 2 * filled))));
    const std::size_t got = file.read(std::span(bytes).subspan(filled));
    filled += got;
    if (filled < bytes.size()) file.fail(wanted(), fmt::format("only {}", filled));
  }
  std::uint8_t extra = 0;
  if (file.read({&extra, 1}) != 0)
    file.fail(wanted(), file.compressed() ? std::string("more") : fmt::format("{}", std::max(most, size + 1)));
  return bytes;
}

}  // namespace

IdxArray read_idx(const std::string& path, const IdxOptions& options) {
  FileReader file(path);
  std::array<std::uint8_t, 4> magic{};
  read_magic(file, magic);
  const unsigned type = magic[2], rank = magic[3];
  if (options.type && type != static_cast<unsigned>(*options.type))
    file.fail(fmt::format("idx elements of type {:02x}", static_cast<unsigned>(*options.type)),
              fmt::format("type {:02x}", type));
  if (options.rank && rank != static_cast<unsigned>(*options.rank))
    file.fail(fmt::format("{} {} in the idx header", *options.rank, *options.rank == 1 ? "axis" : "axes"),
              fmt::format("{}", rank));
  if (rank < 1 || rank > Shape::kMaxRank) file.fail("1 to 6 axes in the idx header", fmt::format("{}", rank));
  const Shape shape = read_shape(file, static_cast<int>(rank));
  const std::uint64_t size = static_cast<std::uint64_t>(shape.size()) * element_bytes(type);
  if (size > options.max_bytes)
    file.fail(fmt::format("at most {} bytes of elements", options.max_bytes),
              fmt::format("{} for {}", size, to_string(shape)));
  return {static_cast<IdxType>(type), shape, read_elements(file, size, shape)};
}

}  // namespace tapestry::data
