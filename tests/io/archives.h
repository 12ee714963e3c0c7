// Writes .npy and .npz files for tests, good and bad ones.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tapestry::test {

inline std::string little_endian(std::uint64_t value, std::size_t bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xFF);
  return text;
}

inline std::string npy_with_header(const std::string& header, const std::string& data, int major = 1) {
  return std::string("\x93NUMPY") + static_cast<char>(major) + '\0' + little_endian(header.size(), major == 1 ? 2 : 4) +
         header + data;
}

inline std::string npy(const std::string& descr, const std::string& shape, const std::string& data, int major = 1) {
  std::string header = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }";
  header.append(63 - (header.size() + (major == 1 ? 10 : 12)) % 64, ' ');
  return npy_with_header(header + "\n", data, major);
}

template <class T>
std::string bytes_of(std::initializer_list<T> values) {
  return std::string(reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T));
}

inline std::string deflated(const std::string& data) {
  std::string packed(data.size() + 1000, '\0');
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

// One member; numbers that are set here replace the right ones, in the directory and in the member's own header.
struct TestMember {
  std::string name = {}, data = {};
  bool pack = false, zip64 = false, descriptor = false;
  int flags = 0, method = -1;
  std::int64_t crc = -1, size = -1, packed = -1, offset = -1;
  std::string local_name = {};  // empty: the same
  std::string more_packed = {};
};

class TestZip {
 public:
  TestZip& add(TestMember member) {
    const std::string body = (member.pack ? deflated(member.data) : member.data) + member.more_packed;
    const auto or_else = [](std::int64_t given, std::uint64_t value) {
      return given < 0 ? value : static_cast<std::uint64_t>(given);
    };
    const std::uint64_t crc = or_else(member.crc, crc32(0, reinterpret_cast<const Bytef*>(member.data.data()),
                                                        static_cast<uInt>(member.data.size())));
    const std::uint64_t size = or_else(member.size, member.data.size()), packed = or_else(member.packed, body.size());
    const std::uint64_t flags = static_cast<std::uint64_t>(member.flags) | (member.descriptor ? 8u : 0u);
    const std::string kind = little_endian(45, 2) + little_endian(flags, 2) +
                             little_endian(member.method >= 0 ? static_cast<std::uint64_t>(member.method)
                                           : member.pack      ? 8
                                                              : 0,
                                           2) +
                             little_endian(0, 4);
    const std::string wide =
        little_endian(1, 2) + little_endian(16, 2) + little_endian(size, 8) + little_endian(packed, 8);
    const std::string sizes = little_endian(crc, 4) + little_endian(packed, 4) + little_endian(size, 4);
    const std::string local_sizes = member.descriptor ? std::string(12, '\0')
                                    : member.zip64    ? little_endian(crc, 4) + std::string(8, '\xFF')
                                                      : sizes;
    const std::string extra = member.zip64 ? wide : "";
    const std::string& local_name = member.local_name.empty() ? member.name : member.local_name;
    const std::uint64_t offset = or_else(member.offset, body_.size());
    body_ += "PK\3\4" + kind + local_sizes + little_endian(local_name.size(), 2) + little_endian(extra.size(), 2) +
             local_name + extra + body;
    if (member.descriptor) body_ += "PK\7\10" + sizes;
    directory_ += "PK\1\2" + little_endian(45, 2) + kind + sizes + little_endian(member.name.size(), 2) +
                  little_endian(0, 4) + little_endian(0, 8) + little_endian(offset, 4) + member.name;
    ++count_;
    return *this;
  }

  std::string bytes(const std::string& comment = "") const {
    return body_ + directory_ + "PK\5\6" + little_endian(0, 4) + little_endian(count_, 2) + little_endian(count_, 2) +
           little_endian(directory_.size(), 4) + little_endian(body_.size(), 4) + little_endian(comment.size(), 2) +
           comment;
  }

 private:
  std::string body_, directory_;
  std::uint64_t count_ = 0;
};

}  // namespace tapestry::test
