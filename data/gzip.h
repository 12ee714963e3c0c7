// Reads a file from front to end, plain or gzip-compressed; which of the two, its first bytes tell, not its name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace tapestry::data {

class FileReader {
 public:
  // FileError when the path cannot be opened or is no regular file, or when its gzip header (RFC 1952) is damaged.
  // EnvironmentError, here and in read(), for what is the machine's fault: an I/O error, no more file handles.
  explicit FileReader(const std::string& path);
  ~FileReader();
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;

  bool compressed() const;
  // No more than this many bytes can come: the file's size, or 1032 times it, the most that deflate can pack.
  std::uint64_t most_bytes() const;
  std::uint64_t position() const;  // bytes delivered so far

  // Fills `out` as far as there are bytes and returns their number; fewer than asked for is the end of the data.
  // FileError, which tells them apart, for compressed data that are damaged or end early, for a missing trailer, a
  // wrong checksum or length in it, and for a second member or anything else behind it.
  std::size_t read(std::span<std::uint8_t> out);

  // FileError "PATH: expected ..., found ...".
  [[noreturn]] void fail(std::string_view expected, std::string_view found) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tapestry::data
