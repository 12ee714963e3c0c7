#include "tests/data/support.h"

#include <zlib.h>

#include <stdexcept>

namespace tapestry::test {

Bytes idx_bytes(std::initializer_list<std::uint32_t> sizes, std::size_t payload, std::uint8_t type) {
  Bytes bytes{0, 0, type, static_cast<std::uint8_t>(sizes.size())};
  for (const std::uint32_t size : sizes)
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<std::uint8_t>(size >> shift));
  for (std::size_t i = 0; i < payload; ++i) bytes.push_back(static_cast<std::uint8_t>(i));
  return bytes;
}

Bytes gzip_bytes(const Bytes& content, const std::string& name) {
  z_stream stream{};
  if (deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK) throw std::bad_alloc();
  gz_header header{};
  std::string text = name;
  header.name = reinterpret_cast<Bytef*>(text.data());
  header.hcrc = 1;
  if (!name.empty()) deflateSetHeader(&stream, &header);
  Bytes input = content, out(deflateBound(&stream, content.size()) + 64);
  stream.next_in = input.data();
  stream.avail_in = static_cast<uInt>(input.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  const int result = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (result != Z_STREAM_END) throw std::runtime_error("deflate failed");
  return out;
}

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Bytes first(const Bytes& bytes, std::size_t count) {
  return Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
}

void write_mnist(const std::filesystem::path& directory, std::uint32_t train, std::uint32_t test) {
  for (const auto& [part, count] : {std::pair{"train", train}, std::pair{"t10k", test}}) {
    write_file(directory / (std::string(part) + "-images-idx3-ubyte"),
               idx_bytes({count, 28, 28}, std::size_t{784} * count));
    Bytes labels = idx_bytes({count}, count);
    for (std::size_t i = 0; i < count; ++i) labels[8 + i] = static_cast<std::uint8_t>(i % 10);
    write_file(directory / (std::string(part) + "-labels-idx1-ubyte"), labels);
  }
}

}  // namespace tapestry::test
