#include "train/gzip.h"

#define ZLIB_CONST
#include <zlib.h>

#include <algorithm>
#include <memory>
#include <new>

namespace tapestry::train {

std::vector<std::byte> gzip(std::string_view bytes) {
  constexpr int kGzip = 15 + 16;  // the largest window, a gzip header
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::bad_alloc();
  const std::unique_ptr<z_stream, decltype(&deflateEnd)> ended(&stream, deflateEnd);
  std::vector<std::byte> packed;
  std::byte buffer[32 * 1024];
  for (int state = Z_OK; state != Z_STREAM_END;) {
    if (stream.avail_in == 0) {  // zlib counts in 32 bits
      const std::size_t part = std::min(bytes.size(), std::size_t{1} << 30);
      stream.next_in = reinterpret_cast<const Bytef*>(bytes.data());
      stream.avail_in = static_cast<uInt>(part);
      bytes.remove_prefix(part);
    }
    stream.next_out = reinterpret_cast<Bytef*>(buffer);
    stream.avail_out = sizeof buffer;
    state = deflate(&stream, bytes.empty() ? Z_FINISH : Z_NO_FLUSH);
    packed.insert(packed.end(), buffer, buffer + sizeof buffer - stream.avail_out);
  }
  return packed;
}

}  // namespace tapestry::train
