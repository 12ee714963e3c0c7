// The part of the zip format that .npz files use: stored and deflated members, read one after the other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/file.h"

namespace tapestry::io {

struct ZipMember {
  std::string name;
  std::uint64_t offset = 0;  // of its first packed byte
  std::uint64_t packed = 0, size = 0;
  std::uint32_t crc = 0;
  bool deflated = false;
};

// The members in the order of the central directory. FileError, which names member or byte, for a directory that does
// not lie exactly before the end of the file, or differs from a member's own header; for members that overlap, appear
// twice, are encrypted or packed otherwise, or claim more than deflate can hold; and for names that lead out of a
// folder. Nothing is ever extracted to a path. Archives above 4 GiB (zip64 directories) are refused.
std::vector<ZipMember> zip_members(const InputFile& file);

// The content of one member, from front to end. The file must outlive it.
class ZipStream {
 public:
  ZipStream(const InputFile& file, const ZipMember& member);
  ~ZipStream();
  ZipStream(const ZipStream&) = delete;
  ZipStream& operator=(const ZipStream&) = delete;

  // Fills `out`; FileError for damaged data, or when the member ends before.
  void read(std::span<std::byte> out);
  // FileError unless the member ends here, and its checksum is right.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tapestry::io
