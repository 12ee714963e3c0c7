#include "data/gzip.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#define ZLIB_CONST
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>

#include "autodiff/text.h"
#include "kernels/error.h"

namespace tapestry::data {
namespace {

constexpr std::size_t kBuffer = 64 * 1024;
constexpr std::uint64_t kMostRatio = 1032;  // of deflate, which can tell 258 bytes by two bits

std::string_view kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  return "something else";
}

}  // namespace

struct FileReader::State {
  explicit State(const std::string& path) : path(path) {}
  ~State() {
    if (inflating) inflateEnd(&stream);
    if (file >= 0) close(file);
  }

  [[noreturn]] void fail(std::string_view expected, std::string_view found) const {
    throw FileError(fmt::format("{}: expected {}, found {}", printable(path), expected, found));
  }

  // What the system says about the path is the file's fault, unless the machine itself is short of something.
  [[noreturn]] void fail_system(int error) const {
    if (error != EIO && error != EMFILE && error != ENFILE && error != ENOMEM)
      fail("a readable file", std::strerror(error));
    throw EnvironmentError(fmt::format("{}: cannot be read: {}", printable(path), std::strerror(error)));
  }

  void open_file() {
    file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe without a writer must not block
    if (file < 0) fail_system(errno);
    struct stat status {};
    if (fstat(file, &status) != 0) fail_system(errno);
    if (!S_ISREG(status.st_mode)) fail("a regular file", kind_of(status.st_mode));
    size = static_cast<std::uint64_t>(status.st_size);
  }

  std::size_t read_file(std::uint8_t* out, std::size_t bytes) {
    for (;;) {
      const ssize_t got = ::read(file, out, std::min<std::size_t>(bytes, std::size_t{1} << 30));
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno != EINTR) fail_system(errno);
    }
  }

  // Makes at least one byte of the buffer available; false at the end of the file.
  bool refill() {
    if (next < filled) return true;
    consumed += filled;
    next = 0;
    filled = read_file(buffer.data(), buffer.size());
    return filled != 0;
  }
  std::uint64_t offset() const { return consumed + next; }

  std::uint8_t header_byte() {
    if (!refill()) fail("a whole gzip header", fmt::format("the end of the file at byte {}", offset()));
    header_crc = static_cast<std::uint32_t>(crc32(header_crc, &buffer[next], 1));
    return buffer[next++];
  }

  void read_header() {
    header_byte();
    header_byte();  // the magic was seen
    if (const int method = header_byte(); method != 8)
      fail("compression method 8 (deflate) in the gzip header", fmt::format("method {}", method));
    const unsigned flags = header_byte();
    if ((flags & 0xE0) != 0) fail("gzip flags of RFC 1952", fmt::format("0x{:02x}", flags));
    for (int i = 0; i < 6; ++i) header_byte();  // time, extra flags, system
    if ((flags & 4) != 0) {
      const int low = header_byte(), length = low + 256 * header_byte();
      for (int i = 0; i < length; ++i) header_byte();
    }
    for (const unsigned text : {8u, 16u})  // name, comment
      if ((flags & text) != 0)
        while (header_byte() != 0) {
        }
    if ((flags & 2) != 0) {
      const unsigned expected = header_crc & 0xFFFF, low = header_byte(), found = low + 256u * header_byte();
      if (expected != found) fail(fmt::format("gzip header checksum {:04x}", expected), fmt::format("{:04x}", found));
    }
  }

  std::size_t inflate_some(std::span<std::uint8_t> out) {
    std::size_t written = 0;
    while (written < out.size() && !ended) {
      if (!refill()) fail("compressed data to their end", fmt::format("the end of the file at byte {}", offset()));
      stream.next_in = &buffer[next];
      stream.avail_in = static_cast<uInt>(filled - next);
      const auto room = static_cast<uInt>(std::min<std::size_t>(out.size() - written, std::size_t{1} << 30));
      stream.next_out = out.data() + written;
      stream.avail_out = room;
      const int result = inflate(&stream, Z_NO_FLUSH);
      next = filled - stream.avail_in;
      const std::size_t got = room - stream.avail_out;
      data_crc = static_cast<std::uint32_t>(crc32(data_crc, out.data() + written, static_cast<uInt>(got)));
      written += got;
      position += got;
      if (result == Z_MEM_ERROR) throw std::bad_alloc();
      if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
        fail("valid compressed data",
             fmt::format("{} at byte {}", stream.msg == nullptr ? "damage" : stream.msg, offset()));
      if (result == Z_STREAM_END) {
        check_trailer();
        ended = true;
      }
    }
    return written;
  }

  void check_trailer() {
    std::array<std::uint32_t, 2> trailer{};
    for (unsigned i = 0; i < 8; ++i) {
      if (!refill()) fail("a gzip trailer of 8 bytes", fmt::format("{} bytes, then the end of the file", i));
      trailer[i / 4] |= std::uint32_t{buffer[next++]} << (8 * (i % 4));
    }
    if (trailer[0] != data_crc)
      fail(fmt::format("data with the checksum {:08x} of the gzip trailer", trailer[0]),
           fmt::format("{:08x}", data_crc));
    if (trailer[1] != static_cast<std::uint32_t>(position))
      fail(fmt::format("{} bytes (modulo 2^32) by the gzip trailer", trailer[1]), fmt::format("{}", position));
    if (!refill()) return;
    const bool member = filled - next >= 2 && buffer[next] == 0x1F && buffer[next + 1] == 0x8B;
    fail(fmt::format("the end of the file after its gzip data, at byte {}", offset()),
         member ? "a second gzip member" : fmt::format("{} more bytes", std::max(size, offset() + 1) - offset()));
  }

  std::string path;
  int file = -1;
  std::uint64_t size = 0;      // of the file, when it was opened
  std::uint64_t position = 0;  // bytes delivered
  std::array<std::uint8_t, kBuffer> buffer;
  std::size_t next = 0, filled = 0;
  std::uint64_t consumed = 0;  // bytes of the file before the buffer
  bool compressed = false, inflating = false, ended = false;
  z_stream stream{};
  std::uint32_t header_crc = 0, data_crc = 0;
};

