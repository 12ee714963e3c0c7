// Files, read with every length checked and written so that a crash leaves the old file or the new one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tapestry::io {

// Throws FileError "PATH: message".
[[noreturn]] void fail_file(const std::string& path, std::string_view message);

// A regular file, open for reading. Nothing is mapped: a file that shrinks meanwhile is an error, not a signal.
class InputFile {
 public:
  // FileError when the path cannot be opened or is no regular file; EnvironmentError for what is the machine's fault.
  explicit InputFile(std::string path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& path() const { return path_; }
  std::uint64_t size() const { return size_; }
  // Fills `out` from `offset` on; FileError when the file ends before.
  void read(std::uint64_t offset, std::span<std::byte> out) const;

 private:
  std::string path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

// A new content of `path`, written beside it under a temporary name. commit() brings it to the disk and puts it in
// place; without that, or after an error, the file at `path` is as before and nothing is left over. The new file keeps
// the permissions of the old one, or has those that the umask leaves. A symbolic link stays, its target is replaced.
class OutputFile {
 public:
  // FileError when `path` is something other than a regular file, EnvironmentError when the system refuses.
  explicit OutputFile(std::string path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void commit();

 private:
  [[noreturn]] void fail(std::string_view action) const;

  std::string path_, target_, folder_, temporary_;
  int descriptor_ = -1;
};

}  // namespace tapestry::io
