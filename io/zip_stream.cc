#include <fmt/format.h>
#define ZLIB_CONST
#include <zlib.h>

#include <algorithm>
#include <array>
#include <new>

#include "autodiff/text.h"
#include "io/zip.h"

namespace tapestry::io {

struct ZipStream::State {
  State(const InputFile& given, const ZipMember& wanted) : file(given), member(wanted), left(wanted.packed) {
    if (member.deflated && inflateInit2(&stream, -MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  ~State() {
    if (member.deflated) inflateEnd(&stream);
  }

  [[noreturn]] void fail(std::string_view message) const {
    fail_file(file.path(), fmt::format("member '{}': {}", printable(member.name), message));
  }

  void refill() {
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(left, buffer.size()));
    file.read(offset(), std::span(buffer).first(count));
    left -= count;
    stream.next_in = reinterpret_cast<const Bytef*>(buffer.data());
    stream.avail_in = static_cast<uInt>(count);
  }
  std::uint64_t offset() const { return member.offset + member.packed - left; }

  // Unpacks up to out.size() bytes, below 4 GiB, and returns their number; fewer at the end of the data.
  std::size_t unpack(std::span<std::byte> out) {
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    while (!ended && stream.avail_out != 0) {
      if (stream.avail_in == 0 && left != 0) refill();
      const int result = inflate(&stream, Z_NO_FLUSH);
      if (result == Z_BUF_ERROR) fail(fmt::format("byte {}: its packed data end too early", offset()));
      if (result == Z_MEM_ERROR) throw std::bad_alloc();
      if (result != Z_OK && result != Z_STREAM_END)
        fail(fmt::format("byte {}: its packed data are damaged: {}", offset() - stream.avail_in,
                         stream.msg == nullptr ? "no deflate stream" : stream.msg));
      ended = result == Z_STREAM_END;
    }
    return out.size() - stream.avail_out;
  }

  void copy(std::span<std::byte> out) {
    file.read(offset(), out);
    left -= out.size();
  }

  const InputFile& file;
  const ZipMember& member;
  std::uint64_t left;  // packed bytes that were not read yet
  std::uint64_t delivered = 0;
  uLong crc = 0;
  bool ended = false;
  z_stream stream{};
  std::array<std::byte, 64 * 1024> buffer;
};

ZipStream::ZipStream(const InputFile& file, const ZipMember& member) : state_(std::make_unique<State>(file, member)) {}
ZipStream::~ZipStream() = default;

void ZipStream::read(std::span<std::byte> out) {
  constexpr std::size_t kMost = std::size_t{1} << 30;  // zlib counts in 32 bits
  if (out.size() > state_->member.size - state_->delivered)
    state_->fail(fmt::format("has {} bytes, more are needed", state_->member.size));
  while (!out.empty()) {
    const std::span<std::byte> piece = out.first(std::min(out.size(), kMost));
    if (!state_->member.deflated)
      state_->copy(piece);
    else if (const std::size_t count = state_->unpack(piece); count != piece.size())
      state_->fail(fmt::format("unpacks to {} bytes, not to the {} that its header says", state_->delivered + count,
                               state_->member.size));
    state_->crc = crc32(state_->crc, reinterpret_cast<const Bytef*>(piece.data()), static_cast<uInt>(piece.size()));
    state_->delivered += piece.size();
    out = out.subspan(piece.size());
  }
}

void ZipStream::finish() {
  if (state_->delivered != state_->member.size)
    state_->fail(fmt::format("has {} bytes, only {} are needed", state_->member.size, state_->delivered));
  std::byte more;
  if (state_->member.deflated && state_->unpack({&more, 1}) != 0)
    state_->fail(fmt::format("unpacks to more than the {} bytes that its header says", state_->member.size));
  if (state_->left != 0 || state_->stream.avail_in != 0) state_->fail("its packed data go on after their end");
  if (state_->crc != state_->member.crc)
    state_->fail(
        fmt::format("its checksum is {:08x}, the file says {:08x}; it is damaged", state_->crc, state_->member.crc));
}

}  // namespace tapestry::io