FileReader::FileReader(const std::string& path) : state_(std::make_unique<State>(path)) {
  State& state = *state_;
  if (path.find('\0') != std::string::npos) state.fail("a path", "a NUL character in it");
  state.open_file();
  while (state.filled < 2) {
    const std::size_t got = state.read_file(state.buffer.data() + state.filled, kBuffer - state.filled);
    if (got == 0) break;
    state.filled += got;
  }
  state.compressed = state.filled >= 2 && state.buffer[0] == 0x1F && state.buffer[1] == 0x8B;
  if (!state.compressed) return;
  state.read_header();
  if (inflateInit2(&state.stream, -MAX_WBITS) != Z_OK) throw std::bad_alloc();
  state.inflating = true;
}

FileReader::~FileReader() = default;

bool FileReader::compressed() const { return state_->compressed; }
std::uint64_t FileReader::most_bytes() const { return state_->compressed ? kMostRatio * state_->size : state_->size; }
std::uint64_t FileReader::position() const { return state_->position; }
void FileReader::fail(std::string_view expected, std::string_view found) const { state_->fail(expected, found); }

std::size_t FileReader::read(std::span<std::uint8_t> out) {
  State& state = *state_;
  if (state.compressed) return state.inflate_some(out);
  std::size_t written = 0;
  while (written < out.size()) {
    const std::size_t buffered = std::min(state.filled - state.next, out.size() - written);
    std::copy_n(state.buffer.data() + state.next, buffered, out.data() + written);
    state.next += buffered;
    const std::size_t got = buffered != 0 ? buffered : state.read_file(out.data() + written, out.size() - written);
    if (got == 0) break;
    written += got;
  }
  state.position += written;
  return written;
}

}  // namespace tapestry::data
